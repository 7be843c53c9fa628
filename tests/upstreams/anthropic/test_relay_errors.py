"""Rows L5 and L6: an upstream's error for a client of the same API."""

import json
from typing import Any

import pytest

from jarvis_proxy.upstreams.anthropic.relay_errors import relayed_error
from tests.support.recordings import recordings

JSON = {"Content-Type": "application/json"}


def native(kind: str, message: str = "M") -> bytes:
    error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return json.dumps(error, indent=1).encode()


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", "invalid_argument"),
        (404, "not_found_error", "not_found"),
        (413, "request_too_large", "request_too_large"),
        (429, "rate_limit_error", "rate_limit_exceeded"),
        (500, "api_error", "upstream_error"),
        (503, "overloaded_error", "overloaded"),
        (529, "overloaded_error", "overloaded"),
    ],
)
def test_status_and_body_pass(status: int, kind: str, code: str) -> None:
    error = relayed_error(status, {**JSON, "retry-after": "7"}, native(kind), model="m")
    assert (error.status, error.native, error.code) == (status, native(kind), code)
    assert error.retry_after == (7 if status in (429, 503, 529) else None)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "authentication_error"), (403, "permission_error")]
)
def test_a_refusal_of_the_proxys_key_is_an_error_of_the_proxy(status: int, kind: str) -> None:
    error = relayed_error(status, JSON, native(kind, "invalid x-api-key"), model="m")
    assert (error.status, error.code, error.native) == (502, "upstream_auth_failed", b"")


def test_what_the_proxys_account_lacks_is_an_error_of_the_proxy() -> None:
    body = native("invalid_request_error", "Your credit balance is too low")
    error = relayed_error(400, JSON, body, model="m")
    assert (error.retry_status, error.code, error.native) == (402, "insufficient_quota", b"")


def test_keys_are_blacked_out() -> None:
    body = native("invalid_request_error", "Bad sk-ant-0123456789")
    assert b"sk-ant" not in relayed_error(400, JSON, body, model="m").native


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, b'{"error":{"message":"M","type":"x","code":"y"}}', "invalid_request_error", "M"),
        (429, b'{"error":{"message":"Slow"}}', "rate_limit_error", "Slow"),
        (413, b'{"error":{"type":"request_too_large","message":"M"}}', "request_too_large", "M"),
        (
            502,
            b"<html><h1>Bad gateway</h1></html>",
            "api_error",
            "The upstream answered with status 502: Bad gateway",
        ),
        (503, b"", "overloaded_error", "The upstream answered with status 503 and no message."),
        (400, b'{"type":"error","error":"M"}', "invalid_request_error", "M"),
    ],
)
def test_another_form_is_rewritten(status: int, body: bytes, kind: str, message: str) -> None:
    error = relayed_error(status, {"request-id": "req_7"}, body, model="m")
    assert error.status == status
    assert json.loads(error.native) == {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_7",
    }


def test_a_status_beyond_http_becomes_502() -> None:
    assert relayed_error(999, JSON, b"x", model="m").status == 502


@pytest.mark.parametrize(
    "recording",
    [
        param
        for param in recordings("anthropic")
        if param.values[0] is None
        or (param.values[0]["response"]["status"] >= 400 and "body" in param.values[0]["response"])
    ],
)
def test_recorded_errors_pass_unless_they_are_about_the_proxys_key(
    recording: dict[str, Any],
) -> None:
    response = recording["response"]
    body = json.dumps(response["body"]).encode()
    error = relayed_error(response["status"], JSON, body, model="m")
    if response["status"] == 401:
        assert (error.status, error.native) == (502, b"")
    else:
        assert (error.status, error.native) == (response["status"], body)
