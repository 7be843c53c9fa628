"""Calls in pieces, after recorded ones."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.upstreams.gemini.reply.frames import FunctionCall
from jarvis_proxy.upstreams.gemini.reply.partial_tool_call import PartialToolCall


def assemble(*pieces: dict[str, Any]) -> dict[str, Any]:
    """Feed pieces; the last one ends the call. Return its arguments."""
    call = PartialToolCall("n1", "f", "sig")
    decoded = [
        msgspec.convert({"partialArgs": [p], "willContinue": True}, FunctionCall) for p in pieces
    ]
    assert [call.feed(piece) for piece in decoded] == [None] * len(pieces)
    whole = call.feed(FunctionCall())
    assert whole is not None
    assert (whole.id, whole.name, call.signature) == ("n1", "f", "sig")
    args = json.loads(bytes(whole.args))
    assert isinstance(args, dict)
    return args


def text(path: str, value: str, *, more: bool = False) -> dict[str, Any]:
    return {"jsonPath": path, "stringValue": value, "willContinue": more}


def test_a_string_goes_on_as_long_as_it_says_so() -> None:
    actual = assemble(
        text("$.location", "San ", more=True),
        text("$.location", "Francisco", more=True),
        text("$.location", ""),
        text("$.unit", "C"),
    )

    assert actual == {"location": "San Francisco", "unit": "C"}


def test_a_finished_string_is_replaced_and_not_extended() -> None:
    assert assemble(text("$.a", "x"), text("$.a", "y")) == {"a": "y"}


def test_objects_and_lists_are_made_on_the_way() -> None:
    actual = assemble(
        text("$.recipe.ingredients[0].name", "noodles"),
        text("$.recipe.ingredients[1].name", "beef"),
        text("$.recipe.steps[1]", "boil"),
        text("$['a key']['x\\'y']", "v"),
    )

    assert actual == {
        "recipe": {"ingredients": [{"name": "noodles"}, {"name": "beef"}], "steps": [None, "boil"]},
        "a key": {"x\\'y": "v"},
    }


def test_numbers_booleans_and_null_keep_their_kind() -> None:
    actual = assemble(
        {"jsonPath": "$.i", "numberValue": 3.0},
        {"jsonPath": "$.f", "numberValue": 2.5},
        {"jsonPath": "$.b", "boolValue": False},
        {"jsonPath": "$.n", "nullValue": "NULL_VALUE"},
    )

    assert actual == {"i": 3, "f": 2.5, "b": False, "n": None}


@pytest.mark.parametrize("path", ["", "$", "$[0]", "a.b", "$.a[", "$.a..b", "$.a[99999999]"])
def test_a_path_that_leads_nowhere_is_passed_over(path: str) -> None:
    assert assemble(text(path, "x")) == {}


def test_an_index_far_out_makes_no_list_of_that_length() -> None:
    assert assemble(text("$.a[999999]", "x")) == {"a": []}


def test_a_path_against_the_shape_so_far_changes_the_shape_or_nothing() -> None:
    assert assemble(text("$.a", "x"), text("$.a.b", "y")) == {"a": {"b": "y"}}
    assert assemble(text("$.a[0]", "x"), text("$.a.b", "y")) == {"a": ["x"]}
    assert assemble(text("$.a.b", "x"), text("$.a[0].c", "y")) == {"a": {"b": "x"}}


steps = st.one_of(
    st.text("ab", min_size=1, max_size=2).map(lambda name: f".{name}"),
    st.integers(0, 3).map(lambda index: f"[{index}]"),
)
paths = st.lists(steps, max_size=4).map(lambda parts: "$" + "".join(parts))


@pytest.mark.slow
@given(st.lists(st.tuples(paths, st.text(), st.booleans()), max_size=8))
def test_any_pieces_make_some_arguments(pieces: list[tuple[str, str, bool]]) -> None:
    made = assemble(*(text(path, value, more=more) for path, value, more in pieces))

    assert isinstance(made, dict)


def test_a_string_in_a_list_goes_on() -> None:
    assert assemble(text("$.a[0]", "x", more=True), text("$.a[0]", "y")) == {"a": ["xy"]}
