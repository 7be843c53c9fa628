"""A small SOCKS5 server (RFC 1928, RFC 1929) that leads every name to one port of this machine."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, Literal

GRANTED: Final = 0
REFUSED: Final = 2
UNREACHABLE: Final = 4

Fault = Literal["cut greeting", "cut login", "cut request", "silent", "not SOCKS"]


@dataclass
class SocksServer:
    """Connects to *target* whatever it is asked for, and keeps what it was asked for.

    With *login*, a user name and a password, it takes no other. *reply* other than GRANTED refuses.
    """

    target: int
    login: tuple[str, str] | None = None
    reply: int = GRANTED
    fault: Fault | None = None
    asked: list[tuple[str, int]] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Serve; yield the port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0.001)  # for the event loop to close them

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            is_granted = await self._negotiate(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):  # the call was cancelled
            is_granted = False
        if not is_granted:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers.append(far_writer)
        for ends in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(pump(*ends))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _negotiate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Return whether a connection is to be made."""
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        assert version == 5
        if self.fault == "cut greeting":
            return False
        if self.fault == "silent":
            await reader.read()
            return False
        if self.fault == "not SOCKS":
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return False
        wanted = 0 if self.login is None else 2
        writer.write(bytes((5, wanted if wanted in methods else 0xFF)))
        if wanted not in methods or not await self._log_in(reader, writer):
            return False
        self.asked.append(await _destination(reader))
        if self.fault == "cut request":
            return False
        writer.write(bytes((5, self.reply, 0, 1)) + b"\x7f\0\0\1" + struct.pack("!H", self.target))
        return self.reply == GRANTED

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if self.login is None:
            return True
        assert (await reader.readexactly(1)) == b"\1"
        given = [(await reader.readexactly((await reader.readexactly(1))[0])) for _ in range(2)]
        if self.fault == "cut login":
            return False
        is_right = tuple(part.decode() for part in given) == self.login
        writer.write(bytes((1, 0 if is_right else 1)))
        return is_right


async def _destination(reader: asyncio.StreamReader) -> tuple[str, int]:
    """Return the host and the port of a request to connect."""
    version, command, _, kind = await reader.readexactly(4)
    assert (version, command) == (5, 1)
    if kind == 3:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    else:
        host = ".".join(map(str, await reader.readexactly(4)))
    (port,) = struct.unpack("!H", await reader.readexactly(2))
    return host, port


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what arrives until the end."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
    except (ConnectionError, RuntimeError):  # RuntimeError: uvloop, of a closed transport
        writer.transport.abort()
