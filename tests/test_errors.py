"""Errors as clients get them: fields, types, and the events that SDKs raise."""

import json

import pytest

from jarvis_proxy.errors import ProxyError, default_type
from jarvis_proxy.redaction import REDACTED, Secrets
from jarvis_proxy.wire.sse import SSEDecoder, SSEEvent

FULL = ProxyError(
    429,
    "Slow down.",
    error_type="requests",
    code="rate_limit_exceeded",
    param="model",
    retry_after=1.5,
    should_retry=True,
    headers=(("x-extra", "1"),),
)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "invalid_request_error"),
        (401, "invalid_request_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (413, "invalid_request_error"),
        (429, "rate_limit_error"),
        (499, "invalid_request_error"),
        (500, "server_error"),
        (502, "server_error"),
        (504, "server_error"),
    ],
)
def test_type_follows_from_the_status(status: int, expected: str) -> None:
    assert default_type(status) == expected
    assert ProxyError(status, "x").error_type == expected


def test_given_type_wins_over_the_one_of_the_status() -> None:
    assert ProxyError(500, "x", error_type="overloaded_error").error_type == "overloaded_error"


def test_body_has_all_four_fields_in_openais_order() -> None:
    expected = (
        b'{"error":{"message":"Slow down.","type":"requests","param":"model",'
        b'"code":"rate_limit_exceeded"}}'
    )

    assert FULL.body() == expected


def test_unknown_fields_are_null_not_absent() -> None:
    error = json.loads(ProxyError(400, "No.").body())["error"]

    assert error == {
        "message": "No.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


def test_everything_given_is_kept() -> None:
    assert FULL.status == 429
    assert FULL.retry_after == 1.5
    assert FULL.should_retry is True
    assert FULL.headers == (("x-extra", "1"),)
    assert str(FULL) == FULL.message == "Slow down."
    assert FULL.completed_events == b""


def test_preceding_belongs_to_one_error_alone() -> None:
    error = ProxyError(502, "x")
    error.completed_events = b"data: {}\n\n"

    assert ProxyError(502, "y").completed_events == b""


@pytest.mark.parametrize(
    "message", ["plain", "two\nlines\r\n\r\n", "data: [DONE]\n\n", "é\u2028🦀"]
)
def test_event_is_one_event_with_the_error_object(message: str) -> None:
    """SDKs raise on a truthy top-level ``error``; no message can break out of its event."""
    error = ProxyError(502, message, code="upstream_truncated")

    events = SSEDecoder().feed(error.event())

    assert events == [SSEEvent("", error.body())]
    assert json.loads(events[0].data)["error"]["message"] == message


def test_responses_event_has_native_fields_and_the_error_object() -> None:
    """The native fields alone are yielded by the SDKs; the object makes them raise."""
    (event,) = SSEDecoder().feed(FULL.responses_event(7))

    assert event.event == "error"
    assert json.loads(event.data) == {
        "type": "error",
        "code": "rate_limit_exceeded",
        "message": "Slow down.",
        "param": "model",
        "sequence_number": 7,
        "error": json.loads(FULL.body())["error"],
    }


def test_responses_event_writes_a_numeric_code_as_text() -> None:
    """The native field is a string or null; the object keeps the number."""
    (event,) = SSEDecoder().feed(ProxyError(503, "x", code=503).responses_event(0))
    (bare,) = SSEDecoder().feed(ProxyError(503, "x").responses_event(0))

    assert json.loads(event.data)["code"] == "503"
    assert json.loads(event.data)["error"]["code"] == 503
    assert json.loads(bare.data)["code"] is None


def test_secrets_are_blacked_out_wherever_an_upstream_repeats_them() -> None:
    key = "gsk-0123456789ab"
    error = ProxyError(
        400, f"key {key} is bad", error_type=f"t-{key}", code=f"c-{key}", param=f"p-{key}"
    )
    error.redact(Secrets(["other-0123456789", key]))

    assert key.encode() not in error.body()
    assert error.message == f"key {REDACTED} is bad"
    assert (error.error_type, error.code, error.param) == (
        f"t-{REDACTED}",
        f"c-{REDACTED}",
        f"p-{REDACTED}",
    )


def test_secrets_are_blacked_out_in_an_upstreams_own_body() -> None:
    error = ProxyError(429, "x")
    error.native = b'{"error":{"message":"key sk-upstream-f3Zq8LmW is over its quota"}}'

    error.redact(Secrets(["sk-upstream-f3Zq8LmW"]))

    assert error.native == b'{"error":{"message":"key [redacted] is over its quota"}}'


def test_words_that_stand_for_a_key_and_numbers_stay() -> None:
    error = ProxyError(400, "ollama: no such model", code=404)
    error.redact(Secrets(["ollama", ""]))

    assert (error.message, error.code, error.param) == ("ollama: no such model", 404, None)
