"""Upstreams that answer in a set order, and how tests ask a proxy in front of them."""

import asyncio
import json
from collections.abc import Mapping

from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import (
    Peer,
    RawUpstream,
    Received,
    Script,
    chat_chunk,
    completion,
)

DONE = b"data: [DONE]\n\n"
SDK = {"x-stainless-retry-count": "0"}
CHAT: dict[str, object] = {"model": "gpt-4o-mini", "messages": []}


def refusing(status: int, code: str = "x", extra: tuple[str, ...] = ()) -> "Answers":
    body = json.dumps({"error": {"message": "no", "type": "t", "param": None, "code": code}})
    return Answers((status, body.encode(), extra))


class Answers:
    """Answers in order, the last one for ever; streams when asked for one."""

    def __init__(self, *answers: tuple[int, bytes, tuple[str, ...]]) -> None:
        self.answers = list(answers)
        self.keys: list[str] = []

    def then(self, other: "Answers") -> "Answers":
        self.answers += other.answers
        return self

    async def __call__(self, peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[]}')
            return
        self.keys.append((request.header("Authorization") or "").removeprefix("Bearer "))
        status, body, extra = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 200 and json.loads(request.body).get("stream"):
            await peer.head(200)
            await peer.chunk(chat_chunk("Hi") + chat_chunk(None, "stop") + DONE)
            await peer.last_chunk()
        else:
            await peer.reply(body, status, extra=extra)


OK = (200, completion(), ())


async def ask(
    answers: Answers,
    *,
    times: int = 1,
    headers: Mapping[str, str] | None = None,
    stream: bool = False,
    **env: str,
) -> tuple[list[RawResponse], RawUpstream]:
    upstream = RawUpstream(answers)
    body: dict[str, object] = {"model": "gpt-4o-mini", "messages": [], "stream": stream}
    merged = {**BEARER, **(headers or {})}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        responses = [
            await fetch(proxy.port, "/v1/chat/completions", body, merged) for _ in range(times)
        ]
    return responses, upstream


async def at_once(
    script: Script, calls: int, headers: Mapping[str, str], **env: str
) -> list[RawResponse]:
    upstream = RawUpstream(script)
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        return await asyncio.gather(
            *(
                fetch(proxy.port, "/v1/chat/completions", CHAT, {**BEARER, **headers})
                for _ in range(calls)
            )
        )
