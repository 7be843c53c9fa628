"""Tools become functions."""

from typing import Any

import pytest

from tests.dialects.generate_content.requests import MODEL, chat, read, refusal

WEATHER = {
    "name": "get_weather",
    "description": "Says how it is.",
    "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}},
    "response": {"type": "STRING"},
    "behavior": "BLOCKING",
}
OTHER = {"name": "other", "parametersJsonSchema": {"type": "object", "minItems": "1"}}
TOOLS = [{"functionDeclarations": [WEATHER, OTHER]}]


def test_declarations_become_functions() -> None:
    first, second = chat(tools=TOOLS)["tools"]

    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    assert first == {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Says how it is.",
            "parameters": schema,
        },
    }
    assert second["function"] == {
        "name": "other",
        "parameters": {"type": "object", "minItems": "1"},
    }


def test_names_in_snake_case_are_read() -> None:
    snake = {"name": "f", "parameters_json_schema": {"my_key": {"other_key": 1}}}

    (tool,) = chat(tools={"function_declarations": [snake]})["tools"]

    assert tool["function"]["parameters"] == {"my_key": {"other_key": 1}}


def test_a_function_needs_a_name() -> None:
    error = refusal(tools=[{}, {"functionDeclarations": [{"description": "x"}]}])

    assert error.param == "tools[1].functionDeclarations[0].name"
    bad = refusal(tools=[{"functionDeclarations": [{"name": 3}]}])
    assert (bad.code, bad.param) == ("invalid_type", "tools[0].functionDeclarations[0].name")


@pytest.mark.parametrize(
    "name", ["googleSearch", "googleSearchRetrieval", "urlContext", "codeExecution", "googleMaps"]
)
def test_googles_own_tools_are_dropped_and_named(name: str) -> None:
    request = read(tools=[*TOOLS, {name: {}}])

    assert request.ignored == (f"tools[1].{name}",)


def test_googles_own_tools_alone_are_refused() -> None:
    error = refusal(tools=[{"google_search": {}}])

    assert error.message == f"googleSearch is not served for {MODEL}."
    assert (error.status, error.param) == (400, "tools")


@pytest.mark.parametrize(
    ("mode", "names", "choice"),
    [
        ("AUTO", [], "auto"),
        ("any", [], "required"),
        ("NONE", ["other"], "none"),
        ("VALIDATED", [], "auto"),
        ("ANY", ["other"], {"type": "function", "function": {"name": "other"}}),
        (
            "ANY",
            ["get_weather", "other"],
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "get_weather"}},
                        {"type": "function", "function": {"name": "other"}},
                    ],
                },
            },
        ),
        (
            "VALIDATED",
            ["other"],
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "other"}}],
                },
            },
        ),
    ],
)
def test_modes(mode: str, names: list[str], choice: Any) -> None:
    calling = {"mode": mode, "allowedFunctionNames": names}

    found = chat(tools=TOOLS, toolConfig={"functionCallingConfig": calling})

    assert found["tool_choice"] == choice


@pytest.mark.parametrize("calling", [{}, {"mode": "MODE_UNSPECIFIED"}, None])
def test_no_mode_is_no_choice(calling: Any) -> None:
    assert "tool_choice" not in chat(tools=TOOLS, toolConfig={"functionCallingConfig": calling})


def test_an_unknown_mode_is_refused() -> None:
    error = refusal(tools=TOOLS, toolConfig={"functionCallingConfig": {"mode": "SOME"}})

    assert error.param == "toolConfig.functionCallingConfig.mode"


def test_without_functions_there_is_no_choice() -> None:
    found = chat(toolConfig={"functionCallingConfig": {"mode": "ANY"}})

    assert found.keys() == {"messages"}


def test_what_retrieval_needs_is_named() -> None:
    request = read(toolConfig={"retrievalConfig": {"languageCode": "de"}})

    assert request.ignored == ("toolConfig.retrievalConfig",)


def test_too_many_functions_are_refused() -> None:
    many = [{"name": f"f{number}"} for number in range(513)]

    assert refusal(tools=[{"functionDeclarations": many}]).code == "array_above_max_length"


def test_a_tool_that_is_null_is_none() -> None:
    request = read(tools=[{**TOOLS[0], "googleSearch": None}])

    assert request.ignored == ()
