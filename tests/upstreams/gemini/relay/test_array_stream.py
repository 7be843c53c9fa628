"""Streams that are a JSON array pass element by element, byte for byte."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.wire.sse import MAX_EVENT_BYTES
from tests.support.recordings import recordings, response_of
from tests.support.splits import assert_same_for_every_split, cut_at
from tests.upstreams.gemini.relay.calls import LAST, a_relay, event, relayed

FIRST_ELEMENT, LAST_ELEMENT = event('a"]}\\')[6:-4], LAST[6:-4]
WHOLE = b"[" + FIRST_ELEMENT + b",\r\n" + LAST_ELEMENT + b"\n]\n"
ERROR = b'{"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}'


def outcome(pieces: Sequence[bytes]) -> tuple[bytes, str | None, bytes]:
    out, error, _ = relayed(pieces, query="")
    return out, None if error is None else str(error.code), b"" if error is None else error.native


def test_an_array_passes_byte_for_byte() -> None:
    assert assert_same_for_every_split(outcome, WHOLE) == (WHOLE, None, b"")


def test_an_element_is_out_as_soon_as_it_is_whole() -> None:
    relay = a_relay(query="")

    assert relay.feed(b"[" + FIRST_ELEMENT[:-1]) == b""
    assert relay.held == len(FIRST_ELEMENT)
    assert relay.feed(b"}, ") == b"[" + FIRST_ELEMENT
    assert relay.feed(LAST_ELEMENT + b"]") == b", " + LAST_ELEMENT + b"]"
    assert relay.held == 0


def test_usage_of_an_array() -> None:
    usage = b'[{"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}]'

    assert relayed([usage], query="")[2].usage == TokenUsage(3, 2)


def test_an_array_is_complete_at_its_bracket() -> None:
    relay = a_relay(query="")
    relay.feed(WHOLE[:-3])
    assert relay.is_settled is False  # type: ignore[attr-defined]
    relay.feed(WHOLE[-3:])
    assert relay.is_settled is True  # type: ignore[attr-defined]

    assert (relay.feed_eof(), relay.done, relay.failure) == (b"\n", True, None)


@pytest.mark.parametrize("cut", [2, 3, 10])
def test_an_array_without_its_bracket_is_truncated_behind_its_last_element(cut: int) -> None:
    out, code, _ = outcome([WHOLE[:-cut]])

    assert code == "upstream_truncated"
    assert json.loads(out + b"]")


@pytest.mark.parametrize("data", [b"", b"[", b"[]", b" [ ] "])
def test_an_array_of_nothing_is_truncated(data: bytes) -> None:
    assert assert_same_for_every_split(outcome, data) == (b"", "upstream_truncated", b"")


def test_an_error_as_an_element_ends_the_array() -> None:
    data = b"[" + FIRST_ELEMENT + b",\r\n" + ERROR + b"," + LAST_ELEMENT + b"]"

    assert assert_same_for_every_split(outcome, data) == (b"[" + FIRST_ELEMENT, "overloaded", ERROR)


def test_an_error_in_place_of_an_array() -> None:
    assert assert_same_for_every_split(outcome, ERROR) == (b"", "overloaded", ERROR)


@pytest.mark.parametrize("data", [b"<html>no</html>", event(), b'{"candidates":[]}', b"oops"])
def test_anything_else_in_place_of_an_array_is_an_error(data: bytes) -> None:
    assert assert_same_for_every_split(outcome, data) == (b"", "upstream_bad_response", b"")


def test_an_element_that_never_ends_is_refused() -> None:
    pieces = [b'[{"a":"'] + [b" " * (1024 * 1024)] * (MAX_EVENT_BYTES // (1024 * 1024) + 1)

    assert outcome(pieces) == (b"", "upstream_frame_too_large", b"")


def test_what_follows_the_array_is_dropped_unless_it_is_blank() -> None:
    assert outcome([WHOLE, b" oops"]) == (WHOLE[:-1], None, b"")


TEXTS = st.text(st.sampled_from('a"\\[]{},ü'), max_size=4)


@given(
    st.lists(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS), max_size=3), min_size=1, max_size=4),
    st.data(),
)
def test_any_array_passes_however_it_is_cut(
    elements: list[dict[str, Any]], data: st.DataObject
) -> None:
    whole = json.dumps(elements, ensure_ascii=data.draw(st.booleans())).encode()
    cuts = data.draw(st.lists(st.integers(0, len(whole))))

    assert outcome(cut_at(whole, cuts)) == (whole, None, b"")


ARRAYS = [
    param
    for param in recordings("gemini")
    if param.values[0] is None or "json_array_stream" in param.values[0]["features"]
]


@pytest.mark.parametrize("recording", ARRAYS)
def test_every_recorded_array_passes_byte_for_byte(recording: dict[str, Any]) -> None:
    data, _ = response_of(recording)

    assert outcome([data]) == outcome(cut_at(data, range(7, len(data), 7))) == (data, None, b"")
    assert relayed([data], query="")[2].usage is not None
