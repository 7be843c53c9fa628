"""Sessions at the socket: every end, from either side, and sides that do not read."""

import asyncio
import contextlib
import struct

import pytest

from tests.conftest import running_proxy
from tests.server.handlers.realtime_scene import echo, scene
from tests.support.eventually import eventually
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.raw_websocket import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    RawFrame,
    RawSocket,
    accept,
    encode,
    opened,
)


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 3000, 4001])
async def test_the_upstreams_close_is_the_clients(code: int) -> None:
    answered: list[int | None] = []

    async def play(socket: RawSocket) -> None:
        await socket.event(type="session.created")
        await socket.close(code, b"why")
        answered.append((await socket.until_close())[1])

    async with scene(play) as (proxy, _), opened(proxy.port) as socket:
        assert await socket.text() == {"type": "session.created"}
        assert await socket.receive() == RawFrame(CLOSE, struct.pack("!H", code) + b"why")
        await socket.close(code)
        assert await socket.receive() is None
    assert answered == [code]
    outcome = "ok" if code in (1000, 1001) else f"upstream_error code=close_{code}"
    assert f"outcome={outcome}" in proxy.logged()


async def test_a_close_without_a_code_stays_without_one() -> None:
    async with scene() as (proxy, _), opened(proxy.port) as socket:
        await socket.send(CLOSE)
        assert await socket.receive() == RawFrame(CLOSE, b"")


@pytest.mark.parametrize("way", ["fin", "reset"])
@pytest.mark.parametrize("state", ["at once", "after a message", "within a frame"])
async def test_an_upstream_that_dies_ends_the_session_with_an_error(way: str, state: str) -> None:
    async def script(peer: Peer, request: Received) -> None:
        socket = await accept(peer, request)
        if state != "at once":
            await socket.receive()
        if state == "within a frame":
            await peer.send(encode(TEXT, b"x" * 200, mask=False)[:50])
        peer.reset() if way == "reset" else peer.close()

    upstream = RawUpstream(script)
    async with (
        asyncio.timeout(5),
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        opened(proxy.port) as socket,
    ):
        if state != "at once":
            await socket.send(TEXT, b"{}")
        (event,), code = await socket.until_close()
        await socket.close(1011)
    assert event["type"] == "error"
    assert event["error"]["code"] == "upstream_disconnected"
    assert event["event_id"].startswith("event_")
    assert code == 1011
    assert "outcome=upstream_error code=upstream_disconnected" in proxy.logged()


@pytest.mark.parametrize("way", ["fin", "reset"])
@pytest.mark.parametrize("state", ["at once", "after a message", "within a frame"])
async def test_a_client_that_dies_ends_the_session_upstream(way: str, state: str) -> None:
    ended: list[int | None] = []

    async def play(socket: RawSocket) -> None:
        ended.append((await socket.until_close())[1])

    async with scene(play) as (proxy, upstream):
        async with opened(proxy.port) as socket:
            if state != "at once":
                await socket.send(TEXT, b"{}")
            if state == "within a frame":
                socket.writer.write(encode(TEXT, b"x" * 200, mask=True)[:50])
                await socket.writer.drain()
            await eventually(lambda: len(proxy.context.deadline_monitor) == 1)
            socket.abort() if way == "reset" else socket.writer.close()
        await eventually(lambda: ended == [1001])
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
        await eventually(lambda: upstream.open_connections == 0)
    assert "status=499 outcome=client_closed" in proxy.logged()


async def test_a_client_that_closes_and_hangs_up_at_once_has_closed() -> None:
    ended: list[int | None] = []

    async def play(socket: RawSocket) -> None:
        ended.append((await socket.until_close())[1])

    async with scene(play) as (proxy, _):
        async with opened(proxy.port) as socket:
            await socket.close(1000)
        await eventually(lambda: ended == [1000])
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
    assert "status=101 outcome=ok" in proxy.logged()


async def test_a_side_that_does_not_answer_a_close_is_not_waited_for() -> None:
    async def play(socket: RawSocket) -> None:
        await socket.receive()
        await asyncio.sleep(30)

    async with asyncio.timeout(10), scene(play) as (proxy, _), opened(proxy.port) as socket:
        await socket.close(4000, b"bye")
        assert await socket.receive() == RawFrame(CLOSE, struct.pack("!H", 4000) + b"bye")
        assert await socket.receive() is None


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (encode(TEXT, b"x", mask=True, first=0xC0), 1002),
        (encode(3, b"x", mask=True), 1002),
        (encode(CLOSE, b"\x03\xed", mask=True), 1002),
        (encode(PING, b"x" * 126, mask=True), 1002),
    ],
    ids=["reserved bit", "opcode", "close code", "long ping"],
)
async def test_a_client_that_breaks_the_protocol(frame: bytes, code: int) -> None:
    ended: list[int | None] = []

    async def play(socket: RawSocket) -> None:
        ended.append((await socket.until_close())[1])

    async with scene(play) as (proxy, _), opened(proxy.port) as socket:
        await socket.send(TEXT, b"{}")
        socket.writer.write(frame)
        (event,), closed = await socket.until_close()
        assert (event["error"]["code"], closed) == ("bad_request", code)
        await eventually(lambda: ended == [1001])
    assert f"outcome=refused code=close_{code}" in proxy.logged()


async def test_a_message_that_is_too_large_closes_with_1009() -> None:
    ended: list[int | None] = []

    async def play(socket: RawSocket) -> None:
        await socket.event(type="session.created")
        ended.append((await socket.until_close())[1])

    async with scene(play, MAX_BODY_MB="1") as (proxy, _), opened(proxy.port) as socket:
        await socket.text()
        await socket.send(BINARY, b"x" * 2**20)
        sending = asyncio.create_task(socket.send(TEXT, b"x" * (2**20 + 1)))
        (event,), code = await socket.until_close()
        assert (event["error"]["code"], code) == ("request_too_large", 1009)
        await asyncio.wait([sending])
        socket.writer.close()
        await eventually(lambda: ended == [1001])


async def test_an_upstreams_message_that_is_too_large() -> None:
    ended: list[int | None] = []

    async def play(socket: RawSocket) -> None:
        sending = asyncio.create_task(socket.send(TEXT, b"x" * (2**20 + 1)))
        ended.append((await socket.until_close())[1])
        await asyncio.wait([sending])

    async with scene(play, MAX_BODY_MB="1") as (proxy, _), opened(proxy.port) as socket:
        (event,), code = await socket.until_close()
        assert (event["error"]["code"], code) == ("upstream_bad_response", 1009)
        await eventually(lambda: ended == [1009])


async def test_deadlines_do_not_cut_a_session_that_is_silent() -> None:
    env = {"IDLE_TIMEOUT": "1", "STREAM_TOTAL_TIMEOUT": "1", "FIRST_BYTE_TIMEOUT": "1"}
    async with scene(echo, **env) as (proxy, _), opened(proxy.port) as socket:
        monitor = proxy.context.deadline_monitor
        await eventually(lambda: len(monitor) == 1)
        (deadlines,) = monitor
        for later in (5.0, 7200.0):
            deadlines.tick(deadlines._opened_at + later)
        await socket.send(TEXT, b"{}")
        assert await socket.receive() == RawFrame(TEXT, b"{}")


async def test_a_shutdown_tells_the_client_and_closes_with_1012() -> None:
    from jarvis_proxy.runtime.serve import _shutting_down

    ended: list[int | None] = []

    async def play(socket: RawSocket) -> None:
        await socket.event(type="session.created")
        ended.append((await socket.until_close())[1])

    async with scene(play) as (proxy, _), opened(proxy.port) as socket:
        await socket.text()
        proxy.context.deadline_monitor.cancel_all(_shutting_down)
        (event,), code = await socket.until_close()
        assert (event["error"]["code"], code) == ("server_shutdown", 1012)
        await socket.close(1012)
        await eventually(lambda: ended == [1001])
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
    assert "code=server_shutdown" in proxy.logged()


PIECE = b"x" * 65536


async def _fill(socket: RawSocket, stuck: float = 1.0) -> int:
    """Send until nothing more is taken for *stuck* seconds; return how many bytes were."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(stuck):
                await socket.send(BINARY, PIECE)
            sent += len(PIECE)
            assert sent < 2**28, "nobody stops the sender"
    return sent


async def test_a_client_that_does_not_read_stops_the_upstream() -> None:
    sent: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def play(socket: RawSocket) -> None:
        await socket.receive()
        sent.set_result(await _fill(socket))
        await socket.close(1000)
        await socket.until_close()

    async with scene(play) as (proxy, _), opened(proxy.port) as socket:
        socket.pause()
        await socket.send(TEXT, b"{}")
        taken = await asyncio.wait_for(sent, 60)
        socket.resume()
        events, code = await socket.until_close()
    assert taken < 2**24
    assert (sum(map(len, events)) >= taken, code) == (True, 1000)


async def test_an_upstream_that_does_not_read_stops_the_client() -> None:
    go = asyncio.Event()

    async def play(socket: RawSocket) -> None:
        socket.pause()
        await go.wait()
        socket.resume()
        events, _ = await socket.until_close()
        await socket.event(got=sum(map(len, events)))
        await socket.close(1000)

    async with scene(play) as (proxy, _), opened(proxy.port) as socket:
        sent = await _fill(socket)
        go.set()
        await socket.close(1000)
        assert (await socket.text())["got"] >= sent
    assert sent < 2**24


async def test_a_client_that_never_reads_is_cut_off() -> None:
    ended: list[int | None] = []

    async def play(socket: RawSocket) -> None:
        await socket.receive()
        await _fill(socket, 0.3)
        ended.append((await socket.until_close())[1])

    async with scene(play, WRITE_STALL_TIMEOUT="2") as (proxy, _), opened(proxy.port) as socket:
        socket.pause()
        await socket.send(TEXT, b"{}")
        await eventually(lambda: ended == [1001], seconds=30)
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
