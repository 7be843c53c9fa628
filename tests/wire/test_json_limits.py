"""Limits on JSON, compared with what a decoder finds."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jarvis_proxy.wire.json_limits import (
    exceeds_depth,
    exceeds_fields,
    exceeds_values,
    outline,
    rough_count,
    rough_count_in_text,
)

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
def test_what_stands_in_strings_is_left_out(value: object, indent: int | None) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=False).encode()

    assert b"".join(outline(body, b"[]{},:")).decode() == structure(value)


@pytest.mark.parametrize("shift", range(9))
@pytest.mark.parametrize(
    "text",
    ["\\" * 400_000, '"' * 400_000, '\\"' * 200_000 + "," * 300_000, "[" * 600_000],
    ids=["backslashes", "quotes", "both", "brackets"],
)
def test_strings_and_escapes_may_lie_across_pieces(text: str, shift: int) -> None:
    body = b'{"' + b"x" * shift + b'":' + json.dumps(text).encode() + b',"a":[1,{},3]}'

    assert b"".join(outline(body, b"[]{},:")) == b"{:,:[,{},]}"


def test_a_piece_is_never_large() -> None:
    pieces = list(outline(b"[" * 1_000_000, b"["))

    assert (len(pieces), max(map(len, pieces))) == (4, 256 * 1024)


def test_only_what_is_kept_is_there() -> None:
    assert b"".join(outline(b'{"a1":[-1.5e3,"2,3",null]}', b"0123456789.-e,")) == b"-1.5e3,,"


def depth(value: object) -> int:
    """Return how deep decoded JSON nests."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def nested(levels: int, inner: str = "1") -> bytes:
    """Return lists and objects in turn, *levels* of them."""
    text = inner
    for level in range(levels):
        text = f"[{text}]" if level % 2 else f'{{"a":{text}}}'
    return text.encode()


@pytest.mark.parametrize("levels", [1, 4, 64, 512])
@pytest.mark.parametrize("space", ["", " \n\t"])
def test_the_limit_itself_is_allowed_and_one_more_is_not(levels: int, space: str) -> None:
    for extra in (0, 1):
        body = nested(levels + extra).replace(b"[", b"[" + space.encode())

        assert exceeds_depth(body, levels) == bool(extra)


FLAT = {
    "many siblings": b"[" + b",".join([b'{"a":[]}'] * 500) + b"]",
    "brackets in strings": json.dumps(["[" * 100, "{" * 100, "]}" * 100]).encode(),
    "quotes in strings": json.dumps(['"[' * 100, '\\"{' * 100, '\\\\"[' * 100]).encode(),
    "strings that end in backslashes": json.dumps(["[\\", "\\\\", "[[\\\\\\", "[" * 99]).encode(),
    "brackets in names": json.dumps({"[" * 100: 1, '{"': 2}).encode(),
    "escaped quotes as code points": b'["\\u0022' + b"[" * 100 + b'\\u0022"]',
    "a newline before the quote": b'["\\n","' + b"[" * 100 + b'"]',
    "a string alone": b'"' + b"[" * 100 + b'"',
}


@pytest.mark.parametrize("body", FLAT.values(), ids=FLAT)
def test_what_does_not_nest_is_not_counted(body: bytes) -> None:
    json.loads(body)

    assert not exceeds_depth(body, 3)


@pytest.mark.parametrize("body", FLAT.values(), ids=FLAT)
def test_depth_next_to_it_is_found(body: bytes) -> None:
    deep = b"[" + body + b"," + nested(9) + b"," + body + b"]"
    json.loads(deep)

    assert exceeds_depth(deep, 9)
    assert not exceeds_depth(deep, 10)


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.text(alphabet='[]{}"\\n,: ') | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='[]{}"\\'), inner),
    ),
    st.integers(1, 8),
    st.sampled_from([None, 1]),
)
@example({'"': ["\\", '"', "[["]}, 1, None)
def test_it_agrees_with_a_decoder(value: object, levels: int, indent: int | None) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=False).encode()

    assert exceeds_depth(body, levels) == (depth(value) > levels)


@pytest.mark.parametrize(
    "body", [b"[" + b"[]," * 1_100_000 + b"1]", b"[" + b'"[",' * 1_100_000 + b"1]"]
)
def test_brackets_count_exactly_however_many_there_are(body: bytes) -> None:
    assert not exceeds_depth(body, 2)
    assert exceeds_depth(body.removesuffix(b"1]") + b"[[]]]", 2)


@pytest.mark.parametrize("padding", [0, 5000])
@pytest.mark.parametrize(("depth", "deeper"), [(5, False), (6, True)])
def test_it_makes_no_difference_how_large_a_body_is(padding: int, depth: int, deeper: bool) -> None:
    body = b"[" * depth + b'"%b"' % (b"x" * padding) + b"]" * depth

    assert exceeds_depth(body, 5) == deeper


def test_few_brackets_in_a_large_body_are_not_deep() -> None:
    assert not exceeds_depth(b'{"a":[1],"b":"%b"}' % (b"x" * 5000), 2)


MIB = 1024 * 1024
LEAVES = st.none() | st.booleans() | st.integers() | st.text('",[{\\é', max_size=5)
COUNTED_VALUES = st.recursive(LEAVES, lambda v: st.lists(v) | st.dictionaries(st.text('",\\'), v))


def exact(value: object) -> int:
    """Return the commas and opening brackets of *value* as JSON, outside of strings."""
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list):
        inner = value
    else:
        return 0
    return 1 + max(0, len(inner) - 1) + sum(map(exact, inner))


@given(COUNTED_VALUES, st.integers(0, 5))
def test_what_stands_in_strings_does_not_count(value: object, less: int) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    count = exact(value)

    assert not exceeds_values(body, count)
    assert exceeds_values(body, count - 1 - less) == (count > 0 or less > 0 or count - 1 < 0)
    assert rough_count(body) >= count


@pytest.mark.parametrize("shift", range(9))
def test_values_are_counted_across_pieces(shift: int) -> None:
    text = '\\"' * 100_000 + "," * 300_000 + "\\\\" * 100_000
    body = b'{"' + b"x" * shift + b'":' + json.dumps(text).encode() + b',"a":[1,2,3]}'

    assert not exceeds_values(body, 5)
    assert exceeds_values(body, 4)


@pytest.mark.parametrize(
    "body",
    [b'["' + b"\\" * 4 * MIB + b'"]', b"[" + b'"\\"",' * MIB + b"1]", b"[" + b"{}," * MIB + b"1]"],
    ids=["backslashes", "escapes", "objects"],
)
def test_counting_takes_little_memory(body: bytes) -> None:
    tracemalloc.start()
    try:
        exceeds_values(body, 2 * MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < len(body) // 2 + 8 * MIB


def test_text_is_counted_as_bytes_are() -> None:
    text = '{"a":[1,2],"é":","}'

    assert rough_count_in_text(text) == rough_count(text.encode()) == 5


@given(
    st.dictionaries(st.text('",:{é', max_size=5), COUNTED_VALUES, max_size=4),
    st.sampled_from([None, 1]),
)
def test_fields_of_the_body_are_counted_and_no_others(
    body: dict[str, Any], indent: int | None
) -> None:
    text = json.dumps(body, indent=indent, ensure_ascii=False).encode()

    assert not exceeds_fields(text, len(body))
    assert exceeds_fields(text, len(body) - 1)


def test_fields_may_lie_across_pieces() -> None:
    body = b"{" + b",".join(b'"k%d":{"a":[{"b":1}]}' % n for n in range(50_000)) + b"}"

    assert not exceeds_fields(body, 50_000)
    assert exceeds_fields(body, 49_999)
