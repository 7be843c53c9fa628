"""Counting the values of JSON without decoding it."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.wire.json_values import (
    exceeds_fields,
    exceeds_values,
    rough_count,
    rough_count_in_text,
)

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
LEAVES = st.none() | st.booleans() | st.integers() | st.text('",[{\\é', max_size=5)
VALUES = st.recursive(LEAVES, lambda v: st.lists(v) | st.dictionaries(st.text('",\\'), v))


def exact(value: object) -> int:
    """Return the commas and opening brackets of *value* as JSON, outside of strings."""
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list):
        inner = value
    else:
        return 0
    return 1 + max(0, len(inner) - 1) + sum(map(exact, inner))


@given(VALUES, st.integers(0, 5))
def test_d3_what_stands_in_strings_does_not_count(value: object, less: int) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    count = exact(value)

    assert not exceeds_values(body, count)
    assert exceeds_values(body, count - 1 - less) == (count > 0 or less > 0 or count - 1 < 0)
    assert rough_count(body) >= count


@pytest.mark.parametrize("shift", range(9))
def test_d3_strings_and_escapes_may_lie_across_pieces(shift: int) -> None:
    text = '\\"' * 100_000 + "," * 300_000 + "\\\\" * 100_000
    body = b'{"' + b"x" * shift + b'":' + json.dumps(text).encode() + b',"a":[1,2,3]}'

    assert not exceeds_values(body, 5)
    assert exceeds_values(body, 4)


@pytest.mark.parametrize(
    "body",
    [b'["' + b"\\" * 4 * MIB + b'"]', b"[" + b'"\\"",' * MIB + b"1]", b"[" + b"{}," * MIB + b"1]"],
    ids=["backslashes", "escapes", "objects"],
)
def test_d3_counting_takes_little_memory(body: bytes) -> None:
    tracemalloc.start()
    try:
        exceeds_values(body, 2 * MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < len(body) // 2 + 8 * MIB


def test_d3_text_is_counted_as_bytes_are() -> None:
    text = '{"a":[1,2],"é":","}'

    assert rough_count_in_text(text) == rough_count(text.encode()) == 5


@given(
    st.dictionaries(st.text('",:{é', max_size=5), VALUES, max_size=9), st.sampled_from([None, 1])
)
def test_d2_fields_of_the_body_are_counted_and_no_others(
    body: dict[str, Any], indent: int | None
) -> None:
    text = json.dumps(body, indent=indent, ensure_ascii=False).encode()

    assert not exceeds_fields(text, len(body))
    assert exceeds_fields(text, len(body) - 1)


def test_d2_fields_may_lie_across_pieces() -> None:
    body = b"{" + b",".join(b'"k%d":{"a":[{"b":1}]}' % n for n in range(50_000)) + b"}"

    assert not exceeds_fields(body, 50_000)
    assert exceeds_fields(body, 49_999)
