"""Builds a Call from a request. IO (reads the request's head)."""

import time
from typing import Final
from urllib.parse import unquote_plus

from aiohttp import web

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.sealed_conversation import ConversationSeal
from jarvis_proxy.dialects.responses.conversation import takes_last_id
from jarvis_proxy.dialects.responses.request import INPUT_TOKENS
from jarvis_proxy.routing.models import ModelRoute
from jarvis_proxy.server.client_apis import api_name
from jarvis_proxy.server.context import ADMITTED_CALL, MATCH, RECORD, AppContext
from jarvis_proxy.wire.headers import idempotency_key, media_type, messages_headers, request_headers

_CONTINUED: Final = ("responses", INPUT_TOKENS)


def new_call(
    request: web.Request,
    context: AppContext,
    route: ModelRoute,
    model: str | None,
    stream: bool,
    body: bytes,
) -> Call:
    """Return the Call for *request*, with *body* instead of the request's own."""
    record = request[RECORD]
    headers = request_headers(request.headers)
    if api_name(request) == "messages":
        headers |= messages_headers(request.headers)
    if (key := headers.get("idempotency-key")) is not None:
        headers["idempotency-key"] = idempotency_key(key, record.key_name)
    if body and not media_type(headers.get("content-type", "")).endswith("json"):
        # The body is JSON, whatever type the client declared.
        headers["content-type"] = "application/json"
    return Call(
        conversation_seal=_conversation_seal(request, context),
        endpoint=request[MATCH].endpoint,
        model=model or "",
        target_model=route.upstream_model,
        stream=stream,
        body=body,
        id=record.request_id.removeprefix("req_"),
        created=int(record.timestamp),
        now=time.monotonic(),
        method=request.method,
        query=query_without_key(raw_query(request)),
        headers=headers,
        strict_params=context.settings.strict_params,
        counts_tokens=request[ADMITTED_CALL].counts_tokens,
        show_thoughts=_shows_thoughts(request, context.settings.show_thoughts, stream=stream),
    )


def _conversation_seal(request: web.Request, context: AppContext) -> ConversationSeal | None:
    """Return the seal that puts conversations into ids for this client key, None without one.

    Its secret is the key's digest, which all processes have and no other client has.
    """
    if context.settings.responses_state != "id" or request[MATCH].endpoint not in _CONTINUED:
        return None
    name = request[RECORD].key_name
    digests = (key.digest for key in context.settings.client_keys if key.name == name)
    digest = next(digests, None)
    takes_last = takes_last_id(request.headers)
    return None if digest is None else ConversationSeal(digest, takes_last_id=takes_last)


def _shows_thoughts(request: web.Request, setting: str, *, stream: bool) -> bool:
    """Return whether to request a model's thoughts although the client did not.

    For clients with OpenAI's JavaScript SDK, such as OpenClaw, thoughts are the only sign of life
    that their watchdogs count. They show the thoughts or drop them.
    """
    if setting != "auto":
        return setting == "always"
    return stream and request.headers.get("x-stainless-lang", "").lower() == "js"


def raw_query(request: web.Request) -> str:
    """Return the raw query: a decoded one could end the request line and inject headers."""
    return request.raw_path.partition("?")[2].partition("#")[0]


def query_without_key(query: str) -> str:
    """Return a raw query without the client's key, in any encoding of the param's name."""
    if not query:
        return ""
    return "&".join(part for part in query.split("&") if not _is_key(part))


def _is_key(part: str) -> bool:
    # Google also accepts `$key`.
    return unquote_plus(part.partition("=")[0]).strip().lower().removeprefix("$") == "key"
