"""One connection to an upstream: one request at a time, no unsolicited bytes. IO.

aiohttp's connector makes and pools the connections (names, TLS, happy eyeballs, outbound proxies).
``Transport.set_protocol`` then puts this protocol in place of aiohttp's own, which only answers the
pool's questions from then on.
"""

import asyncio
import contextlib
import os
import select
import struct
from typing import Final, Protocol

from jarvis_proxy.aiohttp_ext.write_batching import WriteBatch
from jarvis_proxy.upstream_client.tls import decrypted

try:
    import fcntl
    import termios
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_INT: Final = struct.Struct("i")
_AT_ONCE: Final = 16 * 1024
"""Bytes that the kernel accepts at once when nothing else waits to be sent."""
_READ: Final = 256 * 1024


class Receiver(Protocol):
    """The response in progress, which receives the data."""

    def feed(self, data: bytes) -> None:
        """Receive bytes."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection."""


class UpstreamConnection(asyncio.Protocol):
    """Passes data to the response in progress; without one, any byte ends the connection.

    *pooled* is aiohttp's protocol for this connection.
    """

    __slots__ = (
        "_drain_waiter",
        "_fileno",
        "_is_write_paused",
        "_pending",
        "_poll",
        "_spare",
        "batch",
        "is_reused",
        "pooled",
        "response",
        "transport",
    )

    def __init__(
        self, pooled: asyncio.BaseProtocol, transport: asyncio.Transport, batch: WriteBatch
    ) -> None:
        self.pooled = pooled
        self.transport = transport
        self.batch = batch
        self.response: Receiver | None = None
        self.is_reused = False
        sock = transport.get_extra_info("socket")
        self._fileno: int = -1 if sock is None else sock.fileno()
        self._poll = select.poll()
        if self._fileno >= 0:
            self._poll.register(self._fileno, select.POLLIN)
        self._pending = b""
        self._spare = -1
        self._is_write_paused = False
        self._drain_waiter: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Parse *data*; abort if no request has been sent that it could answer."""
        if self.response is None or self._pending:
            # It would be parsed as the response to the next request, maybe another user's.
            self.transport.abort()
        else:
            self.response.feed(data)

    def eof_received(self) -> None:
        """Let the event loop close the transport once pending data is sent.

        Abort if data is unsent: an upstream that has ended may never read it.
        """
        if self.response is not None and self.has_unsent():
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Inform the pool, the response and a waiting upload."""
        self.pooled.connection_lost(exc)
        self._fileno = -1
        if self.response is not None and (unread := self._unread()):
            self.response.feed(unread)
        self.response_ended()
        response, self.response = self.response, None
        if response is not None:
            response.connection_lost(exc)
        self.resume_writing()

    def keep_readable(self) -> None:
        """Keep received data readable after a failed write, until ``response_ended``.

        An upstream that refuses a body answers and closes. The write that then fails closes the
        event loop's socket, and the response in the kernel's buffer would be lost with it.
        """
        if self._spare < 0 <= self._fileno:
            # There may be no descriptor left.
            with contextlib.suppress(OSError):
                self._spare = os.dup(self._fileno)

    def response_ended(self) -> None:
        """Close the descriptor of ``keep_readable``."""
        spare, self._spare = self._spare, -1
        if spare >= 0:
            os.close(spare)

    def _unread(self) -> bytes:
        """Return data that had arrived unread when the connection failed."""
        if self._spare < 0:
            return b""
        pieces = []
        # The error means that there is no more data, or that a reset follows.
        with contextlib.suppress(OSError):
            while piece := os.read(self._spare, _READ):
                pieces.append(piece)
        data = b"".join(pieces)
        tls = self.transport.get_extra_info("ssl_object")
        return data if tls is None else decrypted(tls, data)

    def has_input(self) -> bool:
        """Tell whether the socket has unread bytes or an end of file.

        An idle connection with either must not carry another request.
        """
        return self._fileno >= 0 and bool(self._poll.poll(0))

    def write(self, data: bytes) -> None:
        """Write *data*, a part of a request, now."""
        self.keep_readable()
        self.transport.write(data)

    def write_batched(self, data: bytes) -> None:
        """Write *data*, a whole request, at the end of the event loop's iteration."""
        self._pending = data
        self.batch.add(self._flush)

    def _flush(self) -> None:
        data, self._pending = self._pending, b""
        if not data or self.transport.is_closing():
            return
        if self.is_reused and self.has_input():
            self.transport.abort()
        elif len(data) <= _AT_ONCE:
            self.transport.write(data)
        else:
            self.write(data)

    def pause_writing(self) -> None:
        """Make an upload wait: the upstream reads slowly."""
        self._is_write_paused = True

    def resume_writing(self) -> None:
        """Wake a waiting upload."""
        self._is_write_paused = False
        waiter, self._drain_waiter = self._drain_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def drain(self) -> None:
        """Wait until the upstream has read enough that more may be written."""
        if self._is_write_paused:
            self._drain_waiter = asyncio.get_running_loop().create_future()
            await self._drain_waiter

    def has_unsent(self) -> bool:
        """Tell whether written data still waits on this machine."""
        if self._pending or self.transport.get_write_buffer_size():
            return True
        if self.transport.get_extra_info("ssl_object") is None or fcntl is None:
            return False
        # TLS has another buffer below, which cannot be inspected; its data waits for the kernel's.
        queued = b"\0" * _INT.size
        if self._fileno < 0:
            return False
        # Not every system has TIOCOUTQ.
        with contextlib.suppress(OSError):
            queued = fcntl.ioctl(self._fileno, termios.TIOCOUTQ, queued)
        return bool(_INT.unpack(queued)[0])
