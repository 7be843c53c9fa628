"""values: JSON of unknown shape."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.json_values import (
    MAX_DEPTH,
    InvalidJSON,
    children,
    compact,
    contains_key,
    copyable,
    excerpt,
    parse,
    same,
    survives_as_doubles,
    within_depth,
)
from jarvis_proxy.wire.work_budget import WorkBudget

JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from(["", "a", "\n"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=6,
)


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def test_parse_reads_json() -> None:
    assert parse('{"a": [1, 2.5, null, true, "x"]}') == {"a": [1, 2.5, None, True, "x"]}


@pytest.mark.parametrize("text", ["", "{", "nul", "[1e999]", "[" * 101 + "]" * 101, "[" * 100_000])
def test_what_is_no_json_or_too_deep_is_recognized(text: str) -> None:
    with pytest.raises(InvalidJSON):
        parse(text)


def test_parse_takes_as_many_levels_as_are_walked() -> None:
    assert nested(MAX_DEPTH) == parse(compact(nested(MAX_DEPTH)))


@pytest.mark.parametrize(("depth", "limit"), [(0, 0), (1, 1), (5, 5), (5, 100)])
def test_depth_within_the_limit(depth: int, limit: int) -> None:
    assert within_depth(nested(depth), limit)


@pytest.mark.parametrize(("depth", "limit"), [(1, 0), (6, 5), (500, 100)])
def test_depth_past_the_limit(depth: int, limit: int) -> None:
    assert not within_depth(nested(depth), limit)


def test_children_of_a_scalar_are_none() -> None:
    assert [list(children(value)) for value in ("text", {"a": 1}, [2])] == [[], [1], [2]]


def test_a_key_is_found_at_any_level_but_not_as_a_value() -> None:
    assert contains_key([{"a": {"$ref": 1}}], "$ref")
    assert not contains_key({"a": ["$ref"]}, "$ref")


def test_integers_that_doubles_cannot_hold_are_seen() -> None:
    assert survives_as_doubles({"a": [2**53, -(2**53), 1.5, "9" * 30, True]})
    assert not survives_as_doubles({"a": [{"id": 2**53 + 1}]})
    assert not survives_as_doubles([-(2**53) - 1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'{"a":"cut \ud83d"}', {"a": "cut \ufffd"}),
        (r'["\uDE00","\ud83d\ude00"]', ["\ufffd", "\U0001f600"]),
    ],
)
def test_half_of_a_surrogate_pair_does_not_spoil_a_value(text: str, expected: object) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ("a" * 30, '"' + "a" * 19),
        ({"a": [1, True, "x"], "b": {}}, '{"a":[1,true,"x"],"b'),
        ([], "[]"),
        ({}, "{}"),
        ([[], {"k" * 30: 1}], '[[],{"' + "k" * 14),
        (list(range(9)), "[0,1,2,3,4,5,6,7,8]"),
    ],
    ids=str,
)
def test_the_beginning_of_a_value(value: object, text: str) -> None:
    assert text == excerpt(value, 20)


def test_a_value_nested_too_deep_has_no_excerpt() -> None:
    value: object = 1
    for _ in range(101):
        value = [value]

    assert excerpt(value, 200) == ""


@given(value=JSON)
def test_an_excerpt_is_how_the_json_begins(value: object) -> None:
    assert excerpt(value, 1000) == compact(value)[:1000]
    assert excerpt(value, 7) == compact(value)[:7]


@given(one=JSON, other=JSON)
def test_values_are_the_same_if_their_json_is(one: object, other: object) -> None:
    assert same(one, one, WorkBudget())
    assert same(one, other, WorkBudget()) is (
        compact(sorted_keys(one)) == compact(sorted_keys(other))
    )


def sorted_keys(value: object) -> object:
    if isinstance(value, dict):
        return {key: sorted_keys(value[key]) for key in sorted(value)}
    return [sorted_keys(item) for item in value] if isinstance(value, list) else value


def test_comparing_is_counted() -> None:
    work = WorkBudget()
    same([{"a": [1, 2]}], [{"a": [1, 2]}], work)

    assert work.steps == 3


@pytest.mark.parametrize(("levels", "expected"), [(2, True), (3, False)])
def test_copying_is_counted(levels: int, expected: bool) -> None:
    value: object = ["x" * 640, 1]
    for _ in range(levels - 1):
        value = [value]
    work = WorkBudget()

    assert copyable(value, work, 2) is expected
    assert work.steps == (levels + 2 + 10 if expected else 3)


def test_equal_values_are_the_same_but_for_their_kind() -> None:
    value = b'{"a":[1000.5,"text",{"b":null}]}'
    one, other = parse(value.decode()), parse(value.decode())

    assert same(one, other, WorkBudget())
    assert not same(one, {"a": [1000.5, "text", {"b": False}]}, WorkBudget())
    assert not same(1, 1.0, WorkBudget())
    assert not same([1], [1, 2], WorkBudget())
