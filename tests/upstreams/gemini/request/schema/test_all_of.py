"""schema_merge: allOf merged into one schema."""

from typing import Any

import pytest

from jarvis_proxy.upstreams.gemini.request.schema.all_of import AllOfMerger
from jarvis_proxy.upstreams.gemini.request.schema.refs import RefResolver
from jarvis_proxy.wire.work_budget import WorkBudget


def merged(schema: dict[str, Any]) -> dict[str, Any]:
    merger = AllOfMerger(
        RefResolver(schema, "schema", WorkBudget()), lambda depth: None, WorkBudget()
    )
    return merger.enter(schema, 1).schema


A = {"type": "string"}
B = {"type": "number"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, {"type": "string"}),
        ({"allOf": "x", "type": "string"}, {"allOf": "x", "type": "string"}),
        ({"allOf": []}, {}),
        ({"allOf": [A], "title": "T"}, {"type": "string", "title": "T"}),
        ({"allOf": [A, B]}, {"type": "string"}),
        ({"allOf": [A, True, "junk"]}, {"type": "string"}),
        ({"allOf": [{"allOf": [{"title": "T"}]}, A]}, {"title": "T", "type": "string"}),
        (
            {"required": ["a"], "allOf": [{"required": ["b"]}, {"required": ["a"]}]},
            {"required": ["a", "b"]},
        ),
        (
            {"properties": {"a": A}, "allOf": [{"properties": {"b": B, "a": A}}]},
            {"properties": {"a": A, "b": B}},
        ),
        (
            {"properties": {"a": A}, "allOf": [{"properties": {"a": B}}]},
            {"properties": {"a": {"allOf": [A, B]}}},
        ),
        ({"properties": 3, "allOf": [{"properties": {"a": B}}]}, {"properties": 3}),
        ({"required": 3, "allOf": [{"required": ["a"]}]}, {"required": 3}),
    ],
    ids=str,
)
def test_members_are_united(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected == merged(schema)


def test_a_lone_reference_stays_a_reference() -> None:
    definitions = {"A": A}
    schema = {
        "$defs": definitions,
        "description": "D",
        "allOf": [{"$ref": "#/$defs/A"}, {"title": "T"}],
    }

    assert merged(schema) == {
        "$defs": definitions,
        "description": "D",
        "$ref": "#/$defs/A",
        "title": "T",
    }


def test_references_among_others_are_resolved() -> None:
    definitions = {"A": {"properties": {"a": A}}, "B": {"allOf": [{"$ref": "#/$defs/A"}, B]}}
    schema = {"$defs": definitions, "allOf": [{"$ref": "#/$defs/B"}, {"required": ["a"]}]}

    assert merged(schema) == {
        "$defs": definitions,
        "properties": {"a": A},
        "type": "number",
        "required": ["a"],
    }


def test_a_definition_that_contains_itself_adds_nothing() -> None:
    definitions = {"A": {"allOf": [{"$ref": "#/$defs/A"}, {"minItems": 1}]}}
    schema = {"$defs": definitions, "type": "array", "allOf": [{"$ref": "#/$defs/A"}]}

    assert merged(schema) == {"$defs": definitions, "type": "array", "minItems": 1}


def test_what_was_merged_further_out_stays_a_reference_further_in() -> None:
    inner: dict[str, Any] = {"type": "object", "allOf": [{"$ref": "#/$defs/A"}]}
    schema = {"$defs": {"A": {"properties": {"a": inner}}}, "type": "object"}
    merger = AllOfMerger(
        RefResolver(schema, "schema", WorkBudget()), lambda depth: None, WorkBudget()
    )

    outer = merger.enter(inner, 1)
    further_in = merger.enter(inner, 2)
    merger.leave(further_in)
    merger.leave(outer)
    again = merger.enter(inner, 1)

    assert outer.schema == again.schema == {"type": "object", "properties": {"a": inner}}
    assert further_in.schema == {"type": "object", "$ref": "#/$defs/A"}
