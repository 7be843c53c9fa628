"""Frames that the recordings do not hold: what else Google documents, or imitators send.

Each is read whole and streamed, and both must give the message that stands next to it.
"""

import json
from typing import Any

import pytest

from tests.upstreams.gemini.replies import (
    JSON,
    a_frame,
    a_function_call,
    a_usage,
    accumulate,
    chunks_of,
    sse,
    stream,
    whole,
)

END = a_frame({"text": ""}, finish="STOP")
PICTURE = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
CODE = {"executableCode": {"language": "PYTHON", "code": "plot()", "id": "c1"}}
OUTPUT = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "ok", "id": "c1"}}
FENCED = "\n```python\nplot()\n```\n\n```output\nok\n```\n"
RATINGS = [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "HIGH", "blocked": True}]


def both(*frames: JSON) -> tuple[JSON, JSON]:
    """Return the first choice, read whole and streamed; the two must say the same."""
    (at_once, *_) = whole(*frames)["choices"]
    streamed = accumulate(chunks_of(stream(sse(*frames))))[0]
    for choice in (at_once, streamed):
        assert choice["finish_reason"] == at_once["finish_reason"]
    message, other = at_once["message"], streamed["message"]
    for name in ("reasoning_content", "images"):
        assert message.get(name) == other.get(name)
    assert (message["content"] or "") == other["content"]
    calls = [[c["function"] for c in m.get("tool_calls", [])] for m in (message, other)]
    assert calls[0] == calls[1]
    return at_once, message


CASES: dict[str, tuple[list[JSON], str, str]] = {
    "the pages that it looked at": (
        [a_frame({"text": "a"}, urlContextMetadata={"urlMetadata": [{"retrievedUrl": "u"}]}), END],
        "a",
        "stop",
    ),
    "code that draws": ([a_frame(CODE), a_frame(OUTPUT, PICTURE), END], FENCED, "stop"),
    "code that fails": (
        [a_frame({"codeExecutionResult": {"outcome": "OUTCOME_DEADLINE_EXCEEDED"}}), END],
        "\n```output\nOUTCOME_DEADLINE_EXCEEDED\n\n```\n",
        "stop",
    ),
    "code of no language": (
        [a_frame({"executableCode": {"language": "LANGUAGE_UNSPECIFIED", "code": "1"}}), END],
        "\n```\n1\n```\n",
        "stop",
    ),
    "a prompt blocked on the way": (
        [a_frame({"text": "a"}), {"promptFeedback": {"blockReason": "SAFETY"}}],
        "a",
        "content_filter",
    ),
    "a text stopped for safety": (
        [a_frame({"text": "a"}, safetyRatings=RATINGS), a_frame(finish="SAFETY")],
        "a",
        "content_filter",
    ),
    "ratings and nothing else": (
        [a_frame({"text": "a"}), {"candidates": [{"safetyRatings": RATINGS}]}, END],
        "a",
        "stop",
    ),
    "nulls everywhere": (
        [
            {"candidates": None, "usageMetadata": None, "promptFeedback": None, "error": None},
            {"candidates": [{"content": None, "finishReason": None, "index": None}]},
            {"candidates": [{"content": {"parts": None}, "groundingMetadata": None}]},
            {"candidates": [{"citationMetadata": None, "logprobsResult": None}]},
            a_frame({"text": "a", "thought": None, "functionCall": None}),
            END,
        ],
        "a",
        "stop",
    ),
    "kinds of parts that nobody knows": (
        [
            a_frame({"toolCall": {"id": "1"}}, {"fileData": {"fileUri": "u"}}, {}, {"new": [1]}),
            a_frame({"text": "a", "partMetadata": {"b": 1}, "videoMetadata": {}}),
            END,
        ],
        "a",
        "stop",
    ),
    "fields that nobody knows": (
        [{**a_frame({"text": "a"}, newField=[{}]), "modelStatus": {"stage": "X"}}, END],
        "a",
        "stop",
    ),
    "tokens reported after the end": (
        [a_frame({"text": "a"}, finish="STOP"), {"usageMetadata": a_usage(1, 2)}],
        "a",
        "stop",
    ),
    "an empty list of candidates first": ([{"candidates": []}, a_frame({"text": "a"}), END], "a",
                                          "stop"),
    "a signature between text and text": (
        [a_frame({"text": "a"}), a_frame({"text": "", "thoughtSignature": "s"}),
         a_frame({"text": "b"}), END],
        "ab",
        "stop",
    ),
    "an end without a name": ([a_frame({"text": "a"}, finish="FINISH_REASON_UNSPECIFIED")], "a",
                              "stop"),
    "a picture refused": ([a_frame(finish="IMAGE_SAFETY", finishMessage="No.")], "",
                          "content_filter"),
    "no picture made": ([a_frame(finish="NO_IMAGE")], "", "stop"),
    "a language that is not served": ([a_frame({"text": "a"}), a_frame(finish="LANGUAGE")], "a",
                                      "content_filter"),
    "counts and times as text": (
        [{**a_frame({"text": "a"}, finish="STOP", avgLogprobs="NaN", index="0"),
          "usageMetadata": {"promptTokenCount": "3"}, "createTime": "2026-11-23T00:00:00Z"}],
        "a",
        "stop",
    ),
    "lines that only look like ends": (
        [a_frame({"text": "a\u2028\u2029\x85b\r\n\r\ndata: c"}), END],
        "a\u2028\u2029\x85b\r\n\r\ndata: c",
        "stop",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("frames", "content", "finish"), CASES.values(), ids=CASES)
def test_a_frame_that_no_recording_holds(frames: list[JSON], content: str, finish: str) -> None:
    choice, message = both(*frames)

    assert (message["content"], choice["finish_reason"]) == (content, finish)


def test_code_that_is_run_for_a_thought_is_one() -> None:
    thought: JSON = {"thought": True}

    _, message = both(a_frame({**CODE, **thought}, {**OUTPUT, **thought}, {"text": "a"}), END)

    assert (message["reasoning_content"], message["content"]) == (FENCED, "a")


def test_a_sketch_made_for_a_thought_is_not_shown() -> None:
    _, message = both(a_frame({**PICTURE, "thought": True}, PICTURE), END)

    assert len(message["images"]) == 1


def test_a_call_next_to_an_empty_text_is_not_overlooked() -> None:
    choice, message = both(a_frame({"text": "", **a_function_call("f")}), END)

    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert choice["finish_reason"] == "tool_calls"


def test_a_good_call_before_a_malformed_one_is_kept() -> None:
    message = "Malformed function call: print(default_api.g("
    broken = a_frame(finish="MALFORMED_FUNCTION_CALL", finishMessage=message)

    choice, _ = both(a_frame(a_function_call("f")), broken)

    assert choice["finish_reason"] == "tool_calls"
    assert choice["native_finish_reason"] == "MALFORMED_FUNCTION_CALL"


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00"])
def test_half_of_an_emoji_does_not_end_the_answer(half: str) -> None:
    raw = b'data: {"candidates":[{"content":{"parts":[{"text":"a%b"}]}}]}\r\n\r\n' % half.encode()

    chunks = chunks_of(stream(raw + sse(END)))

    assert accumulate(chunks)[0]["message"]["content"] == "a\ufffd"


def test_candidates_end_each_in_its_own_frame() -> None:
    def candidate(index: int, text: str, **more: Any) -> JSON:
        return {"index": index, "content": {"parts": [{"text": text}]}, **more}

    frames: list[JSON] = [
        {"candidates": [candidate(0, "a"), candidate(1, "b", finishReason="STOP")]},
        {"candidates": [candidate(0, "c", finishReason="MAX_TOKENS")]},
    ]

    choices = accumulate(chunks_of(stream(sse(*frames))))

    assert [(c["message"]["content"], c["finish_reason"]) for c in choices.values()] == [
        ("ac", "length"),
        ("b", "stop"),
    ]
    assert json.dumps(whole(*frames)).count('"finish_reason"') == 2
