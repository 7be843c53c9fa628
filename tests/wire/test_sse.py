"""Server-sent events: the same events come out of every framing and every cut."""

import random
import re
import sys
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.sse import DONE, KEEPALIVE, SSEDecoder, SSEEvent, last_boundary
from tests.support.splits import assert_same_for_every_split, cut_at

LINE_ENDS = {"LF": b"\n", "CRLF": b"\r\n", "CR": b"\r"}
BOM = b"\xef\xbb\xbf"


def decoded(pieces: Sequence[bytes]) -> tuple[list[SSEEvent], SSEEvent | None, bytes]:
    """Return the events of a stream, the unterminated one, and what was no field."""
    decoder = SSEDecoder()
    events = [event for data in pieces for event in decoder.feed(data)]
    return events, decoder.close(), decoder.non_sse_lines


def event(data: bytes, name: str = "") -> SSEEvent:
    return SSEEvent(name, data)


STREAMS: dict[str, tuple[bytes, list[SSEEvent]]] = {
    "nothing": (b"", []),
    "one": (b'data: {"a":1}\n\n', [event(b'{"a":1}')]),
    "two": (b"data: a\n\ndata: b\n\n", [event(b"a"), event(b"b")]),
    "done": (b"data: a\n\ndata: [DONE]\n\n", [event(b"a"), event(b"[DONE]")]),
    "no space": (b"data:a\n\n", [event(b"a")]),
    "two spaces": (b"data:  a\n\n", [event(b" a")]),
    "several lines": (b"data: a\ndata:b\ndata\ndata: c\n\n", [event(b"a\nb\n\nc")]),
    "empty data": (b"data:\n\ndata\n\n", [event(b""), event(b"")]),
    "named": (b"event: error\ndata: a\n\n", [event(b"a", "error")]),
    "name behind data": (b"data: a\nevent:x\n\n", [event(b"a", "x")]),
    "last name wins": (b"event: x\nevent: y\ndata: a\n\n", [event(b"a", "y")]),
    "name is for one event": (b"event: x\n\ndata: a\n\n", [event(b"a")]),
    "name alone": (b"event: ping\n\n", []),
    "comments": (b": keepalive\n\n:\n\ndata: a\n: in between\n\n", [event(b"a")]),
    "id and retry": (b"id: 7\nretry: 10\ndata: a\n\nid\n\n", [event(b"a")]),
    "blank lines": (b"\n\n\ndata: a\n\n\n\ndata: b\n\n", [event(b"a"), event(b"b")]),
    "multi-byte": ("data: é€🦀\n\n".encode(), [event("é€🦀".encode())]),
    "separators of other alphabets": (
        "data: a\u2028b\x85c\x0b\x0c\n\n".encode(),
        [event("a\u2028b\x85c\x0b\x0c".encode())],
    ),
    "name that is no UTF-8": (b"event: \xff\ndata: \xff\n\n", [event(b"\xff", "\ufffd")]),
    "colons": (b"data: a: b: c\n\n", [event(b"a: b: c")]),
    "BOM": (BOM + b"data: a\n\n", [event(b"a")]),
    "BOM alone on its line": (BOM + b"\ndata: a\n\n", [event(b"a")]),
    "BOM before a comment": (BOM + b": x\n\ndata: a\n\n", [event(b"a")]),
}


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize(("stream", "expected"), STREAMS.values(), ids=STREAMS)
def test_stream_decodes_the_same_in_every_framing_and_cut(
    stream: bytes, expected: list[SSEEvent], end: bytes
) -> None:
    found = assert_same_for_every_split(decoded, stream.replace(b"\n", end))

    assert found == (expected, None, b"")


@pytest.mark.parametrize("stream", [b"data: a\r\n\ndata: b\r\r\n", b"data: a\n\r\ndata: b\r\n\r"])
def test_line_ends_may_be_mixed(stream: bytes) -> None:
    found = assert_same_for_every_split(decoded, stream)

    assert found == ([event(b"a"), event(b"b")], None, b"")


def test_carriage_return_ends_its_event_at_once() -> None:
    """Its line feed, if one comes, is no blank line of its own."""
    decoder = SSEDecoder()

    assert decoder.feed(b"data: a\r\n\r") == [event(b"a")]
    assert decoder.feed(b"") == []
    assert decoder.feed(b"\ndata: b\r") == []
    assert decoder.feed(b"\r") == [event(b"b")]
    assert decoder.feed(b"data: c\n\n") == [event(b"c")]


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b"", None),
        (b"data: b", event(b"b")),
        (b"data: b\n", event(b"b")),
        (b"data: b\r", event(b"b")),
        (b"event: x\ndata: b\nda", event(b"b", "x")),
        (b"event: x\n", None),
        (b": comment", None),
        (b"\n", None),
    ],
)
@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
def test_unterminated_event_is_given_at_the_end_only(
    tail: bytes, expected: SSEEvent | None, end: bytes
) -> None:
    stream = (b"data: a\n\n" + tail).replace(b"\n", end)

    events, last, _ = assert_same_for_every_split(decoded, stream)

    assert (events, last) == ([event(b"a")], expected)


def test_byte_order_mark_counts_only_at_the_start() -> None:
    for stream in (b"data: a\n\n" + BOM + b"data: b\n\n", b"\n" + BOM + b"data: b\n\n"):
        events, last, stray = assert_same_for_every_split(decoded, stream)

        assert event(b"b") not in events
        assert last is None
        assert stray == BOM + b"data: b\n"


def test_text_that_is_no_field_is_kept_as_stray() -> None:
    """An upstream that fails in mid-stream may break off into a plain JSON error."""
    tail = b'{\n  "error": {"code": 503}\n}'
    stream = b"data: a\n\n" + tail.replace(b"\n", b"\r\n")

    events, last, stray = assert_same_for_every_split(decoded, stream)

    assert (events, last) == ([event(b"a")], None)
    assert stray == tail + b"\n"


@pytest.mark.parametrize("line", [b"x" * 100, b"x" * 70_000])
def test_stray_text_is_kept_up_to_64_kib(line: bytes) -> None:
    decoder = SSEDecoder()
    for _ in range(1000):
        decoder.feed(line + b"\n\n")

    assert decoder.non_sse_lines == ((line + b"\n") * 1000)[: 64 * 1024]


def outcome(pieces: Sequence[bytes], limit: int) -> list[SSEEvent] | str | int | None:
    decoder = SSEDecoder(limit)
    events: list[SSEEvent] = []
    try:
        for data in pieces:
            events += decoder.feed(data)
        if (last := decoder.close()) is not None:
            events.append(last)
    except ProxyError as error:
        return error.code
    return events


@pytest.mark.parametrize(
    ("stream", "fits"),
    [
        (b"data: 456789\n\n", True),
        (b"data: 4567890\n\n", False),
        (b"data: 456789", True),
        (b"data: 4567890", False),
        (b"data: 456789\n\ndata: 456789\n\n", True),
        (b"data:\ndata:12\n\n", True),
        (b"data:\ndata:123\n\n", False),
        (b"data: 1\n:xxxxx\n\n", False),
        (b":23456789012\n\n", True),
        (b":234567890123\n\n", False),
        (b"x" * 50, False),
        (b":234\ndata: 3\n\ndata: 456789\n\n", True),
        (b":23456\ndata: 3\n\n", False),
    ],
)
def test_limit_holds_for_an_event_with_all_its_lines(stream: bytes, fits: bool) -> None:
    found = assert_same_for_every_split(lambda pieces: outcome(pieces, 12), stream)

    assert (found != "upstream_frame_too_large") is fits


def test_event_past_the_limit_is_a_502() -> None:
    with pytest.raises(ProxyError) as caught:
        SSEDecoder(100).feed(b"data: " + b"x" * 100)

    assert (caught.value.status, caught.value.code) == (502, "upstream_frame_too_large")


def test_huge_event_is_held_as_it_came_and_joined_once() -> None:
    """A copy per read would make its cost quadratic: the pieces, if large, must be held."""
    pieces = [bytes([65 + i % 26]) * 5000 for i in range(1600)]
    decoder = SSEDecoder()
    decoder.feed(b"data: ")
    before = [sys.getrefcount(piece) for piece in pieces]

    assert not any(map(decoder.feed, pieces))
    held = [sys.getrefcount(piece) for piece in pieces]
    events = decoder.feed(b"\n\n")

    assert held == [count + 1 for count in before]
    assert events == [event(b"".join(pieces))]
    assert [sys.getrefcount(piece) for piece in pieces] == before


def test_huge_unterminated_event_is_within_the_limit_at_the_end() -> None:
    decoder = SSEDecoder(2000)
    decoder.feed(b"data: " + b"x" * 1500)

    assert decoder.close() == event(b"x" * 1500)


def test_our_own_events_are_what_they_say() -> None:
    assert decoded([KEEPALIVE, DONE]) == ([event(b"[DONE]")], None, b"")
    assert not KEEPALIVE.startswith(b": ping")


ALPHABET = st.sampled_from(
    [b"data", b": ", b":", b"event", b"id", b"\n", b"\r", b"\r\n", b"\n\n", BOM, b"x", b"\xe2\x82"]
)
ANY_STREAM = st.lists(ALPHABET | st.binary(max_size=3), max_size=20).map(b"".join)
CUTS = st.lists(st.integers(0, 80), max_size=8)


@pytest.mark.slow
@settings(deadline=None)
@given(ANY_STREAM, CUTS)
def test_any_bytes_cut_anywhere_give_the_same_events(stream: bytes, cuts: list[int]) -> None:
    assert decoded(cut_at(stream, cuts)) == decoded([stream])


@settings(deadline=None)
@given(ANY_STREAM)
def test_line_ends_make_no_difference(stream: bytes) -> None:
    plain = stream.replace(b"\r", b"")

    expected = decoded([plain])

    for end in LINE_ENDS.values():
        assert decoded([plain.replace(b"\n", end)]) == expected


@settings(deadline=None)
@given(ANY_STREAM, CUTS, st.integers(0, 20))
def test_any_bytes_give_events_or_a_proxy_error(stream: bytes, cuts: list[int], limit: int) -> None:
    found = outcome(cut_at(stream, cuts), limit)

    assert isinstance(found, list) or found == "upstream_frame_too_large"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"data: a", 0),
        (b"data: a\n", 0),
        (b"data: a\n\n", 9),
        (b"data: a\n\ndata: b", 9),
        (b"data: a\n\ndata: b\n", 9),
        (b"data: a\n\ndata: b\n\n", 18),
        (b"data: a\n\n\n", 10),
        (b"data: a\r\n", 0),
        (b"data: a\r\n\r\n", 11),
        (b"data: a\r\n\r\nx", 11),
        (b"data: a\r\n\r", 10),
        (b"data: a\r\rdata: b\r", 9),
        (b"data: a\r\r\nx", 10),
        (b"data: a\n\r\nx", 10),
        (b"data: a\n\rx", 9),
        (b"data: a\r\n\nx", 10),
        (b"\n\n", 2),
        (b"\n", 0),
        (b"\r", 0),
        (b"\r\n", 0),
        (b"a\r\nb\r\nc", 0),
    ],
)
def test_last_boundary_is_just_behind_the_last_blank_line(data: bytes, expected: int) -> None:
    assert last_boundary(data) == expected


@settings(deadline=None)
@given(st.text("\r\nx", max_size=30))
def test_last_boundary_agrees_with_a_plain_reading(text: str) -> None:
    """The last line end that follows another one directly; CRLF is one line end."""
    ends = [match.span() for match in re.finditer("\r\n|\r|\n", text)]
    blank = [end for (_, before), (start, end) in pairwise(ends) if before == start]

    assert last_boundary(text.encode()) == (blank[-1] if blank else 0)


def test_framing_of_a_long_stream_is_found_again() -> None:
    """Random line ends and cuts over a stream too long to cut everywhere."""
    chance = random.Random(2026)
    sent = [event(b"%d \xf0\x9f\xa6\x80" % number) for number in range(2000)]
    ends = list(LINE_ENDS.values())
    stream = b"".join(
        b"data: %s%s%s" % (item.data, end, end) for item in sent for end in [chance.choice(ends)]
    )
    cuts = [chance.randrange(len(stream)) for _ in range(3000)]

    assert decoded(cut_at(stream, cuts)) == (sent, None, b"")


def test_a_byte_order_mark_may_stand_on_a_line_of_its_own() -> None:
    assert decoded([BOM + b"\ndata: a\n\n"]) == ([event(b"a")], None, b"")


def test_fields_without_a_meaning_here_are_passed_over() -> None:
    assert decoded([b"id: 1\nretry: 5\ndata: a\n\n"]) == ([event(b"a")], None, b"")
