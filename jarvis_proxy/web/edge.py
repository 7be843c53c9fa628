"""Clients' connections: counted, bounded, and answered in JSON when they send no HTTP. IO.

Everything here is below the application: aiohttp's own connections, with the answers and the
limits that they lack.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, cast

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from jarvis_proxy.line_quota import STRANGER
from jarvis_proxy.turns import LateWriter, Turn
from jarvis_proxy.web.alarms import Occasional
from jarvis_proxy.web.connections import Connections, Excess
from jarvis_proxy.web.wire import Refusal, WireFault, full_answer, not_http

_LOG: Final = logging.getLogger(__name__)
_MAX_HEAD: Final = 32 * 1024
_BUFFERED: Final = 64 * 1024
_IN_A_ROW: Final = 8
"""So many requests of one connection are handled in one turn of the event loop."""
_TOO_MANY_HEADERS: Final = "Too many headers received"  # aiohttp has no class of its own for it

_EAGER_TASKS: Final = sys.version_info >= (3, 12)
_Handler = Callable[[Any], Awaitable[web.StreamResponse]]


class Runner(web.AppRunner):
    """An AppRunner whose connections answer malformed HTTP in JSON, and are counted.

    *way_in* answers requests in place of the application's own, slower way to its handlers.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        connections: Connections,
        way_in: Callable[[web.Request], Awaitable[web.StreamResponse]] | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(app, **kwargs)
        self.connections = connections
        self._way_in = way_in

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # AppRunner has no hook for the class of its connections; the server it made has no state
        # beyond what the subclass shares.
        server.__class__ = Server
        handler = server.request_handler if self._way_in is None else self._way_in
        cast(Server, server).begin(self.connections, cast(_Handler, handler))
        return server

    @property
    def edge(self) -> "Server":
        """The server, once set up."""
        return cast(Server, self.server)


class InlineLoop:
    """The event loop as connections see it: what they start as a task they await themselves.

    aiohttp runs each request in a task of its own beside the connection's, which waits for it: two
    turns of the loop more. It does without where tasks start eagerly, from Python 3.12 on.
    """

    __slots__ = ("_loop", "call_at", "create_future", "time")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.call_at = loop.call_at
        self.create_future = loop.create_future
        self.time = loop.time

    def create_task(self, coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        """Return *coroutine*, to be awaited where it is."""
        return coroutine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class Server(web.Server):
    """What all connections share."""

    counted: Connections
    turn: Turn
    inline_loop: asyncio.AbstractEventLoop | None
    occasional: Occasional
    _handler: _Handler

    def begin(self, connections: Connections, handler: _Handler) -> None:
        """Put the server, just made, in between its connections and the application's *handler*."""
        self.counted = connections
        self.turn = Turn(self._loop)
        self.occasional = Occasional()
        inline = None if _EAGER_TASKS else InlineLoop(self._loop)
        self.inline_loop = cast(asyncio.AbstractEventLoop | None, inline)
        self._handler = handler
        self.request_handler = self._dispatch

    def direct(self, handler: _Handler) -> None:
        """Give requests to come to another application's *handler*, on open connections too."""
        self._handler = handler

    def set_keepalive(self, seconds: float) -> None:
        """Let connections to come wait so long for a request."""
        self._kwargs["keepalive_timeout"] = seconds

    def close_idle(self, seconds: float) -> None:
        """Close the connections that have waited *seconds* or longer for a request."""
        for connection in self.connections:
            cast(Connection, connection).close_if_idle(seconds)

    def _dispatch(self, request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        connection = cast(Connection, request.protocol)
        # What is to be said comes behind what was said.
        connection.flush()
        connection.in_a_row += 1
        return self._handler(request) if connection.in_a_row < _IN_A_ROW else self._later(request)

    async def _later(self, request: web.BaseRequest) -> web.StreamResponse:
        """Let other connections have their turn first.

        Requests that came together are handled without one turn of the loop between them.
        """
        cast(Connection, request.protocol).in_a_row = 0
        await asyncio.sleep(0)
        return await self._handler(request)

    def admit(self, peer: object) -> "Connection | None":
        """Return a connection of *peer*, counted from now on; None: there is no room for it."""
        network = self.network(peer)
        return Connection(self, network, **self._made_with()) if self.has_room(network) else None

    def has_room(self, network: str) -> bool:
        """Count a connection from *network*, or warn that there is no room for it."""
        excess = self.counted.open(network)
        if excess is not None:
            self.occasional.warn(excess, _full_warning(excess, self.counted))
        return excess is None

    def network(self, peer: object) -> str:
        """Return what connections of *peer*, a socket's address, are counted under."""
        return self.counted.network(str(peer[0]) if isinstance(peer, tuple) and peer else "")

    def _made_with(self) -> dict[str, Any]:
        return {"loop": self._loop, **self._kwargs}

    def __call__(self) -> RequestHandler:
        return Connection(self, None, **self._made_with())


class Connection(LateWriter, RequestHandler):
    """One client's connection."""

    __slots__ = ("_body", "_edge", "_head_size", "_network", "in_a_row", "turn", "unsent")

    def __init__(self, edge: Server, network: str | None, **kwargs: Any) -> None:
        super().__init__(edge, **kwargs)
        self._edge = edge
        self.turn = edge.turn
        self.unsent = b""
        self.in_a_row = 0
        self._head_size = 0
        self._network = network
        """What it is counted under; None while, or when, it is not counted."""
        self._body: StreamReader = EMPTY_PAYLOAD

    @property
    def counted(self) -> Connections:
        """All connections, this one among them."""
        return self._edge.counted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in, or tell it at once that the server is full."""
        if self._network is None:
            network = self._edge.network(transport.get_extra_info("peername"))
            self._network = network if self._edge.has_room(network) else None
        if self._network is not None:
            super().connection_made(transport)
            if transport.get_extra_info("ssl_object") is not None:
                # As without TLS. Half a megabyte, its own limit, waits in each of two buffers, and
                # a client that reads it slowly looks like one that does not read.
                cast(asyncio.Transport, transport).set_write_buffer_limits(high=_BUFFERED)
            if self._edge.inline_loop is not None:
                self._loop = self._edge.inline_loop  # before the connection's task first runs
            return
        self._force_close = True
        transport = cast(asyncio.Transport, transport)
        transport.write(full_answer())
        transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count one less."""
        super().connection_lost(exc)
        self.release()

    def release(self) -> None:
        """Count one less; a second time does nothing."""
        if self._network is not None:
            self._edge.counted.close(self._network)
            self._network = None

    def data_received(self, data: bytes) -> None:
        """Parse, with an eye on the size of heads and on bodies that break off."""
        is_head = self._is_waiting or not self._request_count
        if self._is_waiting:
            self.in_a_row = 0
        super().data_received(data)
        if is_head:
            self._head_size += len(data)
            if self._head_size > _MAX_HEAD and not self._head_fits():
                self._messages.clear()
                self._give_up(431)
            elif self._messages:
                self._head_size = 0
        if self._messages:
            self._note_body()

    @property
    def _is_waiting(self) -> bool:
        """Whether no request is in progress: what comes now belongs to a head."""
        return self._waiter is not None and not self._waiter.done()

    def _head_fits(self) -> bool:
        """Tell whether what came is large by its body only."""
        if not self._messages:
            return False
        message = self._messages[0][0]
        if isinstance(message, _ErrInfo):
            return True
        return sum(len(n) + len(v) + 4 for n, v in message.raw_headers) <= _MAX_HEAD

    def _note_body(self) -> None:
        """Remember whose body comes now; let its reader know when the rest is malformed.

        aiohttp queues the error behind the request, whose handler would wait for the rest.
        """
        message, payload = self._messages[-1]
        if not isinstance(message, _ErrInfo):
            self._body = payload
        elif not self._body.is_eof():
            self._messages.pop()
            self._close = True
            self._body.set_exception(not_http())

    def eof_received(self) -> None:
        """Say what is to be said: the event loop closes the connection after this."""
        self.flush()
        super().eof_received()

    def force_close(self) -> None:
        """Close, after what is to be said."""
        self.flush()
        super().force_close()

    def linger(self, seconds: float) -> None:
        """Go on reading, and dropping, a body for so long behind an answer that did not need it.

        A client that sends on while the connection closes gets a reset in place of the answer.
        """
        self._lingering_time = seconds

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log, but not that a malformed body could not be read to its end after the answer."""
        if not isinstance(kw.get("exc_info"), WireFault):
            super().log_exception(*args, **kw)

    def _give_up(self, status: int) -> None:
        """Answer a head that is not whole, and close."""
        error = HttpProcessingError(code=status)
        self._messages.append((_ErrInfo(status, error, ""), EMPTY_PAYLOAD))
        self._close = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _process_keepalive(self) -> None:
        """Close when no request came in time; if a part of one did, say so first."""
        is_due = self._loop.time() >= self._next_keepalive_close_time
        if is_due and self._head_size and self._is_waiting:
            self._keepalive_handle = None
            self._give_up(408)
        else:
            super()._process_keepalive()

    def close_if_idle(self, seconds: float) -> None:
        """Close if the client has sent nothing for *seconds* since its last answer."""
        if not self._is_waiting or self._head_size:
            return
        idle_since = self._next_keepalive_close_time - self.keepalive_timeout
        if self._loop.time() - idle_since >= seconds:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return a fixed answer; *message* may quote the request and is not used."""
        self.flush()
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")
        if isinstance(exc, LineTooLong) or getattr(exc, "message", "") == _TOO_MANY_HEADERS:
            status = 431
        name = type(exc).__name__
        extra = {STRANGER: f"{status} {name}"}  # no key was looked at
        if status >= 500:
            _LOG.error("internal error below the application", exc_info=exc, extra=extra)
        else:
            _LOG.info("refused from %s: no valid HTTP (%s)", request.remote, name, extra=extra)
        request._version = HttpVersion11  # aiohttp's stand-in for a broken request says 1.0
        return Refusal(status)


def _full_warning(excess: Excess, counted: Connections) -> str:
    if excess == "total":
        return f"{len(counted)} connections are open, the most there may be: more are refused"
    return (
        f"one client holds {counted.limits.per_network} connections, the most it may "
        "(MAX_CONNECTIONS_PER_IP): more are refused"
    )
