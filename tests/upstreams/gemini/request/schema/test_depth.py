"""Levels that are too deep in a schema become words."""

from typing import Any

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.request.schema.depth import in_words, limit_depth
from jarvis_proxy.wire.work_budget import WorkBudget

Json = dict[str, Any]
STRING: Json = {"type": "string"}


def levels(schema: Any, definitions: Json) -> int:
    """Return how deep a schema nests through its references, or fail on a loop."""
    if not isinstance(schema, dict):
        return 0
    if "$ref" in schema:
        return levels(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    inner = [*schema.get("properties", {}).values()]
    for key in ("anyOf", "oneOf", "prefixItems"):
        inner += schema.get(key, [])
    inner += [schema[key] for key in ("items", "additionalProperties") if schema.get(key)]
    return 1 + max((levels(value, definitions) for value in inner), default=0)


def limited(schema: Json, depth: int) -> Json:
    limit = limit_depth(schema, depth, WorkBudget())
    out: Json = limit.schema
    assert levels({k: v for k, v in out.items() if k != "$defs"}, out.get("$defs", {})) <= depth
    assert limit.changed is (out != schema)
    return out


def nested(depth: int) -> Json:
    schema: Json = {"type": "string", "description": "the last"}
    for number in range(depth - 1, 0, -1):
        name = f"p{number}"
        schema = {"type": "object", "properties": {name: schema}, "required": [name]}
    return schema


def test_what_is_not_too_deep_stays() -> None:
    assert limited(nested(5), 5) == nested(5)


def test_a_part_too_deep_keeps_its_type_and_is_described() -> None:
    out = limited(nested(6), 3)

    assert out["properties"]["p1"]["properties"]["p2"] == {
        "type": "object",
        "description": "({p3: {p4: {p5: string /* the last */}}})",
    }


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"type": "array", "description": "D", "items": {"type": "array", "items": STRING}},
            {"type": "array", "items": {}, "description": "D (Array<Array<string>> /* D */)"},
        ),
        (
            {"anyOf": [{"type": "object", "properties": {"a": STRING}}, {"type": "null"}]},
            {"description": "({a?: string} | null)"},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {"type": "object", "description": "({[name: string]: integer})"},
        ),
        (
            {"type": "array", "prefixItems": [STRING, {"enum": ["a", 1]}]},
            {"type": "array", "items": {}, "description": '([string, "a" | 1])'},
        ),
        ({"$ref": "#/$defs/D"}, {"type": "object", "description": "({d?: {d?: D}})"}),
    ],
    ids=str,
)
def test_parts_in_words(part: Json, expected: Json) -> None:
    definitions = {"D": {"type": "object", "properties": {"d": {"$ref": "#/$defs/D"}}}}
    schema = {"type": "object", "properties": {"x": part}, "$defs": definitions}

    assert limited(schema, 2)["properties"]["x"] == expected


def test_parts_without_anything_inside_stay_at_the_last_level() -> None:
    flat = {
        "type": "object",
        "properties": {
            "a": {"type": "object", "properties": {}},
            "b": {"type": "array", "items": {}},
            "c": {"type": "object", "additionalProperties": False},
        },
    }

    assert limited(flat, 2) == flat


def test_definitions_count_where_they_are_used() -> None:
    tree = {
        "type": "object",
        "properties": {
            "name": {"$ref": "#/$defs/Name"},
            "kids": {"type": "array", "items": {"$ref": "#/$defs/T"}},
        },
    }
    schema = {"$ref": "#/$defs/T", "$defs": {"T": tree, "Name": STRING}}

    out = limited(schema, 5)

    assert (out["$ref"], list(out["$defs"])) == ("#/$defs/T", ["T", "Name", "T_2"])
    assert out["$defs"]["T"]["properties"]["kids"]["items"] == {"$ref": "#/$defs/T_2"}
    assert out["$defs"]["T_2"]["properties"]["kids"]["items"] == {
        "type": "object",
        "description": "({name?: string, kids?: Array<{name?: string, kids?: Array<T>}>})",
    }


def test_a_root_that_refers_to_itself_ends() -> None:
    out = limited({"type": "object", "properties": {"me": {"$ref": "#"}}}, 3)

    assert out["properties"]["me"] == {"$ref": "#/$defs/root"}


def test_words_end_at_their_limit() -> None:
    schema: Json = {"type": "object", "properties": {f"p{n}": STRING for n in range(100_000)}}
    work = WorkBudget()

    text = in_words(schema, {"": schema}, work, 50)

    assert (len(text), text[-1], work.steps < 50) == (50, "…", True)


def test_words_of_definitions_that_lead_on_and_on_end() -> None:
    parts: Json = {f"D{n}": {"$ref": f"#/$defs/D{n + 1}"} for n in range(5000)}

    assert in_words({"$ref": "#/$defs/D0"}, {**parts, "D5000": STRING}, WorkBudget()) == "any"


def test_limiting_is_counted() -> None:
    with pytest.raises(ProxyError):
        limit_depth(nested(6), 5, WorkBudget(3))


def test_branches_are_a_level_but_a_single_one_is_none() -> None:
    one: Json = {"anyOf": [{"type": "object", "properties": {"a": STRING}}]}
    two: Json = {"anyOf": [{"type": "object", "properties": {"a": STRING}}, STRING]}

    assert limit_depth(one, 2, WorkBudget()).schema == one
    assert limit_depth(two, 3, WorkBudget()).schema == two
    assert limit_depth(two, 2, WorkBudget()).changed
