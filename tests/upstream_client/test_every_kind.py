"""What holds for every kind of call, over every way to an upstream, on both event loops."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trustme

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS, ConnectFailure, read_error
from tests.support.eventually import eventually
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.upstream_client.routes import KEY, KINDS, LOOPS, WAYS, Kind, Way, Ways, rest, run_on

pytestmark = pytest.mark.slow

Test = Callable[[Ways, Way, Kind], Coroutine[Any, Any, None]]
OK = b'{"ok":true}'
MOST = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n"
SECRET = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nx-of: another\r\n\r\nSECRET"
TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
every_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
every_way = pytest.mark.parametrize("way", WAYS)
every_loop = pytest.mark.parametrize("loop", LOOPS)


@pytest.fixture(scope="module")
def ways() -> Ways:
    return Ways(trustme.CA())


async def answer(peer: Peer, request: Received) -> None:
    """Answer; to a HEAD request with the head alone."""
    await peer.head(200, "application/json", length=len(OK))
    if request.method != "HEAD":
        await peer.send(OK)


def expected(kind: Kind) -> tuple[int, bytes]:
    return 200, b"" if kind.method == "HEAD" else OK


async def is_sent_whole_and_connections_are_reused(ways: Ways, way: Way, kind: Kind) -> None:
    async with ways.reached(way, answer) as (transport, upstream):
        for _ in range(3):
            assert await kind.read(transport) == expected(kind)

    assert upstream.connections == 1
    assert [seen.body for seen in upstream.received] == [kind.sent] * 3
    for seen in upstream.received:
        names = [name.lower() for name, _ in seen.headers]
        assert len(names) == len(set(names))
        assert seen.header("Authorization") == f"Bearer {KEY}"
        assert seen.header("Accept-Encoding") == "identity"
        authority = f"127.0.0.1:{upstream.port}"
        assert seen.header("Host") == authority
        assert seen.path == (f"http://{authority}/v1/any" if way == "proxy" else "/v1/any")
        assert (seen.header("Proxy-Authorization") is not None) is (way == "proxy")
        is_chunked = bool(kind.pieces) and not kind.has_length
        assert (seen.header("Transfer-Encoding") == "chunked") is is_chunked
        has_length = kind.method in ("POST", "DELETE") and not is_chunked
        assert (seen.header("Content-Length") is not None) is has_length


async def follows_no_redirect(ways: Ways, way: Way, kind: Kind) -> None:
    target = RawUpstream(answer)
    async with target.running():

        async def play(peer: Peer, request: Received) -> None:
            status = statuses.pop()
            await peer.head(status, None, extra=[f"Location: {target.base_url}/steal"], length=0)

        statuses = [308, 307, 303, 302, 301]
        async with ways.reached(way, play) as (transport, _):
            for status in reversed(statuses[:]):
                assert (await kind.read(transport))[0] == status

    assert target.connections == 0


async def forgets_cookies_and_unpacks_nothing(ways: Ways, way: Way, kind: Kind) -> None:
    packed = b"\x1f\x8bnot really"

    async def play(peer: Peer, request: Received) -> None:
        extra = ["Set-Cookie: of=one-client; Path=/", "Content-Encoding: gzip"]
        await peer.head(200, None, extra=extra, length=len(packed))
        if request.method != "HEAD":
            await peer.send(packed)

    async with ways.reached(way, play) as (transport, upstream):
        for _ in range(2):
            _, body = await kind.read(transport)
            assert body == (b"" if kind.method == "HEAD" else packed)

    assert [seen.header("Cookie") for seen in upstream.received] == [None, None]


async def is_sent_again_once_on_a_connection_that_was_closed_idle(
    ways: Ways, way: Way, kind: Kind
) -> None:
    async def play(peer: Peer, request: Received) -> None:
        if len(upstream.received) > 1 and upstream.connections < wanted:
            peer.reset()
            return
        await answer(peer, request)

    wanted = 2  # connections until the upstream answers again
    async with ways.reached(way, play) as (transport, upstream):
        assert await kind.read(transport) == expected(kind)
        if kind.is_sent_again:
            assert await kind.read(transport) == expected(kind)
            wanted = 99
        with pytest.raises(ProxyError) as failed:
            await kind.read(transport)

    assert failed.value.code == "upstream_disconnected"
    assert not isinstance(failed.value, ConnectFailure)
    # An upload whose connection is reset while it is sent may not arrive as a request at all.
    assert len(upstream.received) == 5 if kind.is_sent_again else len(upstream.received) <= 2


async def is_never_sent_again_after_a_byte(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        if len(upstream.received) == 1:
            await answer(peer, request)
            return
        await peer.send(said)
        await asyncio.sleep(0.02)  # a reset overtakes what is not read yet
        peer.reset()

    all_said = (b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: y\r\n")
    for said in all_said:  # noqa: B007 - read by play
        async with ways.reached(way, play) as (transport, upstream):
            assert await kind.read(transport) == expected(kind)
            with pytest.raises(ProxyError) as failed:
                await kind.read(transport)
        assert failed.value.code == "upstream_disconnected"
        assert len(upstream.received) == 2


async def answer_that_is_cut_is_an_error(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.send(MOST + b"half")
        await asyncio.sleep(0.02)
        end(peer)

    if kind.method == "HEAD":
        return  # its answer has no body
    for end in (Peer.close, Peer.reset):  # noqa: B007 - read by play
        async with ways.reached(way, play) as (transport, _):
            response = await kind.send(transport)
            with pytest.raises(NETWORK_ERRORS) as cut:
                await rest(response)
            response.close()
        assert read_error(cut.value).code == "upstream_truncated"


async def bytes_on_an_idle_connection_are_nobodys_answer(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await answer(peer, request)
        if "first" in request.path:
            await pooled.wait()
            await peer.send(unasked)

    all_unasked = (SECRET, SECRET[:40], SECRET[:-3], TIMEOUT, b"H", b"\r\n", b"junk", b"\0")
    for unasked in all_unasked:  # noqa: B007 - read by play
        pooled = asyncio.Event()
        async with ways.reached(way, play) as (transport, upstream):
            assert await kind.read(transport, "/first") == expected(kind)
            pooled.set()
            await eventually(lambda: upstream.open_connections == 0)
            for _ in range(2):
                response = await kind.send(transport)
                assert (response.status, await rest(response)) == expected(kind)
                assert "x-of" not in response.headers
                response.finish()
        assert upstream.connections == 2


async def bytes_behind_an_answer_cost_the_connection(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(OK)
        await peer.send(head + (b"" if request.method == "HEAD" else OK) + behind)
        if (await peer.reader.read(1)) != b"":
            raise AssertionError("another request came on this connection")

    for behind in (SECRET, SECRET[:40], TIMEOUT, b"H", b"junk", b"\0"):  # noqa: B007 - read by play
        async with ways.reached(way, play) as (transport, upstream):
            for _ in range(3):
                assert await kind.read(transport) == expected(kind)
        assert upstream.connections == 3


async def early_answer_arrives(ways: Ways, way: Way, kind: Kind) -> None:
    """The upstream answers before it has read the body, and never reads it."""
    if not kind.sent:
        return
    refused = asyncio.Event()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        peer = Peer(reader, writer)
        await peer.reply(b"too large", 413)
        await refused.wait()
        writer.close()

    big = Kind(
        kind.name,
        body=b"x" * 30_000_000 if kind.body else b"",
        pieces=(b"x" * 1_000_000,) * 30 if kind.pieces else (),
        has_length=kind.has_length,
    )
    upstream = RawUpstream(answer)
    upstream._serve = early  # type: ignore[method-assign]
    async with ways.to(way, upstream) as (transport, _):
        assert await big.read(transport) == (413, b"too large")
        refused.set()


async def cancelled_call_closes_its_connection(ways: Ways, way: Way, kind: Kind) -> None:
    async def play(peer: Peer, request: Received) -> None:
        asked.set()
        await peer.closed()

    asked = asyncio.Event()
    async with ways.reached(way, play) as (transport, upstream):
        task = asyncio.create_task(kind.send(transport))
        await asyncio.wait_for(asked.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: upstream.open_connections == 0)


async def second_answer_head_never_changes_the_status(ways: Ways, way: Way, kind: Kind) -> None:
    """The end of one answer and a part of another come in one read."""

    async def play(peer: Peer, request: Received) -> None:
        if "first" in request.path:
            await peer.send(b"HTTP/1.1 204 No Content\r\n\r\n" + SECRET[: len(SECRET) - 8])
            return
        await answer(peer, request)

    async with ways.reached(way, play) as (transport, _):
        for _ in range(3):
            assert await kind.read(transport, "/first") == (204, b"")
            assert await kind.read(transport) == expected(kind)


TESTS: tuple[Test, ...] = (
    is_sent_whole_and_connections_are_reused,
    follows_no_redirect,
    forgets_cookies_and_unpacks_nothing,
    is_sent_again_once_on_a_connection_that_was_closed_idle,
    is_never_sent_again_after_a_byte,
    answer_that_is_cut_is_an_error,
    bytes_on_an_idle_connection_are_nobodys_answer,
    bytes_behind_an_answer_cost_the_connection,
    early_answer_arrives,
    cancelled_call_closes_its_connection,
    second_answer_head_never_changes_the_status,
)


@every_loop
@every_way
@every_kind
@pytest.mark.parametrize("test", TESTS, ids=[test.__name__ for test in TESTS])
def test_every_kind_of_call(ways: Ways, test: Test, kind: Kind, way: Way, loop: str) -> None:
    run_on(loop, test(ways, way, kind))
