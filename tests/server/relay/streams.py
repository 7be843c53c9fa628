"""Streams of a scripted upstream, through a proxy."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

DONE = b"data: [DONE]\n\n"
FAST = {
    "COMMIT_AFTER": "0.2",
    "HEARTBEAT_INTERVAL": "0.2",
    "IDLE_TIMEOUT": "0.8",
    "FIRST_BYTE_TIMEOUT": "0.8",
}
Script = Callable[[Peer, Received], Awaitable[None]]


async def stream(script: Script, **settings: str) -> tuple[RawResponse, str]:
    """Stream one chat answer of an upstream that plays *script*; return it and the log."""
    upstream = RawUpstream(script)
    async with upstream.running(), running_proxy(upstream.base_url, **settings) as proxy:
        body: dict[str, object] = {"model": "gpt-4o-mini", "stream": True, "messages": []}
        response = await asyncio.wait_for(
            fetch(proxy.port, "/v1/chat/completions", body, BEARER), 20
        )
        return response, proxy.logged()


def error_event(response: RawResponse) -> dict[str, object]:
    """Return the error of the last event."""
    last = response.body.rstrip().rpartition(b"data: ")[2]
    error = json.loads(last)["error"]
    assert isinstance(error, dict)
    return error


def playing(*steps: bytes, end: str = "chunk") -> Script:
    """Return a script that sends each step as a chunk, then ends in the way named."""

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        for step in steps:
            await peer.chunk(step)
        match end:
            case "chunk":
                await peer.last_chunk()
            case "fin":
                peer.close()
            case "rst":
                await asyncio.sleep(0.05)
                peer.reset()
            case "hold":
                await peer.closed()

    return play
