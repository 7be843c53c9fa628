"""Messages requests in tests: short ones, and what they become."""

import json
from typing import Any

import pytest

from jarvis_proxy.dialects.messages.request import MessagesRequest, read_request
from jarvis_proxy.errors import ProxyError

Json = dict[str, Any]


def body(**fields: Any) -> bytes:
    """Return a request's body; fields that are None are left out."""
    whole = {"model": "m", "max_tokens": 100, "messages": [user("Hi")], **fields}
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


def reading(**fields: Any) -> MessagesRequest:
    """Return what a request with *fields* becomes."""
    return read_request(body(**fields))


def chat(**fields: Any) -> Json:
    """Return the canonical request of one with *fields*."""
    found: Json = json.loads(reading(**fields).body)
    return found


def messages(*given: Json, **fields: Any) -> list[Json]:
    """Return the canonical messages of the *given* ones."""
    found: list[Json] = chat(messages=list(given), **fields)["messages"]
    return found


def fault(**fields: Any) -> ProxyError:
    """Return the error of a request with *fields*."""
    with pytest.raises(ProxyError) as caught:
        reading(**fields)
    assert caught.value.status == 400
    return caught.value


def user(*content: str | Json) -> Json:
    return {"role": "user", "content": _content(content)}


def model(*content: str | Json) -> Json:
    return {"role": "assistant", "content": _content(content)}


def text(words: str, **fields: Any) -> Json:
    return {"type": "text", "text": words, **fields}


def call(call_id: str, tool_input: Any = None, **fields: Any) -> Json:
    tool_input = {} if tool_input is None else tool_input
    return {"type": "tool_use", "id": call_id, "name": "f", "input": tool_input, **fields}


def result(call_id: str, content: Any = None, **fields: Any) -> Json:
    block = {"type": "tool_result", "tool_use_id": call_id, "content": content, **fields}
    return {name: value for name, value in block.items() if value is not None}


def thinking(signature: str, words: str = "hm") -> Json:
    return {"type": "thinking", "thinking": words, "signature": signature}


def base64_source(kind: str, data: str) -> Json:
    return {"type": "base64", "media_type": kind, "data": data}


def _content(content: tuple[str | Json, ...]) -> str | list[Json]:
    if len(content) == 1 and isinstance(content[0], str):
        return content[0]
    return [text(block) if isinstance(block, str) else block for block in content]


CACHED = {"type": "ephemeral"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
PIXEL = {"type": "image", "source": base64_source("image/png", "iVBORw0K")}
PIXEL_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}}
PDF = base64_source("application/pdf", "JVBERi0x")
