"""Google's Schema becomes JSON Schema."""

from typing import Any

import pytest

from jarvis_proxy.dialects.generate_content.schemas import from_google, with_small_types
from jarvis_proxy.errors import ProxyError


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("google", "json_schema"),
    [
        ({"type": "STRING"}, {"type": "string"}),
        ({"type": "TYPE_UNSPECIFIED", "title": "t"}, {"title": "t"}),
        ({"type": "STRING", "format": "enum", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
        ({"type": "STRING", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "STRING", "nullable": False}, {"type": "string"}),
        (
            {"type": "STRING", "nullable": True, "enum": ["a"]},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        ({"nullable": True, "enum": ["a", None]}, {"enum": ["a", None]}),
        (
            {"anyOf": [{"type": "STRING"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
        ),
        (
            {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1", "max_items": "9"},
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 9},
        ),
        (
            {
                "type": "OBJECT",
                "properties": {"min_items": {"type": "NUMBER"}, "type": {"type": "BOOLEAN"}},
                "propertyOrdering": ["type"],
                "required": ["type"],
                "example": {},
            },
            {
                "type": "object",
                "properties": {"min_items": {"type": "number"}, "type": {"type": "boolean"}},
                "required": ["type"],
            },
        ),
        (
            {"defs": {"A": {"type": "STRING"}}, "ref": "#/defs/A"},
            {"$defs": {"A": {"type": "string"}}, "$ref": "#/$defs/A"},
        ),
        (
            {"$defs": {"A": {"type": "STRING"}}, "items": {"$ref": "#/$defs/A"}},
            {"$defs": {"A": {"type": "string"}}, "items": {"$ref": "#/$defs/A"}},
        ),
        (
            {"type": "NUMBER", "minimum": "1", "maximum": "2.5"},
            {"type": "number", "minimum": 1, "maximum": 2.5},
        ),
        (
            {"minimum": "x", "maximum": "Infinity"},
            {"minimum": "x", "maximum": "Infinity"},
        ),
        ({"type": 3, "anyOf": "x", "properties": []}, {"type": 3, "anyOf": "x", "properties": []}),
        ({"type": "STRING", "description": None}, {"type": "string"}),
        ({"additionalProperties": False}, {"additionalProperties": False}),
        ({"type": ["STRING", "NULL"]}, {"type": ["string", "null"]}),
        (
            {"type": "Odd", "default": {"type": "STRING"}},
            {"type": "Odd", "default": {"type": "STRING"}},
        ),
        (True, True),
    ],
)
def test_each_keyword(google: Any, json_schema: Any) -> None:
    assert from_google(google, "p") == json_schema


def test_a_schema_of_gemini_clis_router_in_capitals() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"type": {"type": "STRING", "enum": ["STRING"]}},
        "required": ["type"],
        "x-order": 1,
    }

    assert with_small_types(schema, "p") == {
        "type": "object",
        "properties": {"type": {"type": "string", "enum": ["STRING"]}},
        "required": ["type"],
        "x-order": 1,
    }


def test_a_schema_that_nests_too_deeply_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(101):
        schema = {"items": schema}

    for convert in (from_google, with_small_types):
        with pytest.raises(ProxyError) as caught:
            convert(schema, "tools[0]")
        assert (caught.value.status, caught.value.param) == (400, "tools[0]")


def test_a_json_schema_may_be_true_or_false_anywhere() -> None:
    given = {"type": "OBJECT", "properties": {"a": True}, "items": False}

    assert with_small_types(given, "x") == given | {"type": "object"}
