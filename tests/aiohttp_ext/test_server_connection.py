"""Connections: how many, how long they may take to ask, and what they receive: at the socket."""

import asyncio
import contextlib
import io
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from jarvis_proxy.access.connection_counter import ConnectionLimits
from jarvis_proxy.aiohttp_ext.server import ProxyRunner
from jarvis_proxy.aiohttp_ext.server_connection import connection_of
from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.observability.logging import configure_logging
from jarvis_proxy.server.app import make_runner
from tests.conftest import BEARER, running_proxy
from tests.server.wire_payloads import AUTH, BODY, CASES, CHUNKED, HEALTH, request, sized
from tests.support.eventually import eventually
from tests.support.raw_client import RawConnection, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

pytestmark = pytest.mark.slow

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


async def hello(request: web.BaseRequest) -> web.Response:
    return web.Response(text="hello")


@contextlib.asynccontextmanager
async def serving(
    keepalive: float = 20, limits: ConnectionLimits | None = None
) -> AsyncIterator[tuple[int, ProxyRunner]]:
    """Serve "hello" on the proxy's connections; yield the port and the runner."""
    app = web.Application()
    app.router.add_route("*", "/", hello)
    runner = make_runner(app, Settings())
    await runner.setup()
    runner.server.set_keepalive(keepalive)
    if limits is not None:
        runner.server.counter.limits = limits
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1], runner
    finally:
        await runner.cleanup()


async def rest(connection: RawConnection, seconds: float = 3.0) -> bytes:
    """Return all that comes until the server closes."""
    return await asyncio.wait_for(connection.reader.read(), seconds)


# Limits


async def test_excess_connection_gets_an_error_and_is_closed() -> None:
    async with serving(limits=ConnectionLimits(2, 9)) as (port, runner):
        async with connect(port) as first, connect(port) as second:
            for connection in (first, second):
                await connection.send(GET)
                assert (await connection.response()).status == 200
            async with connect(port) as third:
                response = await third.response()
                assert await rest(third) == b""
            assert len(runner.server.counter) == 2

            assert response.status == 503
            assert response.error()["code"] == "overloaded"
            assert response.headers["x-should-retry"] == "true"
            assert response.headers["retry-after"] == "1"
            assert response.headers["connection"] == "close"
            assert response.headers["x-request-id"].startswith("req_")

        await eventually(lambda: len(runner.server.counter) == 0)
        async with connect(port) as fourth:
            await fourth.send(GET)
            assert (await fourth.response()).status == 200


async def test_one_address_cannot_take_all_connections() -> None:
    async with serving(limits=ConnectionLimits(9, 1)) as (port, _), connect(port) as first:
        await first.send(GET)
        assert (await first.response()).status == 200
        async with connect(port) as second:
            assert (await second.response()).status == 503
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=("127.0.0.2", 0)
        )
        writer.write(GET)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_connections_through_a_trusted_proxy_count_in_the_total_only() -> None:
    async with (
        running_proxy(
            TRUSTED_PROXIES="127.0.0.0/8", MAX_CONNECTIONS="3", MAX_CONNECTIONS_PER_IP="1"
        ) as proxy,
        contextlib.AsyncExitStack() as stack,
    ):
        opened = [await stack.enter_async_context(connect(proxy.port)) for _ in range(4)]
        for connection in opened[:3]:
            await connection.send(HEALTH)
            assert (await connection.response()).status == 200
        assert (await opened[3].response()).status == 503


async def test_a_flood_of_connections_costs_one_line_of_log_and_no_traceback() -> None:
    async with running_proxy(MAX_CONNECTIONS="1") as proxy:
        async with connect(proxy.port) as kept:
            await kept.send(HEALTH)
            assert (await kept.response()).status == 200
            for _ in range(50):
                async with connect(proxy.port) as refused:
                    await refused.send(HEALTH)
                    assert (await refused.response()).status == 503
            await kept.send(HEALTH)
            assert (await kept.response()).status == 200
        lines = proxy.logged().splitlines()

    (warning,) = [line for line in lines if "warning" in line]
    assert "1 connections are open, the most there may be: more are refused" in warning
    assert not [line for line in lines if "Traceback" in line or "error" in line]


# Time


async def test_a_head_that_does_not_end_in_time_is_answered_with_408() -> None:
    async with serving(keepalive=0.2) as (port, _), connect(port) as connection:
        await connection.send(GET[:-2])
        status, headers = await connection.head()
        body = json.loads(await rest(connection))

    assert status == 408
    assert headers["connection"] == "close"
    assert body["error"]["code"] == "request_timeout"


async def test_dripping_a_head_does_not_buy_time() -> None:
    loop = asyncio.get_running_loop()
    async with serving(keepalive=0.4) as (port, _), connect(port) as connection:
        began = loop.time()
        reading = asyncio.create_task(connection.reader.read())
        for byte in GET[:-2] * 2:
            if reading.done():
                break
            connection.writer.write(bytes([byte]))
            await asyncio.wait([reading], timeout=0.02)
        # A byte may have been on its way to the connection that had been closed.
        with contextlib.suppress(ConnectionResetError):
            assert (await reading).startswith(b"HTTP/1.1 408 ")
        assert loop.time() - began < 2


async def test_a_second_head_has_its_time_from_the_answer_before() -> None:
    async with serving(keepalive=0.2) as (port, _), connect(port) as connection:
        await connection.send(GET)
        assert (await connection.response()).status == 200
        await connection.send(b"GET / HT")
        assert (await rest(connection)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("asked", [False, True])
async def test_an_idle_connection_is_closed_without_a_word(asked: bool) -> None:
    """A client that meant to ask something would take a 408 for its answer."""
    async with serving(keepalive=0.2) as (port, _), connect(port) as connection:
        if asked:
            await connection.send(GET)
            assert (await connection.response()).status == 200
        assert await rest(connection) == b""


async def test_close_idle_spares_those_that_ask_or_have_just_asked() -> None:
    async with serving() as (port, runner), connect(port) as idle, connect(port) as asking:
        await idle.send(GET)
        await idle.response()
        await asking.send(GET[:-2])
        await eventually(lambda: any(c._head_size for c in runner.server.connections))

        runner.server.close_idle(5)
        await asking.send(b"\r\n")
        assert (await asking.response()).status == 200
        await asking.send(GET[:-2])
        await eventually(lambda: any(c._head_size for c in runner.server.connections))
        runner.server.close_idle(0)
        assert await rest(idle) == b""
        await asking.send(b"\r\n")
        assert (await asking.response()).status == 200


# Size


async def test_a_head_that_grows_without_end_is_cut_at_32_kib() -> None:
    async with serving() as (port, runner), connect(port) as connection:
        await connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        for n in range(8):
            await connection.send(b"X-%d: " % n + b"a" * 4200 + b"\r\n")
            if n < 7:
                await eventually(
                    lambda: any(c._head_size > 4200 * (n + 1) for c in runner.server.connections)  # noqa: B023
                )
        assert (await rest(connection)).startswith(b"HTTP/1.1 431 ")


async def test_a_large_body_is_no_large_head() -> None:
    body = b'{"model":"jarvis-echo","messages":[{"role":"user","content":"' + b"a" * 40_000
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, "/v1/chat/completions", body + b'"}]}', BEARER)

    assert response.status == 200


async def test_data_that_is_no_request_gets_an_error_of_any_length() -> None:
    async with serving() as (port, _), connect(port) as connection:
        await connection.send(b"\x16\x03\x01" + b"a" * 60_000 + b"\r\n\r\n")
        assert (await rest(connection)).startswith(b"HTTP/1.1 400 ")


# Bodies that break off

BROKEN = {
    case.id: case.payload.partition(b"\r\n\r\n")[2]
    for case in CASES
    if "chunk" in case.id and case.answers == (400,) and case.payload.startswith(request(CHUNKED))
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_body_found_malformed_later_is_refused_at_once(case: str) -> None:
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.send(request(CHUNKED))
        await eventually(lambda: len(proxy.context.deadline_monitor))
        await connection.send(BROKEN[case])
        response = await asyncio.wait_for(connection.response(), 10)
        assert await rest(connection) == b""
        log = proxy.logged()

    assert (response.status, response.error()["code"]) == (400, "bad_request")
    assert response.headers["connection"] == "close"
    assert upstream.received == []
    (line,) = log.splitlines()
    assert "status=400 outcome=refused code=bad_request" in line


async def test_a_malformed_upload_is_cut_upstream_too() -> None:
    """It has begun by then; what the upstream got must not look whole."""
    seen: list[bytes] = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            seen.append(data)
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        running_proxy(f"http://127.0.0.1:{port}/v1", PASSTHROUGH="all") as proxy,
        connect(proxy.port) as connection,
    ):
        head = request(CHUNKED, line=b"POST /v1/files HTTP/1.1")
        await connection.send(head.replace(b"application/json", b"text/plain"))
        await connection.send(b"5\r\nhello\r\n")
        await eventually(lambda: b"hello" in b"".join(seen))
        await connection.send(b"zz\r\n")
        response = await asyncio.wait_for(connection.response(), 10)

    assert (response.status, response.error()["code"]) == (400, "bad_request")
    assert not b"".join(seen).endswith(b"0\r\n\r\n")


async def test_malformed_unread_body_closes_the_connection() -> None:
    async with running_proxy() as proxy, connect(proxy.port) as connection:
        await connection.send(request(CHUNKED).replace(AUTH, b"X-Api-Key: wrong"))
        response = await connection.response()
        await connection.send(b"zz\r\n")
        assert await rest(connection) == b""
        log = proxy.logged()

    assert response.status == 401
    assert " error " not in log


async def test_a_queued_body_found_malformed_is_refused_in_its_turn() -> None:
    release = asyncio.Event()

    async def late(peer: Peer, request: Received) -> None:
        await release.wait()
        await peer.reply(completion())

    upstream = RawUpstream(late)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.send(sized())
        await eventually(lambda: upstream.received)
        await connection.send(request(CHUNKED))
        await connection.send(b"20\r\n" + BODY + b"\r\n")
        await connection.send(b"zz\r\n")
        release.set()
        first = await asyncio.wait_for(connection.response(), 10)
        after = await rest(connection)

    assert first.status == 200
    assert after == b"" or after.startswith(b"HTTP/1.1 400 ")
    assert len(upstream.received) == 1


async def test_other_faults_of_the_connection_are_logged_by_their_place_only() -> None:
    async def nothing(request: web.BaseRequest) -> web.StreamResponse:
        return None  # type: ignore[return-value]  # what aiohttp complains about

    stream = io.StringIO()
    writer, _ = configure_logging("text", "info", stream)
    async with serving() as (port, runner), connect(port) as connection:
        runner.server.set_handler(nothing)
        await connection.send(GET.replace(b"/", b"/?canary", 1))
        assert (await connection.response()).status == 500
    writer.close()

    assert " error aiohttp.server: error at web_protocol:" in stream.getvalue()
    assert "canary" not in stream.getvalue()


# Applications in turn


async def test_requests_on_open_connections_go_where_the_edge_is_directed() -> None:
    async def other(request: web.BaseRequest) -> web.Response:
        return web.Response(text="other")

    async with serving() as (port, runner), connect(port) as connection:
        await connection.send(GET)
        assert (await connection.response()).body == b"hello"
        runner.server.set_handler(other)
        await connection.send(GET)
        assert (await connection.response()).body == b"other"


def test_every_default_of_aiohttp_that_matters_is_overridden() -> None:
    runner = make_runner(web.Application(), Settings())

    expected = {
        "access_log": None,
        "handler_cancellation": True,
        "keepalive_timeout": 30,  # a backstop: the proxy's ends after 20
        "lingering_time": 2,
        "auto_decompress": False,
        "max_line_size": 8190,
        "max_field_size": 8190,
        "max_headers": 64,
    }
    assert expected == {name: {**runner._kwargs, **runner._options}[name] for name in expected}


async def test_keepalive_to_a_dead_client_is_on() -> None:
    async with serving() as (port, runner), connect(port) as connection:
        await connection.send(GET)
        await connection.response()
        (served,) = runner.server.connections
        assert served.transport is not None
        sock = served.transport.get_extra_info("socket")

        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


# Answers that are written at the end of the turn


@pytest.mark.parametrize("end", ["eof", "force_close", "close_idle"])
async def test_an_answer_is_out_before_its_connection_is_closed(end: str) -> None:
    """What closes it may have its turn between the answer and the end of the turn."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        connection = connection_of(request)
        transport = connection.transport
        assert transport is not None

        def close() -> None:
            assert transport.get_write_buffer_size()
            if end == "eof":
                connection.eof_received()
                transport.close()
            elif end == "force_close":
                request.protocol.force_close()
            else:
                runner.server.close_idle(0)

        asyncio.get_running_loop().call_soon(close)
        return web.Response(body=b"{}")

    async with serving() as (port, runner), connect(port) as connection:
        runner.server.set_handler(handler)
        await connection.send(GET)
        raw = await rest(connection)

    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert raw.endswith(b"\r\n\r\n{}")


async def test_answers_of_all_kinds_keep_their_order() -> None:
    """Whole ones wait for the end of the turn; streams and refusals do not."""
    async with running_proxy() as proxy, connect(proxy.port) as connection:
        body = b'{"model":"jarvis-echo","stream":true,"messages":[{"role":"user","content":"a"}]}'
        health = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        chat = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + AUTH
        streamed = chat + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        await connection.send(health + streamed + health + streamed)
        first = await connection.response()  # the rest is not asked for in the same read
        await connection.send(b"\x00 malformed\r\n\r\n")
        answers = [first, *[await connection.response() for _ in range(4)]]
        assert await rest(connection) == b""

    assert [response.status for response in answers] == [200, 200, 200, 200, 400]
    kinds = [response.headers["content-type"].partition(";")[0] for response in answers]
    assert kinds == ["application/json", "text/event-stream"] * 2 + ["application/json"]
    assert all(response.whole for response in answers)


async def test_an_answer_to_a_client_that_has_left_is_an_error_of_the_connection() -> None:
    errors: list[Exception] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        response = web.Response(body=b"{}")
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError as exc:
            errors.append(exc)
            raise
        return response

    async with serving() as (port, runner), connect(port) as connection:
        runner.server.set_handler(handler)
        await connection.send(GET)
        with contextlib.suppress(ConnectionError):
            assert await rest(connection) == b""

    assert len(errors) == 1


async def test_requests_that_come_together_let_other_connections_have_their_turn() -> None:
    """One connection's thousands of requests for a page without a key held up everybody."""
    async with running_proxy() as proxy:
        turn, loop = 0, asyncio.get_running_loop()
        handled: Counter[int] = Counter()

        def next_turn() -> None:
            nonlocal turn
            turn += 1
            handle.append(loop.call_soon(next_turn))
            handle.pop(0)

        handle = [loop.call_soon(next_turn)]
        log = proxy.context.access_log.write

        def write(record: CallRecord) -> None:
            handled[turn] += 1
            log(record)

        proxy.context.access_log.write = write  # type: ignore[method-assign]
        async with connect(proxy.port) as connection:
            await connection.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 200)
            statuses = [(await connection.response()).status for _ in range(200)]
        handle[0].cancel()

    assert statuses == [200] * 200
    assert handled.total() == 200
    assert max(handled.values()) <= 10
