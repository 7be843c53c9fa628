"""One end of a WebSocket: frames as they are, every end of a connection told apart."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.aiohttp_ext import websockets
from jarvis_proxy.aiohttp_ext.websockets import (
    NO_CODE,
    Frame,
    PeerBroken,
    PeerLost,
    WebSocketPeer,
    accept,
    check_handshake,
    close_data,
    close_frame,
)
from jarvis_proxy.errors import ProxyError
from tests.support.both_ends import vanish
from tests.support.eventually import eventually
from tests.support.raw_websocket import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    RawFrame,
    RawSocket,
    encode,
    opened,
)

Play = Callable[[WebSocketPeer], Awaitable[None]]


@contextlib.asynccontextmanager
async def accepted(
    play: Play, *, stall: float = 5.0, offers: Sequence[str] = ()
) -> AsyncIterator[RawSocket]:
    """Run a server that plays *play* with its client; give the client's end."""

    async def handle(request: web.Request) -> web.StreamResponse:
        check_handshake(request)
        response, peer = await accept(
            request, protocol=None, headers={"X-Own": "1"}, max_size=1000, stall=stall
        )
        try:
            await play(peer)
        finally:
            peer.close()
        return response

    app = web.Application()
    app.router.add_get("/", handle)
    server = TestServer(app)
    await server.start_server()
    try:
        assert server.port is not None
        async with opened(server.port, "/", {}, offers) as socket:
            assert socket.headers["x-own"] == "1"
            yield socket
    finally:
        await server.close()


async def test_frames_of_every_kind_are_received_and_nothing_is_answered() -> None:
    received: list[Frame] = []

    async def play(peer: WebSocketPeer) -> None:
        assert peer.is_open
        for _ in range(5):
            received.append(await peer.receive())
        await peer.send(Frame(WSMsgType.TEXT, b"end"))

    async with accepted(play) as socket:
        for opcode, data in (
            (TEXT, b"\xff"),
            (BINARY, b""),
            (PING, b"1"),
            (10, b"2"),
            (CLOSE, b""),
        ):
            await socket.send(opcode, data)
        assert await socket.receive() == RawFrame(TEXT, b"end")
    assert received == [
        Frame(WSMsgType.TEXT, b"\xff"),
        Frame(WSMsgType.BINARY, b""),
        Frame(WSMsgType.PING, b"1"),
        Frame(WSMsgType.PONG, b"2"),
        Frame(WSMsgType.CLOSE, b""),
    ]


async def test_subprotocols_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def play(peer: WebSocketPeer) -> None:
        await peer.send(Frame(WSMsgType.TEXT, b"end"))

    async with accepted(play, offers=["openai-insecure-api-key.canary"]) as socket:
        assert await socket.receive() == RawFrame(TEXT, b"end")
        assert "sec-websocket-protocol" not in socket.headers
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (encode(BINARY, b"x" * 1001, mask=True), 1009),
        (encode(BINARY, b"x" * 600, mask=True, first=0) + encode(0, b"x" * 600, mask=True), 1009),
        (encode(7, b"", mask=True), 1002),
    ],
    ids=["too large", "too large in pieces", "of no kind"],  # the masks are random
)
async def test_what_is_no_frame_is_broken(frame: bytes, code: int) -> None:
    async def play(peer: WebSocketPeer) -> None:
        with pytest.raises(PeerBroken) as broken:
            await peer.receive()
        await peer.send_last(close_frame(broken.value.code))
        await peer.wait_for_end()

    async with accepted(play) as socket:
        socket.writer.write(frame)
        assert (await socket.until_close())[1] == code


async def test_a_peer_that_takes_nothing_is_lost_and_its_connection_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websockets, "_FLUSH", 0.01)
    transports: list[asyncio.WriteTransport] = []
    lost = asyncio.Event()

    async def play(peer: WebSocketPeer) -> None:
        transports.append(peer._transport)
        with pytest.raises(PeerLost):
            await peer.send(Frame(WSMsgType.BINARY, b"x" * 2**25))
        lost.set()

    async with accepted(play, stall=0.2) as socket:
        socket.pause()
        await asyncio.wait_for(lost.wait(), 20)
        await eventually(lambda: not transports[0].get_write_buffer_size())


async def test_a_peer_whose_machine_is_dead_is_lost() -> None:
    """It confirms nothing, not even what the system's buffers take for it."""
    lost = asyncio.Event()
    checks: list[asyncio.Task[None]] = []

    async def check(peer: WebSocketPeer) -> None:
        await peer.receive()
        await peer.send(Frame(WSMsgType.TEXT, b"{}"))
        with pytest.raises(PeerLost):
            await peer.receive()
        lost.set()

    async def play(peer: WebSocketPeer) -> None:
        checks.append(asyncio.create_task(check(peer)))  # the request's own task is cancelled
        await asyncio.sleep(30)

    async with accepted(play, stall=0.5) as socket:
        await socket.send(TEXT, b"{}")
        vanish(socket.writer)
        await asyncio.wait_for(lost.wait(), 20)


async def test_a_peer_that_is_gone_is_lost() -> None:
    seen: list[str] = []
    checks: list[asyncio.Task[None]] = []

    async def check(peer: WebSocketPeer) -> None:
        with pytest.raises(PeerLost):
            await peer.receive()
        seen.append("receive")
        with pytest.raises(PeerLost):
            await peer.send(Frame(WSMsgType.TEXT, b""))
        await peer.wait_for_end()
        assert not peer.is_open
        seen.append("send")

    async def play(peer: WebSocketPeer) -> None:
        checks.append(asyncio.create_task(check(peer)))  # the request's own task is cancelled
        await asyncio.sleep(30)

    async with accepted(play) as socket:
        socket.abort()
        await eventually(lambda: len(seen) == 2)


@given(st.integers(1000, 4999).filter(lambda code: code != NO_CODE), st.text())
def test_a_close_frame_fits_whatever_its_reason_is(code: int, reason: str) -> None:
    reason = reason.encode("utf-8", "replace").decode()
    frame = close_frame(code, reason)

    assert frame.close_code == code
    assert len(frame.data) <= 125
    assert reason.startswith(frame.data[2:].decode())


def test_a_close_frame_without_a_code_is_empty() -> None:
    assert close_data(NO_CODE, "why") == b""
    assert Frame(WSMsgType.CLOSE, b"").close_code == NO_CODE
    assert close_data(1000) == struct.pack("!H", 1000)


def test_the_error_of_a_plain_request() -> None:
    from aiohttp.test_utils import make_mocked_request

    with pytest.raises(ProxyError) as refused:
        check_handshake(make_mocked_request("GET", "/"))
    assert (refused.value.status, refused.value.code) == (426, "websocket_required")
