"""Sessions whose two ends are in one hand, and every way in which an end can die. IO.

An upstream hands each handshake that reaches it to the test that caused it. So one coroutine leads
both ends of a session, with the proxy between them.
"""

import asyncio
import contextlib
import ctypes
import itertools
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from tests.conftest import BEARER
from tests.support.raw_client import connect
from tests.support.raw_upstream import Peer, RawUpstream, Received, reset
from tests.support.raw_websocket import (
    BINARY,
    CLOSE,
    TEXT,
    RawSocket,
    Refused,
    accept,
    encode,
    handshake,
    opened,
    refusal,
)

Party = Literal["client", "upstream"]
State = Literal[
    "half a handshake", "handshake", "open", "in a frame", "in a message", "closing", "not reading"
]
Way = Literal["FIN", "RST", "half-close", "vanishes"]
Act = Callable[[Peer], Awaitable[None]]
Arrival = asyncio.Future[tuple[Peer, Received]]

PARTIES: Final[tuple[Party, ...]] = ("client", "upstream")
STATES: Final[tuple[State, ...]] = (
    "half a handshake",
    "handshake",
    "open",
    "in a frame",
    "in a message",
    "closing",
    "not reading",
)
WAYS: Final[tuple[Way, ...]] = ("FIN", "RST", "half-close", "vanishes")
CODE: Final = 4001
"""With which the other side closes, where one dies instead of answering that."""
OFFENCES: Final[Mapping[str, Callable[[bool], bytes]]] = {
    "reserved bit": lambda mask: encode(TEXT, b"x", mask=mask, first=0xC0),
    "unknown opcode": lambda mask: encode(3, b"x", mask=mask),
    "wrong close code": lambda mask: encode(CLOSE, struct.pack("!H", 1005), mask=mask),
    "too large message": lambda mask: encode(TEXT, b"x" * (2**20 + 1), mask=mask),
}
"""What no side may send, where messages have a megabyte at most; a client's frames have a mask."""
_ATTACH_FILTER: Final = 26
"""SO_ATTACH_FILTER of Linux, which Python does not name."""
_DROP_ALL: Final = struct.pack("HBBI", 0x06, 0, 0, 0)
_NUMBER: Final = re.compile(r"end=(\d+)|/end(\d+)/")
_PIECE: Final = b"x" * 65536
_MOST: Final = 64
"""Pieces after which a side is taken for one that does not read, though the system takes more."""
_STUCK: Final = 0.2


@dataclass(frozen=True)
class Death:
    """How a side dies, and in which state of the session."""

    party: Party
    state: State
    way: Way

    def __str__(self) -> str:
        return f"{self.party}, {self.state}, {self.way}"

    @property
    def other_code(self) -> int:
        """The close code for the other side of an open session."""
        if self.state == "closing":
            return CODE
        return 1001 if self.party == "client" else 1011

    @property
    def error(self) -> str | None:
        """The code of the error for a client whose open session ends so."""
        is_told = self.party == "upstream" and self.state != "closing"
        return "upstream_disconnected" if is_told else None

    @property
    def is_told_late(self) -> bool:
        """Whether only the system's time limit tells: nothing comes from what has vanished."""
        return self.way == "vanishes" and self.state != "closing"

    @property
    def waits_for_stall(self) -> bool:
        """Whether the other side learns of the end only by a stall timeout.

        The end of a side's words is read behind what waits for that side, which takes nothing.
        """
        return self.is_told_late or (self.state == "not reading" and self.way == "half-close")

    @property
    def can_be(self) -> bool:
        """Whether there is such a death, and it is to be seen here."""
        if self.state == "half a handshake":
            # One that stays half is cut by its time limit: tests/aiohttp_ext has that.
            return self.party == "client" and self.way != "vanishes"
        # Its handshake goes on upstream, so it vanishes from an open session.
        return self != Death("client", "handshake", "vanishes")


_ALL: Final = tuple(Death(*way) for way in itertools.product(PARTIES, STATES, WAYS))
DEATHS: Final = tuple(death for death in _ALL if death.can_be)


def die(writer: asyncio.StreamWriter, way: Way) -> None:
    """Let the end of *writer* die."""
    match way:
        case "FIN":
            writer.close()
        case "RST":
            reset(writer)
        case "half-close":
            writer.write_eof()
        case "vanishes":
            vanish(writer)


def vanish(writer: asyncio.StreamWriter) -> None:
    """Let the system drop all that comes, unanswered, as if the machine had lost its power."""
    program = ctypes.create_string_buffer(_DROP_ALL)
    described = struct.pack("HL", 1, ctypes.addressof(program))
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, described)


def path_of(number: int, upstream: str = "openai") -> str:
    """Return the address of session *number* at the proxy."""
    return f"/v1/realtime?model={upstream}/gpt-{number}&end={number}"


class BothEnds:
    """An upstream that hands over its ends of sessions."""

    def __init__(self) -> None:
        self.upstream = RawUpstream(self._hand_over)
        self._arrivals: dict[int, Arrival] = {}
        self._over: dict[int, asyncio.Event] = {}

    async def _hand_over(self, peer: Peer, request: Received) -> None:
        self.upstream.received.clear()
        found = _NUMBER.search(request.path)
        assert found is not None
        number = int(found[1] or found[2])
        if (over := self._over.get(number)) is not None:  # its client may have left already
            self._arrivals[number].set_result((peer, request))
            await over.wait()
        reset(peer.writer)  # one that has vanished would keep its port for minutes

    @contextlib.asynccontextmanager
    async def arrival(self, number: int) -> AsyncIterator[Arrival]:
        """Yield what session *number* brings to the upstream, whose connection ends afterwards."""
        arrival = self._arrivals[number] = asyncio.get_running_loop().create_future()
        self._over[number] = asyncio.Event()
        try:
            yield arrival
        finally:
            arrival.cancel()
            del self._arrivals[number]
            self._over.pop(number).set()

    @contextlib.asynccontextmanager
    async def session(self, port: int, number: int) -> AsyncIterator[tuple[RawSocket, RawSocket]]:
        """Open session *number* at the proxy on *port*; yield the client's and the upstream's end.

        Raises:
            Refused: the proxy answered with HTTP.
        """
        async with self.arrival(number) as arrival:
            accepting = asyncio.create_task(_accept(arrival))
            try:
                async with opened(port, path_of(number)) as client:
                    yield client, await accepting
                    client.abort()
            finally:
                accepting.cancel()
                await asyncio.gather(accepting, return_exceptions=True)

    async def leave_early(self, port: int, number: int, death: Death) -> float:
        """Play a client that dies before its session is open, and wait until its upstream is left.

        Return when it died, on the monotonic clock.

        Raises:
            Refused: the proxy answered before it asked the upstream.
        """
        async with self.arrival(number) as arrival, connect(port) as connection:
            if death.state == "half a handshake":
                await connection.send(b"GET /v1/realtime?model=gpt HTTP/1.1\r\nHost: x\r\nUpgr")
                die(connection.writer, death.way)
                return time.monotonic()
            await connection.post(path_of(number), b"", handshake(BEARER), "GET")
            answered = asyncio.create_task(refusal(connection))
            try:
                await _first_of(arrival, answered)
                if answered.done():
                    raise await answered
                died = time.monotonic()
                die(connection.writer, death.way)
                await arrival.result()[0].closed()
                return died
            finally:
                answered.cancel()
                await asyncio.gather(answered, return_exceptions=True)

    async def refuse(self, port: int, path: str, number: int, act: Act) -> Refused:
        """Play an upstream that does *act* in place of a handshake; return what the client gets."""
        async with self.arrival(number) as arrival:
            client = asyncio.create_task(_refused(port, path))
            try:
                await _first_of(arrival, client)
                if not client.done():
                    await act(arrival.result()[0])
                return await client
            finally:
                client.cancel()
                await asyncio.gather(client, return_exceptions=True)


async def _first_of(*waiting: "asyncio.Future[Any]") -> None:
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)


async def _accept(arrival: Arrival) -> RawSocket:
    return await accept(*await arrival)


async def _refused(port: int, path: str) -> Refused:
    try:
        async with opened(port, path):
            raise AssertionError("it was not refused")
    except Refused as refused:
        return refused


async def reach(death: Death, dying: RawSocket, other: RawSocket) -> None:
    """Bring an open session into the state of *death*."""
    dying.writer.write(dying_part(death, mask=dying.mask))
    await dying.writer.drain()
    match death.state:
        case "closing":
            await other.close(CODE)
            frame = await dying.receive()
            assert frame is not None
            assert (frame.opcode, frame.code) == (CLOSE, CODE), frame
        case "not reading":
            dying.pause()
            await fill(other)


def dying_part(death: Death, *, mask: bool) -> bytes:
    """Return what a side that dies has sent last."""
    match death.state:
        case "in a frame":
            return encode(TEXT, b"x" * 2000, mask=mask)[:1000]
        case "in a message":
            return encode(TEXT, b"x" * 100, mask=mask, first=0)
        case _:
            return b""


async def fill(sender: RawSocket) -> None:
    """Send until nothing more is taken, or much was."""
    with contextlib.suppress(TimeoutError):
        for _ in range(_MOST):
            async with asyncio.timeout(_STUCK):
                await sender.send(BINARY, _PIECE)


async def see_end(death: Death, other: RawSocket) -> None:
    """Check the close code that the *other* side of an open session gets."""
    if death.is_told_late:
        await other.send(TEXT, b"{}")  # what nobody takes is what tells
    events, code = await other.until_close()
    with contextlib.suppress(ConnectionError):
        await other.close(CODE if code in (-1, None) else code)
    assert code == death.other_code, f"closed with {code} after {events}"
    expected = [] if death.error is None else [death.error]
    assert [event["error"]["code"] for event in events] == expected, events
