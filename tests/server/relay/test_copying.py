"""Answers that are copied as they arrive: no byte more, none less."""

import asyncio
import contextlib

from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received


async def test_binary_answer_that_is_cut_is_cut_for_the_client_too() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, "audio/mpeg")
        await peer.chunk(b"\x00" * 4096)
        await asyncio.sleep(0.05)
        peer.reset()

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        body: dict[str, object] = {"model": "tts-1", "input": "hi", "voice": "alloy"}
        with contextlib.suppress(ConnectionError):
            response = await fetch(proxy.port, "/v1/audio/speech", body, BEARER)
            assert not response.whole
