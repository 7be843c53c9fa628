"""Asking for a session: the circuit breaker counts, and a loop is named."""

import pytest

from tests.conftest import running_proxy
from tests.server.handlers.realtime_scene import refusal
from tests.support.raw_upstream import Peer, RawUpstream, Received

PATH = "/v1/realtime?model=gpt-realtime"


@pytest.mark.parametrize("status", [500, 503])
async def test_an_upstream_that_fails_often_is_not_asked_any_more(status: int) -> None:
    async def script(peer: Peer, request: Received) -> None:
        await peer.reply(b"{}", status)

    upstream = RawUpstream(script)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        found = [await refusal(proxy.port, PATH) for _ in range(6)]
    assert found[-1] == (503, "upstream_unavailable")
    assert len(upstream.received) == 5


async def test_three_keys_are_tried_at_most() -> None:
    async def script(peer: Peer, request: Received) -> None:
        await peer.reply(b'{"error":{"message":"no"}}', 401)

    upstream = RawUpstream(script)
    keys = ",".join(f"key-{n}-0123456789" for n in range(5))
    async with upstream.running(), running_proxy(upstream.base_url, OPENAI_API_KEY=keys) as proxy:
        assert await refusal(proxy.port, PATH) == (502, "upstream_auth_failed")
    assert len({asked.header("authorization") for asked in upstream.received}) == 3
    assert "refused the proxy's key" in proxy.logged()


async def test_the_handshake_is_in_the_clients_trace() -> None:
    async def script(peer: Peer, request: Received) -> None:
        await peer.reply(b"{}", 500)

    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    upstream = RawUpstream(script)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        await refusal(proxy.port, PATH, traceparent=parent)
    assert upstream.received[0].header("traceparent") == parent


async def test_a_proxy_that_reaches_itself_says_so() -> None:
    async def script(peer: Peer, request: Received) -> None:
        await peer.reply(b"{}", 508)

    upstream = RawUpstream(script)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        assert await refusal(proxy.port, PATH) == (508, "loop_detected")
    assert upstream.received[0].header("x-jarvis-hop")
