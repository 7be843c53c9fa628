"""Frames that are pushed from the upstream's connection, without a task step for each."""

import asyncio

import aiohttp
import pytest

from jarvis_proxy.transport import NETWORK_ERRORS, HttpDoor, HttpReply
from tests.eventually import eventually
from tests.raw_upstream import Peer, RawUpstream, Received
from tests.test_transport import KEY, Sink, asking, opened


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
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        reply = await door.send(asking(), KEY)
        while await asyncio.wait_for(reply.push(sink), 5):
            pass
        assert not await reply.push(sink)  # nor ever after
        reply.finish()
        reply = await door.send(asking(), KEY)
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
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        reply = await door.send(asking(), KEY)
        pieces: list[bytes] = []
        more = True
        while more:
            sink = Sink(room=1)
            more = await asyncio.wait_for(reply.push(sink), 5)
            pieces += sink.pieces
        reply.finish()

    assert b"".join(pieces) == b"".join(b"%d;" % number for number in range(50))


@pytest.mark.parametrize("end", ["fin", "rst"])
async def test_cut_is_told_to_who_waits_for_a_push(end: str) -> None:
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
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        reply = await door.send(asking(), KEY)
        with pytest.raises(NETWORK_ERRORS):
            await asyncio.wait_for(_push_all(reply, sink), 5)
        with pytest.raises(NETWORK_ERRORS):
            await reply.push(sink)
        reply.close()

    assert sink.pieces == [b"half"]


async def _push_all(reply: HttpReply, sink: Sink) -> None:
    while await reply.push(sink):
        pass


async def test_cancelled_push_leaves_the_answer_readable() -> None:
    go_on = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await go_on.wait()
        await peer.chunk(b"late")
        await peer.last_chunk()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        reply = await door.send(asking(), KEY)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reply.push(Sink()), 0.05)
        go_on.set()
        assert await asyncio.wait_for(reply.readany(), 5) == b"late"
        reply.close()


async def test_one_read_is_one_piece_however_many_chunks_are_in_it() -> None:
    ready = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await ready.wait()
        await peer.send(
            b"".join(b"%x\r\n%b\r\n" % (6, b"frame;") for _ in range(200)) + b"0\r\n\r\n"
        )

    sink = Sink()
    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        reply = await door.send(asking(), KEY)
        pushing = asyncio.create_task(_push_all(reply, sink))
        await asyncio.sleep(0)
        ready.set()
        await asyncio.wait_for(pushing, 5)
        reply.finish()

    assert sink.pieces == [b"frame;" * 200]


async def test_one_read_of_much_is_several_pieces_and_the_rest_waits_for_room() -> None:
    """A read may bring a quarter of a megabyte, which a slow client must not have lying about."""
    ready = asyncio.Event()
    chunk = b"%x\r\n%b\r\n" % (1000, b"x" * 1000)

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await ready.wait()
        await peer.send(chunk * 200 + b"0\r\n\r\n")

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        reply = await door.send(asking(), KEY)
        sink = Sink(room=2)
        pushing = asyncio.create_task(reply.push(sink))
        await asyncio.sleep(0)
        ready.set()
        assert await asyncio.wait_for(pushing, 5)
        rest = Sink()
        await asyncio.wait_for(_push_all(reply, rest), 5)
        reply.finish()

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
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        reply = await door.send(asking(), KEY)
        sink = Sink(room=1)
        pushing = asyncio.create_task(reply.push(sink))
        await asyncio.sleep(0)
        waits.append(True)
        assert await asyncio.wait_for(pushing, 5)
        other = await asyncio.wait_for(door.send(asking(), KEY), 5)
        assert await asyncio.wait_for(other.readany(), 5) == b"{}"
        other.finish()
        pieces = [*sink.pieces]
        while data := await reply.readany():
            pieces.append(data)
        reply.finish()

    assert b"".join(pieces) == b"x" * 4096 * 30
    assert upstream.connections == 1


@pytest.mark.parametrize("room", [1, 100])
@pytest.mark.parametrize("more", [0, 20_000])
async def test_what_came_before_a_broken_chunk_is_handed_on_before_the_error(
    room: int, more: int
) -> None:
    ready = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await ready.wait()
        await peer.send(b"3\r\nend\r\nzz\r\n" + b"x" * more)
        await peer.closed()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        reply = await door.send(asking(), KEY)
        sink = Sink(room=room)
        pushing = asyncio.create_task(_push_all(reply, sink))
        await asyncio.sleep(0)
        ready.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(pushing, 5)
        reply.close()

    assert sink.pieces == [b"end"]


async def test_who_has_enough_before_an_error_never_hears_of_it() -> None:
    ready = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await ready.wait()
        await peer.send(b"3\r\nend\r\nzz\r\n")
        await peer.closed()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        reply = await door.send(asking(), KEY)
        sink = Sink(room=1)
        pushing = asyncio.create_task(reply.push(sink))
        await asyncio.sleep(0)
        ready.set()
        assert await asyncio.wait_for(pushing, 5)
        reply.close()

    assert sink.pieces == [b"end"]
