"""Small builders for the tests of the request side: calls, plans, an in-memory store."""

import json
from collections.abc import Mapping
from typing import Any

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.chat_decoder import decode_chat
from jarvis_proxy.canonical.exchange import Media, Prerequisites
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.recovery import RequestFallbacks
from jarvis_proxy.upstreams.gemini.request.build import TranslatedRequest, build_chat, needs
from jarvis_proxy.upstreams.gemini.request.content import ImageUrls
from jarvis_proxy.upstreams.gemini.signature_store import StoredSignature

Json = dict[str, Any]

NEWEST = "gemini-3.8-flash"
OLD = "gemini-2.5-flash"
PNG = "iVBORw0KGgo="
AS_IT_IS = RequestFallbacks()
JPEG_BYTES = b"\xff\xd8\xff\xe0 a picture"


class DictSignatureStore:
    """A store that knows exactly what it is given."""

    def __init__(self, known: Mapping[str, StoredSignature] | None = None) -> None:
        self.known = dict(known or {})

    def get(self, call_id: str, now: float) -> StoredSignature | None:
        return self.known.get(call_id)

    def put(self, call_id: str, value: StoredSignature, now: float) -> None:
        self.known[call_id] = value


def make_call(
    body: object,
    model: str = NEWEST,
    *,
    strict_params: bool = False,
    show_thoughts: bool = False,
) -> Call:
    """Return a chat call; *body* is JSON to be, or bytes as they are."""
    return Call(
        endpoint="chat/completions",
        model=model,
        target_model=model,
        stream=False,
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        id="chatcmpl-1",
        created=1,
        now=0.0,
        strict_params=strict_params,
        show_thoughts=show_thoughts,
    )


def needed(call: Call, image_urls: ImageUrls = "fetch") -> Prerequisites:
    """Return what the request of *call* needs."""
    return needs(decode_chat(call.body), image_urls)


def built(call: Call, media: Mapping[str, Media | ProxyError]) -> TranslatedRequest:
    """Return the plan for *call* without remembered signatures."""
    return build_chat(call, decode_chat(call.body), signatures=DictSignatureStore(), media=media)


def plan_for(
    body: object,
    model: str = NEWEST,
    *,
    store: Mapping[str, StoredSignature] | None = None,
    media: Mapping[str, Media | ProxyError] | None = None,
    image_urls: ImageUrls = "fetch",
    fallbacks: RequestFallbacks = AS_IT_IS,
    strict_params: bool = False,
    show_thoughts: bool = False,
) -> TranslatedRequest:
    """Return the plan for a chat body."""
    call = make_call(body, model, strict_params=strict_params, show_thoughts=show_thoughts)
    return build_chat(
        call,
        decode_chat(call.body),
        signatures=DictSignatureStore(store),
        media=media or {},
        image_urls=image_urls,
        fallbacks=fallbacks,
    )


def body_for(body: object, model: str = NEWEST, **options: Any) -> Json:
    """Return the upstream body for a chat body, decoded."""
    built: Json = json.loads(plan_for(body, model, **options).body)
    return built


def user(content: object = "hi") -> Json:
    """Return a user's message."""
    return {"role": "user", "content": content}


def asking(**fields: object) -> Json:
    """Return a chat body with one user message and further fields."""
    return {"model": "gemini", "messages": [user()], **fields}


def called(*ids: str, name: str = "f", arguments: str = "{}", **fields: object) -> Json:
    """Return an assistant message with a call of *name* for each id."""
    calls = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id in ids
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls, **fields}


def result(call_id: str, content: object = "ok", **fields: object) -> Json:
    """Return a tool message."""
    return {"role": "tool", "tool_call_id": call_id, "content": content, **fields}


def function(name: str = "f", parameters: object = None, **fields: object) -> Json:
    """Return a function tool."""
    spec = {"name": name, **({"parameters": parameters} if parameters is not None else {})}
    return {"type": "function", "function": {**spec, **fields}}
