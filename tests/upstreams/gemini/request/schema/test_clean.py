"""schema: JSON Schema cut down to Gemini's dialect."""

from typing import Any

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.request.schema.clean import DESCRIBED_KEYWORDS, clean
from tests.upstreams.gemini.request.schema.schemas import LOOSE, NULL, STRING, assert_dialect


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": STRING}, "required": ["a"]},
        {"type": "object", "properties": {"a": STRING}, "additionalProperties": False},
        {"type": "object", "additionalProperties": STRING},
        {"type": "string", "enum": ["a", "b"], "title": "T", "description": "D", "default": "a"},
        {"type": "integer", "enum": [1, 2, 3]},
        {"type": "string", "format": "date-time"},
        {"type": "array", "items": STRING, "minItems": 1, "maxItems": 3},
        {"type": "array", "prefixItems": [STRING, {"type": "number"}]},
        {"type": "number", "minimum": 0, "maximum": 1.5},
        {"anyOf": [STRING, NULL]},
        {"oneOf": [STRING, {"type": "integer"}]},
        {
            "type": "object",
            "properties": {"next": {"$ref": "#/$defs/Node"}},
            "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
        },
        {"type": "object", "properties": {"child": {"$ref": "#"}}},
        {"type": "object", "properties": {"a": STRING, "b": STRING}, "propertyOrdering": ["b"]},
        {},
    ],
    ids=str,
)
def test_what_gemini_knows_stays_as_it_is(schema: dict[str, Any]) -> None:
    assert schema == clean(schema)


@pytest.mark.parametrize(
    ("schema", "cleaned"),
    [
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"const": 3}, {"type": "integer", "enum": [3]}),
        ({"const": 1.5}, {"type": "number", "enum": [1.5]}),
        ({"const": None}, NULL),
        ({"const": True}, {"type": "boolean", "description": "(one of: [true])"}),
        ({"const": {"a": 1}}, {"description": '(one of: [{"a":1}])'}),
        ({"const": ""}, {"type": "string", "description": '(one of: [""])'}),
        ({"enum": ["a", ""]}, {"type": "string", "enum": ["a"]}),
        ({"enum": ["a", "a", 1]}, {"enum": ["a", 1]}),
        ({"enum": []}, {}),
        ({"enum": "a"}, {}),
        ({"enum": [True, "a"], "description": "D"}, {"description": 'D (one of: [true,"a"])'}),
        (
            {"type": "string", "enum": ["a", None], "description": "D"},
            {"description": "D", "anyOf": [{"type": "string", "enum": ["a"]}, NULL]},
        ),
        ({"enum": [None]}, NULL),
        ({"type": "string", "enum": [None]}, {"anyOf": [STRING, NULL]}),
    ],
    ids=str,
)
def test_choices(schema: dict[str, Any], cleaned: dict[str, Any]) -> None:
    assert cleaned == clean(schema)


@pytest.mark.parametrize(
    ("schema", "cleaned"),
    [
        ({"type": ["string", "null"]}, {"anyOf": [STRING, NULL]}),
        ({"type": ["string"]}, STRING),
        ({"type": "STRING"}, STRING),
        ({"type": "string", "nullable": True}, {"anyOf": [STRING, NULL]}),
        ({"type": "string", "nullable": False}, STRING),
        ({"anyOf": [STRING], "nullable": True}, {"anyOf": [STRING, NULL]}),
        ({"anyOf": [STRING, NULL], "nullable": True}, {"anyOf": [STRING, NULL]}),
        ({"oneOf": [STRING], "nullable": True}, {"oneOf": [STRING, NULL]}),
        ({"nullable": True, "title": "T"}, {"title": "T"}),
        ({"type": ["null"], "nullable": True}, NULL),
        (
            {"type": ["object", "null"], "properties": {"a": STRING}, "default": None},
            {
                "default": None,
                "anyOf": [{"type": "object", "properties": {"a": STRING}}, NULL],
            },
        ),
        (
            {"type": ["string", "integer", "array"], "minimum": 1, "minItems": 2},
            {
                "anyOf": [
                    STRING,
                    {"type": "integer", "minimum": 1},
                    {"type": "array", "items": {}, "minItems": 2},
                ]
            },
        ),
        ({"type": ["integer", "number"]}, {"type": "number"}),
        (
            {"type": ["string", "integer", "number", "boolean"], "enum": ["a", 1, 1.5]},
            {
                "anyOf": [
                    {"type": "string", "enum": ["a"]},
                    {"type": "number", "enum": [1, 1.5]},
                ]
            },
        ),
        ({"type": ["string", "boolean"], "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
        ({"type": ["string", "integer"], "enum": ["a", 1.5]}, {"type": "string", "enum": ["a"]}),
        ({"type": ["string", "integer"], "anyOf": [{"title": "A"}]}, {"anyOf": [{"title": "A"}]}),
        ({"type": "any"}, {}),
        ({"type": 3}, {}),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"items": STRING}, {"type": "array", "items": STRING}),
        ({"properties": {}}, {"type": "object", "properties": {}}),
    ],
    ids=str,
)
def test_types(schema: dict[str, Any], cleaned: dict[str, Any]) -> None:
    assert cleaned == clean(schema)


@pytest.mark.parametrize(
    ("schema", "cleaned"),
    [
        ({"properties": {"a": True, "b": False}, "required": ["a", "b"]}, ({"a": {}}, ["a"])),
        (
            {"properties": {"a": STRING}, "required": ["a", "x", "a", 3]},
            ({"a": STRING}, ["a"]),
        ),
        ({"properties": {"a": STRING}, "required": "a"}, ({"a": STRING}, None)),
    ],
    ids=str,
)
def test_required_names_only_properties_that_are_there(
    schema: dict[str, Any], cleaned: tuple[dict[str, Any], list[str] | None]
) -> None:
    out = clean(schema)

    assert cleaned == (out["properties"], out.get("required"))


def test_properties_named_like_keywords_stay() -> None:
    schema = {
        "type": "object",
        "properties": {"pattern": STRING, "$ref": STRING, "const": STRING, "not": STRING},
    }

    assert schema == clean(schema)


@pytest.mark.parametrize(
    ("schema", "cleaned"),
    [
        ({"items": [STRING, True]}, {"type": "array", "prefixItems": [STRING, {}]}),
        ({"type": "array", "items": False}, {"type": "array", "items": {}}),
        ({"type": "array", "prefixItems": [{}]}, {"type": "array", "items": {}}),
        ({"type": "array", "minItems": -1, "maxItems": 2.0}, {"maxItems": 2}),
        ({"type": "array", "minItems": "1"}, {}),
        (
            {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"description": '(anyOf: [{"required":["a"]},{"required":["b"]}])'},
        ),
        ({"anyOf": [STRING, False]}, {"anyOf": [STRING]}),
        ({"anyOf": "x"}, {}),
        ({"additionalProperties": False}, {"additionalProperties": False}),
        ({"additionalProperties": 3}, {}),
    ],
    ids=str,
)
def test_arrays_branches_and_extras(schema: dict[str, Any], cleaned: dict[str, Any]) -> None:
    base = {"type": "array", "items": {}} if schema.get("type") == "array" else {}
    expected = cleaned if "type" in cleaned else {**base, **cleaned}

    assert expected == clean(schema)


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("schema", "cleaned"),
    [
        ({"type": "integer", "exclusiveMinimum": 0}, {"minimum": 1}),
        ({"type": "integer", "exclusiveMaximum": 10}, {"maximum": 9}),
        ({"type": "integer", "exclusiveMinimum": 0.5}, {"minimum": 1}),
        ({"type": "integer", "exclusiveMinimum": 0, "minimum": 5}, {"minimum": 5}),
        ({"type": "integer", "exclusiveMaximum": 3, "maximum": 5}, {"maximum": 2}),
        ({"type": "integer", "exclusiveMinimum": True, "minimum": 5}, {"minimum": 6}),
        ({"type": "integer", "exclusiveMinimum": False, "minimum": 5}, {"minimum": 5}),
        ({"type": "integer", "exclusiveMinimum": True}, {}),
        (
            {"type": "number", "exclusiveMinimum": 0},
            {"minimum": 0, "description": "(exclusiveMinimum: 0)"},
        ),
    ],
    ids=str,
)
def test_exclusive_bounds(schema: dict[str, Any], cleaned: dict[str, Any]) -> None:
    assert {"type": schema["type"], **cleaned} == clean(schema)


@pytest.mark.parametrize("keyword", DESCRIBED_KEYWORDS)
def test_what_gemini_does_not_know_moves_to_the_description(keyword: str) -> None:
    assert {
        "type": "string",
        "description": f'D ({keyword}: {{"a":1}})',
    } == clean({"type": "string", "description": "D", keyword: {"a": 1}})


@pytest.mark.parametrize(
    "keyword",
    ["$schema", "$comment", "$id", "deprecated", "readOnly", "x-y"],
)
def test_what_says_nothing_to_a_model_goes(keyword: str) -> None:
    assert clean({"type": "string", keyword: "v"}) == STRING


def test_hints_are_short_and_join() -> None:
    out = clean({"type": "string", "minLength": 1, "pattern": "x" * 500, "uniqueItems": False})

    assert out["description"] == f"(minLength: 1; pattern: {'x' * 200})"


def test_a_hint_too_deep_to_write_is_only_named() -> None:
    value: Any = 1
    for _ in range(150):
        value = [value]

    assert clean({"contains": value}) == {"description": "(contains)"}
    assert clean({"default": value}) == {}


@pytest.mark.parametrize("form", ["uri", "email", "uuid", "duration", "binary", "x" * 300])
def test_a_format_that_gemini_does_not_know_is_in_the_description(form: str) -> None:
    cleaned = clean({"type": "string", "format": form, "description": "D"})

    assert cleaned == {"type": "string", "description": f"D (format: {form[:200]})"}


@pytest.mark.parametrize("form", [3, "", None, ["date"]])
def test_a_format_that_is_no_text_goes(form: object) -> None:
    assert clean({"type": "string", "format": form}) == STRING


def test_texts_of_the_wrong_type_go() -> None:
    assert clean({"type": "string", "title": 3, "description": ["x"]}) == STRING


@pytest.mark.parametrize(
    ("schema", "loose"),
    [
        (
            {"type": "array", "items": STRING, "minItems": 1, "maxItems": 9},
            {"type": "array", "items": STRING, "description": "(minItems: 1; maxItems: 9)"},
        ),
        (
            {"type": "integer", "exclusiveMinimum": 0, "maximum": 9},
            {"type": "integer", "description": "(maximum: 9; minimum: 1)"},
        ),
        ({"type": "string", "format": "date"}, {**STRING, "description": "(format: date)"}),
        (STRING, STRING),
        ({"type": "integer"}, {"type": "integer"}),
        ({"type": "array", "items": STRING}, {"type": "array", "items": STRING}),
    ],
    ids=str,
)
def test_loose_schemas_say_bounds_in_words(schema: dict[str, Any], loose: dict[str, Any]) -> None:
    assert loose == clean(schema, form=LOOSE)


@pytest.mark.parametrize("schema", [3, "x", None, []])
def test_a_whole_schema_that_is_none_is_a_400(schema: object) -> None:
    with pytest.raises(ProxyError) as caught:
        clean(schema, param="tools[0].function.parameters")

    assert (
        caught.value.code,
        caught.value.param,
    ) == ("invalid_schema", "tools[0].function.parameters")


def test_only_a_hundred_levels_are_walked() -> None:
    def deep(levels: int) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string"}
        for _ in range(levels - 1):
            schema = {"type": "array", "items": schema}
        return schema

    assert deep(100) == clean(deep(100))
    with pytest.raises(ProxyError, match="deeper than 100 levels"):
        clean(deep(101))


@pytest.mark.parametrize("nothing", [None, [], True, {}, 3, "string", ["string"]], ids=str)
def test_a_property_that_is_no_schema_is_any_value(nothing: object) -> None:
    schema = {
        "type": "object",
        "properties": {"a": nothing, "b": STRING},
        "required": ["a"],
    }

    assert clean(schema) == {
        "type": "object",
        "properties": {"a": {}, "b": STRING},
        "required": ["a"],
    }


@pytest.mark.parametrize("key", ["properties", "items", "anyOf", "$defs", "required", "enum"])
@pytest.mark.parametrize("nothing", [None, [], {}, 3, "x"], ids=str)
def test_a_keyword_of_the_wrong_kind_refuses_nothing(key: str, nothing: object) -> None:
    assert_dialect(clean({"type": "object", "description": "D", key: nothing}))


@pytest.mark.parametrize(
    ("schema", "cleaned"),
    [
        ({"type": "string", "enum": [1, 2, 3]}, {"type": "integer", "enum": [1, 2, 3]}),
        ({"type": "string", "const": 5}, {"type": "integer", "enum": [5]}),
        ({"type": "string", "enum": [0.5, 1]}, {"type": "number", "enum": [0.5, 1]}),
        ({"type": "integer", "enum": ["1", "2"]}, {"type": "string", "enum": ["1", "2"]}),
        ({"type": "integer", "enum": [0.5]}, {"type": "number", "enum": [0.5]}),
        ({"type": "integer", "enum": [1, 2.0]}, {"type": "integer", "enum": [1, 2.0]}),
        ({"type": "boolean", "enum": ["yes", "no"]}, {"type": "string", "enum": ["yes", "no"]}),
        ({"type": "object", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
        ({"type": "array", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
        ({"type": ["object", "null"], "enum": ["a", None]},
         {"anyOf": [{"type": "string", "enum": ["a"]}, NULL]}),
        ({"type": "string", "enum": ["a", 1]}, {"type": "string", "enum": ["a"]}),
        ({"type": "array", "enum": ["a", 1]}, {"enum": ["a", 1]}),
        ({"type": "string", "enum": [True, False]},
         {"type": "boolean", "description": "(one of: [true,false])"}),
        ({"type": "string", "minimum": 1, "items": STRING, "properties": {"a": STRING}}, STRING),
        ({"type": "object", "items": STRING, "properties": {"a": STRING}, "minItems": 1},
         {"type": "object", "properties": {"a": STRING}}),
        ({"type": "array", "items": STRING, "properties": {"a": STRING}, "format": "date"},
         {"type": "array", "items": STRING}),
    ],
    ids=str,
)  # fmt: skip
def test_types_that_contradict_the_rest(schema: dict[str, Any], cleaned: dict[str, Any]) -> None:
    assert cleaned == clean(schema)


@pytest.mark.parametrize(
    ("schema", "cleaned"),
    [
        # What TypeBox writes for a record, with and without an end to it.
        ({"patternProperties": {"^(.*)$": STRING}}, {"additionalProperties": STRING}),
        ({"patternProperties": {"^(.*)$": {}}, "additionalProperties": False},
         {"additionalProperties": {}}),
        ({"patternProperties": {"^a": STRING}, "additionalProperties": False},
         {"additionalProperties": STRING,
          "description": '(patternProperties: {"^a":{"type":"string"}})'}),
        ({"patternProperties": {"^a": STRING, "^b": STRING}, "additionalProperties": False},
         {"additionalProperties": STRING,
          "description": '(patternProperties: {"^a":{"type":"string"},"^b":{"type":"string"}})'}),
        ({"patternProperties": {"a": STRING, "b": NULL}, "additionalProperties": False},
         {"additionalProperties": {"anyOf": [STRING, NULL]},
          "description": '(patternProperties: {"a":{"type":"string"},"b":{"type":"null"}})'}),
        ({"patternProperties": {"a": STRING}, "additionalProperties": NULL},
         {"additionalProperties": {"anyOf": [STRING, NULL]},
          "description": '(patternProperties: {"a":{"type":"string"}})'}),
        ({"patternProperties": {"a": {}}, "additionalProperties": NULL},
         {"additionalProperties": {}, "description": '(patternProperties: {"a":{}})'}),
        ({"patternProperties": {"a": False}, "additionalProperties": False},
         {"additionalProperties": False, "description": '(patternProperties: {"a":false})'}),
        # Names that no pattern fits may have any value.
        ({"patternProperties": {"^a": STRING}},
         {"description": '(patternProperties: {"^a":{"type":"string"}})'}),
        ({"patternProperties": {"^a": STRING}, "additionalProperties": True},
         {"additionalProperties": True,
          "description": '(patternProperties: {"^a":{"type":"string"}})'}),
        ({"properties": {"b": NULL}, "patternProperties": {".*": STRING}},
         {"properties": {"b": NULL}, "additionalProperties": STRING}),
        ({"patternProperties": {".*": STRING}, "required": ["a"]},
         {"additionalProperties": STRING, "description": '(required: ["a"])'}),
        ({"allOf": [{"patternProperties": {"a": STRING}}, {"patternProperties": {"b": NULL}}],
          "additionalProperties": False},
         {"additionalProperties": {"anyOf": [STRING, NULL]},
          "description": '(patternProperties: {"a":{"type":"string"},"b":{"type":"null"}})'}),
    ],
    ids=str,
)  # fmt: skip
def test_pattern_properties_are_additional_properties(
    schema: dict[str, Any], cleaned: dict[str, Any]
) -> None:
    assert {"type": "object", **cleaned} == clean({"type": "object", **schema})


def test_definitions_that_patterns_need_are_kept() -> None:
    schema = {
        "type": "object",
        "patternProperties": {"^(.*)$": {"$ref": "#/definitions/A"}},
        "definitions": {"A": STRING},
    }

    assert clean(schema) == {
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/A"},
        "$defs": {"A": STRING},
    }


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"contentEncoding": "base64", "contentMediaType": "image/png"},
         "contentEncoding: base64; contentMediaType: image/png"),
        ({"examples": ["a", "b"], "deprecated": True}, 'examples: ["a","b"]; deprecated: true'),
        ({"readOnly": True, "writeOnly": False}, "readOnly: true"),
        ({"allOf": [{"if": {"minLength": 1}, "then": {"pattern": "a"}},
                    {"if": {"minLength": 2}, "then": {"pattern": "b"}}]},
         'if: {"minLength":1}; then: {"pattern":"a"}; if: {"minLength":2}; then: {"pattern":"b"}'),
        ({"not": {"const": "a"}, "allOf": [{"not": {"const": "b"}}]},
         'not: {"const":"a"}; not: {"const":"b"}'),
        ({"pattern": "a", "allOf": [{"pattern": "b"}, {"pattern": "a"}]}, "pattern: a; pattern: b"),
        ({"format": "email", "allOf": [{"format": "idn-email"}]},
         "format: email; format: idn-email"),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_dialect_lacks_is_in_the_description(schema: dict[str, Any], words: str) -> None:
    assert clean({"type": "string", **schema}) == {"type": "string", "description": f"({words})"}


def test_of_two_bounds_the_tighter_one_holds() -> None:
    schema = {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "allOf": [{"minimum": 3, "maximum": 20}],
    }

    assert clean(schema) == {"type": "integer", "minimum": 3, "maximum": 9}
