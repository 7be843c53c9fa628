"""What the proxy says of itself: health, readiness, models. IO.

None of these asks an upstream: a monitor or a client at its start must never wait for one.
"""

from typing import Final

from aiohttp import web

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.record import printable
from jarvis_proxy.web.answers import json_response
from jarvis_proxy.web.keys import MATCH, SHELL

HEALTH: Final = b'{"status":"ok","service":"jarvis-openai-proxy"}'
_ROOT: Final = b'{"service":"jarvis-openai-proxy","api":"/v1","health":"/health"}'


async def root(request: web.Request) -> web.StreamResponse:
    """Say what this is."""
    return json_response(request, _ROOT)


async def health(request: web.Request) -> web.StreamResponse:
    """Say that the process answers."""
    return json_response(request, HEALTH)


async def ready(request: web.Request) -> web.StreamResponse:
    """Say whether new calls are welcome: 503 while the server drains."""
    if request.app[SHELL].draining:
        return json_response(request, b'{"status":"draining"}', 503)
    return json_response(request, b'{"status":"ok"}')


async def models(request: web.Request) -> web.StreamResponse:
    """List the models that this key may use."""
    shell = request.app[SHELL]
    shell.refresher.wake_if_stale()
    headers: dict[str, str] = {}
    if failing := shell.catalog.failing():
        headers["x-jarvis-warning"] = f"models not up to date: {', '.join(failing)}"
    body = shell.catalog.listing(shell.registry.is_usable)
    return json_response(request, body, headers=headers)


async def model(request: web.Request) -> web.StreamResponse:
    """Show one model."""
    shell = request.app[SHELL]
    shell.refresher.wake_if_stale()
    model_id = request[MATCH].model_id
    entry = shell.catalog.entry(model_id, shell.registry.is_usable)
    if entry is None:
        raise ProxyError(
            404,
            f"The model '{printable(model_id)}' does not exist or this key may not use it.",
            code="model_not_found",
            param="model",
        )
    return json_response(request, entry)
