"""A value of the wrong type, anywhere in a request, is taken or refused: it never fails inside."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.errors import ProxyError
from tests.matrix.test_matrix import CELLS, CLIENTS, Client, exchange_for

Path = tuple[str | int, ...]
WRONG: tuple[Any, ...] = ([], {}, [1], {"a": [1]}, 1.5, True, None, "")

_PICTURE = "data:image/png;base64,AAAA"
_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
RICHER: dict[str, dict[str, Any]] = {
    "chat": {
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s"}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": _PICTURE, "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                ],
            },
            {
                "role": "assistant",
                "content": "b",
                "reasoning_content": "c",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": "{}"},
                        "extra_content": {"google": {"thought_signature": "AAAA"}},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "d"}]},
        ],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": _SCHEMA}},
        "stop": ["x"],
        "logit_bias": {"1": 2},
        "metadata": {"a": "b"},
        "modalities": ["text"],
        "extra_body": {"google": {"safety_settings": []}},
    },
    "responses": {
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "a"},
                    {"type": "input_image", "image_url": _PICTURE},
                ],
            },
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "b"}],
                "encrypted_content": "AAAA",
            },
            {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
            {
                "type": "function_call_output",
                "call_id": "c",
                "output": [{"type": "input_text", "text": "d"}],
            },
            {"type": "custom_tool_call", "call_id": "e", "name": "free", "input": "f"},
            {"type": "custom_tool_call_output", "call_id": "e", "output": "g"},
        ],
        "tools": [
            {"type": "function", "name": "get_weather", "parameters": _SCHEMA, "strict": True},
            {"type": "custom", "name": "free", "format": {"type": "text"}},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "m"}]},
            {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}},
        ],
        "tool_choice": {"type": "function", "name": "get_weather"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": _SCHEMA}},
        "include": ["reasoning.encrypted_content"],
    },
    "messages": {
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
                    },
                    {"type": "document", "source": {"type": "text", "data": "b"}, "title": "t"},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "c", "signature": "AAAA"},
                    {"type": "tool_use", "id": "d", "name": "get_weather", "input": {"city": "e"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "d",
                        "content": [{"type": "text", "text": "f"}],
                        "is_error": True,
                    }
                ],
            },
        ],
        "tool_choice": {"type": "tool", "name": "get_weather"},
        "stop_sequences": ["x"],
        "metadata": {"user_id": "u"},
    },
    "generate_content": {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "a"},
                    {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                    {"fileData": {"mimeType": "image/png", "fileUri": _PICTURE}},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "c", "thought": True},
                    {
                        "functionCall": {"name": "get_weather", "args": {"city": "d"}, "id": "e"},
                        "thoughtSignature": "amFydmlzOmNoYXQueDphYmM=",
                    },
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "name": "get_weather",
                            "id": "e",
                            "response": {"output": "f"},
                        }
                    }
                ],
            },
        ],
        "toolConfig": {
            "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}
        },
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "generationConfig": {
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            "thinkingConfig": {"thinkingBudget": 5, "includeThoughts": True},
            "stopSequences": ["x"],
        },
    },
}
"""More kinds of content and parameters than the matrix has."""


def places(value: Any, at: Path = ()) -> Iterator[Path]:
    """Yield the path of every value within *value*."""
    yield at
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(each, (*at, key))


def with_value(body: Any, at: Path, value: Any) -> Any:
    """Return *body* with *value* at the path *at*."""
    if not at:
        return value
    changed: Any = dict(body) if isinstance(body, dict) else list(body)
    changed[at[0]] = with_value(body[at[0]], at[1:], value)
    return changed


def call_with(client: Client, body: bytes) -> Call:
    return Call(
        endpoint=client.endpoint,
        model="m",
        target_model="m",
        stream=False,
        body=body,
        id="0123456789abcdef01234567",
        created=1_700_000_000,
        now=10.0,
    )


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize(("client", "upstream"), CELLS)
def test_a_value_of_the_wrong_type_is_taken_or_refused(client: str, upstream: str) -> None:
    api = CLIENTS[client]
    body = json.loads(api.request(stream=False, follows_call=True)) | RICHER[client]

    exchange_for(upstream, call_with(api, json.dumps(body).encode()))  # as it is, it is taken
    for at in places(body):
        for value in WRONG:
            changed = json.dumps(with_value(body, at, value)).encode()
            try:
                exchange_for(upstream, call_with(api, changed))
                status = 200
            except ProxyError as error:
                status = error.status
            except Exception as error:
                pytest.fail(f"{value} at {at}: {error!r}")
            assert status < 500, (at, value)
