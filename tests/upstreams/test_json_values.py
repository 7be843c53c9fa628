"""JSON as the official SDKs read it."""

import msgspec
import pytest

from jarvis_proxy.upstreams.json_values import dumps, edited, fields_of, items_of, loads


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a":[1,2.5,"\xc3\xa9",null,true]}', {"a": [1, 2.5, "é", None, True]}),
        (b'"\\ud83d"', "\ud83d"),
        (b'{"a":-Infinity,"b":"\\udca9"}', {"a": float("-inf"), "b": "\udca9"}),
        (b"\xef\xbb\xbf{}", {}),
        (b"  7 ", 7),
    ],
)
def test_what_an_official_sdk_reads_is_read(data: bytes, value: object) -> None:
    assert loads(data) == value


@pytest.mark.parametrize(
    "data", [b"", b"{", b"{a:1}", b'"\n"', b"{} x", b'{"a":"\xff","b":NaN}', b"[" * 200_000]
)
def test_what_none_reads_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="no JSON"):
        loads(data)


def test_halves_of_surrogate_pairs_are_written_as_they_were() -> None:
    assert dumps({"a": "\ud83d", "b": [1.5]}) == b'{"a":"\\ud83d","b":[1.5]}'


def test_other_types_have_neither_fields_nor_items() -> None:
    assert fields_of({"a": 1}) == {"a": 1}
    assert items_of([1]) == [1]
    others: tuple[object, ...] = (None, 7, "x", True)
    for value in (*others, []):
        assert fields_of(value) == {}
    for value in (*others, {}):
        assert items_of(value) == []


def cut_a(fields: dict[str, msgspec.Raw]) -> bool:
    return fields.pop("a", None) is not None


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (b'{"b":1.0, "a":2}', b'{"b":1.0}'),
        (b'{"b":"\\ud83d","a":2}', b'{"b":"\\ud83d"}'),
        (b'{ "b":2}', b'{ "b":2}'),
        (b"[1, 2]", b"[1, 2]"),
        (b'{"a":', b'{"a":'),
    ],
)
def test_a_body_is_edited_and_the_rest_keeps_its_bytes(body: bytes, left: bytes) -> None:
    assert edited(body, cut_a) == left
