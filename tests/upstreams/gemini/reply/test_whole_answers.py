"""Whole replies: the envelope, the message, what is no answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.exchange import RetryableError
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from tests.upstreams.gemini.replies import (
    CREATED,
    JSON,
    a_frame,
    a_function_call,
    a_plan,
    a_usage,
    an_exchange,
    whole,
)


def message(*parts: JSON, **more: Any) -> JSON:
    (choice,) = whole(a_frame(*parts, finish="STOP"), **more)["choices"]
    assert isinstance(choice["message"], dict)
    return choice["message"]


def failure(body: bytes) -> ProxyError:
    with pytest.raises(ProxyError) as caught:
        an_exchange().translate_reply(body)
    return caught.value


def test_the_envelope_is_openais() -> None:
    frame = a_frame({"text": "Hi"}, finish="STOP", usage=a_usage(8, 2, serviceTier="standard"))

    answer = whole({**frame, "responseId": "r1", "modelVersion": "gemini-3.5-flash"})

    usage = answer.pop("usage")
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (8, 2, 10)
    assert answer == {
        "id": "chatcmpl-r1",
        "object": "chat.completion",
        "created": CREATED,
        "model": "my-model",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hi",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
                "native_finish_reason": "STOP",
            }
        ],
        "system_fingerprint": None,
        "model_version": "gemini-3.5-flash",
    }


def test_usage_is_there_even_where_the_upstream_counts_nothing() -> None:
    assert whole(a_frame({"text": "a"}, finish="STOP"))["usage"]["total_tokens"] == 0


def test_the_tier_is_sent_to_those_who_asked_for_one() -> None:
    frame = a_frame({"text": "a"}, finish="STOP", usage=a_usage(1, 1, serviceTier="standard"))
    untold = a_frame({"text": "a"}, finish="STOP")

    assert whole(frame, plan=a_plan(service_tier_asked=True))["service_tier"] == "default"
    assert "service_tier" not in whole(frame)
    assert "service_tier" not in whole(untold, plan=a_plan(service_tier_asked=True))


def test_pieces_of_text_are_joined_with_nothing_between() -> None:
    assert message({"text": "a"}, {"text": "\n"}, {"text": "b"})["content"] == "a\nb"


def test_thoughts_are_next_to_the_content() -> None:
    actual = message(
        {"text": "hm ", "thought": True}, {"text": "a"}, {"text": "x", "thought": True}
    )

    assert (actual["reasoning_content"], actual["content"]) == ("hm x", "a")


def test_content_is_null_with_calls_and_empty_elsewhere() -> None:
    assert message(a_function_call("f"))["content"] is None
    assert message(a_function_call("f"), plan=a_plan(legacy_functions=True))["content"] is None
    assert message()["content"] == ""
    assert message(a_function_call("f"), {"text": "and"})["content"] == "and"


def test_calls_have_no_index_and_keep_their_signature() -> None:
    signed = {**a_function_call("f", {"a": 1}), "thoughtSignature": "s"}

    calls = message(signed, a_function_call("g"))["tool_calls"]

    assert calls == [
        {
            "id": "call_" + "0" * 24,
            "type": "function",
            "function": {"name": "f", "arguments": '{"a":1}'},
            "extra_content": {"google": {"thought_signature": "s"}},
        },
        {
            "id": "call_" + "0" * 23 + "1",
            "type": "function",
            "function": {"name": "g", "arguments": "{}"},
        },
    ]


def test_a_legacy_client_gets_a_function_call() -> None:
    actual = message(a_function_call("f"), plan=a_plan(legacy_functions=True))

    assert actual["function_call"] == {"name": "f", "arguments": "{}"}
    assert "tool_calls" not in actual


def test_a_texts_signature_is_on_the_message() -> None:
    actual = message({"text": "a", "thoughtSignature": "s"})

    assert actual["extra_content"] == {"google": {"thought_signature": "s"}}


def test_pictures_are_next_to_the_content() -> None:
    actual = message({"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}})

    assert actual["content"] == "a"
    assert actual["images"] == [
        {
            "type": "image_url",
            "image_url": {"url": "data:image/png;base64,AAAA"},
            "index": 0,
        }
    ]


def test_speech_is_the_messages_audio() -> None:
    sound = {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "YWI="}}

    actual = message(sound, sound, plan=a_plan(audio_format="pcm16"))

    assert actual["audio"] == {
        "id": "audio_" + "0" * 24,
        "data": "YWJhYg==",
        "expires_at": CREATED,
        "transcript": "",
    }


def test_log_probabilities_are_on_the_choice() -> None:
    frame = a_frame(
        {"text": "a"}, finish="STOP", logprobsResult={"chosenCandidates": [{"token": "a"}]}
    )

    token = {"token": "a", "logprob": 0.0, "bytes": [97], "top_logprobs": []}
    assert whole(frame)["choices"][0]["logprobs"] == {"content": [token], "refusal": None}


def test_sources_are_on_the_choice_and_annotations_on_the_message() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "u", "title": "t"}}],
        "groundingSupports": [{"segment": {"endIndex": 1}, "groundingChunkIndices": [0]}],
    }
    frame = a_frame(
        {"text": "a"},
        finish="STOP",
        finishMessage="m",
        groundingMetadata={**grounding, "searchEntryPoint": {"renderedContent": "<b>"}},
        citationMetadata={"citationSources": [{"endIndex": 1, "uri": "v"}]},
    )

    (choice,) = whole(frame)["choices"]

    citation = {"end_index": 1, "start_index": 0, "title": "t", "url": "u"}
    assert choice["message"]["annotations"] == [{"type": "url_citation", "url_citation": citation}]
    assert choice["grounding_metadata"] == grounding
    assert choice["citations"] == [{"start_index": 0, "end_index": 1, "uri": "v"}]
    assert choice["finish_message"] == "m"


def test_candidates_are_in_the_order_of_their_index() -> None:
    candidates = [
        {"index": 1, "content": {"parts": [{"text": "b"}]}, "finishReason": "STOP"},
        {"content": {"parts": [{"text": "a"}]}, "finishReason": "MAX_TOKENS"},
    ]

    choices = whole({"candidates": candidates})["choices"]

    assert [(c["index"], c["message"]["content"]) for c in choices] == [(0, "a"), (1, "b")]


def test_an_array_of_frames_is_one_answer() -> None:
    answer = whole(a_frame({"text": "a"}), a_frame({"text": "b"}, finish="STOP"))

    assert answer["choices"][0]["message"]["content"] == "ab"


def test_tokens_of_a_choice_are_known_though_another_one_fails() -> None:
    exchange = an_exchange(a_plan(choice_count=2))
    assert exchange.partial_usage is None
    frame = a_frame({"text": "a"}, finish="STOP", usage=a_usage(10, 1))
    assert exchange.requests
    exchange.translate_reply(json.dumps(frame).encode(), 0)
    with pytest.raises(ProxyError):
        exchange.translate_reply(b"{}", 1)

    assert exchange.usage is None
    assert exchange.partial_usage == TokenUsage(10, 1)
    assert exchange.requests  # asked again: those were counted
    assert exchange.partial_usage is None


def test_choices_make_one_answer() -> None:
    exchange = an_exchange(a_plan(choice_count=2))
    for index, text in ((1, "b"), (0, "a")):
        frame = a_frame({"text": text}, finish="STOP", usage=a_usage(10, 1 + index))
        assert exchange.usage is None
        assert exchange.translate_reply(json.dumps(frame).encode(), index) is None

    answer = json.loads(exchange.answer())

    assert exchange.partial_usage == exchange.usage
    assert [(c["index"], c["message"]["content"]) for c in answer["choices"]] == [
        (0, "a"),
        (1, "b"),
    ]
    assert answer["usage"]["total_tokens"] == 23
    assert exchange.usage == TokenUsage(20, 3)


def test_a_continuation_is_appended() -> None:
    exchange = an_exchange(a_plan(body=b'{"contents":[1]}'))
    first = a_frame(
        {"text": "one "}, finish="CONTINUATION", usage=a_usage(10, 5), continuationToken="t1"
    )

    following = exchange.translate_reply(json.dumps(first).encode())
    assert following is not None
    assert following.path == "/models/gemini-x:generateContent"
    assert json.loads(following.body) == {"continuationToken": "t1", "contents": [1]}
    second = a_frame({"text": "two"}, finish="STOP", usage=a_usage(15, 2))
    assert exchange.translate_reply(json.dumps(second).encode()) is None

    answer = json.loads(exchange.answer())
    (choice,) = answer["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one two", "stop")
    assert answer["usage"]["total_tokens"] == 32


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_response"),
        (b" \n", "empty_response"),
        (b"{}", "empty_response"),
        (b"[]", "empty_response"),
        (b'{"candidates":[]}', "empty_response"),
        (b'{"promptFeedback":{"safetyRatings":[]}}', "empty_response"),
        (b'{"candidates":[{"finishReason":"MALFORMED_RESPONSE"}]}', "upstream_malformed_response"),
    ],
)
def test_an_answer_with_nothing_in_it_is_worth_another_try(body: bytes, code: str) -> None:
    error = failure(body)

    assert (error.status, error.code) == (502, code)
    assert isinstance(error, RetryableError)


def test_only_thoughts_and_a_call_gone_wrong_are_worth_another_try() -> None:
    frame = a_frame({"text": "hm", "thought": True}, finish="MALFORMED_FUNCTION_CALL")

    assert isinstance(failure(json.dumps(frame).encode()), RetryableError)


def test_an_attempt_leaves_nothing_behind_for_the_next() -> None:
    """The first failed between two continuations, the second had ended: both are asked again."""
    exchange = an_exchange(a_plan(choice_count=2))
    hop = a_frame({"text": "x"}, finish="CONTINUATION", continuationToken="t")
    end = a_frame({"text": "a"}, finish="STOP", usage=a_usage(1, 1))
    for frame, index in ((hop, 0), (end, 1)):
        exchange.translate_reply(json.dumps(frame).encode(), index)

    assert len(exchange.requests) == 2
    for index in (0, 1):
        assert exchange.translate_reply(json.dumps(end).encode(), index) is None

    answer = json.loads(exchange.answer())
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["a", "a"]
    assert answer["usage"]["total_tokens"] == 4


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<html>", (502, "upstream_bad_response")),
        (b"upstream timeout", (502, "upstream_bad_response")),
        (b'{"candidates":', (502, "upstream_bad_frame")),
        (b'{"candidates":7}', (502, "upstream_bad_frame")),
        (b'{"error":{"code":503,"message":"m"}}', (503, "overloaded")),
        (b'[{"error":{"code":429,"message":"m"}}]', (429, "rate_limit_exceeded")),
    ],
)
def test_what_is_no_answer_is_an_error(body: bytes, expected: tuple[int, str]) -> None:
    error = failure(body)

    assert (error.status, error.code) == expected


def test_sound_that_is_no_sound_is_a_bad_frame() -> None:
    frame = a_frame({"inlineData": {"mimeType": "audio/L16", "data": "?"}}, finish="STOP")

    assert failure(json.dumps(frame).encode()).code == "upstream_bad_frame"


@given(st.binary())
def test_any_body_is_an_answer_or_a_proxy_error(body: bytes) -> None:
    exchange = an_exchange()
    try:
        exchange.translate_reply(body)
    except ProxyError as error:
        assert error.status in range(400, 600)  # noqa: PT017 - either outcome is right
    else:
        assert json.loads(exchange.answer())["choices"]
