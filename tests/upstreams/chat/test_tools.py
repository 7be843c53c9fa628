"""Tools of any client become functions that every chat service takes, and are found again."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.tools import CalledTool
from jarvis_proxy.errors import ProxyError
from tests.upstreams.chat.requests import GPT_4, VLLM, WEATHER, WEATHER_FUNCTION, Json, plan, sent

CUSTOM: Json = {
    "type": "custom",
    "custom": {
        "name": "exec",
        "description": "Runs a command.",
        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}},
    },
}
SEARCH = {"type": "tool_search", "execution": "client", "description": "Finds tools."}


def function(name: str, **more: Any) -> Json:
    return {"type": "function", "function": {"name": name, **more}}


def tools(*given: Json, target: Any = VLLM) -> list[Json]:
    found: list[Json] = sent(target, tools=list(given)).get("tools", [])
    return found


def names(*given: Json, target: Any = VLLM) -> list[str]:
    return [tool[tool["type"]]["name"] for tool in tools(*given, target=target)]


def test_function_is_written_with_its_known_fields_only() -> None:
    given = {**WEATHER_FUNCTION, "strict": True, "input_examples": [{}], "cache_control": {}}

    assert tools({"type": "function", "function": given, "cache_control": {}}) == [
        {"type": "function", "function": {**WEATHER_FUNCTION, "strict": True}}
    ]


@pytest.mark.parametrize("parameters", [None, True, {}, {"type": "object"}])
def test_function_without_parameters_takes_an_empty_object(parameters: object) -> None:
    (found,) = tools(function("f", parameters=parameters))

    assert found["function"] == {"name": "f", "parameters": {"type": "object", "properties": {}}}


def test_flat_function_is_a_function_too() -> None:
    assert names({"type": "function", "name": "f"}, {"function": {"name": "g"}}) == ["f", "g"]


@pytest.mark.parametrize("name", ["mcp.x/y", "größe", "n" * 80, "a b"])
def test_names_that_services_refuse_are_renamed_and_undone(name: str) -> None:
    made = plan(tools=[function(name), function("plain")])
    sent_name = json.loads(made.body)["tools"][0]["function"]["name"]

    assert len(sent_name) <= 64
    assert sent_name.replace("_", "a").replace("-", "a").isalnum()
    assert sent_name.isascii()
    assert made.tools.called(sent_name) == CalledTool(name)
    assert made.tools.called("plain") == CalledTool("plain")
    assert made.tools.called("other") == CalledTool("other")


def test_member_of_a_namespace_is_flattened_and_found_again() -> None:
    made = plan(tools=[function("get_weather", namespace="mcp__wx"), function("f")])

    assert [t["function"]["name"] for t in json.loads(made.body)["tools"]] == [
        "mcp__wx__get_weather",
        "f",
    ]
    assert made.tools.called("mcp__wx__get_weather") == CalledTool("get_weather", "mcp__wx")


def test_namespace_with_its_tools_inside_is_flattened() -> None:
    inner = {"type": "function", "name": "get_weather", "parameters": {}}
    (found,) = tools(
        {"type": "namespace", "name": "wx", "description": "Weather.", "tools": [inner]}
    )

    assert found["function"]["name"] == "wx__get_weather"
    assert found["function"]["description"] == "Weather."


def test_bare_name_of_a_member_is_found() -> None:
    made = plan(tools=[function("get_weather", namespace="mcp__wx")])

    assert made.tools.called("get_weather") == CalledTool("get_weather", "mcp__wx")
    assert made.tools.called("mcp__wx.get_weather") == CalledTool("get_weather", "mcp__wx")


def test_deferred_tool_waits_for_a_search_that_is_declared() -> None:
    later = function("later", defer_loading=True)

    assert names(later, function("f")) == ["later", "f"]
    assert names(later, function("f"), SEARCH) == ["f", "tool_search"]


def test_search_of_the_clients_is_a_function() -> None:
    (found,) = tools(SEARCH)

    assert found["function"]["name"] == "tool_search"
    assert found["function"]["description"] == "Finds tools."
    assert found["function"]["parameters"]["properties"] == {"query": {"type": "string"}}


def test_search_of_a_server_is_named() -> None:
    assert plan(tools=[WEATHER, {"type": "tool_search"}]).ignored == ("tools[1]",)


def test_custom_tool_stays_one_at_openai() -> None:
    made = plan(GPT_4, tools=[CUSTOM])

    assert json.loads(made.body)["tools"] == [CUSTOM]
    assert made.tools.called("exec") == CalledTool("exec")


def test_custom_tool_is_a_function_of_one_text_elsewhere() -> None:
    made = plan(tools=[CUSTOM])
    (found,) = json.loads(made.body)["tools"]

    assert found["function"]["description"] == "Runs a command."
    assert found["function"]["parameters"] == {
        "type": "object",
        "properties": {
            "input": {"type": "string", "description": "Must match this grammar:\nstart: X"}
        },
        "required": ["input"],
    }
    assert made.tools.called("exec") == CalledTool("exec", None, wraps_text=True)


def test_custom_member_of_a_namespace_is_found_with_both() -> None:
    made = plan(tools=[{"type": "custom", "custom": {"name": "exec", "namespace": "sh"}}])

    assert made.tools.called("sh__exec") == CalledTool("exec", "sh", wraps_text=True)


@pytest.mark.parametrize("kind", ["web_search", "file_search", "mcp", "next_years_tool"])
def test_tools_of_other_servers_are_named(kind: str) -> None:
    made = plan(tools=[{"type": kind}, WEATHER])

    assert made.ignored == ("tools[0]",)
    assert [tool["type"] for tool in json.loads(made.body)["tools"]] == ["function"]


def test_tools_of_other_servers_alone_leave_no_tools() -> None:
    made = plan(tools=[{"type": "web_search"}], tool_choice="auto", parallel_tool_calls=False)

    assert json.loads(made.body).keys() == {"model", "messages"}
    assert not made.one_call


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ([function("")], "tools[0].name"),
        ([function("f"), function("f")], "tools[1].name"),
        ([{"type": "function"}], "tools[0].function"),
        ([{"type": "custom", "custom": {"name": 5}}], "tools[0].custom.name"),
    ],
)
def test_broken_tool_is_refused_with_its_param(given: list[Json], param: str) -> None:
    with pytest.raises(ProxyError) as caught:
        tools(*given)

    assert (caught.value.status, caught.value.param) == (400, param)


def test_parameters_that_are_no_object_stay_as_they_are() -> None:
    (found,) = tools(function("f", parameters={"type": "string"}))

    assert found["function"]["parameters"] == {"type": "string"}
