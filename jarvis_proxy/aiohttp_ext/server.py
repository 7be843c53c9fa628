"""The server for client connections: a runner, shared limits, and direct dispatch. IO.

aiohttp resolves the route and wraps it in the middlewares for each request, which costs as much as
parsing the request. ``direct_dispatch`` composes them once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.web_urldispatcher import UrlMappingMatchInfo

from jarvis_proxy.access.connection_counter import ConnectionCounter, LimitKind
from jarvis_proxy.aiohttp_ext.malformed_requests import version_status
from jarvis_proxy.aiohttp_ext.server_connection import (
    ClientConnection,
    JsonRequestHandler,
    connection_of,
)
from jarvis_proxy.aiohttp_ext.write_batching import WriteBatch

_MAX_PIPELINED: Final = 8
"""Pipelined requests of one connection that run before other connections get a turn."""
_AIOHTTP_MARGIN: Final = 10.0
"""Extra seconds before aiohttp closes an idle connection, in case ours has failed to."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Warn = Callable[[str, str], object]
"""Takes a warning's kind and its text."""


class ProxyRunner(web.AppRunner):
    """An AppRunner whose connections are ``ClientConnection``.

    *dispatch* handles requests in place of the application's own, slower dispatch. *warn* is called
    when a limit rejects a connection. *keepalive_timeout* is how many seconds a connection may wait
    for a complete request head.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        counter: ConnectionCounter,
        warn: Warn,
        dispatch: Handler | None,
        keepalive_timeout: float,
        **options: Any,
    ) -> None:
        super().__init__(app, keepalive_timeout=keepalive_timeout + _AIOHTTP_MARGIN, **options)
        self.counter = counter
        self._warn = warn
        self._dispatch = dispatch
        self._keepalive_timeout = keepalive_timeout
        self._connection_server: ConnectionServer | None = None
        options.pop("shutdown_timeout", None)
        options.pop("handler_cancellation", None)
        self._options = {**options, "keepalive_timeout": keepalive_timeout + _AIOHTTP_MARGIN}

    async def setup(self) -> None:
        """Start the application."""
        await super().setup()
        server = super().server
        assert server is not None  # noqa: S101 - setup() sets it
        handler = cast(Handler, server.request_handler)
        self._connection_server = ConnectionServer(
            server,
            handler=self._dispatch or handler,
            counter=self.counter,
            warn=self._warn,
            keepalive_timeout=self._keepalive_timeout,
            options=self._options,
        )
        server.request_handler = self._connection_server.handle

    @property
    def server(self) -> "ConnectionServer":  # type: ignore[override] # in place of aiohttp's
        """The factory of connections; available after ``setup``."""
        assert self._connection_server is not None  # noqa: S101 - setup() sets it
        return self._connection_server


class ConnectionServer:
    """State that all connections share; calling it creates a connection."""

    def __init__(
        self,
        server: web.Server,
        *,
        handler: Handler,
        counter: ConnectionCounter,
        warn: Warn,
        keepalive_timeout: float,
        options: dict[str, Any],
    ) -> None:
        self.counter = counter
        self.keepalive_timeout = keepalive_timeout
        """Seconds that a connection may wait for a complete request head."""
        self.loop = asyncio.get_running_loop()
        self.batch = WriteBatch(self.loop)
        self._server = server
        self._handler = handler
        self._options = options
        self._warn = warn

    def __call__(self) -> "ClientConnection":
        """Return a connection that is counted once its transport is connected."""
        return ClientConnection(self, None)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        connection = connection_of(request)
        connection.request_began()
        if connection.pipelined_requests >= _MAX_PIPELINED:
            # Pipelined requests run in one iteration of the event loop: yield to other connections.
            connection.pipelined_requests = 0
            await asyncio.sleep(0)
        if (status := version_status(request.version)) is not None:
            return connection.refuse(request, status, "HTTP of another version")
        try:
            return await self._handler(cast(web.Request, request))
        finally:
            connection.request_ended(request)

    def set_keepalive(self, seconds: float) -> None:
        """Set how many seconds connections may wait for a complete request head."""
        self.keepalive_timeout = seconds
        self._options["keepalive_timeout"] = seconds + _AIOHTTP_MARGIN

    def set_handler(self, handler: Handler) -> None:
        """Send later requests, also on open connections, to *handler* of another application."""
        self._handler = handler

    def new_handler(self, connection: "ClientConnection") -> "JsonRequestHandler":
        """Return aiohttp's protocol for *connection*."""
        return JsonRequestHandler(self._server, connection, loop=self.loop, **self._options)

    def admit(self, peer: object) -> "ClientConnection | None":
        """Return a connection, already counted for *peer*; None if there is no room for it."""
        network = self.network(peer)
        return ClientConnection(self, network) if self.count_if_room(network) else None

    def count_if_room(self, network: str) -> bool:
        """Count a connection from *network*, or warn that there is no room for it."""
        limit = self.counter.open(network)
        if limit is not None:
            self._warn(limit, _full_warning(limit, self.counter))
        return limit is None

    def network(self, peer: object) -> str:
        """Return the network that connections of *peer*, a socket address, are counted under."""
        return self.counter.network(str(peer[0]) if isinstance(peer, tuple) and peer else "")

    @property
    def connections(self) -> Iterator["ClientConnection"]:
        """The open connections."""
        for handler in self._server.connections:
            yield cast(JsonRequestHandler, handler).connection

    def close_idle(self, seconds: float) -> None:
        """Close the connections that have waited *seconds* or longer for a request."""
        for connection in self.connections:
            connection.close_if_idle(seconds)


def direct_dispatch(app: web.Application) -> Handler | None:
    """Return *app*'s middlewares composed around its route; None unless it has just one."""
    routes = list(app.router.routes())
    if len(routes) != 1:
        return None
    (route,) = routes
    match_info = UrlMappingMatchInfo({}, route)
    match_info.add_app(app)
    match_info.freeze()
    handler: Handler = route.handler
    for middleware in reversed(app.middlewares):
        handler = partial(
            cast(Callable[..., Awaitable[web.StreamResponse]], middleware), handler=handler
        )

    def handle(request: web.Request) -> Awaitable[web.StreamResponse]:
        # The request uses this only to find its application.
        request._match_info = match_info
        return handler(request)

    return handle


def _full_warning(limit: LimitKind, counter: ConnectionCounter) -> str:
    if limit == "total":
        return f"{len(counter)} connections are open, the most there may be: more are refused"
    return (
        f"one client holds {counter.limits.per_network} connections, the most it may "
        "(MAX_CONNECTIONS_PER_IP): more are refused"
    )
