"""The depth of JSON, compared with what a decoder finds."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jarvis_proxy.wire.json_depth import exceeds_depth


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
def test_depth_beside_it_is_found(body: bytes) -> None:
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
def test_d2_brackets_count_exactly_however_many_there_are(body: bytes) -> None:
    assert not exceeds_depth(body, 2)
    assert exceeds_depth(body.removesuffix(b"1]") + b"[[]]]", 2)


@pytest.mark.parametrize("padding", [0, 5000])
@pytest.mark.parametrize(("depth", "deeper"), [(5, False), (6, True)])
def test_it_makes_no_difference_how_large_a_body_is(padding: int, depth: int, deeper: bool) -> None:
    body = b"[" * depth + b'"%b"' % (b"x" * padding) + b"]" * depth

    assert exceeds_depth(body, 5) == deeper


def test_few_brackets_in_a_large_body_are_not_deep() -> None:
    assert not exceeds_depth(b'{"a":[1],"b":"%b"}' % (b"x" * 5000), 2)
