"""Canonical requests for the tests, and what is sent for them."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.canonical.sealed_state import SealedState, seal
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.recovery import NO_FALLBACKS, RequestFallbacks
from jarvis_proxy.upstreams.chat.target import ChatTarget
from jarvis_proxy.upstreams.chat.writer import ChatPlan, write_chat

Json = dict[str, Any]

DEEPSEEK = ChatTarget("deepseek", "deepseek-chat", switches_thinking=True)
VLLM = ChatTarget("vllm", "qwen-3")
GPT_4 = ChatTarget("openai", "gpt-4.1", is_openai=True)
GPT_5 = ChatTarget("openai", "gpt-5.2", is_openai=True)
USER = {"role": "user", "content": "Hello"}
WEATHER_FUNCTION: Json = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
WEATHER: Json = {"type": "function", "function": WEATHER_FUNCTION}


def plan(
    target: ChatTarget = VLLM,
    fallbacks: RequestFallbacks = NO_FALLBACKS,
    *,
    stream: bool = False,
    strict: bool = False,
    media: Mapping[str, Media | ProxyError] = MappingProxyType({}),
    **fields: Any,
) -> ChatPlan:
    """Return the plan for a request with these fields."""
    body = json.dumps({"messages": [USER], **fields}).encode()
    return write_chat(body, target, stream=stream, strict=strict, fallbacks=fallbacks, media=media)


def sent(
    target: ChatTarget = VLLM,
    fallbacks: RequestFallbacks = NO_FALLBACKS,
    *,
    stream: bool = False,
    **fields: Any,
) -> Json:
    """Return the body that is sent for a request with these fields."""
    body: Json = json.loads(plan(target, fallbacks, stream=stream, **fields).body)
    return body


def messages(*given: Json, target: ChatTarget = VLLM, **fields: Any) -> list[Json]:
    """Return the messages that are sent for *given*."""
    found: list[Json] = sent(target, messages=list(given), **fields)["messages"]
    return found


def called(*ids: str, name: str = "get_weather", **more: Any) -> Json:
    """Return a message of the model with one call for each id."""
    function = {"name": name, "arguments": '{"city":"Oslo"}'}
    calls = [{"id": one, "type": "function", "function": function} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls, **more}


def result(call_id: str, content: Any = "sunny", **more: Any) -> Json:
    """Return the result of a call."""
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def thought(text: str, owner: str = "chat.deepseek") -> Json:
    """Return a thinking block with sealed reasoning."""
    signature = seal(SealedState(owner, text))
    return {"type": "thinking", "thinking": text, "signature": signature}
