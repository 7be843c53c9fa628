"""Answers that are read whole, and unpacked."""

import gzip

import pytest

from tests.conftest import BEARER, running_proxy
from tests.raw_client import fetch
from tests.raw_upstream import Peer, RawUpstream, Received

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
