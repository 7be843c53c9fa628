"""The client APIs that are served, one row each. IO (reads the request's head)."""

import re
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from jarvis_proxy.canonical.client_api import ApiName, ClientApi
from jarvis_proxy.dialects.generate_content.client_api import GenerateContentApi
from jarvis_proxy.dialects.generate_content.paths import is_googles
from jarvis_proxy.dialects.messages.client_api import MessagesApi
from jarvis_proxy.dialects.openai_api import OpenAIApi
from jarvis_proxy.routing.endpoints import EndpointMatch
from jarvis_proxy.server.context import MATCH

_APIS: Final[Mapping[ApiName, ClientApi]] = {
    "openai": OpenAIApi(),
    "messages": MessagesApi(),
    "generate_content": GenerateContentApi(),
}
_ANTHROPIC_VERSION: Final = "anthropic-version"
_ANTHROPIC_PATH: Final = re.compile(r"/+anthropic/|/+(?:v1/+)?(?:messages|complete)(?:/|\Z)")
"""Paths that only clients of Anthropic's API request."""
_GOOGLE_HEADERS: Final = ("x-goog-api-key", "x-goog-api-client")


def client_api(request: web.Request) -> ClientApi:
    """Return the API of the client that sent *request*, even for an unserved path."""
    return _APIS[api_name(request)]


def api_name(request: web.Request) -> ApiName:
    """Return the name of the API of the client that sent *request*.

    The path of a call identifies it. Several APIs share the path of the model list, or of unknown
    paths; there the headers of their SDKs identify it.
    """
    match_endpoint: EndpointMatch | None = request.get(MATCH)
    if match_endpoint is not None and match_endpoint.api is not None:
        return match_endpoint.api
    path = request.raw_path.partition("?")[0]
    if _ANTHROPIC_VERSION in request.headers or _ANTHROPIC_PATH.match(path):
        return "messages"
    if is_googles(path) or any(name in request.headers for name in _GOOGLE_HEADERS):
        return "generate_content"
    if match_endpoint is not None and "key=" in request.query_string:
        return "generate_content"
    return "openai"
