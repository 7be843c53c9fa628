"""Batches writes at the end of an iteration of the event loop. IO.

A write wakes the receiving program if it sleeps, which costs the kernel more than the rest of the
write. Event loops write at once, so receivers of a busy proxy fall asleep between two writes.
Reading from all connections, doing all the work and then writing to all wakes each program once.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from jarvis_proxy.observability.line_quota import ANONYMOUS

_LOG: Final = logging.getLogger(__name__)
_SEPARATE_WRITE: Final = 64 * 1024
"""Larger data is written separately to avoid copying it."""


class WriteBatch:
    """Callbacks to run once the event loop has run everything that is ready now."""

    __slots__ = ("_loop", "_pending")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pending: list[Callable[[], object]] = []

    def add(self, callback: Callable[[], object]) -> None:
        """Run *callback* at the end of this iteration, in the order of addition."""
        if not self._pending:
            self._loop.call_soon(self._run)
        self._pending.append(callback)

    def _run(self) -> None:
        pending, self._pending = self._pending, []
        for callback in pending:
            try:
                callback()
            except Exception as exc:
                # The error concerns one connection; the others must still be served.
                extra = {ANONYMOUS: f"write {type(exc).__name__}"}
                _LOG.error("internal error in a batched write", exc_info=exc, extra=extra)


class BatchedTransport(asyncio.Transport):
    """A transport that writes at the end of an iteration of the event loop."""

    __slots__ = ("_batch", "_pending", "_transport")

    def __init__(self, transport: asyncio.Transport, batch: WriteBatch) -> None:
        super().__init__()
        self._transport = transport
        self._batch = batch
        self._pending = b""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known about the connection."""
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Tell whether the connection is closed or about to be."""
        return self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write *data* at the end of the iteration, or now if it is large.

        The transport asks its protocol to pause only for data that it has been given.
        """
        if len(data) + len(self._pending) >= _SEPARATE_WRITE:
            self.flush()
            if not self.is_closing():
                self._transport.write(data)
        elif self._pending:
            self._pending += data
        else:
            self._pending = bytes(data)
            self._batch.add(self.flush)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Write the pieces together."""
        self.write(b"".join(list_of_data))

    def flush(self) -> None:
        """Write pending data now, unless the connection is closed."""
        data, self._pending = self._pending, b""
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the peer has not received yet."""
        return self._transport.get_write_buffer_size() + len(self._pending)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and the high mark of the buffer."""
        return self._transport.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks of the buffer."""
        self._transport.set_write_buffer_limits(high, low)

    def can_write_eof(self) -> bool:
        """Tell whether ``write_eof`` is possible."""
        return self._transport.can_write_eof()

    def write_eof(self) -> None:
        """Close the writing side after pending data."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close after pending data."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Abort the connection; pending data is still written if the socket takes it."""
        self.flush()
        self._transport.abort()

    def is_reading(self) -> bool:
        """Tell whether reading is not paused."""
        return self._transport.is_reading()

    def pause_reading(self) -> None:
        """Stop reading for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Resume reading."""
        self._transport.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Deliver received data to *protocol*."""
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that receives the data."""
        return self._transport.get_protocol()
