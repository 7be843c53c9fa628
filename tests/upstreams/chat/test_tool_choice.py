"""``tool_choice`` in the upstream's form."""

from typing import Any

import pytest

from jarvis_proxy.errors import ProxyError
from tests.upstreams.chat.requests import GPT_4, VLLM, WEATHER, Json, plan, sent

TIME = {"type": "function", "function": {"name": "get_time", "namespace": "clock"}}
CUSTOM = {"type": "custom", "custom": {"name": "exec"}}
TOOLS = [WEATHER, TIME, CUSTOM]
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def choice(given: Any, target: Any = VLLM) -> Any:
    return sent(target, tools=TOOLS, tool_choice=given).get("tool_choice")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("any", "required"),
        ("validated", "auto"),
        ("VALIDATED", "auto"),
        ({"type": "auto"}, "auto"),
        (None, None),
        (NAMED, NAMED),
        ({"type": "function", "name": "get_weather"}, NAMED),
        (
            {"type": "function", "name": "get_time", "namespace": "clock"},
            {"type": "function", "function": {"name": "clock__get_time"}},
        ),
        (
            {"type": "custom", "custom": {"name": "exec"}},
            {"type": "function", "function": {"name": "exec"}},
        ),
    ],
)
def test_choice_is_said_in_chats_words(given: Any, expected: Any) -> None:
    assert choice(given) == expected


def test_custom_tool_is_chosen_as_such_at_openai() -> None:
    assert choice({"type": "custom", "name": "exec"}, GPT_4) == CUSTOM


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_allowed_tools_are_all_that_a_compatible_service_gets(mode: str) -> None:
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [NAMED]}}
    body = sent(VLLM, tools=TOOLS, tool_choice=allowed)

    assert body["tool_choice"] == mode
    assert [tool["function"]["name"] for tool in body["tools"]] == ["get_weather"]


def test_allowed_tools_are_sent_to_openai() -> None:
    listed = [{"type": "namespace", "name": "clock"}, {"type": "web_search"}]
    body = sent(
        GPT_4,
        tools=TOOLS,
        tool_choice={"type": "allowed_tools", "mode": "required", "tools": listed},
    )

    tools = [{"type": "function", "function": {"name": "clock__get_time"}}]
    assert body["tool_choice"]["allowed_tools"] == {"mode": "required", "tools": tools}
    assert len(body["tools"]) == 3


def test_allowed_tools_of_other_servers_allow_none() -> None:
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}

    assert choice(allowed) == "none"


def test_namespace_as_the_choice_means_one_of_its_tools() -> None:
    body = sent(VLLM, tools=TOOLS, tool_choice={"type": "namespace", "name": "clock"})

    assert body["tool_choice"] == "required"
    assert [tool["function"]["name"] for tool in body["tools"]] == ["clock__get_time"]


@pytest.mark.parametrize("kind", ["web_search", ["web_search"]])
def test_choice_of_another_servers_tool_is_left_to_the_model_and_named(kind: object) -> None:
    made = plan(tools=TOOLS, tool_choice={"type": kind})

    assert made.ignored == ("tool_choice",)
    assert choice({"type": kind}) == "auto"


@pytest.mark.parametrize("given", ["required", {"type": "web_search"}, NAMED])
def test_choice_without_any_tool_is_named(given: Any) -> None:
    assert plan(tools=[], tool_choice=given).ignored == ("tool_choice",)


@pytest.mark.parametrize("given", ["auto", "none", "validated"])
def test_choice_that_demands_no_tool_is_silent_without_one(given: str) -> None:
    assert plan(tool_choice=given).ignored == ()


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("always", "tool_choice"),
        (5, "tool_choice"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "function", "name": 5}, "tool_choice.name"),
        ({"type": "function", "name": "missing"}, "tool_choice"),
        ({"type": "namespace", "name": "missing"}, "tool_choice"),
        ({"type": "allowed_tools", "tools": 5}, "tool_choice.allowed_tools.tools"),
        ({"type": "allowed_tools", "allowed_tools": 5}, "tool_choice.allowed_tools.tools"),
    ],
)
def test_broken_choice_is_refused_with_its_param(given: Json, param: str) -> None:
    with pytest.raises(ProxyError) as caught:
        choice(given)

    assert (caught.value.status, caught.value.param) == (400, param)
