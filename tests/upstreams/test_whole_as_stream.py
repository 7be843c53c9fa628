"""Whole answers as the streams that were asked for."""

import json
from typing import Any

import pytest

from jarvis_proxy.upstreams.json_values import Fields
from jarvis_proxy.upstreams.openai_stream import PassthroughStream
from jarvis_proxy.upstreams.whole_as_stream import (
    chat_stream,
    image_stream,
    message_stream,
    response_stream,
)
from jarvis_proxy.wire.response_events import SequenceNumbers

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def chunks(stream: bytes | None) -> list[dict[str, Any]]:
    assert stream is not None
    return [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: {")]


def chat(*choices: Fields, **more: object) -> Fields:
    return {"id": "x", "object": "chat.completion", "created": 1, "choices": choices, **more}


def test_tool_calls_thoughts_and_odd_fields_are_in_the_delta() -> None:
    message = {"content": None, "tool_calls": [CALL, CALL], "reasoning_content": "hm", "x": 1}
    answer = chat({"index": 0, "message": message, "logprobs": {"content": []}}, model="m")
    answer = json.loads(json.dumps(answer))

    first, last = chunks(chat_stream(answer, asks_usage=True))

    assert first["model"] == last["model"] == "m"
    assert first["choices"] == [
        {
            "index": 0,
            "logprobs": {"content": []},
            "delta": {
                "role": "assistant",
                "tool_calls": [{**CALL, "index": 0}, {**CALL, "index": 1}],
                "reasoning_content": "hm",
                "x": 1,
            },
            "finish_reason": None,
        }
    ]
    assert last["choices"][0]["finish_reason"] == "tool_calls"


def test_every_choice_finishes() -> None:
    answer = chat(
        *({"index": n, "message": {"content": "a"}, "finish_reason": "length"} for n in (0, 1))
    )
    stream = chat_stream(json.loads(json.dumps(answer)), asks_usage=False)
    assert stream is not None
    watcher = PassthroughStream("chat")

    assert watcher.feed(stream) == stream
    assert watcher.done
    assert [c["index"] for c in chunks(stream)[1]["choices"]] == [0, 1]


def test_a_text_completion_becomes_its_chunks() -> None:
    answer = {"object": "text_completion", "choices": [{"text": "a", "finish_reason": "stop"}]}

    first, last = chunks(chat_stream(answer, asks_usage=False))

    assert first["choices"] == [{"index": 0, "text": "a", "finish_reason": None}]
    assert (last["choices"][0]["text"], last["choices"][0]["finish_reason"]) == ("", "stop")


def test_half_of_an_emoji_stays_one() -> None:
    answer = chat({"message": {"content": "\ud83d"}})

    assert b'"content":"\\ud83d"' in (
        chat_stream({**answer, "choices": list(answer["choices"])}, asks_usage=False)  # type: ignore[call-overload]
        or b""
    )


@pytest.mark.parametrize("answer", [{}, {"choices": []}, {"choices": 5}, {"choices": [None]}])
def test_what_has_no_choices_is_no_stream(answer: Fields) -> None:
    assert chat_stream(answer, asks_usage=True) is None


RESPONSE: Fields = {
    "id": "resp_1",
    "object": "response",
    "status": "incomplete",
    "output": [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
        },
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "content": [{"type": "refusal", "refusal": "no"}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c", "name": "f", "input": "x"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    ],
}


def test_every_item_of_a_response_has_its_events() -> None:
    found = chunks(response_stream(RESPONSE, SequenceNumbers()))

    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    kinds = [event["type"].removeprefix("response.") for event in found]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "output_item.added",
        "output_item.done",
        "incomplete",
    ]
    assert found[2]["item"]["summary"] == []
    assert found[8]["item"]["status"] == "in_progress"
    assert found[-1]["response"] == RESPONSE


@pytest.mark.parametrize(
    ("status", "end"), [("failed", "failed"), ("completed", "completed"), (None, "completed")]
)
def test_a_response_ends_as_its_status_says(status: str | None, end: str) -> None:
    stream = response_stream(
        {"object": "response", "status": status, "output": []}, SequenceNumbers()
    )

    assert chunks(stream)[-1]["type"] == f"response.{end}"
    watcher = PassthroughStream("responses")
    assert watcher.feed(stream or b"") == stream
    assert watcher.done


def test_what_is_no_response_is_no_stream() -> None:
    assert response_stream({"id": "x"}, SequenceNumbers()) is None


def test_pictures_are_events_and_links_are_not() -> None:
    answer = {"created": 5, "size": "1x1", "data": [{"b64_json": "QQ=="}]}

    (event,) = chunks(image_stream(answer))

    assert (event["type"], event["size"]) == ("image_generation.completed", "1x1")
    assert chunks(image_stream(answer, edits=True))[0]["type"] == "image_edit.completed"
    assert image_stream({"data": [{"url": "x"}]}) is None
    assert image_stream({"data": []}) is None


def test_a_part_without_text_is_added_and_done_only() -> None:
    message = {"id": "m1", "type": "message", "content": [{"type": "output_text", "text": None}]}
    answer = {"object": "response", "output": [message]}

    kinds = [event["type"] for event in chunks(response_stream(answer, SequenceNumbers()))]
    assert kinds[3:5] == ["response.content_part.added", "response.content_part.done"]


def test_what_is_no_message_is_no_stream_of_one() -> None:
    assert message_stream({"id": "x"}) is None


def test_a_message_without_content_or_usage_still_ends() -> None:
    found = chunks(message_stream({"type": "message", "stop_reason": "refusal"}))

    assert [event["type"] for event in found] == ["message_start", "message_delta", "message_stop"]
    assert found[0]["message"]["content"] == []
    assert found[1]["delta"]["stop_reason"] == "refusal"
    assert found[1]["usage"] == {"output_tokens": 0}
