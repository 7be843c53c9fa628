"""Requests to an upstream that answers oddly, and scripts for such answers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk

DONE = b"data: [DONE]\n\n"
SDK = {**BEARER, "x-stainless-retry-count": "0"}
CHAT = "/v1/chat/completions"
STREAM: dict[str, object] = {"model": "gpt-4o", "messages": [], "stream": True}
WHOLE: dict[str, object] = {"model": "gpt-4o", "messages": []}
GOOD = chat_chunk("Hé") + chat_chunk(None, "stop") + DONE
FORM = (
    b"--X\r\nContent-Disposition: form-data; name=model\r\n\r\nwhisper-1\r\n"
    b"--X\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nzz\r\n--X--\r\n"
)
FORM_TYPE = {"Content-Type": "multipart/form-data; boundary=X"}
Script = Callable[[Peer, Received], Awaitable[None]]
Json = dict[str, Any]


async def ask(
    script: Script,
    body: dict[str, object] | bytes = STREAM,
    path: str = CHAT,
    method: str = "POST",
    **env: str,
) -> tuple[RawResponse, str]:
    """Return what the client gets, and the log."""
    upstream = RawUpstream(script)
    headers = {**SDK, **(FORM_TYPE if isinstance(body, bytes) and body else {})}
    env = {"PASSTHROUGH": "all", **env}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        response = await asyncio.wait_for(fetch(proxy.port, path, body, headers, method), 20)
        return response, proxy.logged()


def replying(body: bytes, kind: str | None = "application/json", *extra: str) -> Script:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(body, 200, kind, extra)

    return play


def streaming(*pieces: bytes, kind: str = "text/event-stream", end: str = "chunk") -> Script:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, kind)
        for piece in pieces:
            await peer.chunk(piece)
            await asyncio.sleep(0.01)
        match end:
            case "chunk":
                await peer.last_chunk()
            case "rst":
                await asyncio.sleep(0.05)
                peer.reset()
            case "bad chunk":
                await peer.send(b"zz\r\nnonsense\r\n")
            case "hold":
                await peer.closed()

    return play


def events(response: RawResponse) -> list[Json]:
    """Return the JSON of the stream's events."""
    lines = response.body.splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]


FINISH = chat_chunk(None, "stop")
