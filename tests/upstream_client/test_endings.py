"""How calls end that do not end well: no connection, task, descriptor or memory is left behind."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Final

import pytest
import trustme

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS
from jarvis_proxy.upstream_client.transport import HttpTransport
from tests.support.eventually import eventually
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.upstream_client.routes import KEY, KINDS, LOOPS, WAYS, Kind, Way, Ways, rest, run_on

pytestmark = pytest.mark.slow

CALLS_OF_EACH_WAY: Final = int(os.environ.get("JARVIS_TEST_CALLS", "120"))
"""On each event loop: 1250 make 10,000 of all."""
PIECE: Final = b"x" * 100_000
every_way = pytest.mark.parametrize("way", WAYS)
every_loop = pytest.mark.parametrize("loop", LOOPS)


@pytest.fixture(scope="module")
def ways() -> Ways:
    return Ways(trustme.CA())


async def answer(peer: Peer, request: Received) -> None:
    await peer.head(200, "application/json", length=2)
    if request.method != "HEAD":
        await peer.send(b"{}")


class Deaf(RawUpstream):
    """An upstream that reads a head, and of the body what one read brings."""

    def __init__(self) -> None:
        super().__init__(answer)
        self.peers: list[Peer] = []
        self.over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        await reader.readuntil(b"\r\n\r\n")
        self.peers.append(Peer(reader, writer))
        await self.over.wait()
        writer.transport.abort()
        self.open_connections -= 1


@every_loop
@every_way
def test_upload_waits_for_an_upstream_that_does_not_read(ways: Ways, way: Way, loop: str) -> None:
    async def send() -> None:
        taken = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal taken
            while True:
                taken += len(PIECE)
                assert taken < 100_000_000
                yield PIECE

        upstream = Deaf()
        async with ways.to(way, upstream) as (transport, _):
            request = UpstreamRequest("POST", "/any", {}, b"")
            sending = asyncio.create_task(transport.send(request, KEY, endless()))
            await eventually(lambda: upstream.peers)
            before = -1
            while before != taken:
                before = taken
                await asyncio.sleep(0.05)
            assert taken < 32_000_000  # what the kernel and the tunnel hold
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            upstream.over.set()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "upload"]

    run_on(loop, send())


@every_loop
@pytest.mark.parametrize("way", ["plain", "proxy"])
@pytest.mark.parametrize("has_pieces", [False, True], ids=["body", "upload"])
def test_end_of_an_upstream_that_does_not_read_is_seen_at_once(
    ways: Ways, way: Way, loop: str, *, has_pieces: bool
) -> None:
    """It closes its side. The rest of the request must not be waited for."""

    async def send() -> str:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(400):
                yield PIECE

        upstream = Deaf()
        async with ways.to(way, upstream) as (transport, _):
            request = UpstreamRequest("POST", "/any", {}, b"" if has_pieces else PIECE * 400)
            body = pieces() if has_pieces else None
            sending = asyncio.create_task(transport.send(request, KEY, body))
            await eventually(lambda: upstream.peers)
            await asyncio.sleep(0.05)
            upstream.peers[0].writer.write_eof()
            with pytest.raises(ProxyError) as failed:
                await asyncio.wait_for(sending, 5)
            upstream.over.set()
        return str(failed.value.code)

    assert run_on(loop, send()) == "upstream_disconnected"


@every_loop
@every_way
def test_closed_answer_reaches_an_upstream_that_only_writes(
    ways: Ways, way: Way, loop: str
) -> None:
    """The upstream would go on, and bill tokens, as long as its answer is read."""

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        with contextlib.suppress(ConnectionError):
            while True:
                await peer.chunk(PIECE)
        ended.set()

    async def close() -> None:
        async with ways.reached(way, play) as (transport, _):
            response = await transport.send(UpstreamRequest("POST", "/any", {}, b"{}"), KEY)
            await response.readany()
            response.close()
            await asyncio.wait_for(ended.wait(), 5)

    ended = asyncio.Event()
    run_on(loop, close())


@every_loop
@pytest.mark.parametrize("end", ["close", "behind"])
@pytest.mark.parametrize("way", ["tls", "tunnel"])
def test_connection_that_is_not_kept_waits_for_no_farewell(
    ways: Ways, way: Way, loop: str, end: str
) -> None:
    """TLS says goodbye in both directions; one that does not would cost a descriptor for long."""

    async def play(peer: Peer, request: Received) -> None:
        extra = ["Connection: close"] if end == "close" else []
        await peer.head(200, None, extra=extra, length=2)
        await peer.send(b"{}" + (b"more" if end == "behind" else b""))
        await over.wait()  # it reads nothing, and the end of TLS neither

    async def read() -> None:
        async with ways.reached(way, play) as (transport, _):
            response = await transport.send(UpstreamRequest("POST", "/any", {}, b"{}"), KEY)
            connection = response._connection
            assert await rest(response) == b"{}"
            response.release_at_end()
            await eventually(lambda: connection._fileno < 0, 1)
            over.set()

    over = asyncio.Event()
    run_on(loop, read())


@pytest.mark.parametrize(
    "body", [b"0\r\n\r\n", b"2\r\n", b"2\r\n{}\r\n0\r\n\r\n"], ids=["end", "size", "whole"]
)
def test_chunks_behind_the_answer_to_a_head_request_cost_the_connection(
    ways: Ways, body: bytes
) -> None:
    async def play(peer: Peer, request: Received) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        await peer.send(head + body)
        await peer.closed()

    async def read() -> int:
        async with ways.reached("plain", play) as (transport, upstream):
            for _ in range(2):
                assert await Kind("head", "HEAD").read(transport) == (200, b"")
        return upstream.connections

    assert run_on("asyncio", read()) == 2


# uvloop 0.22 leaves the socket of a connection that is cancelled to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(300)
@every_loop
@every_way
def test_descriptors_are_as_before(ways: Ways, way: Way, loop: str) -> None:
    """After calls of every kind that end well, are cut, refused, cancelled and closed."""

    async def play(peer: Peer, request: Received) -> None:
        match len(upstream_of[0].received) % 5:  # the first one ends well
            case 3:
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
                peer.reset()
            case 4:
                peer.close()
            case 0:
                await peer.reply(b"no", 413)
                peer.close()
            case _:
                await answer(peer, request)

    async def call(kind: Kind, transport: HttpTransport, number: int) -> None:
        with contextlib.suppress(ProxyError, asyncio.CancelledError, *NETWORK_ERRORS):
            sending = asyncio.create_task(kind.send(transport))
            if number % 7 == 0:
                await asyncio.sleep(number % 3 / 1000)
                sending.cancel()
            response = await sending
            if number % 3:
                await rest(response)
            (response.release_at_end if number % 2 else response.close)()

    async def count() -> int:
        await asyncio.sleep(0.05)
        return len(os.listdir("/proc/self/fd"))

    upstream_of: list[RawUpstream] = []

    async def calls() -> None:
        upstream = RawUpstream(play)
        upstream_of[:] = [upstream]
        async with ways.to(way, upstream) as (transport, _):
            await Kind("get", "GET").read(transport)
        before = await count()
        async with ways.to(way, upstream) as (transport, _):
            for number in range(CALLS_OF_EACH_WAY):
                await call(KINDS[number % len(KINDS)], transport, number)
        assert await count() <= before

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    run_on(loop, calls())
