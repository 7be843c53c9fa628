"""Errors and heartbeats of the Messages API: their bytes."""

import json
from typing import get_args

import anthropic
import pytest

from jarvis_proxy.wire.messages_types import (
    PING,
    STOP,
    ErrorType,
    error_body,
    error_event,
    error_type,
)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (418, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_each_status_has_its_type(status: int, kind: str) -> None:
    assert error_type(status) == kind


def test_the_sdk_knows_all_types() -> None:
    known = {*get_args(anthropic.types.ErrorType), "request_too_large"}

    assert set(get_args(ErrorType)) <= known


@pytest.mark.parametrize("request_id", ["req_1", None])
def test_an_error_has_its_form(request_id: str | None) -> None:
    assert json.loads(error_body("api_error", 'a "b"', request_id)) == {
        "type": "error",
        "error": {"type": "api_error", "message": 'a "b"'},
        "request_id": request_id,
    }


@pytest.mark.parametrize(
    ("event", "name"), [(PING, "ping"), (STOP, "message_stop"), (error_event(b"{}"), "error")]
)
def test_each_event_is_named_and_ends_with_an_empty_line(event: bytes, name: str) -> None:
    head, data, *rest = event.decode().split("\n")

    assert head == f"event: {name}"
    assert data.startswith("data: {")
    assert rest == ["", ""]
    if name != "error":
        assert json.loads(data.removeprefix("data: ")) == {"type": name}
