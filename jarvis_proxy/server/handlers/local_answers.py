"""Calls that the proxy answers itself: token counts, and calls that only fill a cache. IO."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from aiohttp import web

from jarvis_proxy.canonical.answer import AnswerContext
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.dialects.generate_content import dialect as generate_content
from jarvis_proxy.dialects.messages import dialect as messages
from jarvis_proxy.dialects.messages.answer import warmed_cache as empty_answer
from jarvis_proxy.dialects.messages.request import read_request
from jarvis_proxy.dialects.responses import request as responses
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.circuit_breaker import CircuitBreakers
from jarvis_proxy.routing.endpoints import COUNT_TOKENS, MESSAGES
from jarvis_proxy.routing.models import ModelRoute
from jarvis_proxy.routing.retries import FailureKind
from jarvis_proxy.server.context import CONTEXT, MATCH, RECORD
from jarvis_proxy.server.relay.client_stream import SSE_HEADERS
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.server.relay.retry_loop import CallRunner
from jarvis_proxy.server.responses import json_response
from jarvis_proxy.server.upstream_apis import new_call_id
from jarvis_proxy.wire import google_verbs

_COUNTERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    COUNT_TOKENS: messages.count_tokens,
    google_verbs.COUNT_TOKENS: generate_content.count_tokens,
    responses.INPUT_TOKENS: responses.count_tokens,
}
_HOUR: Final = 3600.0
_NO_TOKENS: Final = re.compile(rb'"max_tokens"\s*:\s*0\s*[,}]')


class _CountRunner(CallRunner):
    """Requests a token count, for which an upstream has limits and faults of its own.

    So its results do not change circuit breakers and key quarantines.
    """

    __slots__ = ()

    async def _use_route(self, index: int) -> None:
        await super()._use_route(index)
        self._endpoint = replace(self._endpoint, breakers=CircuitBreakers())

    def _record_failure(self, failure: FailureKind, error: ProxyError) -> None:
        self._release_ticket()


def counts_tokens(endpoint: str) -> bool:
    """Return whether calls to *endpoint* ask for a token count."""
    return endpoint in _COUNTERS


async def count_tokens(
    request: web.Request,
    deadlines: CallDeadlines,
    route: ModelRoute,
    body: bytes,
    make_call: Callable[[ModelRoute], Call],
) -> web.StreamResponse:
    """Answer with the upstream's own count if it has one, otherwise with an estimate.

    Neither counts against a limit or changes a circuit breaker. The proxy remembers for an hour
    that an upstream has no count.

    Raises:
        ProxyError: the request is not valid, or the upstream refuses it.
    """
    context, endpoint = request[CONTEXT], request[MATCH].endpoint
    since = context.cannot_count.get(route.upstream)
    is_absent = since is not None and time.monotonic() - since < _HOUR
    if context.endpoints[route.upstream].relays(endpoint) and not is_absent:
        try:
            return await _CountRunner(request, deadlines, (route,), make_call).run()
        except ProxyError as error:
            if error.code != "unsupported_endpoint":
                raise
            context.cannot_count[route.upstream] = time.monotonic()
    counter = _COUNTERS[endpoint]
    if endpoint == responses.INPUT_TOKENS:
        seal = make_call(route).conversation_seal
        counter = partial(responses.count_tokens, seal=seal)
    job = partial(counter, body)
    counted = await context.offload.run(len(body), request[RECORD].key_name, job)
    return json_response(request, counted)


async def warmed_cache(
    request: web.Request, route: ModelRoute, body: bytes, make_call: Callable[[ModelRoute], Call]
) -> web.Response | None:
    """Answer a Messages call that only fills a cache, if the upstream has none; else return None.

    Raises:
        ProxyError: 400, the request is not valid.
    """
    context = request[CONTEXT]
    if not _NO_TOKENS.search(body) or context.endpoints[route.upstream].relays(MESSAGES):
        return None
    call = make_call(route)
    job = partial(read_request, body, strict=call.strict_params)
    asked = await context.offload.run(len(body), request[RECORD].key_name, job)
    if not asked.warms_cache:
        # The field belongs to a tool.
        return None
    answer = AnswerContext(
        call_id=call.id, created=call.created, model=call.model, new_id=new_call_id
    )
    empty = empty_answer(answer, streamed=call.stream)
    return json_response(request, empty, headers=SSE_HEADERS if call.stream else None)
