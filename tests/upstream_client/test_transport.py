"""The way to an upstream: what is sent, what is pooled, and what a broken network becomes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS, ConnectError, map_read_error
from jarvis_proxy.upstream_client.transport import HttpTransport
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow

KEY = "sk-canary-of-the-upstream"
Script = Callable[[Peer, Received], Awaitable[None]]


def asking(path: str = "/chat/completions", body: bytes = b"{}") -> UpstreamRequest:
    return UpstreamRequest("POST", path, {"content-type": "application/json"}, body)


@contextlib.asynccontextmanager
async def opened(transport: HttpTransport) -> AsyncIterator[HttpTransport]:
    try:
        yield transport
    finally:
        await transport.close()


async def refusal(transport: HttpTransport, request: UpstreamRequest | None = None) -> ProxyError:
    """Return the error that sending ends in."""
    async with opened(transport):
        with pytest.raises(ProxyError) as caught:
            await asyncio.wait_for(transport.send(request or asking(), KEY), 5)
    return caught.value


async def read(transport: HttpTransport, request: UpstreamRequest | None = None) -> bytes:
    """Return a whole answer; its connection goes back to the pool."""
    reply = await asyncio.wait_for(transport.send(request or asking(), KEY), 5)
    pieces = []
    while data := await reply.readany():
        pieces.append(data)
    reply.release_at_end()
    return b"".join(pieces)


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(b'{"ok":true}')


class Sink:
    """Takes pieces; has enough after *room* of them."""

    def __init__(self, room: int = 1000) -> None:
        self.pieces: list[bytes] = []
        self._room = room

    def __call__(self, data: bytes) -> bool:
        self.pieces.append(data)
        return len(self.pieces) >= self._room


# What is sent


@pytest.mark.parametrize(
    ("header", "prefix", "expected"),
    [
        ("Authorization", "Bearer ", ("Authorization", f"Bearer {KEY}")),
        ("x-goog-api-key", "", ("x-goog-api-key", KEY)),
    ],
)
async def test_request_carries_the_proxys_key_and_nothing_that_is_not_meant(
    header: str, prefix: str, expected: tuple[str, str]
) -> None:
    upstream = RawUpstream(answer)
    async with upstream.running():
        transport = HttpTransport("x", upstream.base_url, key_headers={header: prefix})
        async with opened(transport):
            assert await read(transport) == b'{"ok":true}'

    (seen,) = upstream.received
    assert seen.path == "/v1/chat/completions"
    assert seen.body == b"{}"
    assert expected in seen.headers
    assert {name.lower() for name, _ in seen.headers} == {
        "host",
        "accept",
        "user-agent",
        "content-type",
        "accept-encoding",
        "content-length",
        expected[0].lower(),
    }
    assert seen.header("Accept-Encoding") == "identity"
    assert str(seen.header("User-Agent")).startswith("jarvis-proxy/")


async def test_upstream_without_a_key_gets_no_credentials() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), None)
        reply.close()

    assert upstream.received[0].header("Authorization") is None


async def test_a_get_has_no_body() -> None:
    upstream = RawUpstream(answer, plays_lists=True)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        await read(transport, UpstreamRequest("GET", "/models", {}, b""))

    (seen,) = upstream.received
    assert (seen.method, seen.body, seen.header("Content-Length")) == ("GET", b"", None)


async def test_path_is_asked_as_it_stands() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        await read(transport, asking("/files/a%2Fb?after=%20x&x=a+b"))

    assert upstream.received[0].path == "/v1/files/a%2Fb?after=%20x&x=a+b"


async def test_streamed_body_arrives_whole() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a" * 70_000
        yield b"b" * 70_000

    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        (await transport.send(asking(), KEY, pieces())).close()

    (seen,) = upstream.received
    assert seen.body == b"a" * 70_000 + b"b" * 70_000
    assert seen.header("Transfer-Encoding") == "chunked"


async def test_what_is_remembered_of_requests_is_bounded() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        for number in range(1500):
            headers = {"idempotency-key": str(number)}
            transport._head(UpstreamRequest("GET", f"/files/{number}", headers, b""), KEY)
        assert len(transport._heads) <= 512
        await read(transport)


async def test_nothing_long_is_remembered_of_a_request_and_nothing_of_an_upload() -> None:
    """What a client chooses would stay in memory: search terms, the names of files."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"

    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        await read(transport, UpstreamRequest("GET", f"/files?after={'x' * 3000}", {}, b""))
        (await transport.send(asking("/form"), KEY, pieces())).close()
        assert transport._heads == {}
        await read(transport)
        assert len(transport._heads) == 1


# What is kept from one request to the next


async def test_session_overrides_every_default_that_hurts() -> None:
    async with opened(HttpTransport("x", "http://127.0.0.1:9/v1")) as transport:
        session = transport.session
        connector = session.connector
        assert isinstance(connector, aiohttp.TCPConnector)
        timeout = session.timeout
        assert (timeout.total, timeout.sock_read) == (None, None)
        # A new connection as a whole, name lookup included.
        assert (timeout.sock_connect, timeout.connect) == (5.0, 6.0)
        assert (connector.limit, connector.limit_per_host, connector.force_close) == (0, 0, False)
        assert isinstance(session.cookie_jar, aiohttp.DummyCookieJar)
        assert session.trust_env is False


async def test_connections_are_reused() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        for _ in range(5):
            await read(transport)

    assert upstream.connections == 1


async def test_cookies_of_an_upstream_are_forgotten() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(b"{}", extra=["Set-Cookie: __cf_bm=one-client; Path=/"])

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        await read(transport)
        await read(transport)

    assert [seen.header("Cookie") for seen in upstream.received] == [None, None]


async def test_compressed_answer_is_not_unpacked() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(b"\x1f\x8bnot really", extra=["Content-Encoding: gzip"])

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        assert await read(transport) == b"\x1f\x8bnot really"


async def test_environment_cannot_lead_calls_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        assert await read(transport) == b'{"ok":true}'


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("key_header", ["Authorization", "x-goog-api-key"])
async def test_no_key_and_no_prompt_follow_a_redirect(status: int, key_header: str) -> None:
    target = RawUpstream(answer)
    async with target.running():

        async def play(peer: Peer, request: Received) -> None:
            await peer.reply(b"", status, None, [f"Location: {target.base_url}/steal"])

        upstream = RawUpstream(play)
        async with upstream.running():
            transport = HttpTransport("x", upstream.base_url, key_headers={key_header: "Bearer "})
            async with opened(transport):
                reply = await transport.send(asking(), KEY)
                reply.close()

    assert reply.status == status
    assert target.connections == 0


# A pooled connection that proves dead


async def test_request_on_a_dead_pooled_connection_is_sent_again() -> None:
    async def play(peer: Peer, request: Received) -> None:
        if len(upstream.received) in (2, 5):
            peer.reset()
            return
        await peer.reply(b'{"ok":true}')

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        answers = [await read(transport) for _ in range(5)]

    assert answers == [b'{"ok":true}'] * 5
    assert [seen.body for seen in upstream.received] == [b"{}"] * 7


@pytest.mark.parametrize("fault", ["fin", "rst"])
async def test_request_is_sent_again_once_at_most(fault: str) -> None:
    async def play(peer: Peer, request: Received) -> None:
        if len(upstream.received) == 1:
            await peer.reply(b"{}")
        elif fault == "fin":
            peer.close()
        else:
            peer.reset()

    upstream = RawUpstream(play)
    async with upstream.running():
        transport = HttpTransport("x", upstream.base_url)
        await read(transport)
        error = await refusal(transport)

    assert error.code == "upstream_disconnected"
    assert len(upstream.received) == 3


@pytest.mark.parametrize(
    "head", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"]
)
async def test_request_is_never_sent_again_after_a_byte_of_an_answer(head: bytes) -> None:
    async def play(peer: Peer, request: Received) -> None:
        if len(upstream.received) == 1:
            await peer.reply(b"{}")
            return
        await peer.send(head)
        peer.close()

    upstream = RawUpstream(play)
    async with upstream.running():
        transport = HttpTransport("x", upstream.base_url)
        await read(transport)
        error = await refusal(transport)

    assert error.status == 502
    assert len(upstream.received) == 2


async def test_request_on_a_fresh_connection_is_never_sent_again() -> None:
    async def play(peer: Peer, request: Received) -> None:
        peer.reset()

    upstream = RawUpstream(play)
    async with upstream.running():
        error = await refusal(HttpTransport("x", upstream.base_url))

    assert (error.status, error.code) == (502, "upstream_disconnected")
    assert not isinstance(error, ConnectError)
    assert len(upstream.received) == 1


async def test_streamed_body_is_never_sent_again() -> None:
    async def play(peer: Peer, request: Received) -> None:
        if len(upstream.received) == 1:
            await peer.reply(b"{}")
        else:
            peer.reset()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"once"

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        await read(transport)
        with pytest.raises(ProxyError) as caught:
            await transport.send(asking(), KEY, pieces())

    assert caught.value.code == "upstream_disconnected"
    assert [seen.body for seen in upstream.received] == [b"{}", b"once"]


# The end of an answer


async def test_connection_is_kept_when_the_end_comes_after_finish() -> None:
    ended = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(b"data: [DONE]\n\n")
        await ended.wait()
        await peer.last_chunk()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        assert await reply.readany() == b"data: [DONE]\n\n"
        reply.release_at_end()
        ended.set()
        for _ in range(100):
            await asyncio.sleep(0)
        await read(transport)

    assert upstream.connections == 1


async def test_connection_is_closed_when_the_end_does_not_come() -> None:
    closed = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(b"data: [DONE]\n\n")
        await peer.closed()
        closed.set()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        await reply.readany()
        reply.release_at_end()
        await asyncio.wait_for(closed.wait(), 10)


async def test_close_closes_the_connection_at_once() -> None:
    closed = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.closed()
        closed.set()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        reply.close()
        await asyncio.wait_for(closed.wait(), 0.5)


async def test_broken_chunk_size_does_not_look_like_silence() -> None:
    head_read = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await head_read.wait()
        await peer.send(b"zz\r\nnonsense")
        await peer.closed()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        head_read.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(reply.readany(), 5)
        reply.close()


@pytest.mark.parametrize("end", ["fin", "rst"])
async def test_truncated_answer_is_distinguished_from_a_complete_one(end: str) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(length=100)
        await peer.send(b"half")
        if end == "fin":
            peer.close()
        else:
            await asyncio.sleep(0.05)
            peer.reset()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        assert await reply.readany() == b"half"
        with pytest.raises(NETWORK_ERRORS) as caught:
            await reply.readany()
        reply.close()

    error = map_read_error(caught.value)
    assert (error.status, error.code) == (502, "upstream_truncated")
