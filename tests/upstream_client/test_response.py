"""Answers as they arrive: parsed, pushed to a sink, and nothing behind their end."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import cast

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.aiohttp_ext.write_batching import WriteBatch
from jarvis_proxy.upstream_client.connection import UpstreamConnection
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS
from jarvis_proxy.upstream_client.response import UpstreamResponse
from jarvis_proxy.upstream_client.transport import HttpTransport
from tests.support.eventually import eventually
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.upstream_client.test_transport import KEY, Sink, asking, opened


@contextlib.asynccontextmanager
async def waiting(
    sink: Sink, data: bytes
) -> AsyncIterator[tuple[UpstreamResponse, asyncio.Task[bool]]]:
    """Push an answer to *sink*; *data* arrives while the push waits."""
    ready = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await ready.wait()
        await peer.send(data)
        await peer.closed()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        pushing = asyncio.create_task(reply.stream_to(sink))
        await asyncio.sleep(0)
        ready.set()
        yield reply, pushing
        reply.close()


async def test_pieces_are_pushed_as_they_arrive_and_in_order() -> None:
    sink = Sink()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        for number in range(20):
            before = len(sink.pieces)
            await peer.chunk(b"%d;" % number)
            await eventually(lambda before=before: len(sink.pieces) > before)  # type: ignore[misc] # mypy's limit
        await peer.last_chunk()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        while await asyncio.wait_for(reply.stream_to(sink), 5):
            pass
        assert not await reply.stream_to(sink)  # nor ever after
        reply.release_at_end()
        reply = await transport.send(asking(), KEY)
        reply.close()

    assert sink.pieces == [b"%d;" % number for number in range(20)]
    assert upstream.connections == 1


async def test_what_comes_after_the_sink_has_enough_waits() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        for number in range(50):
            await peer.chunk(b"%d;" % number)
            await asyncio.sleep(0.001)
        await peer.last_chunk()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        pieces: list[bytes] = []
        more = True
        while more:
            sink = Sink(room=1)
            more = await asyncio.wait_for(reply.stream_to(sink), 5)
            pieces += sink.pieces
        reply.release_at_end()

    assert b"".join(pieces) == b"".join(b"%d;" % number for number in range(50))


@pytest.mark.parametrize("end", ["fin", "rst"])
async def test_truncation_is_raised_while_streaming_to_a_sink(end: str) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(b"half")
        await eventually(lambda: sink.pieces)
        if end == "fin":
            peer.close()
        else:
            peer.reset()

    sink = Sink()
    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        with pytest.raises(NETWORK_ERRORS):
            await asyncio.wait_for(_push_all(reply, sink), 5)
        with pytest.raises(NETWORK_ERRORS):
            await reply.stream_to(sink)
        reply.close()

    assert sink.pieces == [b"half"]


async def _push_all(reply: UpstreamResponse, sink: Sink) -> None:
    while await reply.stream_to(sink):
        pass


async def test_cancelled_push_leaves_the_answer_readable() -> None:
    go_on = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await go_on.wait()
        await peer.chunk(b"late")
        await peer.last_chunk()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reply.stream_to(Sink()), 0.05)
        go_on.set()
        assert await asyncio.wait_for(reply.readany(), 5) == b"late"
        reply.close()


async def test_one_read_is_one_piece_however_many_chunks_are_in_it() -> None:
    sink = Sink()
    async with waiting(sink, b"6\r\nframe;\r\n" * 200 + b"0\r\n\r\n") as (reply, pushing):
        assert await asyncio.wait_for(pushing, 5)
        assert not await reply.stream_to(sink)

    assert sink.pieces == [b"frame;" * 200]


async def test_large_read_is_delivered_in_pieces_with_backpressure() -> None:
    """A read may bring a quarter of a megabyte, which a slow client must not have lying about."""
    chunk = b"%x\r\n%b\r\n" % (1000, b"x" * 1000)
    sink, rest = Sink(room=2), Sink()
    async with waiting(sink, chunk * 200 + b"0\r\n\r\n") as (reply, pushing):
        assert await asyncio.wait_for(pushing, 5)
        await asyncio.wait_for(_push_all(reply, rest), 5)

    assert max(map(len, sink.pieces)) < 20_000
    assert len(sink.pieces) <= 2
    assert b"".join(sink.pieces + rest.pieces) == b"x" * 200_000


async def test_connection_serves_the_next_call_while_the_end_of_an_answer_waits_for_room() -> None:
    """It is in the pool again: a client that does not read must not hold up another one's call."""

    async def play(peer: Peer, request: Received) -> None:
        if len(upstream.received) > 1:
            await peer.reply(b"{}")
            return
        await peer.head()
        await eventually(lambda: waits)
        size = b"%x\r\n%b\r\n"
        await peer.send(b"".join(size % (4096, b"x" * 4096) for _ in range(30)) + b"0\r\n\r\n")

    waits: list[bool] = []
    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        sink = Sink(room=1)
        pushing = asyncio.create_task(reply.stream_to(sink))
        await asyncio.sleep(0)
        waits.append(True)
        assert await asyncio.wait_for(pushing, 5)
        other = await asyncio.wait_for(transport.send(asking(), KEY), 5)
        assert await asyncio.wait_for(other.readany(), 5) == b"{}"
        other.release_at_end()
        pieces = [*sink.pieces]
        while data := await reply.readany():
            pieces.append(data)
        reply.release_at_end()

    assert b"".join(pieces) == b"x" * 4096 * 30
    assert upstream.connections == 1


@pytest.mark.parametrize("more", [0, 20_000])
async def test_what_came_before_a_broken_chunk_is_handed_on_before_the_error(more: int) -> None:
    sink = Sink()
    async with waiting(sink, b"3\r\nend\r\nzz\r\n" + b"x" * more) as (_, pushing):
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(pushing, 5)

    assert sink.pieces == [b"end"]


@pytest.mark.parametrize("more", [0, 20_000])
async def test_paused_sink_sees_broken_chunk_on_next_read(more: int) -> None:
    sink = Sink(room=1)
    async with waiting(sink, b"3\r\nend\r\nzz\r\n" + b"x" * more) as (reply, pushing):
        assert await asyncio.wait_for(pushing, 5)
        assert sink.pieces == [b"end"]
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(reply.stream_to(sink), 5)

    assert sink.pieces == [b"end"]


async def test_what_comes_after_a_pause_is_not_kept_back() -> None:
    """The end of an answer may be what comes next, and nothing after it to bring it along."""
    chunk = b"%x\r\n%b\r\n" % (1000, b"x" * 1000)
    go_on = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await eventually(lambda: waits)
        await peer.send(chunk * 100)
        await go_on.wait()
        await peer.send(b"2\r\nno\r\n2\r\nw!\r\n")
        await peer.closed()

    waits: list[bool] = []
    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        sink = Sink(room=1)
        pushing = asyncio.create_task(reply.stream_to(sink))
        await asyncio.sleep(0)
        waits.append(True)
        assert await asyncio.wait_for(pushing, 5)
        rest = Sink()
        while sum(map(len, sink.pieces + rest.pieces)) < 100_000:
            assert await asyncio.wait_for(reply.stream_to(rest), 5)
        end = Sink()
        pushing = asyncio.create_task(reply.stream_to(end))
        await asyncio.sleep(0)
        go_on.set()
        await eventually(lambda: b"".join(end.pieces) == b"now!")
        reply.close()
        with pytest.raises(NETWORK_ERRORS):
            await asyncio.wait_for(pushing, 5)


@settings(deadline=None, max_examples=60)
@given(
    pieces=st.lists(
        st.sampled_from((b"x", b"\r\n", b"5", b"0\r\n\r\n", b"1\r\na\r\n", b"y" * 17)),
        min_size=1,
        max_size=12,
    ),
    extension=st.sampled_from((b"", b";a=b", b" ")),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_chunks_are_read_the_same_however_they_are_cut(
    pieces: list[bytes], extension: bytes, cuts: list[int]
) -> None:
    """Cut at their ends, and elsewhere."""
    framed = [
        b"%x%b\r\n%b\r\n" % (len(p), extension if i % 3 == 2 else b"", p)
        for i, p in enumerate(pieces)
    ]
    ends = [sum(map(len, framed[: i + 1])) for i in range(len(framed))]
    data = b"".join(framed)
    at_ends = [0, *ends]
    anywhere = sorted({0, len(data), *(cut % len(data) for cut in cuts), *ends[::2]})
    for marks in (at_ends, anywhere):
        reads = [data[a:b] for a, b in itertools.pairwise(marks)]
        assert asyncio.run(_streamed([*reads, b"0\r\n\r\n"])) == (b"".join(pieces), True)
        assert asyncio.run(_streamed([*reads, b"zz\r\n"])) == (b"".join(pieces), False)


class _Pipe(asyncio.Transport):
    """A connection to nowhere."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


async def test_names_are_in_lower_case_and_the_last_of_two_values_counts() -> None:
    response, connection, _ = _response()
    connection.data_received(b"HTTP/1.1 103 Early Hints\r\nLink: early\r\n\r\n")
    connection.data_received(
        b"HTTP/1.1 200 OK\r\nX-One: 1\r\nx-one: 2\r\nX-Two: 1\r\nX-Two: \xc3\xa9\xff\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Two: trailer\r\n\r\n"
    )

    await response.head()
    assert response.headers == {
        "x-one": "2",
        "x-two": "é\udcff",
        "transfer-encoding": "chunked",
    }


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        (b"x: " + b"v" * 8189 + b"\r\n", True),
        (b"x: " + b"v" * 8190 + b"\r\n", False),
        (b"n" * 8190 + b": v\r\n", False),
        (b"".join(b"x%d: v\r\n" % number for number in range(128)), True),
        (b"".join(b"x%d: v\r\n" % number for number in range(129)), False),
    ],
)
async def test_head_of_an_answer_is_bounded(fields: bytes, fits: bool) -> None:
    response, connection, _ = _response()
    connection.data_received(b"HTTP/1.1 204 No Content\r\n" + fields + b"\r\n")

    if fits:
        await response.head()
    else:
        with pytest.raises(aiohttp.ClientError):
            await response.head()


class _Lease:
    """A place in a pool; notes how it was given back."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def release(self) -> None:
        self.ended.append("release")

    def close(self) -> None:
        self.ended.append("close")


def _response(*, has_body: bool = True) -> tuple[UpstreamResponse, UpstreamConnection, _Lease]:
    """Return a response in progress on a connection to nowhere."""
    batch = WriteBatch(asyncio.get_running_loop())
    connection = UpstreamConnection(asyncio.Protocol(), _Pipe(), batch)
    lease = _Lease()
    response = UpstreamResponse(
        cast(aiohttp.connector.Connection, lease), connection, has_body=has_body
    )
    return response, connection, lease


async def _streamed(reads: list[bytes]) -> tuple[bytes, bool]:
    """Feed *reads* to a connection; return what it streams, and whether the answer was whole."""
    response, connection, _ = _response()
    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await response.head()
    sink = Sink()

    async def stream_all() -> bool:
        try:
            while await response.stream_to(sink):
                pass
        except aiohttp.ClientPayloadError:
            return False
        return True

    streaming = asyncio.create_task(stream_all())
    for data in reads:
        await asyncio.sleep(0)
        if connection.response is not None:
            connection.data_received(data)
    whole = await asyncio.wait_for(streaming, 5)
    return b"".join(sink.pieces), whole
