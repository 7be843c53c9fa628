"""Errors in Anthropic's form: each cause has its status, its type and its headers."""

import json
from typing import Any

import pytest

from jarvis_proxy.dialects.messages.errors import (
    PromptSize,
    encode_error,
    encode_error_event,
    request_id,
)
from jarvis_proxy.errors import LimitExceeded, ProxyError
from jarvis_proxy.wire.messages_types import PING

ID = "0123456789abcdefghijklmn"


def written(error: ProxyError, size: PromptSize | None = None) -> tuple[int, str, str]:
    """Return an error's status, type and message."""
    answer = encode_error(error, ID, size)
    body = json.loads(answer.body)
    assert body == {
        "type": "error",
        "error": {"type": body["error"]["type"], "message": body["error"]["message"]},
        "request_id": f"req_{ID}",
    }
    return answer.status, body["error"]["type"], body["error"]["message"]


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "invalid_value", (400, "invalid_request_error")),
        (401, "invalid_api_key", (401, "authentication_error")),
        (402, "upstream_error", (402, "billing_error")),
        (403, "permission_denied", (403, "permission_error")),
        (404, "model_not_found", (404, "not_found_error")),
        (405, "method_not_allowed", (405, "invalid_request_error")),
        (413, "request_too_large", (413, "request_too_large")),
        (422, "x", (422, "invalid_request_error")),
        (429, "rate_limit_exceeded", (429, "rate_limit_error")),
        (429, "insufficient_quota", (429, "rate_limit_error")),
        (500, "internal_error", (500, "api_error")),
        (502, "upstream_auth_failed", (502, "api_error")),
        (502, "upstream_truncated", (502, "api_error")),
        (503, "overloaded", (529, "overloaded_error")),
        (529, "overloaded", (529, "overloaded_error")),
        (504, "upstream_timeout", (504, "timeout_error")),
    ],
)
def test_each_cause_has_its_status_and_type(
    status: int, code: str, expected: tuple[int, str]
) -> None:
    assert written(ProxyError(status, "M", code=code)) == (*expected, "M")


def test_an_upstreams_account_without_credit_is_a_billing_error() -> None:
    error = ProxyError(429, "M", code="insufficient_quota")
    error.retry_status = 402
    assert written(error)[:2] == (402, "billing_error")


BUDGET = LimitExceeded(
    429, "M", limit="budget", code="insufficient_quota", retry_after=60, error_type="x"
)
RATE = LimitExceeded(429, "M", limit="requests", code="rate_limit_exceeded", retry_after=1)


@pytest.mark.parametrize(
    ("error", "is_final"),
    [
        (ProxyError(401, "M", code="invalid_api_key"), True),
        (ProxyError(429, "M", code="insufficient_quota"), True),
        (BUDGET, True),
        (RATE, False),
        (ProxyError(503, "M", code="overloaded"), False),
        (ProxyError(400, "M"), False),
    ],
)
def test_asking_again_is_ruled_out_where_it_cannot_help(error: ProxyError, is_final: bool) -> None:
    headers = dict(encode_error(error, ID).headers)
    assert headers == {
        "request-id": request_id(ID),
        **({"x-should-retry": "false"} if is_final else {}),
    }


@pytest.mark.parametrize(
    ("message", "size", "expected"),
    [
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed "
            "(1048576).",
            None,
            (1200000, 1048576),
        ),
        (
            "This model's maximum context length is 128000 tokens. However, your messages resulted "
            "in 130,500 tokens.",
            None,
            (130500, 128000),
        ),
        (
            "This model's maximum context length is 4096 tokens. However, you requested 5000 "
            "tokens (4000 in the messages, 1000 in the completion).",
            None,
            (5000, 4096),
        ),
        ("prompt is too long: 208310 tokens > 200000 maximum", None, (208310, 200000)),
        (
            "request (12345 tokens) exceeds the available context size (8192 tokens)",
            None,
            (12345, 8192),
        ),
        ("Too long.", PromptSize(250_000, 200_000), (250_000, 200_000)),
        ("Too long.", PromptSize(150_000, 200_000), (200_001, 200_000)),
        ("The limit is 100 tokens.", PromptSize(150, 200), (150, 100)),
        ("The limit is 100 tokens.", None, (101, 100)),
    ],
)
def test_a_prompt_that_is_too_long_is_said_as_claude_code_knows_it(
    message: str, size: PromptSize | None, expected: tuple[int, int]
) -> None:
    words = "prompt is too long: {} tokens > {} maximum".format(*expected)
    error = ProxyError(400, message, code="context_length_exceeded", param="messages")
    assert written(error, size) == (400, "invalid_request_error", words)
    event = encode_error_event(error, ID, size)
    assert json.loads(event.partition(b"data: ")[2])["error"]["message"] == words


def test_without_any_number_the_upstreams_words_are_reported() -> None:
    error = ProxyError(400, "Too long.", code="context_length_exceeded")
    assert written(error)[2] == "prompt is too long: Too long."
    assert written(error, PromptSize(5))[2] == "prompt is too long: Too long."


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
        "the request exceeds the available context size (4096), it has 5000",
        "The input token count (5000) exceeds the maximum number of tokens allowed (4096).",
    ],
)
def test_servers_that_have_no_code_for_it_are_understood(message: str) -> None:
    error = ProxyError(400, message, code="invalid_argument")
    assert written(error)[2] == "prompt is too long: 5000 tokens > 4096 maximum"
    other = ProxyError(429, message, code="rate_limit_exceeded")
    assert written(other)[2] == message


def test_a_message_names_the_place_once() -> None:
    assert written(ProxyError(400, "M", param="messages.0"))[2] == "messages.0: M"
    named = ProxyError(400, "Invalid 'messages.0'.", param="messages.0")
    assert written(named)[2] == "Invalid 'messages.0'."


def test_an_upstreams_own_error_in_this_form_goes_out_as_it_came() -> None:
    error = ProxyError(400, "This model's maximum context length is 1, got 2", code="x")
    error.native = b'{"type":"error","error":{"type":"x","message":"m"},"request_id":"req_9"}'
    answer = encode_error(error, ID)
    assert (answer.status, answer.body) == (400, error.native)


def test_the_error_event_ends_a_stream() -> None:
    event = encode_error_event(ProxyError(503, "M\nN", code="overloaded"), ID)
    name, data, *rest = event.split(b"\n")
    assert (name, rest) == (b"event: error", [b"", b""])
    body: Any = json.loads(data.removeprefix(b"data: "))
    assert (body["type"], body["error"]["type"]) == ("error", "overloaded_error")
    assert body["request_id"] == f"req_{ID}"


def test_the_error_event_is_named_twice() -> None:
    event = encode_error_event(ProxyError(500, "M"), ID)
    assert event.startswith(b'event: error\ndata: {"type":"error",')


def test_the_heartbeat_is_an_event() -> None:
    assert PING == b'event: ping\ndata: {"type": "ping"}\n\n'
