"""schema_terms: types, choices, null and words of a single schema."""

from typing import Any

import pytest

from jarvis_proxy.upstreams.gemini.request.schema.keywords import (
    EnumValues,
    add_null,
    choices,
    constraint,
    describe,
    implied_type,
    is_number,
    one_of,
    types_of,
    with_types,
)
from jarvis_proxy.wire.work_budget import WorkBudget

NULL = {"type": "null"}


def test_a_boolean_is_no_number() -> None:
    assert [is_number(value) for value in (1, 1.5, True, "1", None)] == [
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("^a+$", "k: ^a+$"),
        ("", 'k: ""'),
        ({"a": [1]}, 'k: {"a":[1]}'),
        ("x" * 300, "k: " + "x" * 200),
    ],
)
def test_constraints_in_words(value: object, words: str) -> None:
    assert words == constraint("k", value)


def test_a_constraint_too_deep_to_write_is_only_named() -> None:
    value: object = 1
    for _ in range(101):
        value = [value]

    assert constraint("contains", value) == "contains"


def test_words_join_the_description_or_become_it() -> None:
    empty: dict[str, Any] = {}
    described: dict[str, Any] = {"description": "D"}
    for schema in (empty, described):
        describe(schema, ["a: 1", "b: 2"])
        describe(schema, [])

    assert (empty["description"], described["description"]) == ("(a: 1; b: 2)", "D (a: 1; b: 2)")


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        ({}, ([], False)),
        ({"type": "String"}, (["string"], False)),
        ({"type": ["null", "string"]}, (["string"], True)),
        ({"type": "null"}, (["null"], False)),
        ({"type": ["integer", "number", "integer"]}, (["number"], False)),
        ({"type": ["date", {"type": "x"}]}, ([], False)),
        ({"nullable": True}, ([], True)),
        ({"nullable": "true"}, ([], False)),
    ],
    ids=str,
)
def test_types_and_null(schema: dict[str, Any], types: tuple[list[str], bool]) -> None:
    assert types == types_of(schema)


@pytest.mark.parametrize(
    ("schema", "found", "hints"),
    [
        ({}, EnumValues(), []),
        ({"const": 1, "enum": [2]}, EnumValues([1], False, ["integer"]), []),
        ({"enum": ["a", None, ""]}, EnumValues(["a"], True, ["string"]), []),
        ({"enum": [1, 1.0, 2.5]}, EnumValues([1, 1.0, 2.5], False, ["number"]), []),
        ({"enum": [True, None]}, EnumValues(None, True, ["boolean"]), ["one of: [true]"]),
        ({"enum": [None]}, EnumValues(None, False, ["null"]), []),
        ({"enum": [None], "type": "string"}, EnumValues(None, True, ["string"]), []),
        ({"enum": [""]}, EnumValues(None, False, ["string"]), ['one of: [""]']),
        ({"enum": []}, EnumValues(), []),
        ({"enum": [0, ""]}, EnumValues([0], False, ["integer"]), []),
    ],
    ids=str,
)
def test_choices_and_what_is_said_in_words(
    schema: dict[str, Any], found: EnumValues, hints: list[str]
) -> None:
    said: list[str] = []

    assert (found, hints) == (choices(schema, types_of(schema)[0], said, WorkBudget()), said)


def test_choices_are_counted() -> None:
    work = WorkBudget()
    choices({"enum": ["x" * 640, *range(99)]}, [], [], work)

    assert work.steps == 100 + 10


@pytest.mark.parametrize(
    ("branches", "expected"),
    [
        ([{"type": "string"}], {"type": "string"}),
        ([{"type": "string"}, {"type": "string"}], {"type": "string"}),
        ([{"type": "string"}, NULL], {"anyOf": [{"type": "string"}, NULL]}),
        ([{"type": "string"}, {}], {}),
    ],
    ids=str,
)
def test_one_of_several(branches: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    assert expected == one_of(branches)


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        ({"properties": {}}, ["object"]),
        ({"items": {}}, ["array"]),
        ({"prefixItems": []}, ["array"]),
        ({"properties": {}, "anyOf": []}, []),
        ({"oneOf": []}, []),
        ({}, []),
    ],
    ids=str,
)
def test_types_that_keywords_imply(schema: dict[str, Any], types: list[str]) -> None:
    assert types == implied_type(schema)


def test_each_of_several_types_takes_its_own_keywords() -> None:
    out = {"properties": {"a": {}}, "items": {}, "minimum": 1, "format": "date"}

    assert with_types(out, ["object", "array", "string", "number", "boolean"]) == {
        "anyOf": [
            {"type": "object", "properties": {"a": {}}},
            {"type": "array", "items": {}},
            {"type": "string", "format": "date"},
            {"type": "number", "minimum": 1, "format": "date"},
            {"type": "boolean"},
        ]
    }


def test_an_array_says_what_it_holds() -> None:
    assert with_types({}, ["array"]) == {"type": "array", "items": {}}


def test_choices_go_to_the_types_that_they_are_of() -> None:
    out: dict[str, Any] = {"enum": ["a", 1, 1.5]}

    assert with_types(out, ["string", "integer", "boolean"]) == {
        "anyOf": [{"type": "string", "enum": ["a"]}, {"type": "integer", "enum": [1]}]
    }


def test_branches_that_are_there_say_the_types() -> None:
    out: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "integer"}]}

    assert out == with_types(out, ["string", "integer"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a"], {"enum": ["a"]}),
        (["a", 1], {"enum": ["a", 1]}),
    ],
)
def test_choices_of_none_of_the_types_count(values: list[Any], expected: dict[str, Any]) -> None:
    out: dict[str, Any] = {"enum": values}

    assert expected == with_types(out, ["boolean", "object"])


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "title": "T"}, {"title": "T", "anyOf": [{"type": "string"}, NULL]}),
        ({"anyOf": [{"type": "string"}]}, {"anyOf": [{"type": "string"}, NULL]}),
        ({"oneOf": [NULL]}, {"oneOf": [NULL]}),
        ({"anyOf": [{}], "minimum": 1}, {"anyOf": [{"anyOf": [{}], "minimum": 1}, NULL]}),
        (NULL, NULL),
        ({"description": "D"}, {"description": "D"}),
    ],
    ids=str,
)
def test_null_is_one_more_choice(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected == add_null(schema)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("string", {"format"}),
        ("array", {"items", "minItems"}),
        ("object", {"properties"}),
        ("integer", {"minimum", "format"}),
        ("boolean", set()),
    ],
)
def test_keywords_of_other_types_go(name: str, kept: set[str]) -> None:
    out: dict[str, Any] = {"properties": {}, "items": {}, "minItems": 1, "minimum": 1}

    assert {"type", *kept} == with_types({**out, "format": "date"}, [name]).keys()


def test_lists_among_the_choices_go_to_the_array() -> None:
    out: dict[str, Any] = {"enum": [["a"], "a"]}

    found: Any = with_types(out, ["array", "string"])["anyOf"]
    assert [branch["enum"] for branch in found] == [[["a"]], ["a"]]
