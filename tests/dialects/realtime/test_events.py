"""Events: tokens and models that are reported are found, and nothing else is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.dialects.realtime.events import (
    EventUsage,
    SessionModels,
    error_event,
    may_be_error,
    models_in,
    usage_in,
)
from jarvis_proxy.errors import ProxyError


def encoded(**event: object) -> bytes:
    return json.dumps(event).encode()


def test_tokens_of_a_response() -> None:
    cached = {"audio_tokens": 3, "text_tokens": 1}
    details = {"cached_tokens": 4, "cached_tokens_details": cached, "text_tokens": 1}
    details |= {"audio_tokens": 6, "image_tokens": 2}
    usage = {"input_tokens": 9, "output_tokens": 3, "input_token_details": details}
    event = encoded(type="response.done", response={"usage": usage, "output": []})

    assert usage_in(event) == EventUsage(
        TokenUsage(9, 3, 4, audio=3, image=2), is_transcription=False
    )


def test_tokens_of_a_transcription() -> None:
    kind = "conversation.item.input_audio_transcription.completed"
    event = encoded(type=kind, usage={"type": "tokens", "input_tokens": 9, "output_tokens": None})

    assert usage_in(event) == EventUsage(TokenUsage(9, 0), is_transcription=True)


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b'{"usage"',
        b'["usage"]',
        encoded(type="response.done", response={"usage": None}),
        encoded(type="response.done", usage={"input_tokens": 1}),
        encoded(type="response.done", response={"usage": {"input_tokens": "x"}}),
        encoded(type="rate_limits.updated", usage={"input_tokens": 1}),
        encoded(
            type="conversation.item.input_audio_transcription.completed",
            usage={"type": "duration", "seconds": 1.5},
        ),
        b'{"type":"response.done","usage":' + b"[" * 100_000,
    ],
)
def test_events_without_tokens(event: bytes) -> None:
    assert usage_in(event) is None


def test_the_models_of_a_session() -> None:
    audio = {"input": {"transcription": {"model": "t"}}}
    new = encoded(type="session.created", session={"model": "m", "audio": audio})
    old = encoded(type="x", session={"input_audio_transcription": {"model": "t"}, "model": "m"})
    bare = encoded(type="session.updated", session={"audio": {"input": {"transcription": None}}})

    assert models_in(new) == models_in(old) == SessionModels("m", "t")
    assert models_in(bare) == SessionModels("", "")
    assert models_in(b'{"session":1}') is None
    assert models_in(b'{"session":null}') is None
    assert models_in(b"{}") is None


@given(st.binary(max_size=50))
def test_any_bytes_are_read(data: bytes) -> None:
    for event in (data, b'{"usage":' + data, b'{"session":' + data):
        usage_in(event)
        models_in(event)


def test_an_error_is_openais_event() -> None:
    error = ProxyError(429, "Spent.", code="insufficient_quota", error_type="insufficient_quota")

    assert json.loads(error_event(error, "event_1")) == {
        "type": "error",
        "event_id": "event_1",
        "error": {
            "type": "insufficient_quota",
            "code": "insufficient_quota",
            "message": "Spent.",
            "param": None,
            "event_id": None,
        },
    }
    assert may_be_error(error_event(error, "event_1"))
    assert not may_be_error(b"{}")
