"""Health, readiness and models. IO.

These handlers never ask an upstream, so that monitors and starting clients never wait for one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from aiohttp import web

from jarvis_proxy.access.permissions import model_not_found
from jarvis_proxy.canonical.client_api import ApiName
from jarvis_proxy.dialects.generate_content import models as google_models
from jarvis_proxy.dialects.messages import models as messages_models
from jarvis_proxy.routing.model_list import ModelEntry, openai_list, openai_object
from jarvis_proxy.server.client_apis import api_name
from jarvis_proxy.server.context import CONTEXT, MATCH, RECORD
from jarvis_proxy.server.handlers.new_call import raw_query
from jarvis_proxy.server.responses import json_response

HEALTH: Final = b'{"status":"ok","service":"jarvis-openai-proxy"}'
_ROOT: Final = b'{"service":"jarvis-openai-proxy","api":"/v1","health":"/health"}'


async def root(request: web.Request) -> web.StreamResponse:
    """Send the name of this service."""
    return json_response(request, _ROOT)


async def health(request: web.Request) -> web.StreamResponse:
    """Report that the process is alive."""
    return json_response(request, HEALTH)


async def ready(request: web.Request) -> web.StreamResponse:
    """Report whether the server accepts new calls: 503 while it drains."""
    if request[CONTEXT].draining:
        return json_response(request, b'{"status":"draining"}', 503)
    return json_response(request, b'{"status":"ok"}')


async def models(request: web.Request) -> web.StreamResponse:
    """List the models that this key may use."""
    context = request[CONTEXT]
    context.refresher.wake_if_stale()
    headers: dict[str, str] = {}
    if failing := context.model_list.failing():
        headers["x-jarvis-warning"] = f"models not up to date: {', '.join(failing)}"
    may_use = context.admission.model_filter(request[RECORD].key_name)
    body = _LISTS[api_name(request)](context.model_list.models(may_use), raw_query(request))
    return json_response(request, body, headers=headers)


async def model(request: web.Request) -> web.StreamResponse:
    """Send one model."""
    context = request[CONTEXT]
    context.refresher.wake_if_stale()
    model_id = request[MATCH].model_id
    may_use = context.admission.model_filter(request[RECORD].key_name)

    def find(name: str) -> ModelEntry | None:
        return context.model_list.model(name, may_use)

    api, name = api_name(request), model_id
    if api == "messages":
        name = messages_models.known_name(model_id, lambda form: find(form) is not None)
    found = find(name)
    if found is None:
        raise model_not_found(model_id)
    return json_response(request, _OBJECTS[api](replace(found, id=model_id)))


def _google_list(models: Sequence[ModelEntry], query: str) -> bytes:
    named = [(model.id, model.native) for model in models]
    return google_models.model_list(named, query)


def _anthropic_list(models: Sequence[ModelEntry], query: str) -> bytes:
    return messages_models.model_list((model.id, model.created) for model in models)


_LISTS: Final[Mapping[ApiName, Callable[[Sequence[ModelEntry], str], bytes]]] = {
    "openai": lambda models, query: openai_list(models),
    "messages": _anthropic_list,
    "generate_content": _google_list,
}
_OBJECTS: Final[Mapping[ApiName, Callable[[ModelEntry], bytes]]] = {
    "openai": openai_object,
    "messages": lambda model: messages_models.model_object(model.id, model.created),
    "generate_content": lambda model: google_models.model_object(model.id, model.native),
}
