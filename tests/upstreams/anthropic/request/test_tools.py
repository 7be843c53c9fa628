"""Tools of a canonical request become Anthropic's, and are known by their names again."""

import json

import pytest

from tests.upstreams.anthropic.chat import (
    NEWEST,
    OBJECT,
    V40,
    Json,
    asking,
    assistant,
    body_for,
    call,
    function,
    ignored,
    plan_for,
    result,
    user,
)


def test_tools_are_named_described_and_have_a_schema() -> None:
    body = body_for(asking(tools=[function("f", OBJECT, description="Adds.")]))

    assert body["tools"] == [{"name": "f", "description": "Adds.", "input_schema": OBJECT}]


@pytest.mark.parametrize(
    ("parameters", "schema"),
    [
        ({}, {"type": "object", "properties": {}}),
        ({"properties": {}}, {"type": "object", "properties": {}}),
        ({"type": ["object", "null"], "properties": {}}, {"type": "object", "properties": {}}),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", **OBJECT},
            OBJECT,
        ),
        (
            {"anyOf": [OBJECT, {"properties": {"b": {}}, "required": ["a", "b"]}]},
            {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {}},
                "required": ["a"],
            },
        ),
        (
            {"allOf": [OBJECT, {"properties": {"b": {}}, "required": ["b"]}]},
            {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {}},
                "required": ["a", "b"],
            },
        ),
        (
            {"$ref": "#/$defs/In", "$defs": {"In": OBJECT}},
            {**OBJECT, "$defs": {"In": OBJECT}},
        ),
        ({"$ref": "#"}, {"type": "object"}),
    ],
    ids=["none", "no type", "null", "draft", "anyOf", "allOf", "reference", "loop"],
)
def test_the_schema_is_an_object_without_combinations_at_the_top(
    parameters: Json, schema: Json
) -> None:
    assert body_for(asking(tools=[function("f", parameters)]))["tools"][0]["input_schema"] == schema


def test_names_are_made_legal() -> None:
    plan = plan_for(asking(tools=[function("a.b c")]))

    (tool,) = json.loads(plan.body)["tools"]
    assert tool["name"] == "a_b_c"
    assert plan.tools.called("a_b_c").name == "a.b c"


def test_a_custom_tool_is_a_function_of_one_text() -> None:
    form = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}}
    custom: Json = {"type": "custom", "custom": {"name": "patch", "format": form}}
    plan = plan_for(asking(tools=[custom]))

    schema = json.loads(plan.body)["tools"][0]["input_schema"]
    assert schema["required"] == ["input"]
    assert "start: A" in schema["properties"]["input"]["description"]
    assert plan.tools.called("patch").wraps_text


def test_a_namespace_is_flattened() -> None:
    inner = [{"type": "function", "name": "send", "parameters": OBJECT}]
    plan = plan_for(asking(tools=[{"type": "namespace", "name": "mail", "tools": inner}]))

    (tool,) = json.loads(plan.body)["tools"]
    called = plan.tools.called(tool["name"])
    assert (called.namespace, called.name) == ("mail", "send")


def test_anthropics_own_fields_of_a_tool_pass() -> None:
    extras = {"input_examples": [{"a": 1}], "defer_loading": True}
    tool = body_for(asking(tools=[function("f", OBJECT, **extras)]))["tools"][0]

    assert {name: tool[name] for name in extras} == extras


def test_a_strict_tool_is_closed_and_its_limits_become_words() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "minLength": 2, "description": "A."}},
    }
    tool = body_for(asking(tools=[function("f", schema, strict=True)]))["tools"][0]

    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False
    described = {"type": "string", "description": "A. (minLength: 2)"}
    assert tool["input_schema"]["properties"]["a"] == described


@pytest.mark.parametrize(
    ("model", "schema"),
    [
        (V40, OBJECT),
        (NEWEST, {"type": "object", "additionalProperties": {"type": "string"}}),
        (NEWEST, {"type": "object", "properties": {"a": {"$ref": "#"}}}),
    ],
    ids=["older model", "any key", "loop"],
)
def test_a_tool_that_cannot_be_held_to_its_schema_is_not_strict(model: str, schema: Json) -> None:
    tool = body_for(asking(tools=[function("f", schema, strict=True)]), model)["tools"][0]

    assert "strict" not in tool


def test_only_twenty_tools_are_strict() -> None:
    tools = [function(f"f{number}", OBJECT, strict=True) for number in range(25)]
    sent = body_for(asking(tools=tools))["tools"]

    assert sum("strict" in tool for tool in sent) == 20


def test_a_function_wins_over_a_tool_of_anthropics_with_its_name() -> None:
    plan = plan_for(asking(tools=[{"type": "web_search"}, function("web_search")]))

    (tool,) = json.loads(plan.body)["tools"]
    assert "type" not in tool
    assert not plan.tools.runs_at_upstream


def test_functions_that_a_search_finds_are_not_declared_before() -> None:
    search = {"type": "tool_search", "execution": "client"}
    tools = [search, function("later", defer_loading=True), function("now")]
    sent = body_for(asking(tools=tools))["tools"]

    assert [tool["name"] for tool in sent] == ["tool_search", "now"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("web_search", "web_search"), ("url_context", "web_fetch"), ("googleSearch", "web_search")],
)
def test_tools_that_anthropic_runs_are_declared(kind: str, name: str) -> None:
    plan = plan_for(asking(tools=[{"type": kind}]))

    assert json.loads(plan.body)["tools"][0]["name"] == name
    assert plan.tools.runs_at_upstream


@pytest.mark.parametrize("kind", ["image_generation", ["web_search"]])
def test_tools_of_other_services_are_left_out_and_named(kind: object) -> None:
    body = asking(tools=[{"type": kind}, function()])

    assert len(body_for(body)["tools"]) == 1
    assert ignored(body) == ("tools[0]",)


def test_names_in_the_history_are_declared_where_no_tools_are() -> None:
    body = body_for(asking(user(), assistant(None, call(name="f")), result()))

    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}


def test_the_older_form_of_tools_is_read() -> None:
    body = body_for(
        asking(functions=[{"name": "f", "parameters": OBJECT}], function_call={"name": "f"})
    )

    assert [tool["name"] for tool in body["tools"]] == ["f"]
    assert body["tool_choice"] == {"type": "tool", "name": "f"}


def test_options_of_a_search_are_left_out_and_named() -> None:
    tools = asking(tools=[{"type": "web_search", "search_context_size": "high"}])
    options = asking(web_search_options={"search_context_size": "high"})

    for body, named in ((tools, "tools[0]"), (options, "web_search_options")):
        assert [tool["name"] for tool in body_for(body)["tools"]] == ["web_search"]
        assert ignored(body) == (f"{named}.search_context_size",)
