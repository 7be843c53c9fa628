"""Client connections: counted, limited, and answered in JSON when their HTTP is malformed. IO.

Each connection has a protocol of ours in front of aiohttp's. It counts connections, limits the time
and size of a request's head, batches writes, and tracks whether the client reads slowly.
"""

import asyncio
import logging
from typing import Any, Final, Protocol, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage

from jarvis_proxy.access.connection_counter import ConnectionCounter
from jarvis_proxy.aiohttp_ext.malformed_requests import (
    MalformedRequest,
    error_response,
    not_http,
    server_full_response,
)
from jarvis_proxy.aiohttp_ext.write_batching import BatchedTransport, WriteBatch
from jarvis_proxy.observability.line_quota import ANONYMOUS

_LOG: Final = logging.getLogger(__name__)
_MAX_HEAD: Final = 32 * 1024
_WRITE_BUFFER: Final = 64 * 1024
_TOO_LONG: Final = ("LineTooLong", "Too many headers received")


class JsonRequestHandler(web.RequestHandler):
    """aiohttp's protocol for one connection; it rejects malformed HTTP in JSON."""

    __slots__ = ("_body", "connection")

    def __init__(self, server: web.Server, connection: "ClientConnection", **options: Any) -> None:
        super().__init__(server, **options)
        self.connection = connection
        self._body: Any = None

    def data_received(self, data: bytes) -> None:
        """Parse *data*; a malformed rest of a body fails at its reader at once.

        aiohttp queues the error after the request, whose handler would keep waiting for the rest.
        """
        super().data_received(data)
        if self._messages:
            message, payload = self._messages[-1]
            if isinstance(message, RawRequestMessage):
                self._body = payload
            elif self._body is not None and not self._body.is_eof():
                self._messages.pop()
                self.close()
                self._body.set_exception(not_http())

    @property
    def has_requests(self) -> bool:
        """Whether requests, malformed ones included, wait for a response."""
        return bool(self._messages)

    def head_fits(self) -> bool:
        """Tell whether the head of the first waiting request is within its limit."""
        if not self._messages:
            return False
        message = self._messages[0][0]
        if not isinstance(message, RawRequestMessage):
            # It is malformed, and is answered as such.
            return True
        return sum(len(name) + len(value) + 4 for name, value in message.raw_headers) <= _MAX_HEAD

    def drop_requests(self) -> None:
        """Drop the requests that still wait."""
        self._messages.clear()

    def linger(self, seconds: float) -> None:
        """After an early response, read and drop the rest of the body for up to *seconds*.

        Otherwise a client that is still sending would get a reset in place of the response.
        """
        self._lingering_time = seconds

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log an exception, unless a body was malformed in its rest, after the response."""
        if not isinstance(kw.get("exc_info"), MalformedRequest):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return a fixed response; *message* may quote the request, so it is not used."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")
        if type(exc).__name__ in _TOO_LONG or getattr(exc, "message", "") in _TOO_LONG:
            status = 431
        name = type(exc).__name__
        if status < 500:
            return self.reject(request, status, name)
        # No key has been checked yet.
        extra = {ANONYMOUS: f"{status} {name}"}
        _LOG.error("internal error below the application", exc_info=exc, extra=extra)
        self.connection.reject(status)
        return web.Response(status=status)

    def reject(self, request: web.BaseRequest, status: int, why: str) -> web.StreamResponse:
        """Send an error response, close, and return a placeholder for aiohttp.

        It is written here because aiohttp's own response names its version and quotes the request.
        """
        # No key has been checked yet.
        extra = {ANONYMOUS: f"{status} {why}"}
        _LOG.info("refused from %s: no valid HTTP (%s)", request.remote, why, extra=extra)
        self.connection.reject(status)
        return web.Response(status=status)


class ConnectionOwner(Protocol):
    """State that all connections of a server share."""

    loop: asyncio.AbstractEventLoop
    batch: WriteBatch
    counter: ConnectionCounter
    keepalive_timeout: float
    """Seconds that a connection may wait for a complete request head."""

    def network(self, peer: object) -> str:
        """Return the network that connections of *peer*, a socket address, are counted under."""

    def count_if_room(self, network: str) -> bool:
        """Count a connection from *network*; return False if there is no room for it."""

    def new_handler(self, connection: "ClientConnection") -> JsonRequestHandler:
        """Return aiohttp's protocol for *connection*."""


class ClientConnection(asyncio.Protocol):
    """One client's connection, in front of aiohttp's protocol.

    *network* is where this connection is already counted, None if it is not counted yet.
    """

    __slots__ = (
        "_drain_waiters",
        "_handler",
        "_head_size",
        "_idle_since",
        "_is_rejected",
        "_network",
        "_server",
        "_timer",
        "_waits_for_head",
        "is_write_paused",
        "pipelined_requests",
        "transport",
    )

    def __init__(self, server: ConnectionOwner, network: str | None) -> None:
        self.transport: BatchedTransport | None = None
        self.is_write_paused = False
        """Whether the client must read before more is written."""
        self.pipelined_requests = 0
        self._server = server
        self._network = network
        self._handler: JsonRequestHandler | None = None
        self._is_rejected = False
        self._waits_for_head = True
        self._head_size = 0
        self._idle_since = server.loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._drain_waiters: list[asyncio.Future[None]] = []

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, or answer at once that the server is full."""
        server = self._server
        raw = cast(asyncio.Transport, transport)
        self.transport = BatchedTransport(raw, server.batch)
        if self._network is None:
            network = server.network(raw.get_extra_info("peername"))
            if not server.count_if_room(network):
                self._answer(server_full_response())
                return
            self._network = network
        if raw.get_extra_info("ssl_object") is not None:
            # Use the same limit as without TLS. asyncio's TLS default buffers 512 KiB twice, so a
            # client that reads slowly looks like one that has stalled.
            raw.set_write_buffer_limits(high=_WRITE_BUFFER)
        self._handler = server.new_handler(self)
        self._handler.connection_made(self.transport)
        self._start_timer(server.keepalive_timeout)

    def data_received(self, data: bytes) -> None:
        """Parse *data*, enforcing the limit on a head's size."""
        if self._is_rejected or self._handler is None:
            return
        is_head = self._waits_for_head
        if is_head:
            self.pipelined_requests = 0
        self._handler.data_received(data)
        if is_head:
            self._head_size += len(data)
            self._waits_for_head = not self._handler.has_requests
            if self._head_size > _MAX_HEAD and not self._handler.head_fits():
                self._handler.drop_requests()
                self.reject(431)

    def eof_received(self) -> bool | None:
        """Write pending data: the event loop closes the connection after this."""
        if self.transport is not None:
            self.transport.flush()
        if self._handler is not None:
            self._handler.eof_received()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the connection's count, timer and waiting writers."""
        if self._handler is not None:
            self._handler.connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()
        self.release()
        self._wake_writers()

    def pause_writing(self) -> None:
        """Make writers wait: the client reads slowly."""
        self.is_write_paused = True
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Wake the waiting writers."""
        self.is_write_paused = False
        if self._handler is not None:
            self._handler.resume_writing()
        self._wake_writers()

    # Called by the server and the handlers.

    def release(self) -> None:
        """Uncount this connection; a second call does nothing."""
        if self._network is not None:
            self._server.counter.close(self._network)
            self._network = None

    async def drain(self) -> None:
        """Wait until the client has read enough that more may be written.

        Raises:
            ConnectionResetError: the client is gone.
        """
        while self.is_write_paused and self.transport is not None:
            if self.transport.is_closing():
                raise ConnectionResetError("the client is gone")
            waiter = self._server.loop.create_future()
            self._drain_waiters.append(waiter)
            await waiter

    def _wake_writers(self) -> None:
        waiters, self._drain_waiters = self._drain_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def request_began(self) -> None:
        """Note that a complete request head has arrived."""
        self._waits_for_head = False
        self.pipelined_requests += 1

    def request_ended(self, request: web.BaseRequest) -> None:
        """Note that *request* is answered: once its body is read, another head follows."""
        if request.content.is_eof():
            self._waits_for_head = True
            self._head_size = 0
            self._idle_since = self._server.loop.time()

    def refuse(self, request: web.BaseRequest, status: int, why: str) -> web.StreamResponse:
        """Answer the invalid *request* and close."""
        return cast(JsonRequestHandler, self._handler).reject(request, status, why)

    def linger(self, seconds: float) -> None:
        """After the response, read and drop the rest of the request body for up to *seconds*."""
        if self._handler is not None:
            self._handler.linger(seconds)

    @property
    def counter(self) -> ConnectionCounter:
        """The counter of all connections, including this one."""
        return self._server.counter

    def close_if_idle(self, seconds: float) -> None:
        """Close if the client has sent nothing for *seconds* since its last response."""
        is_idle = self._waits_for_head and not self._head_size
        if is_idle and self._server.loop.time() - self._idle_since >= seconds:
            self._close()

    def _start_timer(self, seconds: float) -> None:
        self._timer = self._server.loop.call_later(seconds, self._check_time)

    def _check_time(self) -> None:
        """Close if no request arrived in time; answer a partial one with 408 first."""
        server = self._server
        left = self._idle_since + server.keepalive_timeout - server.loop.time()
        if not self._waits_for_head or self._has_unsent():
            self._start_timer(server.keepalive_timeout)
        elif left > 0:
            self._start_timer(left)
        elif self._head_size:
            self.reject(408)
        else:
            self._close()

    def _has_unsent(self) -> bool:
        return self.transport is not None and self.transport.get_write_buffer_size() > 0

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def reject(self, status: int) -> None:
        """Answer an incomplete or malformed request, and close."""
        self._answer(error_response(status))

    def _answer(self, answer: bytes) -> None:
        self._is_rejected = True
        if self.transport is not None:
            self.transport.write(answer)
            self.transport.close()


def connection_of(request: web.BaseRequest) -> ClientConnection:
    """Return the connection that carries *request*."""
    return cast(JsonRequestHandler, request.protocol).connection
