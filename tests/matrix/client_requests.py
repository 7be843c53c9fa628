"""One question in each client API: with a tool, thoughts asked for, and a call in its history."""

import json
from typing import Any

_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
_ARGUMENTS = {"city": "Rome", "days": 3}
_TOOL = {"name": "get_weather", "description": "Tells the weather."}


def chat(*, stream: bool, follows_call: bool) -> bytes:
    """Return a chat completions request."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How is the weather in Rome?"},
    ]
    if follows_call:
        function = {"name": "get_weather", "arguments": json.dumps(_ARGUMENTS)}
        call = {"id": "call_1", "type": "function", "function": function}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ]
    body: dict[str, Any] = {
        "model": "m",
        "messages": messages,
        "tools": [{"type": "function", "function": {**_TOOL, "parameters": _SCHEMA}}],
        "include_thoughts": True,
        "reasoning_effort": "low",
        "stream": stream,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


def responses(*, stream: bool, follows_call: bool) -> bytes:
    """Return a Responses request."""
    items: list[dict[str, Any]] = [{"role": "user", "content": "How is the weather in Rome?"}]
    if follows_call:
        call = {"call_id": "call_1", "name": "get_weather", "arguments": json.dumps(_ARGUMENTS)}
        items += [
            {"type": "function_call", **call},
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        ]
    body = {
        "model": "m",
        "instructions": "Be brief.",
        "input": items,
        "tools": [{"type": "function", **_TOOL, "parameters": _SCHEMA}],
        "reasoning": {"effort": "low", "summary": "auto"},
        "store": False,
        "stream": stream,
    }
    return json.dumps(body).encode()


def messages(*, stream: bool, follows_call: bool) -> bytes:
    """Return a Messages request."""
    turns: list[dict[str, Any]] = [{"role": "user", "content": "How is the weather in Rome?"}]
    if follows_call:
        call = {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": _ARGUMENTS}
        result = {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"}
        turns += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    body = {
        "model": "m",
        "max_tokens": 4096,
        "system": "Be brief.",
        "messages": turns,
        "tools": [{**_TOOL, "input_schema": _SCHEMA}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "stream": stream,
    }
    return json.dumps(body).encode()


def generate_content(*, stream: bool, follows_call: bool) -> bytes:
    """Return a GenerateContentRequest: whether it streams, its address says."""
    contents: list[dict[str, Any]] = [
        {"role": "user", "parts": [{"text": "How is the weather in Rome?"}]}
    ]
    if follows_call:
        call = {"name": "get_weather", "args": _ARGUMENTS}
        result = {"name": "get_weather", "response": {"output": "sunny"}}
        contents += [
            {"role": "model", "parts": [{"functionCall": call}]},
            {"role": "user", "parts": [{"functionResponse": result}]},
        ]
    body = {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": contents,
        "tools": [{"functionDeclarations": [{**_TOOL, "parametersJsonSchema": _SCHEMA}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    }
    return json.dumps(body).encode()
