"""Schemas of tools and answers, as Anthropic takes them."""

from typing import Any

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.request.schema import (
    NotStructured,
    input_schema,
    structured,
)
from jarvis_proxy.wire.work_budget import WorkBudget

Json = dict[str, Any]

A = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
B = {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]}
CLOSED = {"additionalProperties": False}


def taken(parameters: object) -> Json:
    """Return the schema of a tool's input."""
    return input_schema(parameters, WorkBudget())


def held(schema: object) -> Json:
    """Return the schema that an answer is held to."""
    return structured(schema, WorkBudget())


@pytest.mark.parametrize(
    ("parameters", "required"),
    [
        ({"allOf": [A, B]}, ["a", "b"]),
        ({"anyOf": [A, B]}, None),
        ({"oneOf": [A, {**A, "required": ["a", "b"]}]}, ["a"]),
        ({"anyOf": [A, B], "required": ["c"]}, ["c"]),
        ({"allOf": [{"anyOf": [A, A]}, B]}, ["a", "b"]),
    ],
)
def test_combinations_at_the_top_are_united(parameters: Json, required: list[str] | None) -> None:
    found = taken(parameters)

    assert not {"allOf", "anyOf", "oneOf"} & found.keys()
    assert found.get("required") == required
    assert "a" in found["properties"]


def test_own_keywords_win_over_those_of_members() -> None:
    mine = {"type": "number"}
    found = taken({"properties": {"a": mine}, "description": "mine", "allOf": [A, B]})

    assert found["properties"]["a"] == mine
    assert found["description"] == "mine"


def test_combinations_below_the_top_stay() -> None:
    inner = {"anyOf": [{"type": "string"}, {"type": "null"}]}

    assert taken({"properties": {"a": inner}})["properties"]["a"] == inner


@pytest.mark.parametrize("parameters", [None, True, [], "x", {"$ref": "#/nowhere"}, {"$ref": 1}])
def test_what_is_no_schema_is_any_object(parameters: object) -> None:
    assert taken(parameters) == {"type": "object"}


def test_references_at_the_top_may_go_round() -> None:
    definitions = {"A": {"$ref": "#/$defs/B"}, "B": {"anyOf": [{"$ref": "#/$defs/A"}, A]}}
    found = taken({"$ref": "#/$defs/A", "$defs": definitions})

    assert found["properties"] == A["properties"]


def test_much_work_for_little_schema_is_refused() -> None:
    names = [f"name{number}" for number in range(2000)]
    many = {"$defs": {"A": {"required": names}}, "allOf": [{"$ref": "#/$defs/A"}] * 2000}
    with pytest.raises(ProxyError) as caught:
        taken(many)

    assert caught.value.code == "request_too_complex"


def test_an_answer_keeps_what_anthropic_knows() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "T",
        "type": "object",
        "properties": {
            "when": {"type": "string", "format": "date-time"},
            "shape": {"type": "string", "format": "regex"},
            "kind": {"enum": ["x", None]},
            "one": {"oneOf": [{"type": "string"}, {"type": "null"}]},
            "list": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            "long": {"type": "array", "items": {"$ref": "#/$defs/In"}, "minItems": 2},
        },
        "required": ["when"],
        "$defs": {"In": A},
    }

    assert held(schema) == {
        "title": "T",
        "type": "object",
        "properties": {
            "when": {"type": "string", "format": "date-time"},
            "shape": {"type": "string", "description": 'format: "regex"'},
            "kind": {"enum": ["x", None]},
            "one": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "list": {
                "type": "array",
                "items": {"type": "integer", "description": "minimum: 0"},
                "minItems": 1,
            },
            "long": {
                "type": "array",
                "items": {"$ref": "#/$defs/In"},
                "description": "minItems: 2",
            },
        },
        "required": ["when"],
        "$defs": {"In": A | CLOSED},
        **CLOSED,
    }


def test_an_object_that_allows_no_key_stays() -> None:
    assert held({"type": "object", **CLOSED}) == {"type": "object", **CLOSED}


@pytest.mark.every_case
@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": "string"},
        {"type": "object"},
        {"type": "object", "additionalProperties": True},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": A["properties"], "additionalProperties": {}},
        {"type": "object", "properties": A["properties"], "patternProperties": {"^x": {}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {}}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/a"}}},
        {
            "$ref": "#/$defs/A",
            "$defs": {
                "A": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}},
                "B": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}},
            },
        },
    ],
)
def test_what_cannot_be_enforced_is_reported(schema: object) -> None:
    with pytest.raises(NotStructured):
        held(schema)


def test_a_schema_that_is_nested_too_deeply_cannot_be_held_to() -> None:
    schema: Json = {"type": "string"}
    for _ in range(100):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(NotStructured):
        held(schema)


def test_references_at_the_top_are_followed_to_a_depth() -> None:
    def chain(length: int) -> Json:
        names = {f"A{n}": {"$ref": f"#/$defs/A{n + 1}"} for n in range(length)}
        return {"$ref": "#/$defs/A0", "$defs": {**names, f"A{length}": A}}

    assert taken(chain(20))["properties"] == A["properties"]
    assert "properties" not in taken(chain(200))
