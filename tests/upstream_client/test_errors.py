"""What a broken network on the way to an upstream becomes: one error each, and no secret in it."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
import trustme

from jarvis_proxy.upstream_client.errors import ConnectError, map_read_error, map_send_error
from jarvis_proxy.upstream_client.transport import HttpTransport, TransportOptions
from tests.support.raw_site import FakeResolver
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.upstream_client.test_transport import KEY, answer, opened, read, refusal

pytestmark = pytest.mark.slow

FAST = TransportOptions(connect_timeout=0.2)


class BrokenResolver(FakeResolver):
    """Fails, or never answers."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__()
        self._hangs = hangs

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[aiohttp.abc.ResolveResult]:
        if self._hangs:
            await asyncio.Event().wait()
        raise OSError(-2, "Name or service not known")


# Network errors


async def test_refused_connection(unused_tcp_port: int) -> None:
    error = await refusal(HttpTransport("x", f"http://127.0.0.1:{unused_tcp_port}/v1"))

    assert isinstance(error, ConnectError)
    assert (error.status, error.code, error.error_type) == (
        502,
        "upstream_connect_error",
        "server_error",
    )


async def test_unknown_host() -> None:
    transport = HttpTransport("x", "http://nowhere.test/v1", resolver=BrokenResolver(hangs=False))
    error = await refusal(transport)

    assert isinstance(error, ConnectError)
    assert (error.status, error.code) == (502, "upstream_dns_error")


async def test_resolver_that_never_answers_is_given_up() -> None:
    transport = HttpTransport(
        "x", "http://slow.test/v1", options=FAST, resolver=BrokenResolver(hangs=True)
    )
    error = await refusal(transport)

    assert isinstance(error, ConnectError)
    assert (error.status, error.code) == (504, "upstream_connect_timeout")


async def test_address_that_swallows_packets_is_given_up() -> None:
    """A listener whose queue is full drops new connections, as a black hole does."""
    with socket.socket() as listener, contextlib.ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):
            knocking = held.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(("127.0.0.1", port))
        error = await refusal(HttpTransport("x", f"http://127.0.0.1:{port}/v1", options=FAST))

    assert isinstance(error, ConnectError)
    assert (error.status, error.code) == (504, "upstream_connect_timeout")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/9.9 what\r\n\r\n",
        b"220 mail.example ESMTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: a\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
    ],
    ids=["version", "smtp", "long", "many", "length", "nul"],
)
async def test_head_that_is_no_http(head: bytes) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.send(head)
        await peer.closed()

    upstream = RawUpstream(play)
    async with upstream.running():
        error = await refusal(HttpTransport("x", upstream.base_url))

    assert (error.status, error.code) == (502, "upstream_bad_response")
    assert not isinstance(error, ConnectError)


def test_error_in_the_midst_of_an_answer_that_is_no_http() -> None:
    request = aiohttp.RequestInfo(None, "POST", None, None)  # type: ignore[arg-type] # not looked at
    error = map_read_error(aiohttp.ClientResponseError(request, (), message="bad"))

    assert (error.status, error.code) == (502, "upstream_bad_response")


def test_no_message_shows_where_upstreams_are() -> None:
    secret = "https://secret-host.example/v1?key=canary"
    faults: list[BaseException] = [
        aiohttp.InvalidURL(secret),
        aiohttp.ServerDisconnectedError(secret),
        aiohttp.ClientOSError(104, secret),
        aiohttp.ClientPayloadError(secret),
        ConnectionResetError(secret),
        TimeoutError(secret),
    ]

    for fault in faults:
        for error in (map_send_error(fault), map_read_error(fault)):
            assert error.status == 502
            assert b"secret" not in error.body()
            assert b"canary" not in error.body()


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextlib.asynccontextmanager
async def tls_upstream(
    certificate: trustme.LeafCert, version: ssl.TLSVersion | None = None
) -> AsyncIterator[RawUpstream]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    if version is not None:
        context.minimum_version = version
    upstream = RawUpstream(answer)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=context)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()


def tls_door(upstream: RawUpstream, trusted: ssl.SSLContext | None) -> HttpTransport:
    resolver = FakeResolver({"api.test": ["127.0.0.1"]})
    return HttpTransport(
        "x", f"https://api.test:{upstream.port}/v1", resolver=resolver, ssl_context=trusted
    )


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_valid_certificate_is_spoken_to(authority: trustme.CA) -> None:
    certificate = authority.issue_cert("api.test")
    async with (
        tls_upstream(certificate) as upstream,
        opened(tls_door(upstream, trusting(authority))) as transport,
    ):
        assert await read(transport) == b'{"ok":true}'


@pytest.mark.parametrize("fault", ["expired", "wrong host", "unknown authority"])
async def test_certificate_that_is_not_valid_gets_no_request(
    authority: trustme.CA, fault: str
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    certificate = {
        "expired": lambda: authority.issue_cert("api.test", not_after=yesterday),
        "wrong host": lambda: authority.issue_cert("other.test"),
        "unknown authority": lambda: authority.issue_cert("api.test"),
    }[fault]()
    trusted = None if fault == "unknown authority" else trusting(authority)
    async with tls_upstream(certificate) as upstream:
        error = await refusal(tls_door(upstream, trusted))

    assert (error.status, error.code, error.should_retry) == (502, "upstream_tls_error", False)
    assert not isinstance(error, ConnectError)
    assert upstream.received == []


async def test_peer_that_speaks_no_tls() -> None:
    async def play(peer: Peer, request: Received) -> None:
        raise AssertionError("no request can have come")

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        upstream = RawUpstream(play, port=server.sockets[0].getsockname()[1])
        error = await refusal(tls_door(upstream, None))

    assert isinstance(error, ConnectError)
    assert (error.status, error.code) == (502, "upstream_tls_error")


async def test_peer_that_disconnects_during_the_handshake() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        upstream = RawUpstream(answer, port=server.sockets[0].getsockname()[1])
        error = await refusal(tls_door(upstream, None))

    assert isinstance(error, ConnectError)
    assert error.status == 502
    assert error.code in ("upstream_tls_error", "upstream_connect_error")


async def test_peer_whose_tls_is_too_old() -> None:
    async def alert(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x15\x03\x01\x00\x02\x02\x46")  # fatal: protocol version
        await reader.read()
        writer.close()

    server = await asyncio.start_server(alert, "127.0.0.1", 0)
    async with server:
        upstream = RawUpstream(answer, port=server.sockets[0].getsockname()[1])
        error = await refusal(tls_door(upstream, None))

    assert (error.status, error.code) == (502, "upstream_tls_error")


# An outbound proxy


async def test_outbound_proxy_is_used_and_given_its_own_credentials() -> None:
    proxy = RawUpstream(answer)
    async with proxy.running():
        options = TransportOptions(proxy=f"http://user:pass@127.0.0.1:{proxy.port}")
        transport = HttpTransport(
            "x", "http://api.test/v1", options=options, resolver=FakeResolver()
        )
        async with opened(transport):
            assert await read(transport) == b'{"ok":true}'

    (seen,) = proxy.received
    assert seen.path == "http://api.test/v1/chat/completions"
    assert seen.header("Proxy-Authorization") == "Basic dXNlcjpwYXNz"
    assert seen.header("Authorization") == f"Bearer {KEY}"


async def test_outbound_proxy_that_refuses() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(b"no", 407, "text/plain")

    proxy = RawUpstream(play)
    async with proxy.running():
        options = TransportOptions(proxy=f"http://127.0.0.1:{proxy.port}")
        error = await refusal(HttpTransport("x", "https://api.test/v1", options=options))

    assert isinstance(error, ConnectError)
    assert (error.status, error.code) == (502, "upstream_connect_error")
    assert [seen.method for seen in proxy.received] == ["CONNECT"]
    assert proxy.received[0].header("Authorization") is None
