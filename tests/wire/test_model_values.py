"""Where a body names its model: only its own field counts, wherever it stands."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.wire.model_values import model_values


def values(body: bytes, *depths: int) -> list[bytes]:
    return [body[start:end] for start, end in model_values(body, depths or (1,))]


@pytest.mark.parametrize(
    ("body", "depths", "expected"),
    [
        (b'{"model":"a"}', (), [b'"a"']),
        (b'{"x":[{"model":"b"}],"model":"a"}', (), [b'"a"']),
        (b'{"x":[{"model":"b"}],"model":"a"}', (1, 3), [b'"b"', b'"a"']),
        (b'{"x":{"model":"b"},"model":null,"y":{"model":"c"}}', (), [b"null"]),
        (b'{"x":{"model":"b"},"model":null,"y":{"model":"c"}}', (2,), [b'"b"', b'"c"']),
        (b'{"model":1,"x":"[[[","model":"a\\"]"}', (), [b'"a\\"]"']),
        (b'{"x":"\\"model\\":\\"b\\"","y\\"model":"c"}', (), []),
        (b'{"x":["model"],"y":"model"}', (), []),
        (b'{"x":[{"model":"b"}]}', (), []),
        (b"{}", (), []),
    ],
)
def test_fields_at_the_asked_depths_are_found(
    body: bytes, depths: tuple[int, ...], expected: list[bytes]
) -> None:
    json.loads(body)

    assert values(body, *depths) == expected


@pytest.mark.parametrize("before", [0, 3000])
@pytest.mark.parametrize("behind", [0, 4000])
def test_brackets_in_long_strings_do_not_count(before: int, behind: int) -> None:
    text = b'"' + b"[{" * before + b'\\"]"', b'"' + b"}" * behind + b'"'
    body = b'{"a":[%b],"x":{"model":"b"},"model":"own","b":[{"c":%b}]}' % text

    assert values(body) == [b'"own"']
    assert values(body, 1, 2) == [b'"b"', b'"own"']


NESTED = st.recursive(
    st.text('mode\\"[{x', max_size=5) | st.none() | st.just("model"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "x", '"model"', "model\\"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), NESTED), max_size=4),
    st.integers(0, 4),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
)
def test_only_the_body_s_own_field_is_found_in_any_json(
    fields: list[tuple[str, object]], place: int, indent: int | str | None, ascii_only: bool
) -> None:
    pairs = dict([*fields[:place], ("model", "own"), *fields[place:]])
    body = json.dumps(pairs, indent=indent, ensure_ascii=ascii_only).encode()

    assert values(body) == [b'"own"']
