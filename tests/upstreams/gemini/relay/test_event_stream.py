"""Streams of events pass frame by frame, byte for byte, to their end or to an error."""

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
from tests.upstreams.gemini.golden_files import NAMES, sent
from tests.upstreams.gemini.relay.calls import LAST, a_relay, event, relayed

Outcome = tuple[bytes, str | None, bytes]
ERROR = (
    b'{\n  "error": {\n    "code": 503,\n"message": "no",\n    "status": "UNAVAILABLE"\n  }\n}\n'
)


def outcome(pieces: Sequence[bytes]) -> Outcome:
    """Return what goes out, the code of the error that ends it, and that error's own body."""
    out, error, _ = relayed(pieces)
    return out, None if error is None else str(error.code), b"" if error is None else error.native


def passes(data: bytes) -> bool:
    return assert_same_for_every_split(outcome, data) == (data, None, b"")


@pytest.mark.parametrize("end", ["\r\n\r\n", "\n\n", "\n\r\n"])
def test_frames_pass_byte_for_byte_in_crlf_and_lf(end: str) -> None:
    assert passes(event("Grüße\u2028", end=end) + event("", end=end, finishReason="STOP"))


def test_bytes_that_no_encoder_would_write_pass() -> None:
    odd = b'data:   {"candidates" : [ {"finishReason":"STOP","n":1.0e0,"n":2, "t":"\\ud83d"} ]}\n\n'

    assert passes(odd)


def test_blank_lines_and_data_in_two_lines_pass() -> None:
    assert passes(b'\r\n\r\ndata: {"candidates":\r\ndata: [{"finishReason":"STOP"}]}\r\n\r\n\r\n')


def test_a_frame_is_out_as_soon_as_it_is_whole() -> None:
    relay = a_relay()

    assert relay.feed(event("a") + event("b")[:-1]) == event("a")
    assert relay.held == len(event("b")) - 1
    assert relay.feed(b"\n") == event("b")
    assert relay.held == 0


def test_usage_is_there_whenever_it_is_asked_for() -> None:
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    frame = json.dumps({"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage})
    relay = a_relay()
    relay.feed(event("a"))
    assert relay.usage is None
    relay.feed(f"data: {frame}\r\n\r\n".encode())

    assert relay.usage == TokenUsage(3, 2)
    assert (relay.feed_eof(), relay.done, relay.next_request) == (b"", True, None)


def test_a_stream_without_a_finish_reason_is_truncated_behind_its_last_frame() -> None:
    whole = event("a") + event("b")

    assert assert_same_for_every_split(outcome, whole) == (whole, "upstream_truncated", b"")


def test_half_a_frame_is_dropped() -> None:
    assert outcome([event("a") + event("b")[:-9]]) == (event("a"), "upstream_truncated", b"")
    assert outcome([event("a") + b"dat"]) == (event("a"), "upstream_truncated", b"")


def test_a_stream_of_nothing_is_truncated() -> None:
    assert outcome([]) == (b"", "upstream_truncated", b"")
    assert outcome([b"\r\n"]) == (b"\r\n", "upstream_truncated", b"")


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_last_frame_without_its_blank_line_passes(cut: int) -> None:
    assert outcome([event("a") + LAST[:-cut]]) == (event("a") + LAST[:-cut], None, b"")


def test_an_unfinished_last_frame_is_ended_before_the_error() -> None:
    out, code, _ = outcome([event("a", end="\n")])

    assert (out, code) == (event("a", end="\n\r\n"), "upstream_truncated")
    assert outcome([event("a", end="")])[0] == event("a")


def test_every_candidate_has_ended_means_settled() -> None:
    relay = a_relay()
    relay.feed(event("a"))
    assert relay.is_settled is False  # type: ignore[attr-defined]
    relay.feed(LAST)

    assert relay.is_settled is True  # type: ignore[attr-defined]


def test_a_bare_error_ends_the_stream_as_it_came() -> None:
    data = event("a") + ERROR

    assert assert_same_for_every_split(outcome, data) == (event("a"), "overloaded", ERROR.strip())


def test_an_error_in_a_frame_becomes_a_bare_one() -> None:
    payload = b'{"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}'
    data = event("a") + b"data: " + payload + b"\r\n\r\n" + event("never")

    assert assert_same_for_every_split(outcome, data) == (event("a"), "overloaded", payload)


def test_an_error_in_a_frame_without_its_blank_line_is_one() -> None:
    payload = b'{"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}'

    assert outcome([event("a") + b"data: " + payload]) == (event("a"), "overloaded", payload)


def test_an_error_without_any_frame_has_its_status() -> None:
    for text in (ERROR, b"[" + ERROR + b"]"):
        _, error, _ = relayed([text])
        assert error is not None
        assert (error.status, error.native, error.completed_events) == (503, text.strip(), b"")


def test_a_refused_key_in_a_stream_is_reported_in_the_proxys_words() -> None:
    refused = b'data: {"error":{"code":401,"message":"no","status":"UNAUTHENTICATED"}}\n\n'

    assert outcome([refused]) == (b"", "upstream_auth_failed", b"")


def test_a_frame_that_is_no_json_is_an_error_behind_the_good_ones() -> None:
    data = event("a") + b"data: {oops\r\n\r\n"

    assert assert_same_for_every_split(outcome, data) == (event("a"), "upstream_bad_frame", b"")


def test_a_page_is_an_error() -> None:
    page = b"<html>\n\n<body>Bad gateway</body>\n\n</html>"

    assert assert_same_for_every_split(outcome, page) == (b"", "upstream_bad_response", b"")


def test_an_error_that_breaks_off_is_a_truncated_answer() -> None:
    assert outcome([event("a") + ERROR[:30]]) == (event("a"), "upstream_truncated", b"")


@pytest.mark.parametrize("text", [b"[%b,\r\n%b]", b"[\n%b\n,\n%b\n]\n"])
def test_an_array_in_place_of_events_becomes_events(text: bytes) -> None:
    first, last = event("a\n\nb")[6:-4], LAST[6:-4]
    pretty = text % (json.dumps(json.loads(first), indent=2).encode(), last)

    out, code, _ = assert_same_for_every_split(outcome, pretty)

    frames = [json.loads(line[6:]) for line in out.split(b"\r\n\r\n")[:-1]]
    assert (frames, code) == ([json.loads(first), json.loads(last)], None)


def test_a_whole_answer_in_place_of_events_becomes_one_event() -> None:
    assert outcome([LAST[6:]]) == (
        b"data: " + json.dumps(json.loads(LAST[6:]), separators=(",", ":")).encode() + b"\r\n\r\n",
        None,
        b"",
    )


def test_an_array_that_ends_in_an_error_keeps_what_was_good() -> None:
    out, code, _ = outcome([b"[" + LAST[6:-4] + b"," + ERROR + b"]"])

    assert (out.count(b"data:"), code) == (1, "overloaded")


def test_no_frame_goes_out_in_part() -> None:
    data = event("a") + event("b") + LAST
    for cut in range(1, len(data)):
        out = a_relay().feed(data[:cut])
        assert out == b"" or out.endswith(b"\r\n\r\n")
        assert all(json.loads(part[6:]) for part in out.split(b"\r\n\r\n")[:-1])


@pytest.mark.parametrize("line", [b": keepalive", b"event: message", b"id: 7", b"retry: 10", b"x"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_that_kill_googles_sdks_do_not_cross(line: bytes, end: bytes) -> None:
    alone = event("a") + line + end + end + LAST
    stray = line + end + event("a") + LAST

    assert assert_same_for_every_split(outcome, alone) == (event("a") + LAST, None, b"")
    assert assert_same_for_every_split(outcome, stray) == (event("a") + LAST, None, b"")


def test_a_done_mark_does_not_cross() -> None:
    data = event("a") + LAST + b"data: [DONE]\r\n\r\n"

    assert assert_same_for_every_split(outcome, data) == (event("a") + LAST, None, b"")


def test_a_finish_reason_before_the_last_frame_is_enough() -> None:
    usage = b'data: {"usageMetadata":{"promptTokenCount":1}}\r\n\r\n'

    assert passes(LAST + event("more") + usage)


def test_a_finish_reason_without_content_passes() -> None:
    assert passes(b'data: {"candidates":[{"finishReason":"MAX_TOKENS"}]}\r\n\r\n')


def test_signatures_pass_byte_for_byte() -> None:
    part = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "CpcBAdHtim9Uf0pQ+/=="}
    frame = {"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}

    assert passes(f"data: {json.dumps(frame)}\r\n\r\n".encode())


def test_a_frame_that_never_ends_is_refused() -> None:
    relay_pieces = [b"data: {" + b" " * (1024 * 1024)] * (MAX_EVENT_BYTES // (1024 * 1024) + 1)

    assert outcome(relay_pieces) == (b"", "upstream_frame_too_large", b"")


@pytest.mark.parametrize("name", NAMES)
def test_golden_streams_may_be_cut_anywhere(name: str) -> None:
    """Any bytes from Google, cut anywhere, give whole frames, then the end or an error."""
    data = sent(name)
    out, code, native = outcome([data])
    pieces = [bytes([byte]) for byte in data]

    assert outcome(pieces) == (out, code, native)
    for cut in range(1, len(data), 3):
        assert outcome([data[:cut], data[cut:]]) == (out, code, native)
    if code is None and data.startswith(b"data:"):
        assert out == data
    else:
        assert data.startswith(out) or not data.startswith(b"data:")


STREAMS = [
    param
    for param in recordings("gemini")
    if param.values[0] is None or "sse" in param.values[0]["response"]
]


@pytest.mark.parametrize("recording", STREAMS)
def test_every_recorded_stream_passes_byte_for_byte(recording: dict[str, Any]) -> None:
    data, _ = response_of(recording)
    features = recording["features"]

    out, code, native = outcome(cut_at(data, range(1000, len(data), 1000)))

    if "error_outside_sse_frame" in features:
        before, _, bare = data.rpartition(b"\n\n{")
        assert (out, code) == (before + b"\n\n", "cancelled")
        assert (
            json.loads(native)["error"].items()
            <= {**json.loads(b"{" + bare)["error"], "details": []}.items()
        )
    elif "stream_without_finish_reason" in features and b"blockReason" not in data:
        assert (out.rstrip(b"\r\n"), code) == (data.rstrip(b"\r\n"), "upstream_truncated")
        assert out.startswith(data)
    else:
        assert (out, code) == (data, None)


@given(
    st.lists(st.sampled_from([event("a"), LAST, b": x\n\n", b"data: [DONE]\n\n", b"\r\n", ERROR])),
    st.data(),
)
def test_the_cuts_never_matter(blocks: list[bytes], data: st.DataObject) -> None:
    sent_bytes = b"".join(blocks)
    cuts = data.draw(st.lists(st.integers(0, len(sent_bytes))))

    assert outcome(cut_at(sent_bytes, cuts)) == outcome([sent_bytes])
