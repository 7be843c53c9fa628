"""What the real clients meet: the proxy, and upstreams that call tools, break off and refuse."""

import contextlib
from collections.abc import AsyncIterator

from tests.conftest import Proxy, running_proxy
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.sdk_upstreams import BROKEN, FakeOpenAI
from tests.support.strict_gemini import StrictGemini
from tests.upstreams.gemini.replies import a_frame, sse


@contextlib.asynccontextmanager
async def scene() -> AsyncIterator[tuple[Proxy, StrictGemini]]:
    """Start all of it; what the strict Gemini refused is kept in it."""
    openai, gemini = FakeOpenAI(), StrictGemini()
    strict = gemini.running()

    async def play(peer: Peer, request: Received) -> None:
        if BROKEN.encode() not in request.body:
            await strict.script(peer, request)
            return
        await peer.head()
        await peer.chunk(sse(a_frame({"text": "Hel"})))
        await peer.last_chunk()

    upstream = RawUpstream(play, base_path="/v1beta")
    async with (
        openai.upstream.running(),
        upstream.running(),
        running_proxy(openai.upstream.base_url, upstream.base_url) as proxy,
    ):
        yield proxy, gemini
