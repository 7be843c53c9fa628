"""The outline of JSON, compared with what a decoder finds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.wire.json_outline import outline

pytestmark = pytest.mark.slow

VALUES = st.recursive(
    st.none() | st.integers() | st.text('",[{\\é:x', max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('",\\'), inner),
)


def structure(value: object) -> str:
    """Return a value's brackets, commas and colons in compact JSON."""
    if isinstance(value, dict):
        return "{" + ",".join(":" + structure(inner) for inner in value.values()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(structure, value)) + "]"
    return ""


@given(VALUES, st.sampled_from([None, 1]))
def test_d2_what_stands_in_strings_is_left_out(value: object, indent: int | None) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=False).encode()

    assert b"".join(outline(body, b"[]{},:")).decode() == structure(value)


@pytest.mark.parametrize("shift", range(9))
@pytest.mark.parametrize(
    "text",
    ["\\" * 400_000, '"' * 400_000, '\\"' * 200_000 + "," * 300_000, "[" * 600_000],
    ids=["backslashes", "quotes", "both", "brackets"],
)
def test_d2_strings_and_escapes_may_lie_across_pieces(text: str, shift: int) -> None:
    body = b'{"' + b"x" * shift + b'":' + json.dumps(text).encode() + b',"a":[1,{},3]}'

    assert b"".join(outline(body, b"[]{},:")) == b"{:,:[,{},]}"


def test_d2_a_piece_is_never_large() -> None:
    pieces = list(outline(b"[" * 1_000_000, b"["))

    assert (len(pieces), max(map(len, pieces))) == (4, 256 * 1024)


def test_only_what_is_kept_is_there() -> None:
    assert b"".join(outline(b'{"a1":[-1.5e3,"2,3",null]}', b"0123456789.-e,")) == b"-1.5e3,,"
