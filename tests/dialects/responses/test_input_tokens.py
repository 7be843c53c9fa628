"""The estimate of a response's input."""

import json

import pytest

from jarvis_proxy.dialects.responses.input_tokens import count_tokens
from jarvis_proxy.errors import ProxyError


def counted(**fields: object) -> object:
    return json.loads(count_tokens(json.dumps(fields).encode()))


def test_p6_input_is_estimated() -> None:
    items = [
        {"role": "user", "content": "x" * 350},
        {"type": "custom_tool_call", "call_id": "a", "name": "exec", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "none"},
    ]
    tools = [{"type": "function", "name": "f", "parameters": {}}, {"type": "web_search"}]

    assert counted(input="x" * 350) == {"object": "response.input_tokens", "input_tokens": 108}
    found = counted(input=items, tools=tools, instructions="Be brief.")
    assert isinstance(found, dict)
    assert found["input_tokens"] > 200


def test_p6_broken_request_is_refused() -> None:
    with pytest.raises(ProxyError) as caught:
        counted(input=5)

    assert (caught.value.status, caught.value.param) == (400, "input")
