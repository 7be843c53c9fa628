"""Halves of surrogate pairs in JSON: found among pairs, replaced, and hidden without a trace."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.wire.text import (
    MAX_LONE_SURROGATES,
    MaskedSurrogates,
    TooManyLoneSurrogates,
    decode,
    replace_lone_surrogates,
)

ANY = msgspec.json.Decoder()
TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from('\ud83d\ude00\udfff\ud800\\"~half0123\n/u'), st.characters(codec=None)
    ),
    max_size=20,
)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"cut \ud83d"', rb'"cut \ufffd"'),
        (rb'"\uDE00 tail"', rb'"\ufffd tail"'),
        (rb'"\uD83D tail"', rb'"\ufffd tail"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\ude00\ude00"', rb'"\ud83d\ude00\ufffd"'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83d\\ude00"', rb'"\ufffd\\ude00"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'"\n\u00e9\ud7ff\ue000"', rb'"\n\u00e9\ud7ff\ue000"'),
        (rb'{"\ud83d":1}', rb'{"\ufffd":1}'),
        (b'"\0\\ud83d"', b'"\0\\ud83d"'),
    ],
    ids=[
        "pair",
        "high half",
        "low half",
        "capitals",
        "half before pair",
        "half behind pair",
        "wrong order",
        "escaped backslash between",
        "escaped backslash",
        "behind an escaped backslash",
        "no surrogates",
        "name",
        "no JSON",
    ],
)
def test_lone_halves_are_replaced_and_nothing_else(sent: bytes, expected: bytes) -> None:
    assert replace_lone_surrogates(sent) == expected


def test_text_without_halves_is_not_copied() -> None:
    whole = json.dumps("\U0001f600 and ü").encode()

    assert replace_lone_surrogates(whole) is whole


@given(TEXTS)
def test_text_reads_as_utf_16_with_its_halves_replaced(text: str) -> None:
    units = text.encode("utf-16-le", "surrogatepass")
    expected = json.loads(json.dumps(units.decode("utf-16-le", "surrogatepass")))
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in expected)

    assert decode(ANY, json.dumps(text).encode()) == expected


@given(st.dictionaries(TEXTS, TEXTS, max_size=3), TEXTS)
def test_hidden_halves_come_back_wherever_values_go(fields: dict[str, str], rest: str) -> None:
    body = json.dumps(fields).encode()
    hidden = MaskedSurrogates(body, other=rest.encode("utf-8", "surrogatepass"))
    raw = msgspec.json.decode(hidden.body, type=dict[str, msgspec.Raw])
    moved = dict(reversed(raw.items()))
    units = {tuple(key): value for key, value in json.loads(body).items()}

    shown = json.loads(hidden.restore(msgspec.json.encode(moved)))

    assert {tuple(key): value for key, value in shown.items()} == units


def test_what_stood_there_before_is_not_taken_for_a_half() -> None:
    hidden = MaskedSurrogates(rb'["~half0~d83d","\ud83d","~half1~"]', other=b"~half2~d83d")

    assert hidden.restore(hidden.body + b"~half2~d83d") == (
        rb'["~half0~d83d","\ud83d","~half1~"]~half2~d83d'
    )


def test_position_of_a_fault_is_one_in_the_body_as_it_came() -> None:
    with pytest.raises(msgspec.DecodeError, match="byte 13"):
        decode(ANY, rb'["\ud83d",12,]')


def test_there_is_an_end_to_the_halves_that_are_replaced() -> None:
    some, more = (
        rb'"%b"' % (rb"\ud83d" * count) for count in (MAX_LONE_SURROGATES, MAX_LONE_SURROGATES + 1)
    )

    assert len(str(decode(ANY, some))) == MAX_LONE_SURROGATES
    with pytest.raises(TooManyLoneSurrogates):
        decode(ANY, more)
    with pytest.raises(TooManyLoneSurrogates):
        MaskedSurrogates(more)
