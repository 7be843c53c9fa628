"""The application as it is put together: what is shared, every default that matters, the end."""

import asyncio
import json
from ipaddress import ip_network

import aiohttp
import pytest
from aiohttp import web

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.observability.logging import AccessLog, ThreadedLineWriter
from jarvis_proxy.server.app import (
    build_timeouts,
    connection_limits,
    create_app,
    make_runner,
)
from jarvis_proxy.server.middlewares import access_log, auth
from jarvis_proxy.upstream_client.local import EchoTransport
from jarvis_proxy.upstream_client.transport import HttpTransport
from tests.conftest import BEARER, GEMINI_KEY, KEY, running_proxy
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

ENV = {"PROXY_API_KEYS": KEY, "HOST": "127.0.0.1", "STATE_DIR": ""}


def settings(**env: str) -> Settings:
    return Settings.from_env({**ENV, **env})


def application(**env: str) -> tuple[web.Application, ThreadedLineWriter]:
    writer = ThreadedLineWriter()
    return create_app(settings(**env), AccessLog(writer, "text", 20)), writer


# The server


@pytest.mark.parametrize(("env", "keepalive"), [({}, 20), ({"TRUSTED_PROXIES": "10.0.0.0/8"}, 130)])
async def test_server_overrides_every_default_that_hurts(
    env: dict[str, str], keepalive: int
) -> None:
    app, writer = application(**env)
    runner = make_runner(app, settings(**env))
    await runner.setup()
    try:
        server = runner.server
        assert server.keepalive_timeout == keepalive
        handler = server.new_handler(server())
        assert handler._manager is not None
        assert handler._manager.handler_cancellation is True
        assert handler.access_log is None
        assert handler._lingering_time == 2
        assert (handler.max_line_size, handler.max_field_size) == (8190, 8190)
        assert handler.max_headers == 64
        assert runner._shutdown_timeout <= 2
        assert app._client_max_size == 64 * 1024 * 1024
    finally:
        await runner.cleanup()
        writer.close()


async def test_there_is_one_route_and_no_files() -> None:
    app, writer = application()
    writer.close()

    resources = list(app.router.resources())
    assert len(resources) == 1
    assert not any(isinstance(resource, web.StaticResource) for resource in resources)


async def test_the_log_is_around_auth_and_both_are_around_everything() -> None:
    app, writer = application()
    writer.close()

    assert list(app.middlewares) == [access_log, auth]


async def test_body_is_not_unpacked_by_the_library() -> None:
    """A bomb would be inflated before its size is known."""
    async with running_proxy() as proxy:
        headers = {**BEARER, "Content-Encoding": "gzip", "Content-Type": "application/json"}
        body = b'{"model":"jarvis-echo","messages":[]}'
        response = await fetch(proxy.port, "/v1/chat/completions", body, headers)

    assert (
        response.error()["code"] == "invalid_encoding"
    )  # the proxy's reader looked at it, not aiohttp's


# What is shared


async def test_each_upstream_has_its_place_and_its_way_of_being_asked() -> None:
    async with running_proxy(
        UPSTREAMS="deepseek", DEEPSEEK_BASE_URL="http://127.0.0.1:9/x", DEEPSEEK_API_KEY="a,b"
    ) as proxy:
        places = proxy.context.endpoints
        assert set(places) == {"openai", "gemini", "anthropic", "deepseek", "jarvis"}
        assert isinstance(places["jarvis"].api.transport, EchoTransport)
        assert all(
            isinstance(places[n].api.transport, HttpTransport)
            for n in ("openai", "gemini", "anthropic", "deepseek")
        )
        assert len(places["deepseek"].key_pool.keys) == 2
        assert {name: place.api.upstream.name for name, place in places.items()} == {
            name: name for name in places
        }


async def test_each_upstream_has_a_session_of_its_own() -> None:
    async with running_proxy() as proxy:
        transports = [place.api.transport for place in proxy.context.endpoints.values()]
        sessions = {
            id(transport.session)
            for transport in transports
            if isinstance(transport, HttpTransport)
        }

    assert len(sessions) == 3


async def test_key_for_gemini_is_never_in_an_address() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(b'{"error":{"code":400,"message":"x","status":"INVALID_ARGUMENT"}}', 400)

    gemini = RawUpstream(play, base_path="/v1beta")
    async with gemini.running(), running_proxy(gemini=gemini.base_url) as proxy:
        body: dict[str, object] = {
            "model": "gemini-2.5-flash",
            "messages": [{"role": "user", "content": "hi"}],
        }
        await fetch(proxy.port, "/v1/chat/completions", body, BEARER)

    (seen,) = gemini.received
    assert GEMINI_KEY not in seen.path
    assert seen.header("x-goog-api-key") == GEMINI_KEY


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "PURGE"])
async def test_methods_that_no_api_has_are_not_relayed(method: str) -> None:
    openai = RawUpstream(_refuse)
    async with openai.running(), running_proxy(openai.base_url, PASSTHROUGH="all") as proxy:
        response = await fetch(proxy.port, "/v1/files", headers=BEARER, method=method)

    assert (response.status, response.error()["code"]) == (405, "method_not_allowed")
    assert "POST" in response.headers["allow"]
    assert openai.received == []


@pytest.mark.parametrize(("env", "has_headers"), [({"KEY_TESTER_RPM": "7"}, True), ({}, False)])
async def test_key_with_limits_gets_its_state_in_headers(
    env: dict[str, str], has_headers: bool
) -> None:
    async with running_proxy(**env) as proxy:
        body: dict[str, object] = {"model": "jarvis-echo", "messages": []}
        response = await fetch(proxy.port, "/v1/chat/completions", body, BEARER)

    limit = response.headers.get("x-ratelimit-limit-requests")
    assert limit == ("7" if has_headers else None)


async def test_default_model_is_listed_under_its_name() -> None:
    async with running_proxy(DEFAULT_MODEL="gemini/gemini-2.5-pro") as proxy:
        response = await fetch(
            proxy.port, "/v1/models/jarvis-default", headers=BEARER, method="GET"
        )

    assert json.loads(response.body)["id"] == "jarvis-default"


def test_clock_has_the_limits_of_the_settings() -> None:
    limits = build_timeouts(
        settings(
            FIRST_BYTE_TIMEOUT="1",
            IDLE_TIMEOUT="2",
            STREAM_TOTAL_TIMEOUT="3",
            COMMIT_AFTER="4",
            HEARTBEAT_INTERVAL="5",
            WRITE_STALL_TIMEOUT="6",
            BODY_IDLE_TIMEOUT="7",
            BODY_TOTAL_TIMEOUT="8",
        )
    )

    assert (limits.first_byte, limits.idle, limits.total, limits.headers_after) == (1, 2, 3, 4)
    assert (limits.heartbeat, limits.write_stall) == (5, 6)
    assert (limits.body_idle, limits.body_total) == (7, 8)


async def test_connect_timeout_and_outbound_proxy_reach_the_transports() -> None:
    asked = RawUpstream(_refuse)
    async with asked.running():
        proxied = f"http://127.0.0.1:{asked.port}"
        async with running_proxy(
            "http://api.test/v1", CONNECT_TIMEOUT="0.5", UPSTREAM_PROXY=proxied
        ) as proxy:
            transport = proxy.context.endpoints["openai"].api.transport
            assert isinstance(transport, HttpTransport)
            assert transport.session.timeout.sock_connect == 0.5
            await fetch(proxy.port, "/v1/chat/completions", {"model": "gpt-4o"}, BEARER)

    paths = [request.path for request in asked.received if request.method == "POST"]
    assert paths == ["http://api.test/v1/chat/completions"]


@pytest.mark.parametrize("body", [{"model": "gpt-4o"}, {"model": "near/m"}], ids=["far", "near"])
async def test_the_outbound_proxy_does_not_catch_an_upstream_on_loopback(
    body: dict[str, object],
) -> None:
    outbound, near = RawUpstream(_refuse), RawUpstream(_refuse)
    async with (
        outbound.running(),
        near.running(),
        running_proxy(
            "http://api.test/v1",
            UPSTREAM_PROXY=f"http://127.0.0.1:{outbound.port}",
            UPSTREAMS="near",
            NEAR_BASE_URL=f"http://127.0.0.1:{near.port}/v1",
            NEAR_API_KEY="near-key",
        ) as proxy,
    ):
        await fetch(proxy.port, "/v1/chat/completions", body, BEARER)

    asked = [request.path for request in (*outbound.received, *near.received) if request.body]
    expected = "/v1/chat/completions"
    assert asked == [expected if body["model"] == "near/m" else f"http://api.test{expected}"]


async def test_an_upstream_has_an_outbound_proxy_of_its_own() -> None:
    outbound = RawUpstream(_refuse)
    async with (
        outbound.running(),
        running_proxy(
            "http://127.0.0.1:9/v1", OPENAI_PROXY=f"http://127.0.0.1:{outbound.port}"
        ) as proxy,
    ):
        await fetch(proxy.port, "/v1/chat/completions", {"model": "gpt-4o"}, BEARER)

    paths = {request.path for request in outbound.received if request.body}
    assert paths == {"http://127.0.0.1:9/v1/chat/completions"}


async def _refuse(peer: Peer, request: Received) -> None:
    await peer.reply(b'{"error":{"message":"x"}}', 400)


def test_trusted_proxies_are_counted_as_many_clients() -> None:
    limits = connection_limits(settings(TRUSTED_PROXIES="10.0.0.0/8", MAX_CONNECTIONS="10"))

    assert ip_network("10.0.0.0/8") in limits.trusted
    assert ip_network("127.0.0.0/8") in limits.trusted
    assert limits.total <= 10


# The end


async def test_nothing_is_left_open() -> None:
    before = asyncio.all_tasks()
    async with running_proxy() as proxy:
        transports = [place.api.transport for place in proxy.context.endpoints.values()]
        await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")
        assert len(asyncio.all_tasks()) > len(before)

    assert {task for task in asyncio.all_tasks() if not task.done()} <= before
    sessions: list[aiohttp.ClientSession] = [
        transport.session for transport in transports if isinstance(transport, HttpTransport)
    ]
    assert sessions
    assert all(session.closed for session in sessions)
    assert proxy.context.fetcher._session.closed
