"""References, definitions and loops in a schema that is cleaned."""

from typing import Any

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.request.schema.clean import clean, clean_as
from jarvis_proxy.upstreams.gemini.request.schema.form import FULL, SchemaForm
from jarvis_proxy.wire.work_budget import WorkBudget
from tests.upstreams.gemini.request.schema.schemas import DEEP, LOOSE, NULL, STRING


def test_references_lose_their_neighbours_but_not_their_description() -> None:
    schema = {
        "type": "object",
        "properties": {
            "plain": {"$ref": "#/definitions/A"},
            "described": {"$ref": "#/definitions/A", "description": "D", "minLength": 3},
            "maybe": {"$ref": "#/definitions/A", "nullable": True},
        },
        "definitions": {"A": STRING, "Unused": {"type": "number"}},
    }

    reference = {"$ref": "#/$defs/A"}
    assert clean(schema) == {
        "type": "object",
        "properties": {
            "plain": reference,
            "described": {"description": "D (minLength: 3)", "anyOf": [reference]},
            "maybe": {"anyOf": [reference, NULL]},
        },
        "$defs": {"A": STRING},
    }


def test_a_definition_that_nothing_satisfies_says_nothing() -> None:
    assert clean({"$ref": "#/$defs/A", "$defs": {"A": False}}) == {
        "$ref": "#/$defs/A",
        "$defs": {"A": {}},
    }


def test_a_schema_that_is_only_itself_says_nothing() -> None:
    assert clean({"$ref": "#"}) == {}


def test_an_all_of_is_merged() -> None:
    schema = {
        "$defs": {"B": {"type": "object", "properties": {"b": STRING}, "required": ["b"]}},
        "allOf": [{"properties": {"a": STRING}, "required": ["a"]}, {"$ref": "#/$defs/B"}, True],
    }

    assert clean(schema) == {
        "type": "object",
        "properties": {"a": STRING, "b": STRING},
        "required": ["a", "b"],
    }


def test_a_schema_that_would_double_at_every_link_is_merged_once() -> None:
    definitions: dict[str, Any] = {"A0": STRING}
    for level in range(1, 40):
        inner = {"$ref": f"#/$defs/A{level - 1}"}
        definitions[f"A{level}"] = {"allOf": [inner, {"minLength": 1}, inner]}
    work = WorkBudget()

    cleaned = clean({"$defs": definitions, "allOf": [{"$ref": "#/$defs/A39"}, STRING]}, work=work)

    assert cleaned == {"type": "string", "description": "(minLength: 1)"}
    assert work.steps < 1000


def test_a_schema_that_grows_past_the_budget_is_a_400_that_says_what_to_do() -> None:
    wide = {"type": "object", "properties": {f"p{n}": STRING for n in range(300)}}
    fields = {f"f{n}": {"allOf": [{"$ref": "#/$defs/W"}, {"minProperties": n}]} for n in range(300)}
    with pytest.raises(ProxyError, match="instead of merging it with 'allOf'") as caught:
        clean(
            {"$defs": {"W": wide}, "properties": fields},
            param="p",
            work=WorkBudget.for_body(20_000),
        )

    assert (caught.value.status, caught.value.code, caught.value.param) == (
        400,
        "request_too_complex",
        "p",
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://json-schema.org/draft-07/schema#"},
        {"$ref": "other.json#/$defs/A"},
        {"allOf": [{"$ref": "http://json-schema.org/draft-07/schema#"}]},
        {"allOf": [{"$ref": "urn:x:y"}, {"title": "T"}]},
        {"allOf": [{"$ref": "urn:x:y"}, {"minLength": 1}]},
    ],
    ids=str,
)
def test_a_reference_that_leads_outside_is_any_value(schema: dict[str, Any]) -> None:
    whole: Any = clean({"type": "object", "properties": {"a": schema}})
    cleaned = whole["properties"]["a"]

    assert cleaned.keys() <= {"title", "description"}
    assert "json" in cleaned["description"] or "urn:x:y" in cleaned["description"]


def test_what_stands_next_to_a_reference_holds_as_well() -> None:
    schema = {
        "$defs": {"A": {"type": "object", "properties": {"a": STRING}}},
        "properties": {
            "x": {"$ref": "#/$defs/A", "properties": {"b": NULL}, "required": ["b"]},
            "y": {"$ref": "#/$defs/A", "minProperties": 1},
        },
    }

    assert clean(schema) == {
        "type": "object",
        "properties": {
            "x": {
                "type": "object",
                "properties": {"b": NULL, "a": STRING},
                "required": ["b"],
            },
            "y": {"description": "(minProperties: 1)", "anyOf": [{"$ref": "#/$defs/A"}]},
        },
        "$defs": {"A": {"type": "object", "properties": {"a": STRING}}},
    }


def test_references_of_other_drafts_are_followed() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$recursiveRef": "#"}, "b": {"$dynamicRef": "#node"}},
        "$defs": {"N": {"$dynamicAnchor": "node", "type": "string"}},
    }

    assert clean(schema) == {
        "type": "object",
        "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#/$defs/_node"}},
        "$defs": {"_node": STRING},
    }


def test_loops_over_required_values_are_opened() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}, "required": ["next"]}
    cleaned = clean_as(
        {"$ref": "#/$defs/N", "$defs": {"N": node}}, FULL, param="p", work=WorkBudget()
    )

    assert not cleaned.relaxed
    assert cleaned.schema == {
        "$ref": "#/$defs/N",
        "$defs": {
            "N": {**node, "properties": {"next": {"$ref": "#/$defs/N_2"}}},
            "N_2": {**node, "properties": {"next": {"$ref": "#/$defs/N_3"}}},
            "N_3": {
                **node,
                "properties": {"next": {"type": "object", "description": "(again as N)"}},
            },
        },
    }


@pytest.mark.parametrize(
    ("schema", "form", "relaxed"),
    [
        ({"type": "integer", "minimum": 1}, LOOSE, True),
        ({"type": "integer"}, LOOSE, False),
        ({"properties": {"a": {"$ref": "#"}}}, SchemaForm(loops=False), True),
        ({"properties": {"a": STRING}}, SchemaForm(loops=False), False),
        ({"items": {"items": {"items": STRING}}}, DEEP, True),
        ({"items": {"items": STRING}}, DEEP, False),
        ({"type": "integer", "minimum": 1}, FULL, False),
    ],
    ids=str,
)
def test_whether_a_form_made_a_schema_say_less_is_known(
    schema: dict[str, Any], form: SchemaForm, relaxed: bool
) -> None:
    cleaned = clean_as(schema, form, param="p", work=WorkBudget())

    assert relaxed is cleaned.relaxed
    assert relaxed is (cleaned.schema != clean(schema))


def test_what_lies_deep_becomes_words() -> None:
    deep = {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "object", "properties": {"b": STRING}}}
        },
    }

    assert clean(deep, form=DEEP) == {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "object", "description": "({b?: string})"}}
        },
    }


DROPPED_REFERENCES: list[dict[str, Any]] = [
    {
        "type": "string",
        "pattern": "^a",
        "oneOf": [{"additionalProperties": {"enum": [], "$ref": "#"}, "items": {}}],
        "allOf": [{"$ref": "#/$defs/X"}],
        "$defs": {"X": False},
    },
    {"items": {}, "additionalProperties": {"$ref": "#/$defs/X"}, "$defs": {"X": {}}},
]


@pytest.mark.parametrize("schema", DROPPED_REFERENCES)
def test_definition_that_only_a_dropped_schema_refers_to_is_dropped(schema: dict[str, Any]) -> None:
    once = clean(schema)

    assert "$defs" not in once
    assert once == clean(once)


def test_default_value_that_looks_like_a_reference_keeps_no_definition() -> None:
    schema = {"default": {"$ref": "#/$defs/X"}, "$defs": {"X": STRING}}

    assert clean(schema) == {"default": {"$ref": "#/$defs/X"}}
