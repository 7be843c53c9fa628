"""One connection to an upstream: one request at a time, no unsolicited bytes. IO.

aiohttp's connector makes and pools the connections (names, TLS, happy eyeballs, outbound proxies).
``Transport.set_protocol`` then puts this protocol in front of aiohttp's own, which stays behind it
to answer the pool's questions and reads nothing.
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
"""Bytes that the kernel takes at once when nothing else waits to be sent."""
_READ: Final = 256 * 1024


class Receiver(Protocol):
    """The response in progress, which takes what arrives."""

    def feed(self, data: bytes) -> None:
        """Take bytes."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the connection."""


class UpstreamConnection(asyncio.Protocol):
    """Passes what arrives to the response in progress; without one, any byte ends the connection.

    *pooled* is aiohttp's protocol of this connection.
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
            # A parser would take it for the answer to the next request, maybe another user's.
            self.transport.abort()
        else:
            self.response.feed(data)

    def eof_received(self) -> None:
        """Let the event loop close the transport, once what was written is sent.

        An upstream that has ended and does not read would be waited for.
        """
        if self.response is not None and self.has_unsent():
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on to the pool, to the response and to an upload that waits."""
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
        """Let what has arrived be read even if a write fails, until ``response_ended``.

        An upstream that refuses a body answers and closes. A write that fails on this takes the
        event loop's socket away, and with it the answer that lies in the kernel's buffer.
        """
        if self._spare < 0 <= self._fileno:
            with contextlib.suppress(OSError):  # no descriptors are left
                self._spare = os.dup(self._fileno)

    def response_ended(self) -> None:
        """Give up the descriptor of ``keep_readable``."""
        spare, self._spare = self._spare, -1
        if spare >= 0:
            os.close(spare)

    def _unread(self) -> bytes:
        """Return what has arrived and was not read when the connection failed."""
        if self._spare < 0:
            return b""
        pieces = []
        with contextlib.suppress(OSError):  # there is no more, or a reset comes next
            while piece := os.read(self._spare, _READ):
                pieces.append(piece)
        data = b"".join(pieces)
        tls = self.transport.get_extra_info("ssl_object")
        return data if tls is None else decrypted(tls, data)

    def has_input(self) -> bool:
        """Tell whether bytes or an end of file wait in the socket, not read yet.

        On an idle connection both mean that no request may be sent on it.
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
        """Wait until the upstream has read enough for more to be written."""
        if self._is_write_paused:
            self._drain_waiter = asyncio.get_running_loop().create_future()
            await self._drain_waiter

    def has_unsent(self) -> bool:
        """Tell whether a part of what was written has not left this machine."""
        if self._pending or self.transport.get_write_buffer_size():
            return True
        if self.transport.get_extra_info("ssl_object") is None or fcntl is None:
            return False
        # Below TLS is another buffer that cannot be seen; its data waits for the kernel's buffer.
        queued = b"\0" * _INT.size
        if self._fileno < 0:
            return False
        with contextlib.suppress(OSError):  # not every system has TIOCOUTQ
            queued = fcntl.ioctl(self._fileno, termios.TIOCOUTQ, queued)
        return bool(_INT.unpack(queued)[0])
