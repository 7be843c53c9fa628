"""Rows R19 to R25: tools, and which of them the model may call."""

import json
from typing import Any

import pytest

from tests.dialects.messages.requests import (
    CACHED,
    SCHEMA,
    Json,
    chat,
    fault,
    reading,
)


def test_tools_are_functions() -> None:
    tool = {
        "type": "custom",
        "name": "f",
        "description": "does it",
        "input_schema": {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMA},
        "strict": True,
        "input_examples": [{"a": "b"}],
        "eager_input_streaming": None,
        "cache_control": CACHED,
    }
    found = chat(tools=[tool, {"name": "g", "input_schema": SCHEMA}])["tools"]
    assert found == [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "does it",
                "parameters": SCHEMA,
                "strict": True,
                "input_examples": [{"a": "b"}],
            },
            "cache_control": CACHED,
        },
        {"type": "function", "function": {"name": "g", "parameters": SCHEMA}},
    ]


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        ({"name": "f"}, "tools.0.input_schema: Field required"),
        ({"input_schema": SCHEMA}, "tools.0.name: Field required"),
        (
            {"name": "f", "input_schema": True},
            "tools.0.input_schema: Input should be a valid dictionary",
        ),
    ],
)
def test_a_tool_lacks_something(tool: Json, message: str) -> None:
    assert fault(tools=[tool]).message == message


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("web_search_20250305", "web_search"),
        ("web_fetch_20260318", "url_context"),
        ("code_execution_20250825", "code_execution"),
    ],
)
def test_tools_that_the_upstream_may_run(kind: str, expected: str) -> None:
    request = reading(tools=[{"type": kind, "name": "x", "max_uses": 8}])
    assert json.loads(request.body)["tools"] == [{"type": expected}]
    assert request.ignored == ()


def test_domains_cannot_be_asked_for_elsewhere() -> None:
    tool = {"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.example"]}
    assert reading(tools=[tool]).ignored == ("tools.0.allowed_domains",)


@pytest.mark.parametrize(
    "kind", ["bash_20250124", "text_editor_20250728", "memory_20250818", "computer_20251124",
             "tool_search_tool_bm25_20251119", "mcp_toolset", "web_search"]
)  # fmt: skip
def test_other_tools_of_anthropics_are_dropped_and_named(kind: str) -> None:
    known = kind == "web_search"
    request = reading(tools=[{"type": kind, "name": "x"}, {"name": "f", "input_schema": SCHEMA}])
    assert request.ignored == (() if known else ("tools.0",))
    assert len(json.loads(request.body)["tools"]) == (2 if known else 1)
    assert request.params.param("tools[0].function.name") == (
        "tools.0.name" if known else "tools.1.name"
    )


def test_without_any_tool_left_there_is_no_choice() -> None:
    request = chat(tools=[{"type": "mcp_toolset"}], tool_choice={"type": "any"})
    assert not request.keys() & {"tools", "tool_choice"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_tool_choice(choice: Json, expected: Any) -> None:
    for asked in (None, {"type": "enabled", "budget_tokens": 1024}):
        request = chat(
            tools=[{"name": "f", "input_schema": SCHEMA}], tool_choice=choice, thinking=asked
        )
        assert request["tool_choice"] == expected


def test_a_choice_that_cannot_be() -> None:
    tools = [{"name": "f", "input_schema": SCHEMA}, {"type": "bash_20250124", "name": "bash"}]
    request = reading(tools=tools, tool_choice={"type": "tool", "name": "bash"})
    assert request.ignored == ("tools.1", "tool_choice")
    assert json.loads(request.body)["tool_choice"] == "auto"
    assert fault(tool_choice={"type": "maybe"}).param == "tool_choice"
    assert fault(tool_choice={"type": "tool"}).message == "tool_choice.name: Field required"


def test_a_placeholder_is_left_out_and_other_deferred_tools_are_declared() -> None:
    tools = [
        {"name": "DeferredToolPlaceholder", "input_schema": SCHEMA, "defer_loading": True},
        {"name": "a", "input_schema": {"type": "object"}, "defer_loading": True},
        {"name": "b", "input_schema": SCHEMA, "defer_loading": True},
        {"name": "c", "input_schema": {"type": "object"}},
    ]
    request = reading(tools=tools)
    found = [tool["function"] for tool in json.loads(request.body)["tools"]]
    assert [function["name"] for function in found] == ["b", "c"]
    assert found[0]["defer_loading"] is True
    assert request.ignored == ()


def test_one_call_at_a_time() -> None:
    tools = [{"name": "f", "input_schema": SCHEMA}]
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    assert chat(tools=tools, tool_choice=choice)["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in chat(tools=tools, tool_choice={"type": "auto"})
