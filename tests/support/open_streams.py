"""Streams that go on until the test ends them, and what became of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.conftest import KEY
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk

STREAM: dict[str, object] = {"model": "gpt-4o", "messages": [], "stream": True}
DONE = b"data: [DONE]\n\n"


class Streams:
    """An upstream whose streams go on until the test ends them."""

    def __init__(self) -> None:
        self.upstream = RawUpstream(self.play)
        self.may_end = asyncio.Event()

    async def play(self, peer: Peer, request: Received) -> None:
        if request.path.endswith("/models"):
            await peer.reply(b'{"object":"list","data":[]}')
            return
        await peer.head()
        await peer.chunk(chat_chunk("first"))
        await self.may_end.wait()
        for number in range(5):
            await peer.chunk(chat_chunk(str(number)))
        await peer.chunk(chat_chunk(finish="stop") + DONE)
        await peer.last_chunk()

    @property
    def count(self) -> int:
        """How many streams were asked for."""
        return sum(r.path.endswith("/completions") for r in self.upstream.received)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Streams"]:
        async with self.upstream.running():
            yield self


async def stream(port: int, key: str = KEY) -> RawResponse:
    return await fetch(port, "/v1/chat/completions", STREAM, {"Authorization": f"Bearer {key}"})


def is_complete(response: RawResponse) -> bool:
    """Return whether a stream ended as it should: every chunk, the mark, the last chunk."""
    parts = response.body.split(b"\n\n")
    return response.whole and response.body.endswith(DONE) and len(parts) == 9


def is_cut_with_a_word(response: RawResponse) -> bool:
    """Return whether a stream ended with the error that says why, and no mark."""
    last = response.body.split(b"\n\n")[-2]
    return response.whole and b'"code":"server_shutdown"' in last and DONE not in response.body


def assert_no_traceback(log: str) -> None:
    assert "Traceback" not in log
    assert " error " not in log, log
