"""Calls through a SOCKS5 proxy: what it is asked, and what its faults become."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.errors import ConnectError, SocksError
from jarvis_proxy.upstream_client.tls import UpstreamContext
from jarvis_proxy.upstream_client.transport import HttpTransport, TransportOptions
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.server_process import free_port
from tests.support.socks_server import REFUSED, UNREACHABLE, SocksServer
from tests.upstream_client.routes import LOOPS, rest, run_on

pytestmark = pytest.mark.slow

HOST = "api.example.test"  # no resolver knows it
LOGIN = ("canary user", "canary:p@ss/word")
ENCODED = "canary%20user:canary%3Ap%40ss%2Fword@"


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(b'{"ok":true}')


async def stream(peer: Peer, request: Received) -> None:
    await peer.head()
    for number in range(3):
        await peer.chunk(b"data: %d\n\n" % number)
    await peer.last_chunk()


@contextlib.asynccontextmanager
async def reached(
    server: SocksServer,
    *,
    login: str = "",
    scheme: str = "socks5h",
    host: str = HOST,
    tls: UpstreamContext | None = None,
    timeout_s: float = 5.0,
) -> AsyncIterator[HttpTransport]:
    """Yield the way to *host* through *server*."""
    async with server.running() as port:
        transport = HttpTransport(
            "x",
            f"{'http' if tls is None else 'https'}://{host}:4321/v1",
            options=TransportOptions(timeout_s, f"{scheme}://{login}127.0.0.1:{port}"),
            ssl_context=tls,
        )
        try:
            yield transport
        finally:
            await transport.close()


async def ask(transport: HttpTransport) -> bytes:
    request = UpstreamRequest("POST", "/any", {}, b"{}")
    response = await asyncio.wait_for(transport.send(request, "sk-canary"), 5)
    body = await asyncio.wait_for(rest(response), 5)
    response.release_at_end()
    return body


async def refusal(server: SocksServer, **way: Any) -> ProxyError:
    async with reached(server, **way) as transport:
        with pytest.raises(ProxyError) as caught:
            await ask(transport)
    return caught.value


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_proxy_resolves_the_name_and_connections_are_reused(scheme: str) -> None:
    upstream = RawUpstream(answer)
    async with upstream.running():
        server = SocksServer(upstream.port)
        async with reached(server, scheme=scheme) as transport:
            assert [await ask(transport) for _ in range(3)] == [b'{"ok":true}'] * 3

    assert server.asked == [(HOST, 4321)]
    assert [seen.path for seen in upstream.received] == ["/v1/any"] * 3
    assert upstream.received[0].header("Host") == f"{HOST}:4321"
    assert upstream.received[0].header("Proxy-Authorization") is None


async def test_login_is_decoded() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running():
        server = SocksServer(upstream.port, LOGIN)
        async with reached(server, login=ENCODED) as transport:
            assert await ask(transport) == b'{"ok":true}'


def contexts(name: str) -> tuple[ssl.SSLContext, UpstreamContext]:
    """Return what an upstream called *name* serves with, and what trusts it."""
    authority = trustme.CA()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(serving)
    trusting = UpstreamContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusting)
    return serving, trusting


@pytest.mark.parametrize("loop", LOOPS)
def test_stream_of_an_upstream_with_tls(loop: str) -> None:
    serving, trusting = contexts(HOST)

    async def streamed(host: str) -> bytes:
        upstream = RawUpstream(stream)
        async with upstream.running(serving):
            server = SocksServer(upstream.port)
            async with reached(server, host=host, tls=trusting) as transport:
                return await ask(transport)

    for host in (HOST, f"{HOST}."):
        assert run_on(loop, streamed(host)) == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"


async def test_certificate_of_another_name_is_refused() -> None:
    serving, trusting = contexts("other.example.test")
    upstream = RawUpstream(answer)
    async with upstream.running(serving):
        error = await refusal(SocksServer(upstream.port), tls=trusting)

    assert (error.status, error.code) == (502, "upstream_tls_error")
    assert not isinstance(error, ConnectError)  # another try would end the same
    assert upstream.received == []


async def test_upstream_without_tls_is_an_error_of_tls() -> None:
    async def speak_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    plain = await asyncio.start_server(speak_http, "127.0.0.1", 0)
    async with plain:
        server = SocksServer(plain.sockets[0].getsockname()[1])
        error = await refusal(server, tls=contexts(HOST)[1])

    assert (error.status, error.code) == (502, "upstream_tls_error")


@pytest.mark.parametrize(
    ("server", "is_login"),
    [
        (SocksServer(0, LOGIN), True),
        (SocksServer(0, ("other", "login")), True),
        (SocksServer(0, reply=REFUSED), False),
        (SocksServer(0, reply=UNREACHABLE), False),
        (SocksServer(0, reply=99), False),
        (SocksServer(0, fault="cut greeting"), False),
        (SocksServer(0, fault="cut request"), False),
        (SocksServer(0, ("other", "login"), fault="cut login"), False),
        (SocksServer(0, fault="not SOCKS"), False),
    ],
)
async def test_proxy_that_makes_no_connection(server: SocksServer, is_login: bool) -> None:
    """Nothing of the request was sent, so another upstream may be asked."""
    has_other_login = server.login is not None and server.login != LOGIN
    error = await refusal(server, login=ENCODED if has_other_login else "")

    assert isinstance(error, ConnectError)
    assert (error.status, error.code) == (502, "upstream_connect_error")
    assert "canary" not in error.message
    assert isinstance(error.__cause__, SocksError)
    assert error.__cause__.is_login is is_login


async def test_proxy_that_is_not_there() -> None:
    options = TransportOptions(proxy=f"socks5://127.0.0.1:{free_port()}")
    transport = HttpTransport("x", f"http://{HOST}/v1", options=options)
    try:
        with pytest.raises(ConnectError) as caught:
            await ask(transport)
    finally:
        await transport.close()

    assert caught.value.code == "upstream_connect_error"


async def test_silent_proxy_is_given_up_after_the_timeout() -> None:
    error = await refusal(SocksServer(0, fault="silent"), timeout_s=0.05)

    assert isinstance(error, ConnectError)
    assert (error.status, error.code) == (504, "upstream_connect_timeout")


async def test_answer_that_is_cut_behind_the_proxy_is_an_error() -> None:
    async def cut(peer: Peer, request: Received) -> None:
        peer.reset()

    upstream = RawUpstream(cut)
    async with upstream.running():
        error = await refusal(SocksServer(upstream.port))

    assert error.code == "upstream_disconnected"
    assert not isinstance(error, ConnectError)
    assert len(upstream.received) == 1
