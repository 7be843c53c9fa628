"""values: JSON of unknown shape."""

from typing import Any

import pytest

from jarvis_proxy.upstreams.gemini.values import (
    MAX_DEPTH,
    NotJSON,
    children,
    compact,
    contains_key,
    kind,
    parse,
    survives_as_doubles,
    within_depth,
)


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def test_parse_reads_json() -> None:
    assert parse('{"a": [1, 2.5, null, true, "x"]}') == {"a": [1, 2.5, None, True, "x"]}


@pytest.mark.parametrize("text", ["", "{", "nul", "[1e999]", "[" * 101 + "]" * 101, "[" * 100_000])
def test_what_is_no_json_or_too_deep_is_told(text: str) -> None:
    with pytest.raises(NotJSON):
        parse(text)


def test_parse_takes_as_many_levels_as_we_walk() -> None:
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


def test_kinds_are_named_in_words() -> None:
    values: list[object] = [None, True, 1, 1.5, "x", [], {}]
    expected = ["null", "a boolean", "an integer", "a number", "a string", "an array", "an object"]

    assert expected == [kind(value) for value in values]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'{"a":"cut \ud83d"}', {"a": "cut \ufffd"}),
        (r'["\uDE00","\ud83d\ude00"]', ["\ufffd", "\U0001f600"]),
    ],
)
def test_b1_half_of_a_surrogate_pair_does_not_spoil_a_value(text: str, expected: object) -> None:
    assert parse(text) == expected
