"""Bugs known from other gateways in answers of Gemini, one test each."""

import json
import re

import pytest

from jarvis_proxy.canonical.exchange import RetryableError
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.request.build import RequestFallbacks, TranslatedRequest
from jarvis_proxy.upstreams.gemini.signature_store import MemorySignatureStore, StoredSignature
from tests.upstreams.gemini.replies import (
    DONE,
    JSON,
    NOW,
    a_call,
    a_frame,
    a_function_call,
    a_plan,
    a_usage,
    accumulate,
    an_exchange,
    chunks_of,
    deltas_of,
    finishes_of,
    refused,
    sse,
    stream,
    stream_error,
    stream_outcome,
    translated,
    whole,
)

ASKED = a_plan(include_usage=True)
END = a_frame({"text": ""}, finish="STOP")


def calls_of(data: bytes) -> list[JSON]:
    return [call for delta in deltas_of(data) for call in delta.get("tool_calls", [])]


def usage_of(data: bytes) -> JSON:
    usage = chunks_of(data)[-1]["usage"]
    assert isinstance(usage, dict)
    return usage


def test_parallel_calls_in_a_stream_count_on_over_all_frames() -> None:
    data = stream(sse(a_frame(a_function_call("f")), a_frame(a_function_call("g")), END))

    assert [call["index"] for call in calls_of(data)] == [0, 1]


def test_two_calls_of_one_function_stay_two() -> None:
    one, other = a_function_call("f", {"a": 1}), a_function_call("f", {"a": 1})

    streamed = calls_of(stream(sse(a_frame(one), a_frame(other), END)))
    at_once = whole(a_frame(one, other, finish="STOP"))["choices"][0]["message"]["tool_calls"]

    for calls in (streamed, at_once):
        assert len(calls) == 2
        assert calls[0]["id"] != calls[1]["id"]


def test_a_stop_in_a_later_empty_frame_finishes_as_tool_calls() -> None:
    (finish,) = finishes_of(stream(sse(a_frame(a_function_call("f")), END)))

    assert finish["finish_reason"] == "tool_calls"


def test_a_finish_reason_in_each_frame_is_sent_once_and_last() -> None:
    frames = [a_frame({"text": t}, finish="STOP") for t in "abc"]
    frames += [a_frame(a_function_call("f"), finish="STOP")]

    data = stream(sse(*frames))

    reasons = [c["choices"][0]["finish_reason"] for c in chunks_of(data)]
    assert reasons == [None] * 5 + ["tool_calls"]


@pytest.mark.parametrize(
    "candidate", [{}, {"content": {}}, {"content": {"role": "model"}}, {"content": {"parts": []}}]
)
def test_max_tokens_without_parts_is_an_empty_choice(candidate: JSON) -> None:
    frame = {"candidates": [{**candidate, "finishReason": "MAX_TOKENS"}]}

    (choice,) = whole(frame)["choices"]
    streamed = accumulate(chunks_of(stream(sse(frame))))[0]

    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "length")
    assert (streamed["message"]["content"], streamed["finish_reason"]) == ("", "length")


def test_content_without_parts_is_tolerated_in_any_frame() -> None:
    bare: JSON = {"candidates": [{"content": {}}]}

    data = stream(sse(bare, a_frame({"text": "a"}), bare, END))

    assert accumulate(chunks_of(data))[0]["message"]["content"] == "a"


def test_a_thought_without_text_is_ignored() -> None:
    frame = a_frame(
        {"thought": True}, {"thought": True, "text": None}, {"text": "a"}, finish="STOP"
    )

    assert whole(frame)["choices"][0]["message"]["content"] == "a"
    assert len(deltas_of(stream(sse(frame)))) == 3


def test_thoughts_do_not_mix_into_the_content() -> None:
    frame = a_frame({"text": "hm", "thought": True}, {"text": "a"}, finish="STOP")

    message = whole(frame)["choices"][0]["message"]

    assert (message["content"], message["reasoning_content"]) == ("a", "hm")


def test_reasoning_comes_with_tools_in_a_stream_too() -> None:
    frames = [a_frame({"text": "hm", "thought": True}), a_frame(a_function_call("f")), END]

    message = accumulate(chunks_of(stream(sse(*frames))))[0]["message"]

    assert message["reasoning_content"] == "hm"
    assert len(message["tool_calls"]) == 1


def test_completion_tokens_of_a_stream_are_the_last_frames() -> None:
    frames = [
        a_frame({"text": "a"}, usage={"promptTokenCount": 5, "totalTokenCount": 5}),
        a_frame({"text": "b"}, finish="STOP", usage=a_usage(5, 9)),
    ]

    assert usage_of(stream(sse(*frames), ASKED))["completion_tokens"] == 9


def test_cached_tokens_stay_in_the_prompt_and_thoughts_in_the_completion() -> None:
    frame = a_frame(
        {"text": "a"}, finish="STOP", usage=a_usage(100, 5, 20, cachedContentTokenCount=80)
    )

    usage = whole(frame)["usage"]

    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (100, 25)


def test_thoughts_are_counted_as_completion() -> None:
    """Google's own OpenAI layer says 12 of 109 here: 35 in, 12 out, and 62 nowhere."""
    usage = whole(a_frame({"text": "a"}, finish="STOP", usage=a_usage(35, 12, 62)))["usage"]

    assert (usage["completion_tokens"], usage["total_tokens"]) == (74, 109)
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 62


def test_cached_tokens_are_a_detail_and_nothing_else() -> None:
    frame = a_frame({"text": "a"}, finish="STOP", usage=a_usage(100, 5, cachedContentTokenCount=80))

    usage = whole(frame)["usage"]

    assert usage["prompt_tokens_details"]["cached_tokens"] == 80
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] == 105


def test_a_usage_chunk_comes_only_when_asked_for_and_without_choices() -> None:
    frames = sse(a_frame({"text": "a"}, finish="STOP", usage=a_usage(1, 1)))

    asked, silent = chunks_of(stream(frames, ASKED)), chunks_of(stream(frames))

    assert [bool(chunk["choices"]) for chunk in asked] == [True, True, True, False]
    assert all(chunk["choices"] for chunk in silent)


def test_usage_of_frames_is_replaced_and_neither_added_nor_the_greatest() -> None:
    counts = [(169, 3), (79, 4), (79, 9)]
    frames = [a_frame({"text": "a"}, usage=a_usage(*count)) for count in counts]

    usage = usage_of(stream(sse(*frames, END), ASKED))

    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (79, 9)


def test_nothing_is_put_between_texts_and_a_lone_line_end_is_kept() -> None:
    parts = [{"text": "a"}, {"text": "\n"}, {"text": "b"}]

    at_once = whole(a_frame(*parts, finish="STOP"))["choices"][0]["message"]["content"]
    streamed = accumulate(chunks_of(stream(sse(*(a_frame(part) for part in parts), END))))[0]

    assert at_once == streamed["message"]["content"] == "a\nb"


def test_a_signature_survives_a_client_that_keeps_only_the_id() -> None:
    store = MemorySignatureStore()
    signed = {**a_function_call("f", id="n1"), "thoughtSignature": "sig"}

    (call, sibling) = calls_of(
        stream(sse(a_frame(signed), a_frame(a_function_call("g", id="n2")), END), store=store)
    )

    stripped = re.sub("[^A-Za-z0-9]", "", call["id"])[:40]
    assert store.get(stripped, NOW) == StoredSignature("sig", "n1")
    assert store.get(sibling["id"], NOW) == StoredSignature(None, "n2")
    assert call["extra_content"] == {"google": {"thought_signature": "sig"}}
    assert "extra_content" not in sibling


def test_a_signature_on_an_empty_last_part_has_a_place_of_its_own() -> None:
    frames = [a_frame({"text": "a"}), a_frame({"text": "", "thoughtSignature": "s"}, finish="STOP")]

    deltas = deltas_of(stream(sse(*frames)))

    assert [delta.get("content") for delta in deltas] == ["", "a", None]
    assert deltas[-1] == {"extra_content": {"google": {"thought_signature": "s"}}}


def test_a_signature_that_is_refused_is_replaced_once() -> None:
    built: list[RequestFallbacks] = []

    def build(fallbacks: RequestFallbacks) -> TranslatedRequest:
        built.append(fallbacks)
        return a_plan(body=repr(fallbacks).encode()).sent

    refusal = b'{"error":{"code":400,"message":"Thought signature is not valid"}}'
    exchange = translated(a_call(), build)

    again = exchange.recover(400, refusal)

    assert again is not None
    assert built[-1].sentinel_signatures
    assert again.recover(400, refusal) is None
    assert refused(again, 400, refusal).code == "invalid_thought_signature"


def test_a_stop_with_zero_parts_is_an_empty_answer() -> None:
    frame = {"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}]}

    (choice,) = whole(frame)["choices"]

    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "stop")
    assert deltas_of(stream(sse(frame))) == [{"role": "assistant", "content": ""}, {}]


def test_events_may_be_split_over_any_reads() -> None:
    data = sse(a_frame({"text": "äöü" * 50}), a_frame(a_function_call("f", {"a": "b"})), END)
    expected, _ = stream_outcome(an_exchange(stream=True), [data])

    for size in (1, 2, 3, 7, 64):
        pieces = (data[at : at + size] for at in range(0, len(data), size))
        assert stream_outcome(an_exchange(stream=True), pieces) == (expected, None)


def test_a_finish_message_is_shown() -> None:
    frame = a_frame(finish="SAFETY", finishMessage="Violates a policy.")

    assert whole(frame)["choices"][0]["finish_message"] == "Violates a policy."
    assert finishes_of(stream(sse(frame)))[0]["finish_message"] == "Violates a policy."


def test_a_per_minute_limit_is_no_daily_quota_and_has_its_wait() -> None:
    details = [
        {"violations": [{"quotaId": "GenerateContentInputTokensPerModelPerDay-FreeTier"}]},
        {"retryDelay": "36s"},
    ]
    words = "You exceeded your current quota, please check your plan and billing details."
    body = json.dumps({"error": {"code": 429, "message": words, "details": details}}).encode()

    error = refused(an_exchange(), 429, body)

    assert (error.status, error.code, error.retry_after) == (429, "rate_limit_exceeded", 36.0)
    assert error.should_retry is None


def test_only_openais_five_words_in_lower_case_come_out() -> None:
    for native in ("STOP", "FAKE_NEW_FINISH_REASON", "IMAGE_OTHER", "finish"):
        (finish,) = finishes_of(stream(sse(a_frame({"text": "a"}, finish=native))))
        assert finish["finish_reason"] == "stop"
        assert finish["native_finish_reason"] == native


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "invalid_argument"),
        (404, "model_not_found"),
        (413, "request_too_large"),
        (429, "rate_limit_exceeded"),
        (500, "internal_error"),
        (503, "overloaded"),
        (504, "timeout"),
    ],
)
def test_errors_keep_their_status_and_have_a_code(status: int, code: str) -> None:
    body = json.dumps({"error": {"code": status, "message": "about the model"}}).encode()

    error = refused(an_exchange(), status, body)

    assert (error.status, error.code) == (status, code)


def test_the_usage_chunk_and_the_finish_chunk_have_their_shape() -> None:
    *_, finish, usage = chunks_of(stream(sse(a_frame({"text": "a"}, finish="STOP")), ASKED))

    assert finish["choices"][0]["delta"] == {}
    assert usage["choices"] == []
    assert usage["object"] == "chat.completion.chunk"


def test_a_malformed_call_is_no_content_filter() -> None:
    broken = a_frame(finish="MALFORMED_FUNCTION_CALL")

    error = stream_error(sse(broken))
    late = stream_error(sse(a_frame({"text": "a"}), broken))

    assert isinstance(error, RetryableError)
    assert error.code == late.code == "upstream_malformed_response"


def test_candidates_do_not_leak_into_each_other() -> None:
    first: JSON = {"content": {"parts": [a_function_call("f"), {"text": "hm", "thought": True}]}}
    second: JSON = {"index": 1, "content": {"parts": [{"text": "b"}]}}
    ends = [{"index": index, "finishReason": "STOP"} for index in (0, 1)]
    frames: list[JSON] = [{"candidates": [first, second]}, {"candidates": ends}]

    streamed = accumulate(chunks_of(stream(sse(*frames))))
    at_once = {choice["index"]: choice for choice in whole(*frames)["choices"]}

    for choices in (streamed, at_once):
        assert choices[0]["finish_reason"] == "tool_calls"
        assert choices[1]["finish_reason"] == "stop"
        assert "tool_calls" not in choices[1]["message"]
        assert "reasoning_content" not in choices[1]["message"]
        assert choices[1]["message"]["content"] == "b"


def test_calls_in_frames_of_their_own_and_an_empty_last_frame() -> None:
    """The frames of golden/parallel_tool_calls, one call in each."""
    frames = [a_frame(a_function_call("f", {"a": 1})), a_frame(a_function_call("f", {"a": 2})), END]

    data = stream(sse(*frames))

    assert [call["function"]["arguments"] for call in calls_of(data)] == ['{"a":1}', '{"a":2}']
    assert finishes_of(data)[0]["finish_reason"] == "tool_calls"
    assert data.endswith(DONE)


def test_an_end_is_never_made_up() -> None:
    """The class's worst habit: an answer cut off that looks complete."""
    whole_stream = sse(a_frame({"text": "a"}), a_frame({"text": "b"}), END)

    for length in range(len(whole_stream)):
        out, error = stream_outcome(an_exchange(stream=True), [whole_stream[:length]])
        complete = length >= len(whole_stream.rstrip())
        assert (error is None) == complete == out.endswith(DONE)
        assert error is None or isinstance(error, ProxyError)
