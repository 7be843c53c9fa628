"""Streams passed on: the very bytes of good ones, and never a good end for a bad one."""

import sys

import pytest

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.frames import StreamKind
from jarvis_proxy.upstreams.openai_stream import PassthroughStream, stream_kind
from jarvis_proxy.wire.sse import DONE, KEEPALIVE, MAX_EVENT_BYTES
from tests.support.splits import assert_same_for_every_split
from tests.upstreams.openai_streams import (
    CHAT,
    CHUNK,
    COMPLETIONS_N2,
    ERROR,
    FINISH,
    GOLDEN,
    LINE_ENDS,
    RESPONSES,
    RUN,
    TRANSCRIPTION,
    Golden,
    Outcome,
    play,
)

pytestmark = pytest.mark.slow

FRAMED = [
    pytest.param(golden, end, id=f"{name}-{framing}")
    for name, golden in GOLDEN.items()
    for framing, end in LINE_ENDS.items()
]


def fed(stream: bytes, kind: StreamKind = "chat") -> Outcome:
    """Return the outcome of a stream, the same for every cut of it."""
    return assert_same_for_every_split(lambda pieces: play(kind, pieces), stream)


@pytest.mark.parametrize(("golden", "end"), FRAMED)
def test_good_stream_comes_out_as_it_came_in(golden: Golden, end: bytes) -> None:
    stream = golden.stream.replace(b"\n", end)

    assert fed(stream, golden.kind) == Outcome(stream, None, True, golden.usage)


@pytest.mark.parametrize(("golden", "end"), FRAMED)
def test_good_stream_may_begin_with_a_byte_order_mark(golden: Golden, end: bytes) -> None:
    stream = b"\xef\xbb\xbf" + golden.stream.replace(b"\n", end)

    assert fed(stream, golden.kind).out == stream


def with_line_feeds(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


@pytest.mark.no_cover
@pytest.mark.parametrize(("golden", "end"), FRAMED)
def test_stream_cut_at_any_byte_is_complete_or_says_that_it_is_not(
    golden: Golden, end: bytes
) -> None:
    """Complete means: every choice has its finish reason, or the response its last event."""
    stream = golden.stream.replace(b"\n", end)
    complete_from = stream.index(golden.last) + len(golden.last)

    for length in range(len(stream)):
        cut = stream[:length]
        found = play(golden.kind, [cut])
        expected, arrived = b"", with_line_feeds(cut)
        for event in golden.stream.split(b"\n\n")[:-1]:
            if arrived.startswith(expected + event):
                expected += event + b"\n\n"
        if length < complete_from:
            assert b"data: [DONE]\n\n" not in expected
            assert (found.code, found.done) == ("upstream_truncated", False)
        else:
            assert (found.code, found.done) == (None, True)
            if golden.kind == "chat" and not expected.endswith(DONE):
                expected += DONE
        assert with_line_feeds(found.out) == expected
        if length % 11 == 0:
            assert play(golden.kind, [cut[at : at + 1] for at in range(length)]) == found


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("tail", [b"data: [DONE]", b"data:[DONE]\n", b"data: [DONE] \n"])
def test_done_may_lack_its_blank_line(tail: bytes, end: bytes) -> None:
    stream = (CHUNK + tail).replace(b"\n", end)

    found = fed(stream)

    assert (found.code, found.done) == (None, True)
    assert with_line_feeds(found.out) == CHUNK + tail.rstrip(b"\n") + b"\n\n"


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        FINISH.rstrip(b"\n"),
        b": almost\n\n",
        b": alm",
        b"data: {",
        b"data: [DON",
        b"dat",
        b" ",
        b"\n",
        b"data: \n",
        b'data: {"choices":[],"usa',
    ],
)
def test_missing_done_is_added_once_every_choice_has_finished(tail: bytes) -> None:
    """Not every upstream says it; what is half there is dropped."""
    found = fed(CHUNK + FINISH + tail)

    assert (found.code, found.done) == (None, True)
    assert found.out.startswith(CHUNK + FINISH)
    assert found.out.endswith(b"\n" + DONE)
    assert found.out.count(b"[DONE]") == 1
    assert b"[DON\n" not in found.out


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\n",
        b": only a comment\n\n",
        CHUNK,
        CHUNK + b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n',
        CHUNK + FINISH.replace(b'"index":0', b'"index":1'),
        CHUNK + b'data: {"choices":[{"index":0,"finish_reason":""}]}\n\n',
        CHUNK + b"event: done\n\n",
        b'data: {"type":"response.completed"}\n\n',
    ],
)
def test_end_before_every_choice_has_finished_is_an_error(stream: bytes) -> None:
    found = fed(stream)

    assert (found.code, found.done) == ("upstream_truncated", False)
    assert b"[DONE]" not in found.out


@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n", b"data: [DONE]"])
def test_response_is_not_complete_without_its_last_event(tail: bytes) -> None:
    """A ``[DONE]`` is no event of that API, and proves nothing."""
    begin = RESPONSES[: RESPONSES.index(b"event: response.completed")]

    assert fed(begin + tail, "responses") == Outcome(begin, "upstream_truncated", False, None)


@pytest.mark.parametrize("status", [b"completed", b"incomplete", b"failed"])
def test_response_is_complete_with_any_of_its_last_events(status: bytes) -> None:
    """A failed one says so itself, in the form that clients of that API know."""
    stream = b'data: {"type":"response.%s","response":{"error":null}}\n\n' % status

    assert fed(stream, "responses") == Outcome(stream, None, True, None)


@pytest.mark.parametrize(
    "more",
    [
        b"data: [DONE]\n\n",
        CHUNK,
        ERROR,
        b"data: not json\n\n",
        b": comment\n\n",
        b"event: x\n\n",
        b"half an ev",
        b"\n\n\n",
    ],
)
@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
def test_nothing_follows_the_end(more: bytes, end: bytes) -> None:
    for golden in (GOLDEN["chat"], GOLDEN["responses"]):
        stream = golden.stream.replace(b"\n", end)

        found = fed(stream + more.replace(b"\n", end), golden.kind)

        assert found == Outcome(stream, None, True, golden.usage)


def test_nothing_follows_the_last_event_of_an_unnamed_response() -> None:
    last = b'data: {"type":"response.completed"}\n\n'

    assert fed(CHUNK + last + CHUNK + ERROR, "responses") == Outcome(CHUNK + last, None, True, None)


def test_what_is_fed_after_the_end_comes_to_nothing() -> None:
    stream = PassthroughStream("chat")

    assert stream.feed(CHAT) == CHAT
    assert stream.feed(CHUNK) == b""
    assert stream.feed_eof() == b""


# Whole streams with something that breaks SDKs, and what is sent instead.
MENDED: dict[str, tuple[bytes, bytes]] = {
    "id": (b"id: 7\n" + CHUNK, CHUNK),
    "id without space": (b"id:7\n" + CHUNK, CHUNK),
    "id behind data": (CHUNK[:-1] + b"id: 7\n\n", CHUNK),
    "retry": (b"retry: 3000\n" + CHUNK, CHUNK),
    "both and a name": (b"id: 1\nevent: x\nretry: 1\n" + CHUNK, b"event: x\n" + CHUNK),
    "id alone": (b"id: 7\n\n", b""),
    "retry alone": (b"retry: 3000\n\n", b""),
    "name alone": (b"event: ping\n\n", b""),
    "empty data": (b"data:\n\ndata: \n\ndata\n\n", b""),
    "ping event": (b"event: ping\ndata: {}\n\n", b""),
    "ping event with any data": (b"event: ping\ndata: 12:00\n\n", b""),
    "ping comment": (b": ping\n\n", KEEPALIVE),
    "ping comment with more": (b": ping - 12:00\n\n", KEEPALIVE),
    "ping comment before data": (b": ping\n" + CHUNK, CHUNK),
    "comment and id": (b": hi\nid: 1\n\n", KEEPALIVE),
    "comment and name": (b"event: x\n: hi\n\n", KEEPALIVE),
    "unknown field alone": (b"foo: bar\n\n", b""),
}


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize(("sent", "expected"), MENDED.values(), ids=MENDED)
def test_lines_that_break_sdks_are_left_out(sent: bytes, expected: bytes, end: bytes) -> None:
    """Around them every byte is as it came, and two in a row are no harder than one."""
    around = CHUNK.replace(b"\n", end)

    found = fed(around + sent.replace(b"\n", end) * 2 + around + DONE)

    assert found == Outcome(around + expected * 2 + around + DONE, None, True, None)


@pytest.mark.parametrize(
    "block",
    [
        b": keepalive\n\n",
        b": OPENROUTER PROCESSING\n\n",
        b": PING\n\n",
        b":ping\n\n",
        b":\n\n",
        b": one\n: two\n\n",
        b": comment\n" + CHUNK,
        b"event: message\n" + CHUNK,
        b"foo: bar\n" + CHUNK,
        b"data:{}\n\n",
        b"data:  {} \n\n",
        b'data: {\ndata: "a":\ndata: 1}\n\n',
        b"\n\n",
        b"\n",
        CHUNK + b"\n\n\n",
        b'data: {"identity":"id: 7","x":"retry: 1\\nid: 2"}\n\n',
    ],
)
@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
def test_everything_else_passes_byte_for_byte(block: bytes, end: bytes) -> None:
    stream = (CHUNK + block + CHUNK + b"data: [DONE]\n\n").replace(b"\n", end)

    assert fed(stream) == Outcome(stream, None, True, None)


@pytest.mark.parametrize("stream", [CHUNK[:-1] + b"\r\nid: 1\r\r" + CHUNK + DONE])
def test_line_ends_may_be_mixed(stream: bytes) -> None:
    assert fed(stream) == Outcome(CHUNK[:-1] + b"\r\n" + CHUNK + DONE, None, True, None)


# What an event may carry in place of a chunk, and the error it makes.
ERRORS: dict[str, tuple[bytes, str | int, int, str]] = {
    "object": (ERROR, "overloaded", 503, "Busy."),
    "object with a status": (
        b'data: {"error":{"message":"Slow down.","code":429}}\n\n',
        429,
        429,
        "Slow down.",
    ),
    "text": (b'data: {"error":"Out of memory"}\n\n', "upstream_error", 502, "Out of memory"),
    "with choices": (
        b'data: {"choices":[{"index":0,"finish_reason":"stop"}],"error":{"message":"No."}}\n\n',
        "upstream_error",
        502,
        "No.",
    ),
    "with fields of other types": (
        b'data: {"choices":"none","error":{"message":"No."}}\n\n',
        "upstream_error",
        502,
        "No.",
    ),
    "named event": (
        b'event: error\ndata: {"message":"No.","code":"rate_limit_exceeded"}\n\n',
        "rate_limit_exceeded",
        429,
        "No.",
    ),
    "typed event": (
        b'data: {"type":"error","code":"server_overloaded","message":"No.","param":null}\n\n',
        "server_overloaded",
        503,
        "No.",
    ),
}


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize(("event", "code", "status", "message"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("before", [b"", CHUNK, CHUNK + b": x\n\n" + CHUNK, b"id: 1\n\n"])
def test_error_in_place_of_a_chunk_is_raised_behind_what_came_before(
    event: bytes, code: str, status: int, message: str, before: bytes, end: bytes
) -> None:
    kept = b"" if before.startswith(b"id") else before.replace(b"\n", end)
    stream = (before + event + CHUNK + DONE).replace(b"\n", end)

    assert fed(stream) == Outcome(kept, code, False, None)
    with pytest.raises(ProxyError) as caught:
        PassthroughStream("chat").feed(stream)
    assert caught.value.completed_events == kept
    assert caught.value.status == status
    assert caught.value.message == message


def test_error_without_its_blank_line_is_still_that_error() -> None:
    assert fed(CHUNK + ERROR.rstrip()) == Outcome(CHUNK, "overloaded", False, None)


@pytest.mark.parametrize("value", [b"null", b"false", b'""', b"{}"])
def test_empty_error_is_none(value: bytes) -> None:
    stream = b'data: {"choices":[],"error":%s}\n\n' % value + FINISH + DONE

    assert fed(stream) == Outcome(stream, None, True, None)


@pytest.mark.parametrize(
    "data",
    [
        b"not json",
        b"{",
        b"}",
        b'{"a":1',
        b'{"a":1} x',
        b'{"choices":[{"index":',
        b'{"choices":5, oops}',
        b'{"type":"\xff"}',
        b'{"type":1,"a":"\x00"}',
        b"[]",
        b"null",
        b"12",
        b'"text"',
        b"[DONE]]",
        b"[done]",
        b"<html>",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":1,"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda data: data[:24].decode("latin-1"),
)
def test_data_that_is_no_json_object_is_an_error(data: bytes) -> None:
    """SDKs would raise a decoder's error of their own, which no client expects."""
    stream = CHUNK + b"data: " + data + b"\n\n" + FINISH + DONE
    pieces = stream if len(stream) < 1000 else stream[: len(CHUNK) + 200]

    found = play("chat", [stream])

    assert found == Outcome(CHUNK, "upstream_bad_frame", False, None)
    if pieces is stream:
        assert fed(stream) == found


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":5}',
        b'{"choices":[null],"type":7}',
        b'{"usage":[1,2]}',
        b'{"object":"list","data":[]}',
        b"{}",
    ],
)
def test_object_of_another_shape_passes(data: bytes) -> None:
    stream = b"data: " + data + b"\n\n" + CHUNK + DONE

    assert fed(stream) == Outcome(stream, None, True, None)


@pytest.mark.parametrize(
    "stream",
    [
        TRANSCRIPTION,
        RUN,
        RUN + b"data: {",
        b"event: ping\ndata: {}\n\n",
        b"event: done\ndata: [DONE]\n\n",
        b"",
    ],
)
@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
def test_stream_of_another_endpoint_may_end_anywhere(stream: bytes, end: bytes) -> None:
    """Nobody knows how it ends; so it ends as it did, and the proxy adds nothing."""
    framed = stream.replace(b"\n", end)

    assert fed(framed, "other") == Outcome(framed, None, b"[DONE]" in stream, None)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (b"{}", TokenUsage()),
        (b'{"prompt_tokens":1,"completion_tokens":2}', TokenUsage(1, 2)),
        (
            b'{"prompt_tokens":1,"prompt_tokens_details":{},"completion_tokens_details":null}',
            TokenUsage(1),
        ),
        (b'{"input_tokens":1,"input_tokens_details":{"cached_tokens":1}}', TokenUsage(1, 0, 1)),
        (
            b'{"output_tokens":5,"output_tokens_details":{"reasoning_tokens":4}}',
            TokenUsage(0, 5, 0, 4),
        ),
    ],
)
def test_usage_is_noted_as_it_comes(usage: bytes, expected: TokenUsage) -> None:
    """Some upstreams repeat it on every chunk: the last one counts."""
    other = b'data: {"choices":[],"usage":{"prompt_tokens":77}}\n\n'
    stream = other + b'data: {"choices":[],"usage":%s}\n\n' % usage + DONE

    assert fed(stream).usage == expected


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        ("chat/completions", "chat"),
        ("completions", "chat"),
        ("responses", "responses"),
        ("audio/transcriptions", "other"),
        ("images/generations", "other"),
        ("threads/runs", "other"),
    ],
)
def test_endpoint_decides_by_which_rules_a_stream_is_complete(
    endpoint: str, kind: StreamKind
) -> None:
    assert stream_kind(endpoint) == kind


def test_huge_event_is_held_as_it_came_and_joined_once() -> None:
    """A copy per read would make its cost quadratic: the pieces, if large, must be held."""
    pieces = [b"%04d" % number + b"x" * 5000 for number in range(1600)]
    stream = PassthroughStream("chat")
    stream.feed(b'data: {"b64":"')
    before = [sys.getrefcount(piece) for piece in pieces]

    assert not any(map(stream.feed, pieces))
    held = [sys.getrefcount(piece) for piece in pieces]
    out = stream.feed(b'"}\n\n')

    assert held == [count + 1 for count in before]
    assert out == b'data: {"b64":"' + b"".join(pieces) + b'"}\n\n'
    assert [sys.getrefcount(piece) for piece in pieces] == before


def test_event_past_32_mib_is_an_error() -> None:
    stream = PassthroughStream("chat")
    piece = b"x" * (1024 * 1024)
    assert stream.feed(CHUNK + b'data: {"b64":"') == CHUNK

    for _ in range(MAX_EVENT_BYTES // len(piece) - 1):
        assert stream.feed(piece) == b""
    with pytest.raises(ProxyError) as caught:
        stream.feed(piece)

    assert (caught.value.status, caught.value.code) == (502, "upstream_frame_too_large")
    assert caught.value.completed_events == b""


def test_empty_read_changes_nothing() -> None:
    pieces = [bytes([byte]) for byte in CHAT]
    with_empty = [piece for byte in pieces for piece in (b"", byte, b"")]

    assert play("chat", with_empty) == play("chat", pieces)


def test_two_choices_both_must_finish() -> None:
    """Cut behind the first one's finish reason, the answer is not complete."""
    first = COMPLETIONS_N2.index(b'"stop"')
    cut = COMPLETIONS_N2[: COMPLETIONS_N2.index(b"\n\n", first) + 2]

    assert fed(cut) == Outcome(cut, "upstream_truncated", False, None)


_WORD = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
_BROKEN = (
    b'data: {"choices":[{"index":0,"finish_reason":"error",'
    b'"error":{"message":"m","code":"c"}}]}\n\n'
)
_STOP = b'data: {"choices":[{"index":0,"finish_reason":"stop"}]}\n\n'


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([_WORD, b"data: {}},{{}\n\n", _STOP], "upstream_bad_frame"),
        ([_WORD, b'data: {"a":[{}\n\n', b'data: {"b":1}]}\n\n', _STOP], "upstream_bad_frame"),
        ([_WORD, b'data: {"error":{"message":"m","code":"c"}}\n\n', _STOP], "c"),
        ([_WORD, b"data: {no}\n\n"], "upstream_bad_frame"),
        ([_WORD, _BROKEN], "c"),
    ],
)
def test_events_of_one_read_are_judged_one_by_one(events: list[bytes], code: str) -> None:
    """They are decoded together; what is wrong with one of them must be found all the same."""
    with pytest.raises(ProxyError) as caught:
        PassthroughStream("chat").feed(b"".join(events))

    assert caught.value.code == code
    assert caught.value.completed_events == events[0]


@pytest.mark.parametrize("words", [0, 1, 2, 50])
@pytest.mark.parametrize("kind", ["chat", "other"])
def test_end_in_the_same_read_is_seen(words: int, kind: StreamKind) -> None:
    stream = PassthroughStream(kind)
    data = _WORD * words + _STOP + DONE

    assert stream.feed(data) == data
    assert stream.done
    assert stream.feed_eof() == b""


def test_nothing_of_a_read_goes_out_behind_the_end_of_responses() -> None:
    event = b'data: {"type":"response.output_text.delta","delta":"a"}\n\n'
    end = b'data: {"type":"response.completed","response":{"usage":{"input_tokens":3}}}\n\n'
    stream = PassthroughStream("responses")

    assert stream.feed(event + event + end + event) == event + event + end
    assert stream.done
    assert stream.usage == TokenUsage(prompt=3)


def test_what_no_sdk_reads_is_left_out_behind_the_last_choice() -> None:
    stream = PassthroughStream("chat")

    assert stream.feed(_WORD) + stream.feed(_STOP) == _WORD + _STOP
    assert stream.feed(b"data: {no}\n\n") == b""
    assert stream.feed_eof() == DONE


def test_usage_in_a_choice_is_noted() -> None:
    stream = PassthroughStream("chat")
    stream.feed(b'data: {"choices":[{"index":0,"usage":{"prompt_tokens":3}}]}\n\n')

    assert stream.usage == TokenUsage(prompt=3)


def test_a_ping_is_left_out() -> None:
    assert PassthroughStream("chat").feed(b"event: ping\ndata: {}\n\n") == b""
