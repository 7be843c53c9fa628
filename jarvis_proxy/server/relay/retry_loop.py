"""The retry loop: one call's attempts, with other keys and fallbacks. IO around routing/retries.py.

Another attempt may follow as long as the client has received heartbeats only.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from random import SystemRandom
from typing import Final, TypeVar

from aiohttp import web

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import EmptyAnswerError, Exchange, Media, Prerequisites
from jarvis_proxy.errors import LimitExceeded, ProxyError
from jarvis_proxy.routing.circuit_breaker import CallPermit
from jarvis_proxy.routing.models import ModelRoute
from jarvis_proxy.routing.retries import FailureKind, NextAttempt, RetryPlan, upstream_unavailable
from jarvis_proxy.server.context import ADMITTED_CALL, CONTEXT, RECORD
from jarvis_proxy.server.relay.attempt import UpstreamAttempt
from jarvis_proxy.server.relay.client_stream import ClientStream
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.server.relay.diagnosis import classify, report_failure, rest_for
from jarvis_proxy.server.relay.refusals import UpstreamRefusal
from jarvis_proxy.server.responses import UpstreamErrorResponse
from jarvis_proxy.server.secrecy import redact_error
from jarvis_proxy.upstream_client.client import Body
from jarvis_proxy.upstream_client.endpoint import UpstreamEndpoint
from jarvis_proxy.upstream_client.errors import ConnectError
from jarvis_proxy.upstreams.answer_kinds import streams_events
from jarvis_proxy.upstreams.refusal_body import for_log
from jarvis_proxy.wire.heartbeats import is_codex

_T = TypeVar("_T")
_LOG: Final = logging.getLogger(__name__)
_RANDOM: Final = SystemRandom()
_MAX_RESPONSE_TIME: Final = 590.0


class CallRunner:
    """A call and its routes: that of its model, then the fallbacks."""

    __slots__ = (
        "_body",
        "_call",
        "_client_stream",
        "_context",
        "_deadlines",
        "_endpoint",
        "_exchange",
        "_holds_retry",
        "_key",
        "_make_call",
        "_media_bytes",
        "_plan",
        "_record",
        "_request",
        "_request_bytes",
        "_routes",
        "_ticket",
    )

    def __init__(
        self,
        request: web.Request,
        deadlines: CallDeadlines,
        routes: tuple[ModelRoute, ...],
        make_call: Callable[[ModelRoute], Call],
        *,
        body: Body | None = None,
    ) -> None:
        self._request = request
        self._deadlines = deadlines
        self._routes = routes
        self._make_call = make_call
        self._body = body
        self._context = request[CONTEXT]
        self._record = request[RECORD]
        admitted = request[ADMITTED_CALL]
        self._media_bytes = admitted.open_reservation()
        self._request_bytes = admitted.open_reservation()
        self._plan: RetryPlan | None = None  # few calls fail
        self._holds_retry = False
        self._ticket: CallPermit | None = None
        self._client_stream: ClientStream | None = None
        self._endpoint: UpstreamEndpoint
        self._call: Call
        self._exchange: Exchange
        self._key: int | None = None

    async def run(self) -> web.StreamResponse:
        """Answer the call.

        Raises:
            ProxyError: every attempt failed, and nothing has been sent to the client.
        """
        await self._use_route(0)
        if self._call.stream and streams_events(self._call.endpoint):
            self._client_stream = ClientStream(self._request, self._call)
            self._deadlines.client_side = self._client_stream
        else:
            self._deadlines.response_timeout = response_timeout(self._request.headers)
        try:
            while True:
                result = await self._attempt()
                # Checking for StreamResponse would cost ten times this: it is an ABC.
                if not isinstance(result, ProxyError):
                    return result
                if not await self._prepare_next(result):
                    return await self._fail(result)
        except ProxyError as error:
            return await self._fail(error)
        except ConnectionError:
            raise  # the client has left
        except Exception as exc:
            return await self._fail_internally(exc)
        finally:
            if self._holds_retry:
                self._context.retry_budget.release(self._record.key_name)
            self._release_ticket()
            if (
                self._client_stream is not None
                and self._client_stream.head_promised
                and not self._client_stream.ended
            ):
                self._client_stream.abort()  # no other answer may follow the one that has begun

    async def _use_route(self, index: int) -> None:
        """Build the call for one of its routes, and pick a key."""
        route = self._routes[index]
        self._endpoint = self._context.endpoints[route.upstream]
        self._record.upstream, self._record.upstream_model = route.upstream, route.upstream_model
        self._call = self._make_call(route)
        self._media_bytes.set_unchecked(0)  # frees those of the failed route
        self._request_bytes.set_unchecked(0)
        needs, exchange = await self._offload(self._prepare)
        if exchange is None:
            media = await self._fetch_prerequisites(needs)
            upstream = self._endpoint.api_for(self._call.endpoint).upstream
            job = partial(upstream.exchange, self._call, media, needs.decoded)
            exchange = await self._offload(job)
        self._use_exchange(exchange)
        self._key = self._pick_key()

    def _prepare(self) -> tuple[Prerequisites, Exchange | None]:
        """Return the call's prerequisites, and its exchange if it needs to wait for nothing.

        Both in one step: the decoded request is not kept while other jobs run.
        """
        call = self._call
        upstream = self._endpoint.api_for(call.endpoint).upstream
        needs = upstream.needs(call)
        if needs.urls or (needs.call_ids and self._context.shared_signatures is not None):
            return needs, None
        return needs, upstream.exchange(call, {}, needs.decoded)

    async def _fetch_prerequisites(self, needs: Prerequisites) -> Mapping[str, Media | ProxyError]:
        """Return the media of the links; fetch shared signatures.

        Raises:
            LimitExceeded: 503 `overloaded`, there is no memory for them.
        """
        media: Mapping[str, Media | ProxyError] = {}
        self._request_bytes.set(0 if needs.decoded is None else needs.decoded.size)
        if needs.urls:
            # A download does not count as the proxy's overhead.
            self._record.body_received_at = None
            media = await self._context.fetcher.fetch_all(needs.urls, self._media_bytes.add)
            # Reserve memory for their base64 in advance.
            self._request_bytes.add(self._media_bytes.size + self._media_bytes.size // 3)
        if needs.call_ids and self._context.shared_signatures is not None:
            await self._context.shared_signatures.fetch(needs.call_ids, time.monotonic())
        return media

    def _pick_key(self, tried: frozenset[int] = frozenset()) -> int | None:
        record = self._record
        pool, client = self._endpoint.key_pool, record.key_name
        return pool.pick(record.upstream_model, time.monotonic(), tried, client=client)

    def _use_exchange(self, exchange: Exchange) -> None:
        """Use *exchange*; its request counts as held memory until the call ends.

        Raises:
            LimitExceeded: 503 `overloaded`, there is no memory for it.
        """
        self._exchange = exchange
        self._request_bytes.set(exchange.weight)

    async def _offload(self, job: Callable[[], _T]) -> _T:
        """Run *job*, which reads the whole body, in a thread if the body is large.

        Raises:
            ProxyError: what *job* raises, or why the call was cancelled.
        """
        try:
            return await self._context.offload.run(len(self._call.body), self._record.key_name, job)
        except asyncio.CancelledError:
            raise self._deadlines.cancel_reason() from None

    async def _attempt(self) -> web.StreamResponse | ProxyError:
        """Make one attempt; return the answer or the error."""
        endpoint = self._endpoint
        record = self._record
        ticket = endpoint.breakers.allow(record.upstream_model, record.key_name, time.monotonic())
        if not isinstance(ticket, CallPermit):
            return upstream_unavailable(ticket)
        self._ticket = ticket
        attempt = UpstreamAttempt(
            self._request,
            self._deadlines,
            endpoint,
            self._call,
            self._exchange,
            ticket=ticket,
            key=None if self._key is None else endpoint.key_pool.keys[self._key],
            client_stream=self._client_stream,
            body=self._body,
        )
        try:
            response = await attempt.run()
        except ProxyError as error:
            self._client_stream = attempt.client_stream
            redact_error(self._request, error)
            if error.reason:
                # The operator can fix this, the client cannot.
                name = self._record.upstream
                _LOG.warning("%s refused the proxy's key: %s", name, for_log(error.reason))
            return error
        except asyncio.CancelledError:
            self._client_stream = attempt.client_stream
            return self._deadlines.cancel_reason()
        self._ticket = None
        ticket.answered()
        return response

    async def _prepare_next(self, error: ProxyError) -> bool:
        """Record the failure; return whether another attempt is ready."""
        failure = classify(error)
        self._record_failure(failure, error)
        if self._body is not None or (
            self._client_stream is not None and self._client_stream.has_content
        ):
            return False
        if self._request.transport is None or self._request.transport.is_closing():
            return False  # a buffered answer was truncated
        if isinstance(error, EmptyAnswerError) or await self._apply_recovery(error):
            # A different request, or a single repetition: the retry policy does not apply.
            self._deadlines.next_attempt_started()
            return True
        step, key = self._plan_next(failure, error)
        if step is None or (step.is_retry and not self._may_retry()):
            return False
        if step.delay:
            await self._wait(step.delay)
        self._deadlines.next_attempt_started()
        return await self._switch_route(step, key)

    async def _switch_route(self, step: NextAttempt, key: int | None) -> bool:
        if self._routes[step.route_index] == ModelRoute(
            self._record.upstream, self._record.upstream_model
        ):
            if key is not None:
                self._key = key
            return True
        try:
            await self._use_route(step.route_index)
        except ProxyError as error:
            # This fallback cannot express the call; the next one may.
            return await self._prepare_next(error)
        return True

    async def _apply_recovery(self, error: ProxyError) -> bool:
        """Use a request that avoids the refusal *error*, if there is one."""
        if isinstance(error, UpstreamRefusal):
            status, refusal = error.upstream_status, error.raw
        elif isinstance(error, UpstreamErrorResponse):
            status, refusal = error.status, error.raw
        elif error.refusal:
            status, refusal = error.status, error.refusal
        else:
            return False
        better = await self._offload(partial(self._exchange.recover, status, refusal))
        if better is None:
            return False
        self._use_exchange(better)
        return True

    def _plan_next(
        self, failure: FailureKind, error: ProxyError
    ) -> tuple[NextAttempt | None, int | None]:
        if self._plan is None:
            self._plan = RetryPlan(len(self._routes), _client_retries(self._request.headers))
        plan, key = self._plan, None
        if failure is FailureKind.KEY_REFUSED and self._key is not None:
            plan.tried_keys |= {self._key}
            key = self._pick_key(tried=plan.tried_keys)
        step = plan.next_attempt(
            failure,
            other_key=key is not None,
            retry_after=error.retry_after,
            chance=_RANDOM.random(),
        )
        return step, key

    def _may_retry(self) -> bool:
        if not self._holds_retry:
            calls, client = len(self._context.deadline_monitor), self._record.key_name
            self._holds_retry = self._context.retry_budget.acquire(calls, client)
        return self._holds_retry

    async def _wait(self, delay: float) -> None:
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            raise self._deadlines.cancel_reason() from None

    def _record_failure(self, failure: FailureKind, error: ProxyError) -> None:
        """Record the failure for the key and the circuit breakers."""
        now = time.monotonic()
        ticket, self._ticket = self._ticket, None
        if ticket is None:
            return  # no request was sent
        report_failure(ticket, failure, now)
        if failure is FailureKind.KEY_REFUSED and self._key is not None:
            rest = rest_for(error, uploading=self._body is not None)
            if rest is not None:
                record, pool = self._record, self._endpoint.key_pool
                pool.quarantine(self._key, record.upstream_model, now, rest, client=record.key_name)

    def _release_ticket(self) -> None:
        """Release an unused half-open probe of the circuit breaker."""
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            ticket.abandoned()

    async def _fail(self, error: ProxyError) -> web.StreamResponse:
        """Send *error* in a stream that has begun; otherwise raise it."""
        if isinstance(error, ConnectError):
            error.should_retry = True  # nothing was sent, so nothing is billed twice
        elif self._record.attempts > 1 and error.should_retry is None:
            # The proxy has retried: retries of the client would multiply the attempts.
            error.should_retry = False
        client_stream = self._client_stream
        events = error.completed_events
        if client_stream is not None and client_stream.is_content(events):
            await client_stream.send(events)
        if client_stream is None or not client_stream.head_promised:
            raise error
        if client_stream.is_settled:
            return await client_stream.finish_settled()
        self._record.outcome = "refused" if isinstance(error, LimitExceeded) else "upstream_error"
        self._record.code = "" if error.code is None else str(error.code)
        self._deadlines.upstream_done = True  # a timeout must not cancel it once more
        return await client_stream.fail(error)

    async def _fail_internally(self, exc: Exception) -> web.StreamResponse:
        """Send an internal error in a stream that has begun; otherwise raise *exc*."""
        if self._client_stream is None or not self._client_stream.head_promised:
            raise exc
        record = self._record
        # The log has class and location, never the message: it may contain content.
        _LOG.error("internal error in %s %s", record.request_id, record.route, exc_info=exc)
        record.outcome, record.code = "internal_error", "internal_error"
        message = f"The proxy failed; its log says more under {record.request_id}."
        return await self._client_stream.fail(ProxyError(500, message, code="internal_error"))


def _client_retries(headers: Mapping[str, str]) -> bool:
    """Return whether the client retries by itself, as OpenAI's SDKs and Codex do."""
    return "x-stainless-retry-count" in headers or is_codex(headers)


def response_timeout(headers: Mapping[str, str]) -> float:
    """Return the seconds that a buffered answer may take: less than the client's own timeout.

    OpenAI's SDKs send their timeout. They get our 504 before it: else they would pay twice.
    """
    limit = _MAX_RESPONSE_TIME
    for name in ("x-stainless-timeout", "x-stainless-read-timeout"):
        if (value := headers.get(name)) is None:
            continue
        try:
            seconds = float(value)
        except ValueError:
            continue
        if seconds > 0:
            limit = min(limit, max(seconds - 5.0, seconds / 2))
    return limit
