"""The handler of realtime sessions: WebSockets relayed to OpenAI-compatible upstreams. IO."""

import asyncio
import contextlib
import logging
import time
from typing import Final

from aiohttp import WSCloseCode, web

from jarvis_proxy.access.permissions import model_not_found
from jarvis_proxy.aiohttp_ext.malformed_requests import no_websocket
from jarvis_proxy.aiohttp_ext.websockets import (
    WebSocketPeer,
    accept,
    check_handshake,
    close_frame,
)
from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.dialects.realtime.handshake import forwarded_protocols, model_of, with_model
from jarvis_proxy.errors import LimitExceeded, ProxyError
from jarvis_proxy.routing.models import ModelRoute
from jarvis_proxy.server.context import ADMITTED_CALL, CLIENT_SECRET, CONTEXT, MATCH, RECORD
from jarvis_proxy.server.handlers.inference import with_deadlines
from jarvis_proxy.server.handlers.new_call import query_without_key, raw_query
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.server.relay.realtime_observer import SessionObserver
from jarvis_proxy.server.relay.realtime_session import (
    RealtimeSession,
    SessionEnd,
    upstream_lost,
)
from jarvis_proxy.server.relay.realtime_upstream import marked, refusal, with_a_key
from jarvis_proxy.server.responses import common_headers
from jarvis_proxy.server.secrecy import call_secrets
from jarvis_proxy.upstream_client.transport import HttpTransport
from jarvis_proxy.upstream_client.websocket import HandshakeRefused
from jarvis_proxy.wire.headers import request_headers
from jarvis_proxy.wire.single_model import check_query
from jarvis_proxy.wire.text import printable

_LOG: Final = logging.getLogger(__name__)
MAX_MESSAGE: Final = 32 * 1024 * 1024
"""Largest message in bytes, unless MAX_BODY_MB is larger. OpenAI accepts 15 MiB per event."""
_FORWARDED: Final = ("openai-beta", "x-client-request-id")


class _OpenSession:
    """The client's side of a session for the deadline monitor: counted, but without deadlines."""

    headers_sent = True
    stalled = False

    def pending(self) -> int:
        """Return 0."""
        return 0

    def send_headers_in_background(self) -> None:
        """Do nothing: the headers have been sent."""

    def send_heartbeat(self, *, is_long: bool = False) -> None:
        """Do nothing: both sides send pings of their own."""

    def reset(self) -> None:
        """Do nothing: a stalled side is detected when data is sent to it."""


async def realtime(request: web.Request) -> web.StreamResponse:
    """Relay a session until it ends.

    Raises:
        ProxyError: the session was refused, here or by the upstream.
    """
    check_handshake(request)
    return await with_deadlines(request, _realtime)


async def _realtime(request: web.Request, deadlines: CallDeadlines) -> web.StreamResponse:
    deadlines.request_received()
    query = query_without_key(raw_query(request))
    route = _route(request, query)
    transport = upstream_transport(request, route)
    await request[ADMITTED_CALL].check_rate_limit()
    upstream, protocol = await _open(request, deadlines, route, transport, query)
    # The deadlines of an answer end here, because a session may last as long as both sides want.
    deadlines.upstream_answered = deadlines.upstream_done = True
    try:
        response, client = await accept(
            request,
            protocol=protocol,
            headers=common_headers(request),
            max_size=_max_size(request),
            stall=_stall(request),
        )
    except BaseException:
        # The client has left meanwhile.
        await upstream.send_last(close_frame(WSCloseCode.GOING_AWAY))
        upstream.close()
        raise
    deadlines.client_side = _OpenSession()
    record = request[RECORD]
    record.first_byte_sent_at, record.streamed, record.status = time.monotonic(), True, 101
    await _relay(request, deadlines, RealtimeSession(client, upstream, SessionObserver(request)))
    return response


def _route(request: web.Request, query: str) -> ModelRoute:
    """Return the route of the session, and note it in the call's record.

    Raises:
        ProxyError: 404 `model_not_found`; 400, the query may name another model.
    """
    admitted, record, secret = request[ADMITTED_CALL], request[RECORD], request.get(CLIENT_SECRET)
    model = model_of(query)
    if admitted.is_limited:
        check_query(with_model(query, ""))
    if model is not None:
        route = admitted.resolve(model)
        if secret is not None and secret.upstream != route.upstream:
            raise model_not_found(model)
    elif secret is not None:
        route = ModelRoute(secret.upstream, secret.model)
    else:
        route = admitted.openai_route()
    record.model = model or "-"
    record.upstream, record.upstream_model = route.upstream, route.upstream_model
    return route


def upstream_transport(request: web.Request, route: ModelRoute) -> HttpTransport:
    """Return the transport to *route*'s upstream.

    Raises:
        ProxyError: 426 `websocket_not_served`, the upstream has another API.
    """
    api = request[CONTEXT].endpoints[route.upstream].api
    if api.kind == "openai" and isinstance(api.transport, HttpTransport):
        return api.transport
    error = no_websocket()
    error.message = (
        f"'{printable(request[RECORD].model)}' is served by {route.upstream}, which has no "
        "Realtime API. Name a model of OpenAI's, or of a compatible service."
    )
    raise error


async def _open(
    request: web.Request,
    deadlines: CallDeadlines,
    route: ModelRoute,
    transport: HttpTransport,
    query: str,
) -> tuple[WebSocketPeer, str | None]:
    """Return the upstream, and the subprotocol that it chose.

    Raises:
        ProxyError: the upstream answered with an error, or could not be reached.
    """
    secret = request.get(CLIENT_SECRET)
    if model_of(query) is not None:
        query = with_model(query, route.upstream_model)
    endpoint = request[MATCH].endpoint
    path = f"/{endpoint}?{query}" if query else f"/{endpoint}"
    headers = {n: v for n, v in request_headers(request.headers).items() if n in _FORWARDED}
    asked = UpstreamRequest("GET", path, headers, b"")
    own_key = None if secret is None else secret.secret

    async def ask(key: str | None) -> tuple[WebSocketPeer, str | None]:
        try:
            return await transport.open_socket(
                marked(request, asked),
                key,
                protocols=_protocols(request),
                max_size=_max_size(request),
                stall=_stall(request),
            )
        except HandshakeRefused as exc:
            is_own = own_key is not None
            raise refusal(request, exc.status, exc.headers, exc.body, is_own=is_own) from None

    return await with_a_key(request, deadlines, route, ask, own_key=own_key)


def _protocols(request: web.Request) -> tuple[str, ...]:
    """Return the subprotocols for the upstream to choose from, without any that contains a key."""
    secrets = call_secrets(request).all()
    offered = forwarded_protocols(request.headers.getall("Sec-WebSocket-Protocol", ()))
    return tuple(name for name in offered if secrets.redact(name) == name)


def _max_size(request: web.Request) -> int:
    return min(request[CONTEXT].settings.max_body, MAX_MESSAGE)


def _stall(request: web.Request) -> float:
    """Return how many seconds a side may go without reading."""
    return request[CONTEXT].deadline_monitor.limits.write_stall


async def _relay(request: web.Request, deadlines: CallDeadlines, session: RealtimeSession) -> None:
    """Relay, and note in the call's record how the session ended.

    Raises:
        CancelledError: the client left without a close frame.
    """
    running = asyncio.create_task(session.run(), name="realtime")
    try:
        _note(request, await asyncio.shield(running))
    except asyncio.CancelledError:
        await _cancelled(request, deadlines, session, running)
    except Exception as exc:
        # The client can no longer get an HTTP response.
        record = request[RECORD]
        # The log has the class and location, never the message, which may contain content.
        _LOG.error("internal error in %s %s", record.request_id, record.route, exc_info=exc)
        record.outcome = "internal_error"
        message = f"The proxy failed; its log says more under {record.request_id}."
        error = ProxyError(500, message, code="internal_error")
        record.code = "internal_error"
        await _stop(session, error, WSCloseCode.INTERNAL_ERROR)


async def _cancelled(
    request: web.Request,
    deadlines: CallDeadlines,
    session: RealtimeSession,
    running: "asyncio.Task[SessionEnd]",
) -> None:
    """End a cancelled session: the server shuts down, or the client is gone."""
    try:
        error: ProxyError | None = deadlines.cancel_reason()
    except asyncio.CancelledError:
        error = None
    # The session was already ending.
    if session.end is not None:
        await asyncio.wait((running,))
        if error is None and session.end == SessionEnd("client"):
            raise asyncio.CancelledError
        _note(request, session.end)
        return
    running.cancel()
    await asyncio.wait((running,))
    if error is None:
        await session.leave()
        raise asyncio.CancelledError
    _note(request, SessionEnd("upstream", error=error))
    await _stop(session, error, WSCloseCode.SERVICE_RESTART)


async def _stop(session: RealtimeSession, error: ProxyError, code: int) -> None:
    """End a session, even if the client leaves meanwhile."""
    with contextlib.suppress(asyncio.CancelledError):
        await session.stop(error, code)


def _note(request: web.Request, end: SessionEnd) -> None:
    """Note in the call's record how the session ended."""
    record = request[RECORD]
    if end.is_good:
        return
    error = end.error
    if end.side == "client":
        record.outcome = "refused" if end.broken else "client_closed"
        record.code = f"close_{end.broken}" if end.broken else ""
        return
    if isinstance(error, LimitExceeded):
        record.outcome, record.limit = "refused", error.limit
    else:
        record.outcome = "upstream_error"
    if end.frame is not None:
        record.code = f"close_{end.frame.close_code}"
    else:
        record.code = str((error or upstream_lost(end)).code)
