"""Heartbeats: which client gets which form, and that SDKs accept it."""

import json
from collections.abc import Mapping

import pytest
from openai.types.chat import ChatCompletionChunk

from jarvis_proxy.wire.heartbeats import HeartbeatFormat, heartbeat_event, heartbeat_format

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
        ({"originator": "codex_cli_rs"}, "responses", False, "in_progress"),
        ({"originator": "codex_exec"}, "responses", False, "in_progress"),
        ({"originator": "Codex Desktop"}, "responses", False, "in_progress"),
        ({"user-agent": "codex_exec/0.171.0 (Linux)"}, "responses", False, "in_progress"),
        ({"user-agent": "curl/8.5 codex_exec"}, "responses", False, "comment"),
        ({"originator": "codex_exec"}, "chat/completions", False, "comment"),
        ({"x-stainless-lang": "js"}, "completions", True, "comment"),
    ],
)
def test_format_depends_on_the_request(
    headers: Mapping[str, str], endpoint: str, asks_usage: bool, shape: HeartbeatFormat
) -> None:
    assert heartbeat_format(headers, endpoint=endpoint, asks_usage=asks_usage) == shape


def parsed(shape: HeartbeatFormat, sample: bytes = b"") -> ChatCompletionChunk:
    raw = heartbeat_event(shape, sample, call_id="abc", created=5, model="gpt-x")
    assert raw.startswith(b"data: ")
    assert raw.endswith(b"\n\n")
    return ChatCompletionChunk.model_validate(json.loads(raw[6:]))


def test_comment_is_no_event() -> None:
    assert (
        heartbeat_event("comment", CHUNK, call_id="a", created=1, model="m") == b": keepalive\n\n"
    )


def test_empty_choices_are_what_a_usage_chunk_has() -> None:
    assert parsed("empty_choices").choices == []


def test_empty_delta_keeps_usage_out_of_the_message() -> None:
    (choice,) = parsed("empty_delta").choices

    assert choice.delta.model_dump(exclude_none=True) == {}
    assert choice.finish_reason is None
    assert choice.model_extra == {"usage": {}}


def test_heartbeat_has_the_id_of_the_chunks_around_it() -> None:
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


def test_a_response_s_event_is_not_made_here() -> None:
    assert (
        heartbeat_event("in_progress", b"", call_id="a", created=1, model="m") == b": keepalive\n\n"
    )
