"""Streams: framing, order, ends. Bytes as Google sends them, written by hand."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.canonical.exchange import RetryableError
from jarvis_proxy.canonical.translation import TranslatedStream
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.sse import MAX_EVENT_BYTES
from tests.upstreams.gemini.replies import (
    DONE,
    JSON,
    a_frame,
    a_function_call,
    a_plan,
    a_usage,
    accumulate,
    an_exchange,
    chunks_of,
    deltas_of,
    events_of,
    finishes_of,
    sse,
    stream,
    stream_error,
    stream_outcome,
    whole,
)

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parents[1] / "golden"
TEXT = [
    a_frame({"text": "Grüße, "}, usage=a_usage(8, 2)),
    a_frame({"text": "世界 😀\u2028!"}, finish="STOP", usage=a_usage(8, 6)),
]


# -- what comes out --------------------------------------------------------------------------


def test_text_becomes_role_pieces_finish_and_done() -> None:
    data = stream(sse(*TEXT))

    assert deltas_of(data) == [
        {"role": "assistant", "content": ""},
        {"content": "Grüße, "},
        {"content": "世界 😀\u2028!"},
        {},
    ]
    assert [c["finish_reason"] for c in finishes_of(data)] == ["stop"]
    assert data.count(DONE) == 1


def test_every_chunk_has_the_same_head() -> None:
    frames = [{**TEXT[0], "responseId": "r1"}, {**TEXT[1], "responseId": "r2"}]

    chunks = chunks_of(stream(sse(*frames), a_plan(include_usage=True)))

    heads = {(c["id"], c["object"], c["created"], c["model"]) for c in chunks}
    assert heads == {("chatcmpl-r1", "chat.completion.chunk", 1_800_000_000, "my-model")}


def test_without_a_response_id_the_calls_own_is_used() -> None:
    assert chunks_of(stream(sse(*TEXT)))[0]["id"] == "chatcmpl-req-1"


def test_usage_comes_last_with_no_choices_and_only_when_asked_for() -> None:
    chunks = chunks_of(stream(sse(*TEXT), a_plan(include_usage=True)))

    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 4
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 14
    assert not any("usage" in chunk for chunk in chunks_of(stream(sse(*TEXT))))


def test_where_the_upstream_counts_nothing_usage_is_zero() -> None:
    chunks = chunks_of(
        stream(sse(a_frame({"text": "a"}, finish="STOP")), a_plan(include_usage=True))
    )

    assert chunks[-1]["usage"]["total_tokens"] == 0


def test_one_upstream_read_is_at_most_one_downstream_write() -> None:
    translator = an_exchange(stream=True).stream_translator()

    assert len(events_of(translator.feed(sse(*TEXT)))) == 3
    assert translator.feed(b"") == b""
    assert translator.feed(b"data: {") == b""


def test_done_is_true_only_when_all_is_out() -> None:
    translator = an_exchange(stream=True).stream_translator()
    translator.feed(sse(*TEXT))
    assert not translator.done

    assert translator.feed_eof().endswith(DONE)
    assert translator.done
    assert translator.next_request is None


def test_a_stream_is_never_settled_before_the_end_of_its_body() -> None:
    translator = an_exchange().stream_translator()
    assert isinstance(translator, TranslatedStream)

    translator.feed(sse(*TEXT))

    assert not translator.is_settled


def test_tokens_are_known_as_soon_as_the_upstream_reports_them() -> None:
    exchange = an_exchange(stream=True)
    translator = exchange.stream_translator()
    assert translator.usage is None

    translator.feed(sse(TEXT[0]))
    assert translator.usage == TokenUsage(8, 2)
    assert exchange.usage is None

    translator.feed(sse(TEXT[1]))
    translator.feed_eof()
    assert translator.usage == exchange.usage == TokenUsage(8, 6)


# -- the test vector: parallel calls of gemini-3.5-flash ----------------------------------------


def test_parallel_calls_byte_for_byte() -> None:
    data = (GOLDEN / "parallel_tool_calls.sse").read_bytes()

    actual = stream(data, a_plan(include_usage=True, declared=["get_weather"]))

    assert (GOLDEN / "parallel_tool_calls.expected.sse").read_bytes() == actual


# -- before the first thing to show -------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        {"usageMetadata": a_usage(1, 0), "responseId": "r"},
        {"promptFeedback": {"safetyRatings": []}},
        a_frame(),
        a_frame({"text": ""}),
        {"candidates": [{"content": {"role": "model"}, "index": 0}]},
    ],
)
def test_frames_with_nothing_to_show_are_held_back(frame: JSON) -> None:
    translator = an_exchange(stream=True).stream_translator()

    assert translator.feed(sse(frame)) == b""
    assert len(events_of(translator.feed(sse(a_frame({"text": "a"}))))) == 2


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([], "empty_response"),
        ([{"usageMetadata": a_usage(1, 0)}], "empty_response"),
        ([a_frame(finish="MALFORMED_FUNCTION_CALL")], "upstream_malformed_response"),
        (
            [a_frame({"text": ""}), a_frame(finish="UNEXPECTED_TOOL_CALL")],
            "upstream_malformed_response",
        ),
    ],
)
def test_an_answer_with_nothing_in_it_is_worth_another_try(frames: list[JSON], code: str) -> None:
    error = stream_error(sse(*frames))

    assert (error.code, error.completed_events) == (code, b"")
    assert isinstance(error, RetryableError)


def test_after_a_thought_a_call_gone_wrong_is_an_error_and_no_end() -> None:
    frames = [a_frame({"text": "hm", "thought": True}), a_frame(finish="MALFORMED_FUNCTION_CALL")]

    out, error = stream_outcome(an_exchange(stream=True), [sse(*frames)])

    assert error is not None
    assert error.code == "upstream_malformed_response"
    assert not isinstance(error, RetryableError)
    assert [c["choices"][0]["finish_reason"] for c in events_of(out)] == [None, None]


def test_a_refused_prompt_is_a_complete_stream() -> None:
    data = stream(sse({"promptFeedback": {"blockReason": "SAFETY"}}))

    (finish,) = finishes_of(data)
    assert deltas_of(data) == [{"role": "assistant", "content": ""}, {}]
    assert finish["finish_reason"] == "content_filter"
    assert finish["native_finish_reason"] == "PROMPT_BLOCKED:SAFETY"


# -- framing -----------------------------------------------------------------------------------

FRAMINGS: dict[str, bytes] = {
    "crlf": sse(*TEXT),
    "lf": sse(*TEXT, eol="\n"),
    "cr": sse(*TEXT, eol="\r"),
    "bom": b"\xef\xbb\xbf" + sse(*TEXT),
    "blank lines in front": b"\r\n \n" + sse(*TEXT),
    "comments": b": hello\n\n" + sse(*TEXT).replace(b"\r\n\r\n", b"\r\n\r\n: beat\r\n\r\n"),
    "no space": sse(*TEXT).replace(b"data: ", b"data:"),
    "event names": sse(*TEXT).replace(b"data: ", b"event: message\r\ndata: "),
    "no blank line at the end": sse(*TEXT).rstrip(),
    "one line end at the end": sse(*TEXT)[:-2],
    "a mark for the end": sse(*TEXT) + b"data: [DONE]\n\n",
    "a mark for the end, cut": sse(*TEXT) + b"data: [DONE]",
    "data over several lines": sse(*TEXT).replace(b'}, "', b'},\r\ndata: "'),
    "arrays in events": b"".join(b"data: [" + json.dumps(f).encode() + b"]\n\n" for f in TEXT),
    "an array for a body": json.dumps(TEXT, indent=2).encode(),
    "an array in pieces": b"[" + b"\n,\r\n".join(json.dumps(f).encode() for f in TEXT) + b"\n]\n",
}
EXPECTED = stream(FRAMINGS["crlf"])


@pytest.mark.parametrize("name", FRAMINGS)
def test_framing_makes_no_difference_wherever_it_is_cut(name: str) -> None:
    data = FRAMINGS[name]

    for cut in range(len(data) + 1):
        out, error = stream_outcome(an_exchange(stream=True), [data[:cut], data[cut:]])
        assert (out, error) == (EXPECTED, None)
    out, error = stream_outcome(
        an_exchange(stream=True), [data[i : i + 1] for i in range(len(data))]
    )
    assert (out, error) == (EXPECTED, None)


parts = st.one_of(
    st.text(max_size=8).map(lambda text: {"text": text}),
    st.text(max_size=8).map(lambda text: {"text": text, "thought": True}),
    st.text("ab", min_size=1, max_size=2).map(a_function_call),
    st.just({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
    st.just({"text": "", "thoughtSignature": "s"}),
    st.just({"executableCode": {"code": "x"}}),
    st.just({}),
)
finishes = st.sampled_from([None, None, "STOP", "MAX_TOKENS", "SAFETY", "MALFORMED_FUNCTION_CALL"])
frames = st.one_of(
    st.builds(
        lambda parts, finish, index: a_frame(*parts, finish=finish, index=index),
        st.lists(parts, max_size=3),
        finishes,
        st.sampled_from([0, 0, 0, 1]),
    ),
    st.just({"error": {"code": 503, "message": "busy"}}),
    st.just({"usageMetadata": a_usage(3, 4, 5)}),
    st.just({"promptFeedback": {"blockReason": "OTHER"}}),
)


def a_body(chosen: list[JSON], eol: str, tail: bytes) -> bytes:
    return sse(*chosen, eol=eol) + tail


bodies = st.builds(
    a_body,
    st.lists(frames, max_size=5),
    st.sampled_from(["\r\n", "\n", "\r"]),
    st.sampled_from(
        [b"", b"", b"data: {", b'{\n"error": {"code": 429}\n}', b"<html>", b"data: x\n\n"]
    ),
)


@settings(max_examples=300)
@given(data=bodies, cuts=st.lists(st.integers(0, 4000), max_size=12))
def test_any_cut_of_any_stream_gives_the_same_bytes_and_the_same_end(
    data: bytes, cuts: list[int]
) -> None:
    places = [0, *sorted({min(cut, len(data)) for cut in cuts}), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]

    expected, expected_error = stream_outcome(an_exchange(stream=True), [data])
    actual, error = stream_outcome(an_exchange(stream=True), pieces)

    assert expected == actual
    assert type(error) is type(expected_error)
    assert getattr(error, "code", None) == getattr(expected_error, "code", None)


noise = st.lists(
    st.one_of(st.binary(max_size=60), bodies, st.sampled_from([b"data: ", b"\n\n", b"["]))
)


@settings(max_examples=300)
@given(pieces=noise)
def test_any_bytes_give_chunks_or_a_proxy_error_and_nothing_else(pieces: list[bytes]) -> None:
    out, error = stream_outcome(an_exchange(a_plan(include_usage=True), stream=True), pieces)

    if error is None:
        assert out.endswith(DONE)
    else:
        assert DONE not in out
        assert isinstance(error, ProxyError)


CLOSING = {"candidates": [{"index": i, "finishReason": "STOP"} for i in (0, 1)]}


@settings(max_examples=200)
@given(
    chosen=st.lists(frames.filter(lambda frame: "error" not in frame), max_size=6),
    think_tag=st.sampled_from([None, "think"]),
)
def test_a_stream_adds_up_to_the_whole_reply(chosen: list[JSON], think_tag: str | None) -> None:
    plan = a_plan(think_tag=think_tag)

    streamed = accumulate(chunks_of(stream(sse(*chosen, CLOSING), plan)))
    choices = whole(*chosen, CLOSING, plan=plan)["choices"]

    assert [choice["index"] for choice in choices] == sorted(streamed)
    for choice in choices:
        message, other = choice.pop("message"), streamed[choice["index"]].pop("message")
        assert message.pop("refusal") is None
        assert message.pop("annotations") == other.pop("annotations", [])
        assert (message.pop("content") or "") == other.pop("content")
        # Ids are drawn in the order of the parts, so they agree as well.
        assert message == other
        assert choice.pop("logprobs") is None
        assert choice == streamed[choice["index"]]


# -- ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        sse(TEXT[0]),
        sse(*TEXT) + b"data: {",
        sse(*TEXT)[:-30],
        sse(a_frame()),
        json.dumps(TEXT).encode()[:-1],
        json.dumps(TEXT).encode()[:40],
    ],
    ids=["no finish", "half an event", "cut in the last", "nothing", "array", "array early"],
)
def test_an_answer_cut_off_is_an_error_and_never_an_end(data: bytes) -> None:
    out, error = stream_outcome(an_exchange(stream=True), [data])

    assert error is not None
    assert (error.status, error.code) == (502, "upstream_truncated")
    assert DONE not in out
    assert b'"finish_reason":"' not in out


@pytest.mark.parametrize(
    "bad", [b"data: {not json}\n\n", b"data: 7\n\n", b'data: {"responseId":"\xff"}\r\n\r\n']
)
def test_a_frame_that_is_not_json_is_an_error_that_shows_nothing_of_it(bad: bytes) -> None:
    out, error = stream_outcome(an_exchange(stream=True), [sse(TEXT[0]) + bad + sse(TEXT[1])])

    assert error is not None
    assert (error.status, error.code) == (502, "upstream_bad_frame")
    assert error.message == "The upstream sent a frame that is not valid JSON."
    assert len(events_of(out)) == 2


def test_an_error_event_is_raised_behind_what_came_before() -> None:
    error_frame = {
        "error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
    }

    out, error = stream_outcome(an_exchange(stream=True), [sse(TEXT[0], error_frame, TEXT[1])])

    assert error is not None
    assert (error.status, error.code, error.message) == (
        503,
        "overloaded",
        "The model is overloaded.",
    )
    assert [e["choices"][0]["delta"].get("content") for e in events_of(out)] == ["", "Grüße, "]


def test_an_error_in_the_first_frame_has_nothing_before_it() -> None:
    error = stream_error(sse({"error": {"code": 429, "message": "slow", "details": []}}))

    assert (error.status, error.code, error.completed_events) == (429, "rate_limit_exceeded", b"")


RAW_ERROR = json.dumps(
    {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, indent=2
)


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "text", [RAW_ERROR, f"[{RAW_ERROR}]", f"[{RAW_ERROR}\n]\n", RAW_ERROR + "\n"]
)
@pytest.mark.parametrize("before", [b"", sse(TEXT[0]), sse(*TEXT)])
def test_an_error_that_is_no_event_is_found(eol: str, text: str, before: bytes) -> None:
    out, error = stream_outcome(
        an_exchange(stream=True), [before + text.replace("\n", eol).encode()]
    )

    assert error is not None
    assert (error.status, error.code) == (503, "overloaded")
    assert DONE not in out


@pytest.mark.parametrize(
    ("tail", "code"),
    [
        (b"<html>Bad Gateway</html>", "upstream_bad_response"),
        (b'{"error": {"code":', "upstream_bad_frame"),
        (b"[1", "upstream_bad_frame"),
    ],
)
def test_other_text_behind_the_frames_is_an_error_too(tail: bytes, code: str) -> None:
    assert stream_error(sse(*TEXT) + tail).code == code


def test_a_page_in_place_of_a_stream_is_no_answer() -> None:
    assert stream_error(b"<html>\n<p>502</p>\n</html>").code == "upstream_bad_response"


def test_unknown_fields_of_events_are_passed_over() -> None:
    assert stream(sse(*TEXT) + b"foo: bar\n\n") == EXPECTED


def test_a_body_without_end_is_refused() -> None:
    translator = an_exchange(stream=True).stream_translator()
    translator.feed(b"[")
    assert translator.feed(b" " * (MAX_EVENT_BYTES - 1)) == b""

    with pytest.raises(ProxyError) as caught:
        translator.feed(b" ")

    assert caught.value.code == "upstream_frame_too_large"


# -- several requests, continuations ------------------------------------------------------------


def test_several_requests_share_id_usage_and_end() -> None:
    exchange = an_exchange(a_plan(choice_count=2, include_usage=True), stream=True)
    one, other = exchange.stream_translator(0), exchange.stream_translator(1)

    out = other.feed(sse({**a_frame({"text": "b"}), "responseId": "r-b"}))
    out += one.feed(sse({**a_frame({"text": "a"}), "responseId": "r-a"}))
    out += one.feed(sse(a_frame(finish="STOP", usage=a_usage(10, 1))))
    out += one.feed_eof()
    assert DONE not in out
    assert one.done
    out += other.feed(sse(a_frame(finish="MAX_TOKENS", usage=a_usage(10, 2))))
    out += other.feed_eof()

    assert other.done
    chunks = chunks_of(out)
    assert {chunk["id"] for chunk in chunks} == {"chatcmpl-r-b"}
    assert {i: c["message"]["content"] for i, c in accumulate(chunks).items()} == {0: "a", 1: "b"}
    assert [(c["index"], c["finish_reason"]) for c in finishes_of(out)] == [
        (0, "stop"),
        (1, "length"),
    ]
    assert chunks[-1]["usage"]["prompt_tokens"] == 20
    assert sum("usage" in c and c["usage"] is not None for c in chunks) == 1
    assert exchange.usage == TokenUsage(20, 3)
    assert (one.usage, other.usage) == (TokenUsage(10, 1), TokenUsage(10, 2))


def test_a_request_tried_again_counts_once() -> None:
    exchange = an_exchange(a_plan(choice_count=1), stream=True)
    failed = exchange.stream_translator()
    failed.feed(sse(a_frame(usage=a_usage(5, 5))))

    again = exchange.stream_translator()
    again.feed(sse(*TEXT))
    again.feed_eof()

    assert exchange.usage == TokenUsage(8, 6)


def test_a_continuation_goes_on_in_the_same_stream() -> None:
    plan = a_plan(body=b'{"contents":[1]}', include_usage=True)
    translator = an_exchange(plan, stream=True).stream_translator()
    first = a_frame(
        {"text": "one "},
        a_function_call("f"),
        finish="CONTINUATION",
        usage=a_usage(10, 5),
        continuationToken='t"1',
    )

    out = translator.feed(sse(first)) + translator.feed_eof()
    following = translator.next_request
    assert following is not None
    assert following.path == "/models/gemini-x:streamGenerateContent?alt=sse"
    assert json.loads(following.body) == {"continuationToken": 't"1', "contents": [1]}
    assert not translator.done
    assert b'"finish_reason":"' not in out

    out += translator.feed(
        sse(a_frame({"text": "two"}, a_function_call("g"), finish="STOP", usage=a_usage(15, 2)))
    )
    out += translator.feed_eof()

    assert translator.next_request is None
    chunks = chunks_of(out)
    message = accumulate(chunks)[0]["message"]
    assert message["content"] == "one two"
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["f", "g"]
    assert sum("role" in delta for delta in deltas_of(out)) == 1
    assert len(finishes_of(out)) == 1
    assert chunks[-1]["usage"]["total_tokens"] == 32


def test_each_hop_has_a_framing_of_its_own() -> None:
    translator = an_exchange(stream=True).stream_translator()
    first = a_frame({"text": "one "}, finish="CONTINUATION", continuationToken="t")

    out = translator.feed(json.dumps([first]).encode()) + translator.feed_eof()
    out += translator.feed(sse(a_frame({"text": "two"}, finish="STOP")).rstrip())
    out += translator.feed_eof()

    assert accumulate(chunks_of(out))[0]["message"]["content"] == "one two"


def test_an_end_in_openais_form_ends_nothing() -> None:
    assert stream(sse(*TEXT) + DONE) == stream(sse(*TEXT))
    assert stream(sse(*TEXT) + DONE.rstrip()) == stream(sse(*TEXT))


def test_an_event_may_be_a_list_of_frames() -> None:
    listed = b"data: " + json.dumps(TEXT).encode() + b"\n\n"

    assert deltas_of(stream(listed)) == deltas_of(stream(sse(*TEXT)))


def test_an_error_in_several_lines_is_that_error() -> None:
    error = stream_error(sse(TEXT[0]) + RAW_ERROR.encode())

    assert (error.status, error.message) == (503, "busy")
