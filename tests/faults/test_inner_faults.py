"""Faults of the proxy itself: told as such, in place, and without a word of their content."""

import asyncio

import pytest

from tests.conftest import running_proxy
from tests.faults.clients import ask_raw
from tests.faults.dialects import DIALECTS, Surface
from tests.faults.inner_rows import INNER, BuggyUpstream, Inner
from tests.faults.scripts import Stage, good, play, seen
from tests.faults.verdict import judge
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow

CASES = [
    pytest.param(row, surface, id=f"{row.name}-{surface}")
    for row in INNER
    for surface in (("chat", "whole") if row.whole is not None else ("chat",))
]


@pytest.mark.parametrize(("row", "surface"), CASES)
async def test_client_sees_the_bug(row: Inner, surface: Surface) -> None:
    dialect = DIALECTS[surface]
    sight = row.streamed if surface == "chat" else row.whole
    assert sight is not None
    beat = asyncio.Event()

    async def script(peer: Peer, request: Received) -> None:
        stage = Stage(peer, dialect)
        if surface == "whole":
            await good(stage)
            return
        if row.beats:
            await beat.wait()
        await peer.head()
        for event in dialect.events:
            await stage.chunk(event)
            await play((seen,), stage)
        await peer.closed()

    settings = {"COMMIT_AFTER": "0.1", "HEARTBEAT_INTERVAL": "0.1"} if row.beats else {}
    upstream = RawUpstream(script)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, **settings) as proxy,
        asyncio.timeout(10),
    ):
        place = proxy.context.endpoints["openai"]
        place.api.upstream = BuggyUpstream("openai", row.fails_at)
        asking = asyncio.create_task(ask_raw(proxy.port, dialect, dialect.request("gpt-4o")))
        asyncio.get_running_loop().call_later(0.5, beat.set)
        observed = await asking
        log = proxy.logged()

    assert judge("raw", dialect, sight, observed, b"") == []
    assert f"status={sight.status} outcome=internal_error code=internal_error" in log
    assert "internal error in req_" in log
    assert "Bug at inner_rows.py" in log
    assert "canary" not in log
