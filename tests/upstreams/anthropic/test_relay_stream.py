"""Rows L3 and L4: a relayed stream keeps its bytes, and is watched for its end and its usage."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.relay_stream import MessagesRelayStream, read_whole
from tests.support.recordings import recordings
from tests.upstreams.anthropic.answers import sse, start, text, thinking, tool

Json = dict[str, Any]

USAGE = {
    "input_tokens": 10,
    "cache_read_input_tokens": 30,
    "cache_creation_input_tokens": 5,
    "output_tokens": 1,
}
DELTA: Json = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    "usage": {"output_tokens": 20, "output_tokens_details": {"thinking_tokens": 7}},
}
STOP: Json = {"type": "message_stop"}
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
HEAD = sse(start(USAGE), *thinking(0, "hm", "EqQB"))
BODY = HEAD + PING + sse(*text(1, "a", "\u2028b"), *tool(2, "f", '{"a":', "1}"))
WHOLE = BODY + sse(DELTA, STOP)
OVERLOADED = (
    b'event: error\ndata: {"type":"error","error":{"details":null,"type":"overloaded_error",'
    b'"message":"Overloaded"}              }\n\n'
)


def relayed(*pieces: bytes) -> tuple[bytes, MessagesRelayStream]:
    stream = MessagesRelayStream("my-model")
    out = b"".join(stream.feed(piece) for piece in pieces)
    return (out if stream.done else out + stream.feed_eof()), stream


def failing(*pieces: bytes) -> tuple[bytes, ProxyError]:
    """Return what passed, and the error that ended it."""
    stream = MessagesRelayStream("my-model")
    passed: list[bytes] = []

    def read() -> None:
        passed.extend(stream.feed(piece) for piece in pieces)
        passed.append(stream.feed_eof())

    with pytest.raises(ProxyError) as caught:
        read()
    return b"".join(passed) + caught.value.completed_events, caught.value


def test_a_stream_passes_as_it_came_pings_included() -> None:
    out, stream = relayed(WHOLE)
    assert out == WHOLE
    assert stream.done
    assert stream.usage == TokenUsage(45, 20, 30, 7, 5)


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000])
def test_a_stream_may_be_cut_anywhere(size: int) -> None:
    stream = MessagesRelayStream("my-model")
    out = b""
    for at in range(0, len(WHOLE), size):
        passed = stream.feed(WHOLE[at : at + size])
        assert passed.endswith(b"\n\n") or not passed  # whole events
        out += passed
    assert out == WHOLE
    assert stream.done
    assert stream.held == 0


def test_a_read_may_be_one_event() -> None:
    events = [event + b"\n\n" for event in WHOLE.split(b"\n\n")[:-1]]
    stream = MessagesRelayStream("my-model")
    assert [stream.feed(event) for event in events] == events
    assert stream.done
    assert stream.feed(events[2]) == b""


def test_an_event_may_end_with_cr_and_the_next_read_begin_with_lf() -> None:
    crlf = WHOLE.replace(b"\n", b"\r\n")
    cut = len(HEAD.replace(b"\n", b"\r\n")) - 1
    out, stream = relayed(b"id: 1\r\n" + crlf[:cut], crlf[cut:])
    assert out.replace(b"\r\n", b"\n").replace(b"\r", b"\n") == WHOLE
    assert stream.done


def test_later_counts_overwrite_earlier_ones() -> None:
    delta = DELTA | {"usage": {"input_tokens": 1591, "cache_read_input_tokens": 0}}
    _, stream = relayed(HEAD + sse(delta, STOP))
    assert stream.usage == TokenUsage(1596, 1, 0, 0, 5)


def test_usage_is_known_before_the_end() -> None:
    stream = MessagesRelayStream("my-model")
    stream.feed(HEAD)
    assert stream.usage == TokenUsage(45, 1, 30, 0, 5)
    stream.feed(sse(DELTA | {"usage": None}))
    stream.feed(sse({"type": "message_delta"}))
    assert stream.usage == TokenUsage(45, 1, 30, 0, 5)


def test_nothing_follows_the_end() -> None:
    stream = MessagesRelayStream("my-model")
    assert stream.feed(WHOLE + sse(STOP)) == WHOLE
    assert stream.feed(sse(STOP)) == b""


def test_lines_that_break_sdks_are_left_out() -> None:
    out, _ = relayed(b": open\n\nid: 1\nretry: 5\n" + WHOLE)
    assert out == b": open\n\n" + WHOLE


def test_events_without_names_are_watched_too() -> None:
    data = b"".join(
        b"data: " + json.dumps(event).encode() + b"\n\n" for event in (start(USAGE), DELTA, STOP)
    )
    out, stream = relayed(data)
    assert out == data
    assert stream.done
    assert stream.usage == TokenUsage(45, 20, 30, 7, 5)


def test_a_whole_answer_within_the_start() -> None:
    data = sse(start(USAGE, stop_reason="end_turn"))
    out, _ = relayed(data)
    assert out == data + b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    assert relayed(data + sse(STOP))[0] == data + sse(STOP)


def test_a_missing_end_is_added() -> None:
    data = BODY + sse(DELTA)
    stream = MessagesRelayStream("my-model")
    assert stream.feed(data) == data
    assert stream.is_settled
    assert not stream.done
    assert stream.feed_eof() == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    assert stream.done


def test_the_last_event_may_lack_its_blank_line() -> None:
    assert relayed(WHOLE.rstrip(b"\n"))[0] == WHOLE


@pytest.mark.parametrize("cut", [len(BODY), len(BODY) - 5, len(HEAD) + 3])
def test_a_stream_that_breaks_off_is_an_error(cut: int) -> None:
    out, error = failing(BODY[:cut])
    assert (error.status, error.code) == (502, "upstream_truncated")
    assert BODY.startswith(out)
    assert out.endswith(b"\n\n")


def test_a_stream_of_nothing_is_an_error() -> None:
    assert failing(b"")[1].code == "upstream_truncated"
    assert failing(PING)[1].code == "upstream_truncated"


def test_done_of_another_api_ends_nothing() -> None:
    out, error = failing(HEAD + b"data: [DONE]\n\n")
    assert (out, error.code) == (HEAD, "upstream_truncated")
    assert relayed(BODY + sse(DELTA) + b"data: [DONE]\n\n")[0].endswith(
        b'{"type":"message_stop"}\n\n'
    )


def test_an_error_after_the_beginning_passes_as_it_came() -> None:
    out, stream = relayed(HEAD + OVERLOADED)
    assert out == HEAD + OVERLOADED
    assert stream.done
    assert stream.failure is not None
    assert (stream.failure.status, stream.failure.code) == (503, "overloaded")


@pytest.mark.parametrize("before", [b"", PING])
def test_an_error_before_the_beginning_is_raised_so_that_another_attempt_is_made(
    before: bytes,
) -> None:
    for end in (b"", b"\n\n"):  # the last event may lack its blank line
        out, error = failing(before + OVERLOADED.rstrip(b"\n") + end)
        assert (out, error.status) == (before, 503)


@pytest.mark.parametrize(
    "frame",
    [
        b'data: {"error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
        b'event: error\ndata: {"error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
        b'data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
        b'event: error\ndata: {"type":7,"error":{"type":"overloaded_error","message":"x"}}\n\n',
    ],
)
def test_an_error_that_clients_would_drop_is_raised(frame: bytes) -> None:
    out, error = failing(HEAD + frame)
    assert (out, error.status) == (HEAD, 503)


def test_an_error_about_the_proxys_key_is_reported_in_the_proxys_words() -> None:
    frame = OVERLOADED.replace(b"overloaded_error", b"authentication_error")
    assert failing(HEAD + frame)[1].code == "upstream_auth_failed"


def test_a_key_within_an_error_is_blacked_out() -> None:
    out, _ = relayed(HEAD + OVERLOADED.replace(b"Overloaded", b"Bad key sk-ant-0123456789"))
    assert b"sk-ant" not in out


@pytest.mark.parametrize(
    "payload", [b"{oops", b"7", b'"x"', b'{"x":[' + b"0," * 3_100_000 + b"0]}"], ids=range(4)
)
def test_an_event_that_is_no_object_is_an_error(payload: bytes) -> None:
    out, error = failing(HEAD + b"event: x\ndata: " + payload + b"\n\n")
    assert (out, error.code) == (HEAD, "upstream_bad_frame")


def test_an_event_that_is_no_json_by_itself_is_an_error() -> None:
    stream = MessagesRelayStream("my-model")
    stream.feed(HEAD)
    with pytest.raises(ProxyError, match="not valid JSON"):
        stream.feed(b"event: content_block_delta\ndata: {oops}\n\n")


def test_events_and_fields_of_tomorrow_pass() -> None:
    odd = b'event: news\ndata: {"type":"news","delta":7,"usage":[],"message":"x"}\n\n'
    out, _ = relayed(HEAD + odd + sse(DELTA, STOP))
    assert out == HEAD + odd + sse(DELTA, STOP)


def test_broken_event_after_the_stop_reason_is_ignored() -> None:
    data = BODY + sse(DELTA)
    out, stream = relayed(data + b"event: x\ndata: {oops\n\n")
    assert out.startswith(data)
    assert stream.done


@pytest.mark.parametrize(
    "recording",
    [
        param
        for param in recordings("anthropic")
        if param.values[0] is None or "sse" in param.values[0]["response"]
    ],
)
def test_recorded_streams_pass_unchanged(recording: Json) -> None:
    data = recording["response"]["sse"].encode()
    out, stream = relayed(data)
    assert out == data.rstrip(b"\n") + b"\n\n"
    assert stream.usage is not None


def test_a_whole_answer_is_counted() -> None:
    message = {"type": "message", "content": [], "usage": USAGE}
    assert read_whole(json.dumps(message).encode(), "m") == TokenUsage(45, 1, 30, 0, 5)
    assert read_whole(b'{"type":"message"}', "m") is None
    assert read_whole(b'{"input_tokens":5}', "m") is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>", "upstream_bad_response"),
        (OVERLOADED.partition(b"data: ")[2], "overloaded"),
        (b'{"error":{"message":"m","type":"rate_limit_error"}}', "rate_limit_exceeded"),
    ],
)
def test_a_whole_answer_that_is_an_error_is_raised(body: bytes, code: str) -> None:
    with pytest.raises(ProxyError) as caught:
        read_whole(body, "m")
    assert caught.value.code == code
