"""Requests a session from an upstream: one key after another, within the circuit breaker. IO.

A session cannot be repeated and has no fallback, so this is not the retry loop of other calls.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from aiohttp import web

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.circuit_breaker import CallPermit
from jarvis_proxy.routing.models import ModelRoute
from jarvis_proxy.routing.retries import FailureKind, upstream_unavailable
from jarvis_proxy.server.context import CONTEXT, RECORD
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.server.relay.diagnosis import classify, report_failure, rest_for
from jarvis_proxy.server.relay.refusals import (
    UpstreamRefusal,
    redirect_error,
    upstream_error_response,
)
from jarvis_proxy.server.relay.tracing import new_attempt, note_failure, with_trace
from jarvis_proxy.server.secrecy import redact_error
from jarvis_proxy.upstream_client.endpoint import UpstreamEndpoint
from jarvis_proxy.upstream_client.errors import ConnectError, bad_response
from jarvis_proxy.upstream_client.hops import LOOP_HEADER, loop_detected, with_mark
from jarvis_proxy.upstreams.openai_errors import auth_failed
from jarvis_proxy.upstreams.refusal_body import for_log, read_refusal
from jarvis_proxy.wire.trace_context import TRACEPARENT

_T = TypeVar("_T")
_LOG: Final = logging.getLogger(__name__)
_MAX_KEYS: Final = 3


async def with_a_key(
    request: web.Request,
    deadlines: CallDeadlines,
    route: ModelRoute,
    ask: Callable[[str | None], Awaitable[_T]],
    *,
    own_key: str | None = None,
) -> _T:
    """Return the result of *ask* with a key of the upstream; after a refused key, with the next.

    *own_key* is the client's own key, which replaces them.

    Raises:
        ProxyError: what *ask* raised last; 503 `upstream_unavailable`, the circuit is open.
    """
    record, pool = request[RECORD], request[CONTEXT].endpoints[route.upstream].key_pool
    tried: frozenset[int] = frozenset()
    index = None if own_key is not None else _pick(request, tried)
    while True:
        try:
            key = own_key if index is None else pool.keys[index]
            return await _attempt(request, deadlines, ask, key)
        except ProxyError as error:
            _prepare(request, error, is_own=own_key is not None)
            if index is None or classify(error) is not FailureKind.KEY_REFUSED:
                raise
            rest = rest_for(error, uploading=False)
            if rest is not None:
                now, model = time.monotonic(), record.upstream_model
                pool.quarantine(index, model, now, rest, client=record.key_name)
            tried |= {index}
            index = _pick(request, tried) if len(tried) < _MAX_KEYS else None
            if index is None:
                raise
        deadlines.next_attempt_started()


def _pick(request: web.Request, tried: frozenset[int]) -> int | None:
    record = request[RECORD]
    pool = request[CONTEXT].endpoints[record.upstream].key_pool
    return pool.pick(record.upstream_model, time.monotonic(), tried, client=record.key_name)


def _prepare(request: web.Request, error: ProxyError, *, is_own: bool) -> None:
    """Redact keys in *error*, log what the operator can fix; return whether to try again."""
    redact_error(request, error)
    if error.reason and not is_own:
        _LOG.warning(
            "%s refused the proxy's key: %s", request[RECORD].upstream, for_log(error.reason)
        )
    if isinstance(error, ConnectError):
        error.should_retry = True


async def _attempt(
    request: web.Request,
    deadlines: CallDeadlines,
    ask: Callable[[str | None], Awaitable[_T]],
    key: str | None,
) -> _T:
    record = request[RECORD]
    endpoint = request[CONTEXT].endpoints[record.upstream]
    ticket = endpoint.breakers.allow(record.upstream_model, record.key_name, time.monotonic())
    if not isinstance(ticket, CallPermit):
        raise upstream_unavailable(ticket)
    record.attempts += 1
    if record.tried is not None:
        record.tried.append(new_attempt(record))
    if record.upstream_asked_at is None:
        record.upstream_asked_at = time.monotonic()
    try:
        result = await _ask(deadlines, ask, key)
    except BaseException as exc:
        if record.tried:
            note_failure(record.tried[-1], exc)
        if isinstance(exc, ProxyError):
            report_failure(ticket, classify(exc), time.monotonic())
        else:
            ticket.abandoned()
        raise
    ticket.answered()
    return result


async def _ask(
    deadlines: CallDeadlines, ask: Callable[[str | None], Awaitable[_T]], key: str | None
) -> _T:
    try:
        return await ask(key)
    except asyncio.CancelledError:
        raise deadlines.cancel_reason() from None


def marked(request: web.Request, upstream: UpstreamRequest) -> UpstreamRequest:
    """Return *upstream* with the loop mark, and in the client's trace."""
    record = request[RECORD]
    if (mark := request[CONTEXT].endpoints[record.upstream].loop_mark) != "":
        upstream = with_mark(upstream, mark, request.headers.get(LOOP_HEADER))
    if (parent := request.headers.get(TRACEPARENT)) is not None:
        upstream = with_trace(upstream, parent, record.tried)
    return upstream


def refusal(
    request: web.Request, status: int, headers: Mapping[str, str], raw: bytes, *, is_own: bool
) -> ProxyError:
    """Return the error for an upstream's answer that is not the requested one.

    *is_own*: the request had a client's secret, not a key of the proxy.
    """
    context, upstream = request[CONTEXT], request[RECORD].upstream
    endpoint: UpstreamEndpoint = context.endpoints[upstream]
    if status < 300:
        return bad_response()
    if status < 400:
        return redirect_error()
    if status == 508 and endpoint.loop_mark:
        return loop_detected(context.loop_marks.settings[endpoint.loop_mark])
    if status != 401:
        return upstream_error_response(status, headers, raw)
    if is_own:
        return secret_refused()
    read, _ = read_refusal(status, headers.get("content-type", ""), raw)
    return UpstreamRefusal(auth_failed(upstream, read.reason or read.message), status, raw)


def secret_refused() -> ProxyError:
    """Return 401 `invalid_api_key` for a client secret that the upstream no longer accepts."""
    return ProxyError(
        401,
        "The upstream does not take this client secret any more. Ask for another one.",
        code="invalid_api_key",
        should_retry=False,
    )
