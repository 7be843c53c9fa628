"""Answers in one write: what is on the wire, byte for byte, and where aiohttp does it."""

import asyncio
import re
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from jarvis_proxy.settings import Settings
from jarvis_proxy.web import handshakes, listen
from jarvis_proxy.web.app import make_runner
from jarvis_proxy.web.listen import bind
from jarvis_proxy.web.tls import tls_context
from jarvis_proxy.web.whole import WholeAnswer
from tests.raw_client import RawConnection, connect
from tests.web.test_tls import AUTHORITY
from tests.web.test_tls import settings as tls_settings

HEADERS = {"x-request-id": "req_1", "Content-Type": "application/json"}


class Serving:
    """A server that answers everything with what *make* returns."""

    def __init__(self, body: bytes = b"{}", status: int = 200, **headers: str) -> None:
        self._answer = (body, status, {**HEADERS, **headers})

    async def __aenter__(self) -> int:
        app = web.Application()

        async def handle(request: web.Request) -> web.StreamResponse:
            answer = WholeAnswer(*self._answer)
            if "close" in request.query_string:
                answer.force_close()
            return answer

        app.router.add_route("*", "/", handle)
        self._runner = make_runner(app, Settings())
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()


async def raw(connection: RawConnection, path: str = "/", method: str = "GET") -> bytes:
    """Return a whole answer's head, the date taken out."""
    await connection.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = await connection.reader.readuntil(b"\r\n\r\n")
    return re.sub(rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", b"", head)


async def test_head_is_complete_and_names_no_software() -> None:
    async with Serving() as port, connect(port) as connection:
        head = await raw(connection)
        assert await connection.reader.readexactly(2) == b"{}"

    assert head == (
        b"HTTP/1.1 200 OK\r\nx-request-id: req_1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n"
    )


async def test_connection_goes_on_after_answers_of_any_size() -> None:
    body = b"x" * 3_000_000
    async with Serving(body, 201) as port, connect(port) as connection:
        for _ in range(3):
            assert (await raw(connection)).startswith(b"HTTP/1.1 201 Created\r\n")
            assert await connection.reader.readexactly(len(body)) == body


async def test_last_answer_of_a_connection_says_so() -> None:
    async with Serving() as port, connect(port) as connection:
        assert b"\r\nConnection: close\r\n" in await raw(connection, "/?close")
        assert await connection.reader.read() == b"{}"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204)])
async def test_answer_without_a_body_has_none(method: str, status: int) -> None:
    body = b"{}" if method == "HEAD" else b""
    async with Serving(body, status) as port, connect(port) as connection:
        heads = [await raw(connection, method=method) for _ in range(2)]

    assert heads[0] == heads[1]
    assert heads[0].startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"Content-Length: 2" in heads[0]) == (method == "HEAD")


async def test_client_of_the_old_version_is_left_to_aiohttp() -> None:
    async with Serving() as port, connect(port) as connection:
        await connection.send(b"GET / HTTP/1.0\r\n\r\n")
        answer = await connection.reader.read()

    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nx: y", "a\rb", "a\0b"])
def test_control_character_never_goes_out(value: str) -> None:
    answer = WholeAnswer(b"{}", 200, {"x-a": value})

    with pytest.raises(ValueError, match="control character"):
        answer._head(2)


async def test_slow_client_gets_all_of_a_large_answer_under_tls_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits in TLS's buffers is not sent: the connection is not idle, nor to be closed."""
    monkeypatch.setattr(handshakes, "_TLS_CLOSE", 0.1)
    settings = tls_settings(tmp_path)
    body = b"x" * 16_000_000
    serving = Serving(body)
    await serving.__aenter__()
    serving._runner.edge.set_keepalive(0.1)
    (sock,) = await bind(["127.0.0.1"], 0)
    await listen.Site(serving._runner, sock, tls_context(settings)).start()
    trusted = ssl.create_default_context()
    AUTHORITY.configure_trust(trusted)
    reader, writer = await asyncio.open_connection(
        *sock.getsockname(), ssl=trusted, server_hostname="localhost", limit=2**16
    )
    try:
        client = RawConnection(reader, writer)
        await client.post("/", b"")
        await client.head()
        await asyncio.sleep(0.5)
        assert await asyncio.wait_for(reader.readexactly(len(body)), 10) == body
    finally:
        writer.transport.abort()
        await serving.__aexit__()
