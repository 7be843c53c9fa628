"""WebSockets of raw sockets, either end: exact frames go out, exact frames come in."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.conftest import BEARER
from tests.support.raw_client import RawConnection, RawResponse, connect
from tests.support.raw_upstream import Peer, Received, reset

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass
class RawFrame:
    """One frame as it came."""

    opcode: int
    data: bytes

    @property
    def json(self) -> Any:
        """The event within a text."""
        return json.loads(self.data)

    @property
    def code(self) -> int | None:
        """The code of a close frame, None where it has none."""
        return struct.unpack("!H", self.data[:2])[0] if self.data else None


def encode(opcode: int, data: bytes, *, mask: bool, first: int = 0x80) -> bytes:
    """Return one frame; *first*: the bits in front of the opcode."""
    size = len(data)
    bit = 0x80 if mask else 0
    if size < 126:
        head = struct.pack("!BB", first | opcode, bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first | opcode, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first | opcode, bit | 127, size)
    if not mask:
        return head + data
    key = os.urandom(4)
    stream = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")
    return head + key + mixed.to_bytes(size, "big")


@dataclass
class RawSocket:
    """One end of a WebSocket; *mask*: it is the client's."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    mask: bool
    status: int = 101
    headers: dict[str, str] = field(default_factory=dict)

    async def send(self, opcode: int, data: bytes = b"") -> None:
        """Send a frame."""
        self.writer.write(encode(opcode, data, mask=self.mask))
        await self.writer.drain()

    async def event(self, **fields: object) -> None:
        """Send an event."""
        await self.send(TEXT, json.dumps(fields).encode())

    async def close(self, code: int, reason: bytes = b"") -> None:
        """Send a close frame."""
        await self.send(CLOSE, struct.pack("!H", code) + reason)

    async def receive(self) -> RawFrame | None:
        """Return the next frame; None: the connection ended without one."""
        try:
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            key = await self.reader.readexactly(4) if second & 0x80 else b""
            data = await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        if key:
            stream = (key * (size // 4 + 1))[:size]
            mixed = int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")
            data = mixed.to_bytes(size, "big")
        return RawFrame(first & 0x0F, data)

    async def text(self) -> Any:
        """Return the next event."""
        frame = await self.receive()
        assert frame is not None
        assert frame.opcode == TEXT, frame
        return frame.json

    async def until_close(self) -> tuple[list[Any], int | None]:
        """Return the events that still come, and the close code; -1: the connection was cut."""
        events: list[Any] = []
        while (frame := await self.receive()) is not None:
            if frame.opcode == CLOSE:
                return events, frame.code
            events.append(frame.json if frame.opcode == TEXT else frame.data)
        return events, -1

    def pause(self) -> None:
        """Read nothing more from the connection for now."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined] # it reads as well

    def resume(self) -> None:
        """Read on."""
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]

    def abort(self) -> None:
        """Cut the connection with a reset."""
        reset(self.writer)


async def accept(peer: Peer, request: Received, protocol: str | None = None) -> RawSocket:
    """Complete the handshake as an upstream."""
    key = (request.header("sec-websocket-key") or "").encode()
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    proof = base64.b64encode(digest).decode()
    lines = [
        "HTTP/1.1 101 X",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {proof}",
    ]
    if protocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    await peer.send("\r\n".join([*lines, "", ""]).encode())
    return RawSocket(peer.reader, peer.writer, mask=False)


@dataclass
class Refused(Exception):
    """The proxy answered a handshake with HTTP."""

    response: RawResponse


def handshake(headers: Mapping[str, str] = BEARER, protocols: Sequence[str] = ()) -> dict[str, str]:
    """Return the headers of a handshake."""
    offered = {"Sec-WebSocket-Protocol": ", ".join(protocols)} if protocols else {}
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        **offered,
        **headers,
    }


@contextlib.asynccontextmanager
async def opened(
    port: int,
    path: str = "/v1/realtime?model=gpt-realtime",
    headers: Mapping[str, str] = BEARER,
    protocols: Sequence[str] = (),
) -> AsyncIterator[RawSocket]:
    """Open a WebSocket at the proxy.

    Raises:
        Refused: it answered with HTTP.
    """
    async with connect(port) as connection:
        await connection.post(path, b"", handshake(headers, protocols), "GET")
        status, got = await connection.head()
        if status != 101:
            raise Refused(await _rest(connection, status, got))
        yield RawSocket(connection.reader, connection.writer, mask=True, headers=got)


async def refusal(connection: RawConnection) -> Refused:
    """Return what the proxy answers to a handshake that is not to succeed."""
    status, headers = await connection.head()
    assert status != 101, "it was not refused"
    return Refused(await _rest(connection, status, headers))


async def _rest(connection: RawConnection, status: int, headers: dict[str, str]) -> RawResponse:
    body = await connection.reader.readexactly(int(headers["content-length"]))
    return RawResponse(status, headers, body, body, whole=True)
