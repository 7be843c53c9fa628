"""A session between two peers without sockets: what each gets when it ends."""

import asyncio
from typing import Any, cast

import pytest
from aiohttp import WSMsgType

from jarvis_proxy.aiohttp_ext.websockets import (
    NO_CODE,
    Frame,
    PeerBroken,
    PeerLost,
    WebSocketPeer,
    close_frame,
)
from jarvis_proxy.errors import LimitExceeded, ProxyError
from jarvis_proxy.server.relay import realtime_session
from jarvis_proxy.server.relay.realtime_observer import SessionObserver
from jarvis_proxy.server.relay.realtime_session import RealtimeSession, SessionEnd, upstream_lost

TEXT = Frame(WSMsgType.TEXT, b"{}")


class FakePeer:
    """A peer that gives *frames*, and answers a close; an exception among them is raised."""

    def __init__(self, *frames: Frame | Exception) -> None:
        self.frames = list(frames)
        self.sent: list[Frame] = []
        self.is_open = True
        self.takes = True
        self._is_called = asyncio.Event()

    async def receive(self) -> Frame:
        while not self.frames:
            self._is_called.clear()
            await self._is_called.wait()
        frame = self.frames.pop(0)
        if isinstance(frame, Exception):
            raise frame
        return frame

    async def send(self, frame: Frame) -> None:
        if not self.takes:
            raise PeerLost
        self.sent.append(frame)

    async def send_last(self, *frames: Frame) -> None:
        if self.takes:
            self.sent += frames
            self.frames += [frame for frame in frames if frame.kind is WSMsgType.CLOSE]
            self._is_called.set()

    async def wait_for_end(self) -> None:
        pass

    def close(self) -> None:
        self.is_open = False

    @property
    def closes(self) -> list[int]:
        return [frame.close_code for frame in self.sent if frame.kind is WSMsgType.CLOSE]


class FakeObserver:
    """Passes everything; *spent*: the budget is used up."""

    spent: ProxyError | None = None

    def from_client(self, frame: Frame) -> Frame:
        if frame.data == b"refused":
            raise ProxyError(404, "No.", code="model_not_found")
        return frame

    def from_upstream(self, frame: Frame) -> Frame:
        return frame

    def without_keys(self, frame: Frame) -> Frame:
        return frame

    def check_budget(self) -> None:
        if self.spent is not None:
            raise self.spent


async def play(client: FakePeer, upstream: FakePeer, spent: ProxyError | None = None) -> SessionEnd:
    observer = FakeObserver()
    observer.spent = spent
    session = RealtimeSession(
        cast(WebSocketPeer, client), cast(WebSocketPeer, upstream), cast(SessionObserver, observer)
    )
    async with asyncio.timeout(5):
        end = await session.run()
    assert session.end is end
    assert not client.is_open
    assert not upstream.is_open
    return end


@pytest.mark.parametrize(
    ("code", "of_client", "of_upstream"),
    [(1000, True, True), (NO_CODE, True, True), (1011, True, False), (4000, True, False)],
)
async def test_a_close_frame_is_passed_on_and_answered(
    code: int, of_client: bool, of_upstream: bool
) -> None:
    client, upstream = FakePeer(TEXT, close_frame(code)), FakePeer()
    end = await play(client, upstream)
    assert (client.closes, upstream.sent) == ([code], [TEXT, close_frame(code)])
    assert end.is_good is of_client

    client, upstream = FakePeer(), FakePeer(TEXT, close_frame(code, "x"))
    end = await play(client, upstream)
    assert (client.sent, upstream.closes) == ([TEXT, close_frame(code, "x")], [code])
    assert end.is_good is of_upstream


async def test_lost_and_broken_sides() -> None:
    cases: list[tuple[FakePeer, FakePeer, list[int], list[int]]] = [
        (FakePeer(PeerLost()), FakePeer(), [], [1001]),
        (FakePeer(), FakePeer(PeerLost()), [1011], [1001]),
        (FakePeer(PeerBroken(1009)), FakePeer(), [1009], [1001]),
        (FakePeer(), FakePeer(PeerBroken(1009)), [1009], [1009]),
        (FakePeer(), FakePeer(PeerBroken(1002)), [1011], [1002]),
    ]
    for client, upstream, to_client, to_upstream in cases:
        end = await play(client, upstream)
        assert (client.closes, upstream.closes) == (to_client, to_upstream)
        assert not end.is_good


async def test_both_sides_get_a_close_code_on_a_busy_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(realtime_session, "_LAST_SECOND", 0.0)
    client, upstream = FakePeer(), FakePeer(PeerBroken(1002))
    await play(client, upstream)

    assert (client.closes, upstream.closes) == ([1011], [1002])


@pytest.mark.parametrize("side", ["client", "upstream"])
async def test_a_side_that_takes_nothing_is_lost(side: str) -> None:
    client, upstream = FakePeer(TEXT), FakePeer(TEXT)
    (client if side == "client" else upstream).takes = False
    if side == "client":
        client.frames.clear()

    assert await play(client, upstream) == SessionEnd("client" if side == "client" else "upstream")


async def test_a_refused_event_is_answered_and_the_session_goes_on() -> None:
    client = FakePeer(Frame(WSMsgType.TEXT, b"refused"), TEXT, close_frame(1000))
    upstream = FakePeer()
    await play(client, upstream)

    assert upstream.sent == [TEXT, close_frame(1000)]
    assert b"model_not_found" in client.sent[0].data


async def test_a_spent_budget_ends_it_after_the_event_that_spent_it() -> None:
    spent = LimitExceeded(429, "x", limit="budget", code="insufficient_quota", retry_after=1)
    client, upstream = FakePeer(), FakePeer(TEXT)
    end = await play(client, upstream, spent)

    assert end.error is spent
    assert client.sent[0] == TEXT
    assert b"insufficient_quota" in client.sent[1].data
    assert (client.closes, upstream.closes) == ([1008], [1001])


def test_the_errors_of_an_upstream() -> None:
    found: Any = [upstream_lost(SessionEnd("upstream", broken=code)).code for code in (0, 1002)]
    assert found == ["upstream_disconnected", "upstream_bad_response"]
