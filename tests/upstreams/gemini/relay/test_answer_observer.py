"""What is read of a relayed answer."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.relay.answer_observer import AnswerObserver, read_answer

USAGE = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 7,
    "cachedContentTokenCount": 4,
    "totalTokenCount": 22,
}


def observed(*frames: object) -> AnswerObserver:
    observer = AnswerObserver("m")
    for frame in frames:
        observer.note(json.dumps(frame).encode())
    return observer


def candidates(*found: dict[str, Any]) -> dict[str, Any]:
    return {"candidates": list(found)}


def test_the_last_usage_replaces_the_ones_before() -> None:
    observer = observed({"usageMetadata": {"promptTokenCount": 99}}, {"usageMetadata": USAGE}, {})

    assert observer.usage == TokenUsage(10, 12, 4, 7)
    assert observed({}).usage is None


def test_every_candidate_has_to_end() -> None:
    first, second = {"finishReason": "STOP"}, {"index": 1}

    assert not observed({}).is_complete
    assert not observed(candidates({})).is_complete
    assert observed(candidates(first)).is_complete
    assert not observed(candidates(first, second)).is_complete
    assert observed(candidates(first, second), candidates({**second, **first})).is_complete


@pytest.mark.parametrize("word", ["CONTINUATION", "FAKE_NEW_FINISH_REASON", 1])
def test_any_word_is_an_end(word: object) -> None:
    assert observed(candidates({"finishReason": word})).is_complete


def test_a_refused_prompt_is_an_end() -> None:
    assert observed({"promptFeedback": {"blockReason": "FAKE_NEW_BLOCK_REASON"}}).is_complete
    assert observed({"promptFeedback": {"blockReason": 2}}).is_complete
    assert not observed({"promptFeedback": {"safetyRatings": []}}).is_complete


def test_odd_types_hide_nothing_else() -> None:
    odd = {"candidates": [{"index": "0", "finishReason": 1}, None], "promptFeedback": 3}

    observer = observed({**odd, "usageMetadata": USAGE})

    assert observer.is_complete is True
    assert observer.usage == TokenUsage(10, 12, 4, 7)


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'"x"', b"[" * 5000, b"null"])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        AnswerObserver("m").note(data)

    assert caught.value.code == "upstream_bad_frame"


def test_a_frame_of_millions_of_values_is_refused() -> None:
    with pytest.raises(ProxyError) as caught:
        AnswerObserver("m").note(b'{"a":[' + b"0," * 3_100_000 + b"0]}")

    assert caught.value.code == "upstream_bad_frame"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ({"code": 503, "message": "no", "status": "UNAVAILABLE"}, 503, "overloaded"),
        ({"code": 503, "candidates": 1}, 503, "overloaded"),
        ("text", 502, "upstream_bad_response"),
    ],
)
def test_an_error_is_raised(error: object, status: int, code: str) -> None:
    with pytest.raises(ProxyError) as caught:
        observed({"error": error, "candidates": 1})

    assert (caught.value.status, caught.value.code) == (status, code)


def test_a_null_error_is_none() -> None:
    assert observed({"error": None, **candidates({"finishReason": "STOP"})}).is_complete


def test_a_whole_answer_has_its_usage() -> None:
    assert read_answer(json.dumps({"usageMetadata": USAGE}).encode(), "m") == TokenUsage(
        10, 12, 4, 7
    )
    assert read_answer(b'{"embedding":{"values":[0.5]}}', "m") is None
