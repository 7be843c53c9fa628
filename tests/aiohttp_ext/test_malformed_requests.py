"""Malformed HTTP: one fixed answer, one line of log without its bytes, and no smuggling."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from jarvis_proxy.aiohttp_ext.malformed_requests import (
    server_full_response,
    strip_server_header,
)
from jarvis_proxy.server.app import make_runner
from jarvis_proxy.server.middlewares import Handler
from tests.conftest import KEY, Proxy, running_proxy
from tests.support.raw_client import connect
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

AUTH = f"Authorization: Bearer {KEY}\r\n".encode()
BODY = b'{"model":"gpt-4o","messages":[]}'
CHUNKED = b"2\r\n{}\r\n0\r\n\r\n"


def post(
    body: bytes = BODY,
    *headers: bytes,
    line: bytes = b"POST /v1/chat/completions HTTP/1.1",
    host: bytes = b"Host: proxy",
    sized: bool = True,
) -> bytes:
    """Return a chat request that is valid but for the fault under test."""
    length = [b"Content-Length: %d" % len(body)] if sized else []
    return b"\r\n".join((line, host, AUTH[:-2], *length, *headers, b"", body))


def chunked(*headers: bytes, body: bytes = CHUNKED, line: bytes | None = None) -> bytes:
    line = line or b"POST /v1/chat/completions HTTP/1.1"
    return post(body, *headers, line=line, sized=False)


TE = b"Transfer-Encoding: chunked"
MALFORMED = {
    "garbage": b"\x00\x01canary\x02\r\n\r\n",
    "tls hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"canary" * 20 + b"\r\n\r\n",
    "http/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "method": post(line=b"CA(NARY /health HTTP/1.1"),
    "unknown method": post(line=b"CANARY /health HTTP/1.1"),
    "version": post(line=b"GET /canary HTTP/canary"),
    "no host": b"GET /canary HTTP/1.1\r\nX-Canary: canary\r\n\r\n",
    "two hosts": post(BODY, b"Host: canary"),
    "length and chunks": chunked(TE, b"Content-Length: 3"),
    "two lengths": post(BODY, b"Content-Length: 3"),
    "length list": chunked(b"Content-Length: 3, 3", body=b"{}x"),
    "negative length": chunked(b"Content-Length: -1", body=b""),
    "plus length": chunked(b"Content-Length: +2", body=b"{}"),
    "hexadecimal length": chunked(b"Content-Length: 0x2", body=b"{}"),
    "endless length": chunked(b"Content-Length: 99999999999999999999999", body=b""),
    "chunked twice": chunked(b"Transfer-Encoding: chunked, chunked"),
    "two codings": chunked(TE, TE),
    "xchunked": chunked(b"Transfer-Encoding: xchunked"),
    "chunk size": chunked(TE, body=b"canary\r\n{}\r\n0\r\n\r\n"),
    "chunk end": chunked(TE, body=b"2\r\n{}canary\r\n0\r\n\r\n"),
    "space before colon": post(BODY, b"X-Canary : canary"),
    "space in name": post(BODY, b"X Canary: canary"),
    "folded": post(BODY, b"X-Canary: a\r\n canary"),
    "nul": post(BODY, b"X-Canary: a\x00b"),
    "bare cr": post(BODY, b"X-Canary: a\rb"),
    "bare lf": b"GET /health HTTP/1.1\nHost: x\nX-Canary: canary\n\n",
    "utf-8 path": post(line="GET /v1/canärý HTTP/1.1".encode()),
}
TOO_LONG = {
    "too many headers": post(BODY, *(b"X-Canary-%d: canary" % n for n in range(100))),
    "address": post(line=b"GET /" + b"canary" * 2000 + b" HTTP/1.1"),
    "header": post(BODY, b"X-Canary: " + b"canary" * 2000),
    "header name": post(BODY, b"X-" + b"Canary" * 2000 + b": a"),
}
REFUSED = {
    "gzip, chunked": (chunked(b"Transfer-Encoding: gzip, chunked"), 501),
    "chunks in http/1.0": (
        chunked(TE, b"Connection: keep-alive", line=b"POST /v1/chat/completions HTTP/1.0"),
        400,
    ),
    "host with a path": (post(host=b"Host: a/../@b"), 400),
    "host with a user": (post(host=b"Host: user@canary"), 400),
    "host with a space": (post(host=b"Host: a b"), 400),
    "host with a long port": (post(host=b"Host: a:canary"), 400),
    "connect": (b"CONNECT canary:443 HTTP/1.1\r\nHost: canary:443\r\n\r\n", 405),
    "options *": (b"OPTIONS * HTTP/1.1\r\nHost: canary\r\n\r\n", 405),
    "absolute address": (post(line=b"GET http://canary/v1/models HTTP/1.1"), 400),
}
GOOD_HOSTS = [b"", b" ", b" proxy", b" 127.0.0.1:9000", b" [::1]:9000", b" under_score.example"]


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


async def everything(proxy: Proxy, data: bytes) -> bytes:
    """Send *data* and a request behind it; return all that comes until the proxy closes."""
    async with connect(proxy.port) as connection:
        await connection.send(data + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n" + AUTH + b"\r\n")
        return await asyncio.wait_for(connection.reader.read(), 5)


def parsed(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
    return int(first.split(" ")[1]), headers, body


def assert_is_one_error(raw: bytes, status: int) -> None:
    got, headers, body = parsed(raw)
    error = json.loads(body)["error"]  # one answer, and nothing behind it
    assert got == status
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"]
    assert headers["content-type"] == "application/json"
    assert "server" not in headers
    assert b"canary" not in raw.lower()


@pytest.mark.parametrize("case", MALFORMED)
async def test_malformed_http_is_answered_with_one_fixed_text(case: str) -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        raw = await everything(proxy, MALFORMED[case])
        log = proxy.logged()

    assert_is_one_error(raw, 400)
    assert json.loads(parsed(raw)[2])["error"]["message"] == "The request is not valid HTTP."
    assert upstream.received == []
    (line,) = log.splitlines()
    assert "info refused from 127.0.0.1: no valid HTTP (" in line
    assert "canary" not in line.lower()


@pytest.mark.parametrize("case", TOO_LONG)
async def test_too_long_line_gets_its_own_error(case: str) -> None:
    async with running_proxy() as proxy:
        raw = await everything(proxy, TOO_LONG[case])
        log = proxy.logged()

    assert_is_one_error(raw, 431)
    assert "canary" not in log.lower()


@pytest.mark.parametrize("case", REFUSED)
async def test_what_two_servers_could_read_in_two_ways_is_refused(case: str) -> None:
    data, status = REFUSED[case]
    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        raw = await everything(proxy, data)
        log = proxy.logged()

    assert_is_one_error(raw, status)
    assert upstream.received == []
    (line,) = log.splitlines()
    assert f"status={status} outcome=refused" in line
    assert "canary" not in line.lower()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (post(line=b"POST /v1/chat/completions HTTP/2.0"), 505),
        (b"GET /health\r\n\r\n", 400),
    ],
    ids=["2.0", "0.9"],
)
async def test_other_versions_of_http_are_refused(data: bytes, status: int) -> None:
    async with running_proxy() as proxy, connect(proxy.port) as connection:
        await connection.send(data)
        raw = await asyncio.wait_for(connection.reader.read(), 5)

    assert_is_one_error(raw, status)
    assert raw.startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize(("headers", "kept"), [(b"", False), (b"Connection: keep-alive\r\n", True)])
async def test_http_1_0_is_served(headers: bytes, kept: bool) -> None:
    async with running_proxy() as proxy, connect(proxy.port) as connection:
        for _ in range(2 if kept else 1):
            await connection.send(b"GET /health HTTP/1.0\r\n" + headers + b"\r\n")
            response = await connection.response()
            assert (response.status, response.whole) == (200, True)
        assert ("connection" in response.headers) == kept
        if not kept:
            assert await asyncio.wait_for(connection.reader.read(), 10) == b""


@pytest.mark.parametrize("host", GOOD_HOSTS)
async def test_any_host_will_do(host: bytes) -> None:
    async with running_proxy() as proxy, connect(proxy.port) as connection:
        await connection.send(b"GET /health HTTP/1.1\r\nHost:" + host + b"\r\n\r\n")
        assert (await connection.response()).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    ],
    ids=["websocket", "h2c"],
)
async def test_upgrade_is_ignored(headers: bytes) -> None:
    async with running_proxy() as proxy, connect(proxy.port) as connection:
        await connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
        assert (await connection.response()).status == 200
        await connection.send(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await connection.response()).status == 200


async def test_chunk_that_breaks_later_ends_in_an_answer() -> None:
    async with (
        running_proxy(BODY_IDLE_TIMEOUT="0.2") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.send(chunked(TE, body=b"2\r\n{}\r\n"))
        await asyncio.sleep(0.05)
        await connection.send(b"canary\r\n")
        raw = await asyncio.wait_for(connection.reader.read(), 5)

    assert raw.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b"canary" not in raw


async def test_pipelined_requests_are_answered_in_order_each_with_its_own_key() -> None:
    async with running_proxy() as proxy, connect(proxy.port) as connection:
        models = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n"
        health = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        await connection.send(health + models + AUTH + b"\r\n" + models + b"\r\n" + health)
        statuses = [(await connection.response()).status for _ in range(4)]

    assert statuses == [200, 200, 401, 200]


async def failing(request: web.Request) -> web.StreamResponse:
    raise ValueError("canary")


async def failing_late(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half")
    raise ValueError("canary")


@contextlib.asynccontextmanager
async def bare(proxy: Proxy, handler: Handler) -> AsyncIterator[int]:
    """Serve *handler* on the proxy's connections, without any middleware; yield the port."""
    app = web.Application()
    app.router.add_get("/", handler)
    runner = make_runner(app, proxy.context.settings)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_failure_below_the_application_is_a_500_without_its_text() -> None:
    async with running_proxy() as proxy:
        async with bare(proxy, failing) as port, connect(port) as connection:
            await connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            raw = await asyncio.wait_for(connection.reader.read(), 5)
        log = proxy.logged()

    assert_is_one_error(raw, 500)
    assert (
        "error internal error below the application [ValueError at test_malformed_requests.py:"
        in log
    )
    assert "canary" not in log


async def test_answer_that_fails_after_it_began_is_cut_not_mixed_with_an_error() -> None:
    async with (
        running_proxy() as proxy,
        bare(proxy, failing_late) as port,
        connect(port) as connection,
    ):
        await connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        response = await asyncio.wait_for(connection.response(), 5)

    assert (response.status, response.body, response.whole) == (200, b"half", False)


def test_connection_too_many_gets_a_whole_answer_that_is_worth_a_retry() -> None:
    raw = server_full_response()
    status, headers, body = parsed(raw)

    assert_is_one_error(raw, 503)
    assert status == 503
    assert headers["content-length"] == str(len(body))
    assert headers["connection"] == "close"
    assert (headers["retry-after"], headers["x-should-retry"]) == ("1", "true")
    assert headers["x-request-id"].startswith("req_")
    assert server_full_response() != raw  # each has its own id


async def test_banner_is_removed_where_there_is_one() -> None:
    response = web.Response(headers={"Server": "Python/3 aiohttp/3"})
    request: web.Request = web.Request.__new__(web.Request)  # not looked at

    await strip_server_header(request, response)
    await strip_server_header(request, response)

    assert "Server" not in response.headers
