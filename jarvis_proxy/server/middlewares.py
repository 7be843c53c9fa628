"""The middlewares, outermost first: access log with the error mapping, then authentication. IO.

There are only two because each costs every request some microseconds.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING, Final

from aiohttp import web

from jarvis_proxy.access.auth_throttle import AuthThrottled
from jarvis_proxy.aiohttp_ext.malformed_requests import (
    MalformedRequest,
    check_request,
    no_websocket,
    wants_websocket,
)
from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.errors import LimitExceeded, ProxyError
from jarvis_proxy.observability.line_quota import ANONYMOUS
from jarvis_proxy.routing.compat_hints import CompatHints
from jarvis_proxy.routing.endpoints import DASHBOARD, PUBLIC, EndpointMatch
from jarvis_proxy.routing.unknown_addresses import hint
from jarvis_proxy.server.addresses import find_address
from jarvis_proxy.server.context import (
    APP_CONTEXT,
    CLIENT_SECRET,
    CONTEXT,
    MATCH,
    RECORD,
    AppContext,
)
from jarvis_proxy.server.responses import cors_headers, error_response
from jarvis_proxy.server.secrecy import call_secrets, hide, redact_record
from jarvis_proxy.upstream_client.hops import LOOP_HEADER
from jarvis_proxy.wire.trace_context import TRACEPARENT, parse_traceparent

if TYPE_CHECKING:
    from jarvis_proxy.observability.tracing import CallTracer

_LOG: Final = logging.getLogger(__name__)
_RANDOM: Final = Random()  # noqa: S311 - ids are unique, not secret; a system call costs more
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_RANDOM.seed)  # otherwise all workers generate the same ids
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_INFERENCE_KINDS: Final = ("infer", "client_secret", "other")
_KEYS: Final = frozenset(("key", "$key"))
"""Parameters of the query that hold a key; the latter is Google's."""
_PROBING: Final = frozenset(("GET", "HEAD"))
_SAFE_HEADERS: Final = "Authorization, Content-Type"


@web.middleware
async def access_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Create the call's record, map every error, write one log line."""
    context = request[CONTEXT] = request.app[APP_CONTEXT]
    record = CallRecord(
        request_id=f"req_{_RANDOM.getrandbits(96):024x}",
        started_at=time.monotonic(),
        timestamp=time.time(),
        method=request.method,
        user_agent=request.headers.get("User-Agent", ""),
        client_ip=context.admission.address(request),
        tried=None if context.tracer is None else [],
    )
    request[RECORD] = record
    try:
        response = await _call_and_map_errors(request, handler, record)
    except asyncio.CancelledError:
        record.outcome, record.status = "client_closed", 499
        raise
    except ConnectionError:
        # aiohttp raises this for a client that has left; nobody reads this answer.
        record.outcome, record.status = "client_closed", 499
        return web.Response(status=499)
    else:
        if not record.status:
            record.status = response.status
        if context.draining:
            response.force_close()
        return response
    finally:
        record.ended_at = time.monotonic()
        record.cost = context.prices.cost(record)
        redact_record(request, record)
        context.usage.add(record)
        context.metrics.observe(record)
        if context.live_stats is not None:
            context.live_stats.add(record)
        context.access_log.write(record)
        if context.tracer is not None:
            _trace(context.tracer, request, record)


def _trace(tracer: "CallTracer", request: web.Request, record: CallRecord) -> None:
    """Send a trace of the call; probes, scrapes and the dashboard have none."""
    if MATCH in request and request[MATCH].kind in PUBLIC:
        return
    try:
        tracer.add(record, parse_traceparent(request.headers.get(TRACEPARENT)))
    except Exception as exc:  # the answer must not fail because of a trace
        _LOG.error("a call could not be traced", exc_info=exc)


async def _call_and_map_errors(
    request: web.Request, handler: Handler, record: CallRecord
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProxyError as error:
        record.outcome = "upstream_error" if _is_upstreams(error) else "refused"
        if isinstance(error, LimitExceeded):
            record.limit = error.limit
        if isinstance(error, AuthThrottled):
            await request[CONTEXT].admission.delay_rejection()
        response = error_response(request, error)
        if isinstance(error, MalformedRequest | AuthThrottled):
            response.force_close()
    except web.HTTPException as exc:
        record.outcome = "refused"
        response = error_response(request, ProxyError(exc.status, exc.reason or "Refused."))
    except ConnectionError:
        raise
    except Exception as exc:
        record.outcome = "internal_error"
        # The log has class and location, never the message: it may contain content.
        extra = None if record.authenticated else {ANONYMOUS: f"500 {type(exc).__name__}"}
        said = (record.request_id, record.route)
        _LOG.error("internal error in %s %s", *said, exc_info=exc, extra=extra)
        message = f"The proxy failed; its log says more under {record.request_id}."
        response = error_response(request, ProxyError(500, message, code="internal_error"))
    if request.can_read_body and not request.content.at_eof():
        # The rest of the body stays unread, so the connection cannot be reused.
        response.force_close()
    return response


def _is_upstreams(error: ProxyError) -> bool:
    if isinstance(error, MalformedRequest | LimitExceeded):
        return False
    return error.from_upstream or error.status >= 500


@web.middleware
async def auth(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Match the path, then check the key, before the method, the body and everything else.

    An unknown path needs a key too, so that nobody can map this server without one.
    """
    check_request(request)
    context, record = request[CONTEXT], request[RECORD]
    if (hop := request.headers.get(LOOP_HEADER)) is not None:
        context.loop_marks.check(hop)
    # The path as the client sent it: not decoded, with fragment and host.
    path = request.raw_path.partition("?")[0]
    found = _find_address(path, request.method, context.settings)
    if isinstance(found, EndpointMatch):
        request[MATCH] = found
        record.route = found.route
    if request.method == "OPTIONS" and context.settings.cors_origins:
        return _preflight(request)
    if not isinstance(found, EndpointMatch):
        _authenticate(request, context, record)
        raise found
    if found.kind not in PUBLIC:
        name = _authenticate(request, context, record)
        _log_hints(request, context.compat_hints, path, name)
    _check_method(request, found)
    return await handler(request)


def _find_address(path: str, method: str, settings: Settings) -> EndpointMatch | ProxyError:
    """Return what is at a request's *path*, or the error of a path where nothing is."""
    try:
        found = find_address(path, method, settings)
    except ProxyError as error:
        return error
    if found is None or (found.kind in DASHBOARD and settings.admin_key is None):
        message = f"There is nothing at this address. {hint(path)}"
        return ProxyError(404, message, code="unknown_url", should_retry=False)
    return found


def _authenticate(request: web.Request, context: AppContext, record: CallRecord) -> str:
    """Return the name of the client's key.

    Raises:
        ProxyError: 401 `invalid_api_key`; 429 `rate_limit_exceeded`, repeated failures.
    """
    keys = call_secrets(request).presented
    name = context.client_keys.authenticate(keys) or _by_client_secret(request)
    record.key_name = name or "-"
    if name is None or not context.admission.is_key_allowed(name, record.client_ip):
        if not keys and request.method in _PROBING:
            raise unauthorized()  # a request without a key guesses nothing
        raise context.admission.record_auth_failure(record.client_ip, len(keys), unauthorized())
    record.authenticated = True
    return name


def _by_client_secret(request: web.Request) -> str | None:
    """Return the name of the key that a client secret stands for, which opens sessions only."""
    match = request.get(MATCH)
    if match is None or match.kind != "realtime":
        return None
    presented = call_secrets(request).presented
    found = request[CONTEXT].client_secrets.find(presented, time.time())
    if found is None:
        return None
    request[CLIENT_SECRET] = found
    hide(request, found.secret)
    return found.key_name


def _log_hints(request: web.Request, known: CompatHints, path: str, name: str) -> None:
    """Log once per key what is unusual in a client's configuration."""
    authorization = request.headers.get("Authorization")
    in_query = bool(request.query_string and not _KEYS.isdisjoint(request.rel_url.query))
    hints = known.hint(name, path, authorization, in_query=in_query)
    if hints:
        _LOG.info("hint for key %s: %s; the call works nevertheless", name, "; ".join(hints))


def _check_method(request: web.Request, found: EndpointMatch) -> None:
    """Reject a WebSocket, and a method that the address does not take.

    Raises:
        ProxyError: 405 `method_not_allowed`; what ``no_websocket`` returns.
    """
    if found.kind in _INFERENCE_KINDS and wants_websocket(request):
        raise no_websocket()
    if found.methods and request.method not in found.methods:
        raise ProxyError(
            405,
            f"This address takes {' and '.join(found.methods)}.",
            code="method_not_allowed",
            headers=(("Allow", ", ".join(found.methods)),),
        )


def unauthorized() -> ProxyError:
    """Return the 401; its bytes do not depend on what is wrong with the key."""
    return ProxyError(
        401,
        "Incorrect API key provided. Send one of this proxy's keys (PROXY_API_KEYS in its .env) "
        "as 'Authorization: Bearer KEY'.",
        code="invalid_api_key",
        should_retry=False,
    )


def _preflight(request: web.Request) -> web.Response:
    asked = request.headers.get("Access-Control-Request-Headers", "")
    headers = cors_headers(request) | {
        "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        # Listed one by one: "*" does not include Authorization.
        "Access-Control-Allow-Headers": asked if _is_header_list(asked) else _SAFE_HEADERS,
        "Access-Control-Max-Age": "86400",
        "x-request-id": request[RECORD].request_id,
    }
    return web.Response(status=204, headers=headers)


def _is_header_list(value: str) -> bool:
    return 0 < len(value) <= 2048 and value.isascii() and value.replace(",", "").isprintable()
