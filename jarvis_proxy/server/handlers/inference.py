"""The one handler behind every endpoint that takes a model. IO."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from aiohttp import web

from jarvis_proxy.aiohttp_ext.server_connection import connection_of
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.models import Route
from jarvis_proxy.server.context import ADMISSION, MATCH, RECORD, SHELL
from jarvis_proxy.server.handlers.new_call import new_call, raw_query
from jarvis_proxy.server.handlers.uploads import relay_any, relay_form
from jarvis_proxy.server.relay.client_stream import deliver
from jarvis_proxy.server.relay.deadlines import Watched
from jarvis_proxy.server.relay.retry_loop import Conversation
from jarvis_proxy.server.request_body import check_charset, is_json_type, not_json_type, read_body
from jarvis_proxy.wire.headers import media_type
from jarvis_proxy.wire.request_head import RequestHead, decode_head, with_model
from jarvis_proxy.wire.single_model import check_query, only_model

_TAKES_DEFAULT: Final = ("chat/completions", "completions", "responses")
_LINGER: Final = 30.0
_Handler = Callable[[web.Request, Watched], Awaitable[web.StreamResponse]]


async def infer(request: web.Request) -> web.StreamResponse:
    """Answer a call that names a model, by whichever upstream serves it."""
    if media_type(request.headers.get("Content-Type", "")) == "multipart/form-data":
        return await _under_watch(request, relay_form)
    return await _under_watch(request, _infer)


async def pass_on(request: web.Request) -> web.StreamResponse:
    """Relay any other OpenAI path as it is (PASSTHROUGH=all), streaming both ways."""
    return await _under_watch(request, relay_any)


async def _under_watch(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Run *handler* under the clock; turn a cancellation by the clock into its error.

    Raises:
        ProxyError: 503 or 429, there is no place for another call, or no budget.
    """
    shell, record = request.app[SHELL], request[RECORD]
    watch = shell.watch
    shell.usage.check(record.key_name, time.time())
    admission = shell.guard.enter(record.key_name, record.request_id, len(watch))
    request[ADMISSION] = admission
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a handler always runs in a task
    watched = watch.open(task)
    if shell.live is not None:
        shell.live.open[record.request_id] = record
    is_late = False
    try:
        return await deliver(request, await handler(request, watched), watched)
    except asyncio.CancelledError:
        is_late = True
        raise watched.reason() from None
    except ProxyError as error:
        is_late = error.code == "request_timeout"
        raise
    finally:
        if watched.received and not is_late and not request.content.is_eof():
            # It was answered in the middle of its body: the client is to get that, not a reset.
            connection_of(request).linger(_LINGER)
        watch.close(watched)
        if shell.live is not None:
            shell.live.open.pop(record.request_id, None)
        admission.leave(record)


async def _with_nothing_beside(request: web.Request, body: bytes, model: str | None) -> bytes:
    """Return *body* with *model* as its only model, for a key that may use certain models.

    Raises:
        ProxyError: 400, body or query might name another one; 404, a tool names one that the key
            may not use.
    """
    check_query(raw_query(request))
    job, client = partial(only_model, body, model), request[RECORD].key_name
    body, others = await request.app[SHELL].offload.run(len(body), client, job)
    for other in others:
        request[ADMISSION].resolve(other)
    return body


async def _infer(request: web.Request, watched: Watched) -> web.StreamResponse:
    shell, admission = request.app[SHELL], request[ADMISSION]
    check_charset(request)
    body = await read_body(request, shell.settings.max_body, watched)
    record = request[RECORD]
    record.received = time.monotonic()
    record.bytes_in = len(body)
    job = partial(_head, request, body, shell.settings.limits.json_depth)
    head = await shell.offload.run(len(body), record.key_name, job)
    model = head.model
    if model is None and request[MATCH].endpoint not in _TAKES_DEFAULT:
        # Moderations and images have defaults of OpenAI's own.
        route = admission.openai()
    else:
        route = admission.resolve(model)
    if model is None and route.target:
        model = shell.settings.default_model
        named = partial(with_model, body, route.target)
        body = await shell.offload.run(len(body), record.key_name, named)
    if admission.is_limited:
        body = await _with_nothing_beside(request, body, model)
    await admission.ask(body)
    record.model, record.upstream, record.target = model or "-", route.upstream, route.target

    def make_call(route: Route) -> Call:
        return new_call(request, shell, route, model, stream=bool(head.stream), body=body)

    routes = (route, *admission.fallbacks(head.model))
    return await Conversation(request, watched, routes, make_call).run()


def _head(request: web.Request, body: bytes, max_depth: int) -> RequestHead:
    """Return what the body says, whatever its type says.

    Raises:
        ProxyError: 400, as ``decode_head``; 415 `unsupported_media_type`, it is of another type.
    """
    try:
        return decode_head(body, max_depth)
    except ProxyError as error:
        is_json = is_json_type(request) or body.lstrip()[:1] in (b"{", b"[")
        if error.code == "invalid_json" and not is_json:
            raise not_json_type() from None
        raise
