"""Health, readiness and models. IO.

None of these asks an upstream: a monitor, or a client that starts, must not wait for one.
"""

from typing import Final

from aiohttp import web

from jarvis_proxy.access.permissions import model_not_found
from jarvis_proxy.server.context import CONTEXT, MATCH, RECORD
from jarvis_proxy.server.responses import json_response

HEALTH: Final = b'{"status":"ok","service":"jarvis-openai-proxy"}'
_ROOT: Final = b'{"service":"jarvis-openai-proxy","api":"/v1","health":"/health"}'


async def root(request: web.Request) -> web.StreamResponse:
    """Name this service."""
    return json_response(request, _ROOT)


async def health(request: web.Request) -> web.StreamResponse:
    """Report that the process is alive."""
    return json_response(request, HEALTH)


async def ready(request: web.Request) -> web.StreamResponse:
    """Report whether the server accepts new calls: 503 while it drains."""
    if request.app[CONTEXT].draining:
        return json_response(request, b'{"status":"draining"}', 503)
    return json_response(request, b'{"status":"ok"}')


async def models(request: web.Request) -> web.StreamResponse:
    """List the models that this key may use."""
    context = request.app[CONTEXT]
    context.refresher.wake_if_stale()
    headers: dict[str, str] = {}
    if failing := context.model_list.failing():
        headers["x-jarvis-warning"] = f"models not up to date: {', '.join(failing)}"
    body = context.model_list.listing(context.admission.model_filter(request[RECORD].key_name))
    return json_response(request, body, headers=headers)


async def model(request: web.Request) -> web.StreamResponse:
    """Show one model."""
    context = request.app[CONTEXT]
    context.refresher.wake_if_stale()
    model_id = request[MATCH].model_id
    entry = context.model_list.entry(
        model_id, context.admission.model_filter(request[RECORD].key_name)
    )
    if entry is None:
        raise model_not_found(model_id)
    return json_response(request, entry)
