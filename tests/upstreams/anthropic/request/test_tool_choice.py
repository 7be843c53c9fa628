"""Which tools a model may or must call."""

import pytest

from tests.upstreams.anthropic.chat import (
    V45,
    Json,
    asking,
    body_for,
    function,
    ignored,
    refusal,
)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ("validated", {"type": "auto"}),
        ({"type": "function", "function": {"name": "g"}}, {"type": "tool", "name": "g"}),
    ],
)
def test_tool_choice(choice: object, sent: Json) -> None:
    body = asking(tools=[function("f"), function("g")], tool_choice=choice)

    assert body_for(body)["tool_choice"] == sent


@pytest.mark.parametrize(("mode", "sent"), [("auto", "auto"), ("required", "any")])
def test_allowed_tools_are_the_only_ones_declared(mode: str, sent: str) -> None:
    allowed = {"mode": mode, "tools": [{"type": "function", "name": "g"}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    body = body_for(asking(tools=[function("f"), function("g")], tool_choice=choice))

    assert [tool["name"] for tool in body["tools"]] == ["g"]
    assert body["tool_choice"] == {"type": sent}


@pytest.mark.parametrize(
    ("choice", "sent"), [(None, "auto"), ("required", "any"), ("none", "none")]
)
def test_one_call_at_a_time(choice: object, sent: str) -> None:
    body = asking(tools=[function()], tool_choice=choice, parallel_tool_calls=False)
    found = body_for(body)["tool_choice"]

    assert found["type"] == sent
    assert found.get("disable_parallel_tool_use") is (None if sent == "none" else True)


def test_a_forced_call_turns_a_budget_off() -> None:
    body = asking(tools=[function()], tool_choice="required", reasoning_effort="high")

    assert "thinking" not in body_for(body, V45)
    assert ignored(body, V45) == ("reasoning_effort",)


def test_a_forced_call_leaves_adaptive_thinking() -> None:
    body = asking(tools=[function()], tool_choice="required", reasoning_effort="high")

    assert body_for(body)["thinking"]["type"] == "adaptive"


def test_a_choice_without_tools() -> None:
    assert "tool_choice" not in body_for(asking(tool_choice="auto"))
    assert ignored(asking(tool_choice="required")) == ("tool_choice",)


def test_an_undeclared_tool_is_refused() -> None:
    choice = {"type": "function", "function": {"name": "g"}}
    error = refusal(asking(tools=[function()], tool_choice=choice))

    assert error.param == "tool_choice"


def test_a_tool_that_anthropic_runs_cannot_be_chosen() -> None:
    body = asking(tools=[function()], tool_choice={"type": "web_search"})

    assert "tool_choice" not in body_for(body)
    assert ignored(body) == ("tool_choice",)
