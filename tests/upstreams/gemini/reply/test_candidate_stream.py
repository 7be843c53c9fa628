"""Which frame of an answer counts, what ends an answer, what continues it."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.exchange import EmptyAnswerError, RetryableError
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.reply.candidate_stream import (
    MAX_CONTINUATIONS,
    CandidateStream,
    MergedAnswer,
)
from jarvis_proxy.upstreams.gemini.reply.frames import decode_frame
from jarvis_proxy.wire.chat_types import ChatUsage
from tests.upstreams.gemini.replies import (
    JSON,
    Choices,
    a_context,
    a_frame,
    a_function_call,
    a_plan,
    a_usage,
)

MALFORMED = (
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE",
)


class Reading:
    """A stream that is fed frames as JSON, and its choices."""

    def __init__(
        self, *, streamed: bool = True, number: int = 0, merged: MergedAnswer | None = None
    ) -> None:
        self.merged = merged or MergedAnswer(1)
        self.answer = Choices()
        self.sinks = self.answer.made
        self.streamed = streamed
        context = a_context(a_plan(choice_count=self.merged.choice_count))
        self.stream = CandidateStream(context, self.merged, self.answer, number)

    def close(self) -> str | None:
        return self.stream.finish_or_continue(streamed=self.streamed)

    def take(self, *frames: JSON) -> "Reading":
        for frame in frames:
            self.stream.take(decode_frame(json.dumps(frame).encode()))
        return self

    def reason(self, index: int = 0) -> str:
        end = self.sinks[index].finished
        assert end is not None
        return end.reason

    def fails(self) -> ProxyError:
        with pytest.raises(ProxyError) as caught:
            self.close()
        return caught.value


def many(*candidates: JSON) -> JSON:
    return {"candidates": list(candidates)}


def piece(text: str, index: int, finish: str | None = None) -> JSON:
    return {"index": index, "content": {"parts": [{"text": text}]}, "finishReason": finish}


def test_the_first_id_and_version_stand() -> None:
    reading = Reading().take(
        {"responseId": "r1"}, {"responseId": "r2", "modelVersion": "v1"}, {"modelVersion": "v2"}
    )
    reading.take(a_frame({"text": "a"}, finish="STOP"))
    reading.close()

    assert reading.sinks[0].begun == ("r1", None)
    assert reading.merged.model_version == "v1"
    assert (end := reading.sinks[0].finished) is not None
    assert end.model_version == "v1"


def test_each_usage_block_replaces_the_one_before() -> None:
    reading = Reading().take(
        {"usageMetadata": a_usage(169, 5, 10)}, a_frame({"text": "a"}, usage=a_usage(79, 9))
    )

    assert reading.stream.usage == ChatUsage(79, 9, 88)


def test_a_block_without_counts_says_nothing() -> None:
    reading = Reading().take({"usageMetadata": {"trafficType": "ON_DEMAND"}})
    assert reading.stream.usage is None

    reading.take({"usageMetadata": {"promptTokenCount": 7}}, {"usageMetadata": None})
    reading.take({"usageMetadata": {"trafficType": "ON_DEMAND"}})

    assert reading.stream.usage == ChatUsage(7, 0, 7)


def test_an_error_in_a_frame_is_raised_as_what_it_is() -> None:
    with pytest.raises(ProxyError) as caught:
        Reading().take({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}})

    assert (caught.value.status, caught.value.code) == (503, "overloaded")


@pytest.mark.parametrize("error", [{}, "text", [], 7, {"code": None}])
def test_an_error_of_any_shape_is_one(error: Any) -> None:
    with pytest.raises(ProxyError) as caught:
        Reading().take({"error": error})

    assert (caught.value.status, caught.value.code) == (502, "upstream_bad_response")
    Reading().take({"error": None})


def test_candidates_do_not_mix() -> None:
    reading = Reading().take(
        many(piece("a", 0), piece("x", 1)),
        many(piece("y", 1, "MAX_TOKENS"), {"index": 0, "finishReason": "STOP"}),
    )

    assert reading.sinks[0].events == [("text", "a")]
    assert reading.sinks[1].events == [("text", "xy")]
    assert reading.close() is None
    assert (reading.reason(0), reading.reason(1)) == ("stop", "length")


def test_with_a_call_for_each_choice_the_choice_is_the_request() -> None:
    reading = Reading(number=2, merged=MergedAnswer(3)).take(
        many(piece("a", 0, "STOP"), piece("stray", 1, "STOP"))
    )

    assert reading.close() is None
    assert list(reading.sinks) == [2]


def test_nothing_at_all_is_an_empty_response_worth_a_retry() -> None:
    nothings: list[list[JSON]] = [
        [],
        [{}],
        [{"promptFeedback": {}}],
        [{"usageMetadata": a_usage(1, 0)}],
    ]
    for frames in nothings:
        error = Reading().take(*frames).fails()
        assert (error.status, error.code) == (502, "empty_response")
        assert isinstance(error, RetryableError)


def test_a_refused_prompt_is_an_answer_of_its_own() -> None:
    feedback = {"blockReason": "SAFETY", "blockReasonMessage": "Reasons"}
    reading = Reading().take({"promptFeedback": feedback, "usageMetadata": a_usage(5, 0)})

    assert reading.close() is None
    end = reading.sinks[0].finished
    assert end is not None
    assert (end.reason, end.native, end.message) == (
        "content_filter",
        "PROMPT_BLOCKED:SAFETY",
        "Reasons",
    )
    assert reading.stream.usage == ChatUsage(5, 0, 5)


def test_a_refused_prompt_ends_an_answer_that_had_begun() -> None:
    reading = Reading().take({"promptFeedback": {"blockReason": "OTHER"}}, a_frame({"text": "a"}))

    assert reading.close() is None
    assert reading.reason() == "content_filter"


def test_a_stream_without_finish_reason_is_cut_off_and_a_whole_reply_without_is_not() -> None:
    assert Reading().take(a_frame({"text": "a"})).fails().code == "upstream_truncated"
    whole = Reading(streamed=False).take(a_frame({"text": "a"}))
    assert whole.close() is None
    assert whole.reason() == "stop"


def test_each_candidate_must_end() -> None:
    reading = Reading().take(many(piece("a", 0, "STOP"), piece("b", 1)))

    assert reading.fails().code == "upstream_truncated"


def test_a_call_gone_wrong_is_worth_a_retry_until_something_was_sent() -> None:
    fresh = Reading().take(a_frame(finish="MALFORMED_FUNCTION_CALL"))
    thought = Reading().take(a_frame({"text": "hm", "thought": True}))
    thought.sinks[0].sent = True
    thought.take(a_frame(finish="UNEXPECTED_TOOL_CALL"))

    for reading, retryable in ((fresh, True), (thought, False)):
        error = reading.fails()
        assert (error.status, error.code) == (502, "upstream_malformed_response")
        assert isinstance(error, RetryableError) is retryable


def test_calls_that_came_before_one_went_wrong_stand() -> None:
    call = a_frame(a_function_call("f"))
    reading = Reading().take(call, a_frame(finish="MALFORMED_FUNCTION_CALL"))

    assert reading.close() is None
    assert reading.reason() == "tool_calls"


@pytest.mark.parametrize("native", MALFORMED)
@pytest.mark.parametrize("emitted", [False, True])
def test_text_before_a_call_that_went_wrong_is_no_answer(native: str, emitted: bool) -> None:
    reading = Reading().take(a_frame({"text": "call:f{"}))
    reading.sinks[0].sent = emitted

    error = reading.take(a_frame(finish=native)).fails()

    assert (error.status, error.code) == (502, "upstream_malformed_response")
    assert isinstance(error, RetryableError) is not emitted


def test_one_candidate_gone_wrong_does_not_spoil_another() -> None:
    wrong = {"index": 1, "finishReason": "MALFORMED_FUNCTION_CALL"}
    reading = Reading().take(many(piece("a", 0, "STOP"), wrong))

    assert reading.close() is None
    assert (reading.reason(0), reading.reason(1)) == ("stop", "stop")


EMPTY: dict[str, list[JSON]] = {
    "no parts": [a_frame(finish="STOP")],
    "no content": [{"candidates": [{"finishReason": "STOP"}]}],
    "empty text": [a_frame({"text": ""}), a_frame({"text": ""}, finish="STOP")],
    "a thought": [a_frame({"text": "hm", "thought": True}), a_frame(finish="STOP")],
    "a call without a name": [a_frame({"functionCall": {}}, finish="STOP")],
    "another word": [a_frame(finish="FINISH_REASON_UNSPECIFIED")],
}


@pytest.mark.parametrize("frames", EMPTY.values(), ids=EMPTY)
def test_an_answer_of_nothing_is_asked_for_again_once(frames: list[JSON]) -> None:
    merged = MergedAnswer(1)
    error = Reading(merged=merged).take(*frames).fails()
    merged.begin()
    again = Reading(merged=merged).take(*frames)

    assert isinstance(error, EmptyAnswerError)
    assert again.close() is None
    assert again.reason() == "stop"


@pytest.mark.parametrize("native", ["MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "NO_IMAGE"])
def test_an_answer_that_was_cut_or_filtered_is_not_asked_for_again(native: str) -> None:
    assert Reading().take(a_frame(finish=native)).close() is None


def test_all_answers_of_nothing_are_asked_for_again() -> None:
    merged = MergedAnswer(2)
    readings = [Reading(merged=merged, number=n).take(a_frame(finish="STOP")) for n in (0, 1)]

    assert all(isinstance(reading.fails(), EmptyAnswerError) for reading in readings)


def test_nothing_is_asked_for_again_once_another_answer_has_spoken() -> None:
    merged = MergedAnswer(2)
    first = Reading(merged=merged).take(a_frame({"text": "a"}))
    second = Reading(merged=merged, number=1).take(a_frame(finish="STOP"))
    first.sinks[0].sent = True

    assert second.close() is None
    assert second.reason(1) == "stop"


def going_on(text: str, token: str | None, usage: Any = None) -> JSON:
    more = {} if token is None else {"continuationToken": token}
    return a_frame({"text": text}, finish="CONTINUATION", usage=usage, **more)


def test_a_continuation_appends_and_its_tokens_are_added() -> None:
    reading = Reading().take(going_on("one ", "t1", a_usage(10, 5)))
    assert reading.close() == "t1"

    reading.take(a_frame({"text": "tw"}, usage=a_usage(15, 1)))
    reading.take(a_frame({"text": "o"}, finish="STOP", usage=a_usage(15, 2)))
    assert reading.stream.usage == ChatUsage(25, 7, 32)

    assert reading.close() is None
    assert reading.reason() == "stop"
    assert reading.sinks[0].joined("text") == "one two"


def test_a_continuation_that_is_cut_off_is_cut_off() -> None:
    reading = Reading().take(going_on("one", "t1"))
    reading.close()

    assert reading.take(a_frame({"text": "two"})).fails().code == "upstream_truncated"


def test_tool_calls_are_counted_over_continuations() -> None:
    reading = Reading().take(
        a_frame(a_function_call("f"), finish="CONTINUATION", continuationToken="t")
    )
    reading.close()
    reading.take(a_frame(a_function_call("g"), finish="STOP"))
    reading.close()

    calls = [call for call, _ in reading.sinks[0].calls()]
    assert [call.name for call in calls] == ["f", "g"]
    assert len({call.id for call in calls}) == 2


def test_an_answer_without_end_ends_after_so_many_hops() -> None:
    reading = Reading()
    for hop in range(MAX_CONTINUATIONS):
        reading.take(going_on("x", f"t{hop}"))
        assert reading.close() == f"t{hop}"

    reading.take(going_on("x", "one more"))

    assert reading.close() is None
    assert reading.reason() == "length"


def test_without_a_token_nothing_can_be_continued() -> None:
    reading = Reading().take(going_on("x", None))

    assert reading.close() is None
    assert reading.reason() == "length"


def test_a_token_of_an_earlier_hop_is_not_used_again() -> None:
    reading = Reading().take(going_on("x", "t1"))
    reading.close()
    reading.take(going_on("y", None))

    assert reading.close() is None


def test_a_checkpoint_token_alone_continues_nothing() -> None:
    reading = Reading().take(a_frame({"text": "a"}, finish="STOP", continuationToken="t"))

    assert reading.close() is None


def test_the_tier_is_known_at_the_end() -> None:
    reading = Reading().take(
        a_frame({"text": "a"}, finish="STOP", usage=a_usage(1, 1, serviceTier="flex"))
    )
    reading.close()

    assert reading.stream.service_tier == "flex"
