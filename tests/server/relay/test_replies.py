"""Answers that are read whole, and unpacked."""

import gzip
import tracemalloc
import zlib

import pytest

from jarvis_proxy.server.relay.replies import MAX_BUFFERED_BODY
from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow

PACKED = gzip.compress(b'{"a":') + gzip.compress(b"1}")


@pytest.mark.parametrize(
    ("packed", "status", "body"),
    [
        (PACKED, 200, b'{"a":1}'),
        (PACKED[:-1], 502, b"upstream_truncated"),
        (PACKED + b"rubbish", 502, b"upstream_bad_response"),
        (gzip.compress(b"") * 101, 502, b"upstream_bad_response"),
    ],
    ids=["two", "cut", "rubbish-behind", "too-many"],  # their bytes hold the time
)
async def test_archives_behind_one_another_are_one_answer(
    packed: bytes, status: int, body: bytes
) -> None:
    """Half of an answer must not look like a whole one."""

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(packed, extra=["Content-Encoding: gzip"])

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        asked: dict[str, object] = {"model": "gpt-4o", "messages": []}
        response = await fetch(proxy.port, "/v1/chat/completions", asked, BEARER)

    assert response.status == status
    assert body in response.body


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_bomb_is_not_inflated_past_the_limit(coding: str) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    zeros = b"\0" * 1024 * 1024
    packed = b"".join(packer.compress(zeros) for _ in range(300)) + packer.flush()

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(packed, extra=[f"Content-Encoding: {coding}"])

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        asked: dict[str, object] = {"model": "gpt-4o", "messages": []}
        tracemalloc.start()
        try:
            response = await fetch(proxy.port, "/v1/chat/completions", asked, BEARER)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert (response.status, response.error()["code"]) == (502, "upstream_bad_response")
    assert peak < 2 * MAX_BUFFERED_BODY + 16 * 1024 * 1024  # zlib joins what it made
