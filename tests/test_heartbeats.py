"""Heartbeats: which client gets which shape, and that SDKs bear it."""

import json
from collections.abc import Mapping

import pytest
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseInProgressEvent

from jarvis_proxy.heartbeats import Shape, beat, shape_for

CHUNK = b'data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":7,"model":"m"}\n\n'


@pytest.mark.parametrize(
    ("headers", "endpoint", "asks_usage", "shape"),
    [
        ({}, "chat/completions", False, "comment"),
        ({}, "chat/completions", True, "empty_choices"),
        ({"x-stainless-lang": "js"}, "chat/completions", False, "empty_delta"),
        ({"x-stainless-lang": "JS"}, "chat/completions", True, "empty_delta"),
        ({"x-stainless-lang": "python"}, "chat/completions", False, "comment"),
        ({"x-stainless-lang": "js"}, "responses", True, "in_progress"),
        ({"x-stainless-lang": "python"}, "responses", False, "comment"),
        ({"x-stainless-lang": "js"}, "completions", True, "comment"),
    ],
)
def test_shape_follows_what_the_request_tells(
    headers: Mapping[str, str], endpoint: str, asks_usage: bool, shape: Shape
) -> None:
    assert shape_for(headers, endpoint=endpoint, asks_usage=asks_usage) == shape


def parsed(shape: Shape, sample: bytes = b"") -> ChatCompletionChunk:
    raw = beat(shape, sample, call_id="abc", created=5, model="gpt-x")
    assert raw.startswith(b"data: ")
    assert raw.endswith(b"\n\n")
    return ChatCompletionChunk.model_validate(json.loads(raw[6:]))


def test_comment_is_no_event() -> None:
    assert beat("comment", CHUNK, call_id="a", created=1, model="m") == b": keepalive\n\n"


def test_empty_choices_are_what_a_usage_chunk_has() -> None:
    assert parsed("empty_choices").choices == []


def test_empty_delta_keeps_usage_out_of_the_message() -> None:
    (choice,) = parsed("empty_delta").choices

    assert choice.delta.model_dump(exclude_none=True) == {}
    assert choice.finish_reason is None
    assert choice.model_extra == {"usage": {}}


def test_a_beat_has_the_id_of_the_chunks_around_it() -> None:
    chunk = parsed("empty_choices", CHUNK)

    assert (chunk.id, chunk.created, chunk.model) == ("chatcmpl-7", 7, "m")


@pytest.mark.parametrize(
    "sample",
    [
        b"",
        b": x\n\n",
        b"data: [DONE]\n\n",
        b'data: {"a":1}\n\n',
        b'data: {"id":"a","model":"\xff"}\n\n',
    ],
)
def test_before_the_answer_it_has_the_calls(sample: bytes) -> None:
    chunk = parsed("empty_delta", sample)

    assert (chunk.id, chunk.created, chunk.model) == ("chatcmpl-abc", 5, "gpt-x")


@pytest.mark.parametrize("before", ['"id":"resp_7-a",', '"id" : "resp_7-a" ,'])
def test_a_response_s_beat_repeats_that_it_is_in_progress(before: str) -> None:
    created = f'event: response.created\ndata: {{"response":{{{before}"object":"resp'.encode()

    raw = beat("in_progress", created, call_id="abc", created=5, model="gpt-x")

    name, data = raw.removesuffix(b"\n\n").split(b"\n")
    event = ResponseInProgressEvent.model_validate_json(data.removeprefix(b"data: "))
    assert name == b"event: response.in_progress"
    assert (event.response.id, event.response.created_at) == ("resp_7-a", 5)
    assert (event.response.status, event.response.model) == ("in_progress", "gpt-x")
    assert event.sequence_number == 1


def test_a_response_that_has_not_begun_gets_a_comment() -> None:
    assert beat("in_progress", b"", call_id="a", created=1, model="m") == b": keepalive\n\n"
