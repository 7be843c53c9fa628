"""Small builders for the tests of the request side."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from jarvis_proxy.canonical.chat_decoder import parse_chat
from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.recovery import NO_FALLBACKS, RequestFallbacks
from jarvis_proxy.upstreams.anthropic.request.build import MessagesPlan, write_request
from jarvis_proxy.upstreams.anthropic.request.content import ImageUrls
from tests.support.strict_anthropic import check

Json = dict[str, Any]

NEWEST = "claude-opus-4-8"
V46 = "claude-opus-4-6"
V45 = "claude-sonnet-4-5"
V40 = "claude-sonnet-4-0"
V35 = "claude-3-5-haiku-latest"

PNG = "iVBORw0KGgo="
PDF = "JVBERi0xLjQK"
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "Sig=="}
OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
MARK: Json = {"cache_control": {"type": "ephemeral"}}


def plan_for(
    body: object,
    model: str = NEWEST,
    *,
    stream: bool = False,
    media: Mapping[str, Media | ProxyError] | None = None,
    image_urls: ImageUrls = "fetch",
    show_thoughts: bool = False,
    strict: bool = False,
    fallbacks: RequestFallbacks = NO_FALLBACKS,
) -> MessagesPlan:
    """Return the plan for a canonical request."""
    return write_request(
        parse_chat(json.dumps(body).encode()),
        model,
        stream=stream,
        media=media or {},
        image_urls=image_urls,
        show_thoughts=show_thoughts,
        strict=strict,
        fallbacks=fallbacks,
    )


def body_for(
    body: object, model: str = NEWEST, issued: Iterable[Json] = (THOUGHT,), **options: Any
) -> Json:
    """Return the upstream's body for a canonical request, which Anthropic would take."""
    built: Json = json.loads(plan_for(body, model, **options).body)
    check(built, issued)
    return built


def asking(*messages: Json, **fields: object) -> Json:
    """Return a canonical request with these messages, one of the user's by default."""
    return {"messages": list(messages) or [user()], **fields}


def turns_for(*messages: Json, **options: Any) -> list[Any]:
    """Return ``messages`` of the upstream's body, each as its role and its blocks."""
    turns = body_for(asking(*messages), **options)["messages"]
    return [(turn["role"], turn["content"]) for turn in turns]


def user(content: object = "hi") -> Json:
    """Return a user's message."""
    return {"role": "user", "content": content}


def assistant(content: object = None, *calls: Json, **fields: object) -> Json:
    """Return an assistant's message."""
    called = {"tool_calls": list(calls)} if calls else {}
    return {"role": "assistant", "content": content, **called, **fields}


def call(call_id: str = "call_1", name: str = "f", arguments: object = "{}") -> Json:
    """Return a tool call."""
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def result(call_id: str = "call_1", content: object = "ok", **fields: object) -> Json:
    """Return a tool's message."""
    return {"role": "tool", "tool_call_id": call_id, "content": content, **fields}


def function(name: str = "f", parameters: object = None, **fields: object) -> Json:
    """Return a declared function."""
    inner = {"name": name, "parameters": parameters or {"type": "object", "properties": {}}}
    return {"type": "function", "function": inner | fields}


def text(said: str) -> Json:
    """Return a text block."""
    return {"type": "text", "text": said}


def ignored(body: object, model: str = NEWEST, **options: Any) -> tuple[str, ...]:
    """Return what was left out."""
    return plan_for(body, model, **options).ignored


def refusal(body: object, model: str = NEWEST, **options: Any) -> ProxyError:
    """Return the error for a request that cannot be written."""
    with pytest.raises(ProxyError) as caught:
        plan_for(body, model, **options)
    assert caught.value.status == 400
    return caught.value


def json_schema_format(schema: Json) -> Json:
    """Return the ``response_format`` of a JSON Schema."""
    return {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}


def image(url: str) -> Json:
    """Return a content part with a picture."""
    return {"type": "image_url", "image_url": {"url": url}}
