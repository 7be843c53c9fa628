"""Text completions, whole and as a stream; more is tried with the SDK."""

import json

from jarvis_proxy.canonical.answer import CallStart, Finish
from jarvis_proxy.dialects.completions.answer import CompletionAnswer, CompletionOptions

OPTIONS = CompletionOptions(call_id="x" * 24, created=7, model="m")


def test_without_an_id_of_the_upstreams_the_calls_own_is_given() -> None:
    answer = CompletionAnswer(OPTIONS, stream=True)
    answer.choice(0).text("Hi")
    answer.choice(1).text("Ho")
    answer.choice(0).begin("late", None)
    answer.choice(0).text("!")
    events = [json.loads(event[6:]) for event in answer.take().decode().split("\n\n") if event]

    assert {event["id"] for event in events} == {f"cmpl-{'x' * 24}"}
    assert events[0] == {
        "id": f"cmpl-{'x' * 24}",
        "object": "text_completion",
        "created": 7,
        "model": "m",
        "choices": [{"text": "Hi", "index": 0, "logprobs": None, "finish_reason": None}],
    }


def test_a_stream_ends_without_usage_unless_it_was_asked_for() -> None:
    answer = CompletionAnswer(OPTIONS, stream=True)
    answer.end(None)

    assert answer.take() == b"data: [DONE]\n\n"


def test_an_empty_answer_still_has_its_echo() -> None:
    options = CompletionOptions(call_id="x", created=7, model="m", echo="Once")
    answer = CompletionAnswer(options, stream=False)
    answer.choice(0).finish(Finish(reason="content_filter"))
    answer.end(None)
    body = json.loads(answer.body())

    assert body["choices"] == [
        {"text": "Once", "index": 0, "logprobs": None, "finish_reason": "content_filter"}
    ]
    assert body["usage"]["total_tokens"] == 0


def test_a_call_of_a_tool_has_no_place() -> None:
    answer = CompletionAnswer(OPTIONS, stream=False)
    sink = answer.choice(0)
    sink.call_begin(CallStart("id", "f"))
    sink.call_piece("{}")
    sink.call_end()
    sink.finish(Finish(reason="tool_calls"))
    answer.end(None)

    assert json.loads(answer.body())["choices"][0]["finish_reason"] == "stop"
    assert not sink.emitted
