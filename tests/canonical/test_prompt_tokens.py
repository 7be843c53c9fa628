"""The estimate of a prompt's tokens, for every client API."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.prompt_tokens import estimate_tokens
from jarvis_proxy.canonical.request import CanonicalRequest, SameParams


def estimate(*messages: Any, **more: Any) -> int:
    body = json.dumps({"messages": messages, **more}).encode()
    return estimate_tokens(CanonicalRequest(body=body, params=SameParams()))


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ("x" * 35, 18),
        (None, 8),
        ([{"type": "text", "text": "x" * 35}], 18),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}], 1608),
        ([{"type": "file", "file": {"file_url": "https://x.example/a"}}], 1608),
        ([{"type": "file", "file": {"file_data": "data:a/b;base64," + "A" * 800}}], 18),
        ([{"type": "tool_reference", "tool_name": "f"}], 20),
        (["x" * 35], 18),
        ([{"type": "text", "text": None}], 8),
        ([{"type": "file", "file": {"file_data": None, "file_id": "f"}}], 1608),
    ],
)
def test_a_message_costs_its_content(content: Any, tokens: int) -> None:
    assert estimate({"role": "user", "content": content}) == tokens


def test_calls_thoughts_tools_and_schemas_cost_their_json() -> None:
    plain = estimate({"role": "assistant", "content": "a"})
    call = {"id": "1", "function": {"name": "f", "arguments": "{}"}}
    thought = {"type": "thinking", "thinking": "x" * 350, "signature": "y" * 3500}

    called = estimate({"role": "assistant", "content": "a", "tool_calls": [call]})
    thinking = estimate({"role": "assistant", "content": "a", "thinking_blocks": [thought]})
    tools = estimate({"role": "assistant", "content": "a"}, tools=[{"type": "function"}])
    form = estimate({"role": "assistant", "content": "a"}, response_format={"type": "json_object"})

    assert called > plain
    assert thinking == plain + 100
    assert tools >= plain + 40
    assert form > plain


def test_custom_calls_cost_what_functions_do() -> None:
    plain = estimate({"role": "assistant", "content": "a"}, tools=None)
    call = {"id": "1", "type": "custom", "custom": {"name": "f", "input": "x" * 350}}

    assert estimate({"role": "assistant", "content": "a", "tool_calls": [call]}) > plain + 100


def test_it_is_never_nothing() -> None:
    assert estimate() == 1
