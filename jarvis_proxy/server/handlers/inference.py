"""The handler of all endpoints that call a model. IO."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

from aiohttp import web

from jarvis_proxy.aiohttp_ext.server_connection import connection_of
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.dialects.messages.models import known_name
from jarvis_proxy.dialects.speech.answer import delta_events, done_event
from jarvis_proxy.dialects.speech.request import (
    CONTENT_TYPES,
    SPEECH,
    UNENCODED,
    decode_speech,
    streams,
)
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.endpoints import MESSAGES, EndpointMatch
from jarvis_proxy.routing.models import ModelRegistry, ModelRoute
from jarvis_proxy.server.context import ADMITTED_CALL, CONTEXT, MATCH, RECORD
from jarvis_proxy.server.handlers.local_answers import (
    count_tokens,
    counts_tokens,
    warmed_cache,
)
from jarvis_proxy.server.handlers.new_call import new_call, raw_query
from jarvis_proxy.server.handlers.uploads import relay_form, relay_raw
from jarvis_proxy.server.relay.client_stream import SSE_HEADERS, send_buffered
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.server.relay.retry_loop import CallRunner
from jarvis_proxy.server.request_body import check_charset, is_json_type, not_json_type, read_body
from jarvis_proxy.wire.google_verbs import STREAM
from jarvis_proxy.wire.headers import media_type
from jarvis_proxy.wire.request_head import RequestHead, decode_head, with_model
from jarvis_proxy.wire.single_model import check_query, only_model

_TAKES_DEFAULT: Final = ("chat/completions", "completions", "responses")
_LINGER: Final = 30.0
_Handler = Callable[[web.Request, CallDeadlines], Awaitable[web.StreamResponse]]


async def infer(request: web.Request) -> web.StreamResponse:
    """Answer a call to a model by the upstream that serves it."""
    if media_type(request.headers.get("Content-Type", "")) == "multipart/form-data":
        return await with_deadlines(request, relay_form)
    return await with_deadlines(request, _infer)


async def passthrough(request: web.Request) -> web.StreamResponse:
    """Relay any other path unchanged in both directions, streaming (PASSTHROUGH=all)."""
    return await with_deadlines(request, relay_raw)


async def with_deadlines(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Run *handler* within the call's deadlines; a missed deadline becomes its error.

    Raises:
        ProxyError: 503 or 429, too many calls, or an exhausted budget.
    """
    context, record = request[CONTEXT], request[RECORD]
    monitor = context.deadline_monitor
    context.usage.check(record.key_name, time.time())
    admitted = context.admission.admit(record.key_name, record.request_id, len(monitor))
    request[ADMITTED_CALL] = admitted
    deadlines = monitor.register(request.task)
    if context.live_stats is not None:
        context.live_stats.open[record.request_id] = record
    is_late = False
    try:
        return await send_buffered(request, await handler(request, deadlines), deadlines)
    except asyncio.CancelledError:
        is_late = True
        raise deadlines.cancel_reason() from None
    except ProxyError as error:
        is_late = error.code == "request_timeout"
        raise
    finally:
        if deadlines.body_bytes and not is_late and not request.content.is_eof():
            # Answered before the end of the body: the client must get the answer, not a reset.
            connection_of(request).linger(_LINGER)
        monitor.unregister(deadlines)
        if context.live_stats is not None:
            context.live_stats.open.pop(record.request_id, None)
        admitted.release(record)


async def _with_single_model(request: web.Request, body: bytes, model: str | None) -> bytes:
    """Return *body* with *model* as its only model, for a key limited to certain models.

    Raises:
        ProxyError: 400, body or query may name another model; 404, a tool names a model that the
            key may not use.
    """
    check_query(raw_query(request))
    job, client = partial(only_model, body, model), request[RECORD].key_name
    body, others = await request[CONTEXT].offload.run(len(body), client, job)
    for other in others:
        request[ADMITTED_CALL].resolve(other)
    return body


async def _infer(request: web.Request, deadlines: CallDeadlines) -> web.StreamResponse:
    context, record, match = request[CONTEXT], request[RECORD], request[MATCH]
    admitted, endpoint = request[ADMITTED_CALL], match.endpoint
    check_charset(request)
    body = await read_body(request, context.settings.max_body, deadlines)
    record.body_received_at = time.monotonic()
    record.bytes_in = len(body)
    job = partial(_head, request, body, context.settings.limits.json_depth)
    head = await context.offload.run(len(body), record.key_name, job)
    asked = _asked(match, context.registry, head, body)
    model = asked.model
    if model is None and endpoint not in _TAKES_DEFAULT:
        # OpenAI has its own defaults for moderations and images.
        route = admitted.openai_route()
    else:
        route = admitted.resolve(asked.routed)
    if model is None and route.upstream_model:
        model = context.settings.default_model
        named = partial(with_model, body, route.upstream_model)
        body = await context.offload.run(len(body), record.key_name, named)
    if admitted.is_limited and match.api != "generate_content":
        body = await _with_single_model(request, body, model)
    record.model, record.upstream, record.upstream_model = (
        model or "-",
        route.upstream,
        route.upstream_model,
    )

    def make_call(route: ModelRoute) -> Call:
        return new_call(request, context, route, model, stream=asked.stream, body=body)

    if counts_tokens(endpoint):
        return await count_tokens(request, deadlines, route, body, make_call)
    if (
        endpoint == MESSAGES
        and (empty := await warmed_cache(request, route, body, make_call)) is not None
    ):
        return empty
    await admitted.check_rate_limit(body)
    routes = (route, *admitted.fallbacks(asked.routed))
    answer = await CallRunner(request, deadlines, routes, make_call).run()
    return answer if endpoint != SPEECH else await encoded_speech(request, body, answer)


class _Asked(NamedTuple):
    """The *model* in the request, the *routed* name of it, and whether a stream is requested."""

    model: str | None
    routed: str | None
    stream: bool


def _asked(match: EndpointMatch, registry: ModelRegistry, head: RequestHead, body: bytes) -> _Asked:
    """Return what a request to *match* asks for, whose *body* has *head*.

    Raises:
        ProxyError: 400, a Messages request names no model.
    """
    if match.api == "generate_content":
        return _Asked(match.model_id, match.model_id, match.endpoint == STREAM)
    if match.endpoint == SPEECH:
        # Speech has no `stream`: some clients send it, and still expect a file of sound.
        return _Asked(head.model, head.model, streams(body) is not None)
    if match.api != "messages":
        return _Asked(head.model, head.model, bool(head.stream))
    if not head.model:
        raise ProxyError(
            400, "model: Field required", param="model", code="missing_required_parameter"
        )
    known = known_name(head.model, registry.knows, registry.names)
    return _Asked(head.model, known, bool(head.stream))


def _head(request: web.Request, body: bytes, max_depth: int) -> RequestHead:
    """Return the head of the body, whatever type it declares.

    Raises:
        ProxyError: 400, as ``decode_head``; 415 `unsupported_media_type`, it is not JSON.
    """
    try:
        return decode_head(body, max_depth)
    except ProxyError as error:
        is_json = is_json_type(request) or body.lstrip()[:1] in (b"{", b"[")
        if error.code == "invalid_json" and not is_json:
            raise not_json_type() from None
        raise


async def encoded_speech(
    request: web.Request, body: bytes, answer: web.StreamResponse
) -> web.StreamResponse:
    """Return *answer*, encoded in the format that *body* requests if it is unencoded speech.

    Raises:
        ProxyError: 500 `audio_encoding_failed`; 503 `overloaded`, there is not enough memory.
    """
    if not isinstance(answer, web.Response):
        return answer
    if answer.headers.get("Content-Type") != UNENCODED or not isinstance(answer.body, bytes):
        return answer
    asked, wav = decode_speech(body), answer.body
    memory = request[ADMITTED_CALL].open_reservation()
    memory.set(2 * len(wav))
    sound = await request[CONTEXT].sound_encoder.encode(wav, asked.format, asked.speed or 1.0)
    headers = {"Content-Type": CONTENT_TYPES[asked.format]}
    record = request[RECORD]
    if asked.sends_events:
        end = done_event(record.prompt_tokens or 0, record.completion_tokens or 0)
        sound, headers = b"".join((*delta_events(sound), end)), SSE_HEADERS
    memory.set_unchecked(len(sound))
    record.bytes_out = len(sound)
    kept = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
    return web.Response(body=sound, headers={**kept, **headers})
