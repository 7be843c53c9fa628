"""Anthropic's statuses and words become the proxy's errors."""

import json

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.errors import is_signature_fault, message_of, translate_error


def refused(
    status: int, kind: str = "", message: str = "", headers: dict[str, str] | None = None
) -> ProxyError:
    """Return the error for an answer with this status and body."""
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return translate_error(status, headers or {}, json.dumps(body).encode(), model="my-claude")


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "invalid_request_error", (400, "invalid_argument")),
        (401, "authentication_error", (502, "upstream_auth_failed")),
        (402, "billing_error", (429, "insufficient_quota")),
        (403, "permission_error", (502, "upstream_auth_failed")),
        (404, "not_found_error", (404, "model_not_found")),
        (408, "", (504, "timeout")),
        (409, "", (409, "invalid_request")),
        (413, "request_too_large", (413, "request_too_large")),
        (422, "", (400, "invalid_argument")),
        (429, "rate_limit_error", (429, "rate_limit_exceeded")),
        (500, "api_error", (502, "upstream_error")),
        (502, "", (502, "upstream_error")),
        (503, "", (503, "overloaded")),
        (504, "timeout_error", (504, "timeout")),
        (529, "overloaded_error", (503, "overloaded")),
    ],
)
def test_each_status_has_its_error(status: int, kind: str, expected: tuple[int, str]) -> None:
    error = refused(status, kind)

    assert (error.status, error.code) == expected


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 207791 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease "
        "input length or `max_tokens` and try again",
    ],
)
def test_a_prompt_that_is_too_long_keeps_its_numbers(message: str) -> None:
    error = refused(400, "invalid_request_error", message)

    assert (error.status, error.code, error.message) == (400, "context_length_exceeded", message)


def test_our_refused_key_is_not_the_clients_fault() -> None:
    error = refused(401, "authentication_error", "invalid x-api-key")

    assert error.should_retry is False
    assert "invalid x-api-key" not in error.message
    assert error.reason == "invalid x-api-key"


def test_an_account_without_credit_is_no_invalid_request() -> None:
    words = "Your credit balance is too low to access the Anthropic API."
    error = refused(400, "invalid_request_error", words)

    assert (error.status, error.code, error.should_retry) == (429, "insufficient_quota", False)
    assert error.retry_status == 402


@pytest.mark.parametrize("status", [429, 529, 503])
def test_the_wait_that_the_upstream_asks_for_is_passed_on(status: int) -> None:
    assert refused(status, headers={"retry-after": "12"}).retry_after == 12
    assert refused(status, headers={"retry-after": "1.5"}).retry_after == 1.5
    assert refused(status, headers={"retry-after": "tomorrow"}).retry_after is None
    assert refused(status).retry_after is None


def test_a_missing_model_is_named_as_the_client_named_it() -> None:
    error = refused(404, "not_found_error", "model: claude-9")

    assert "my-claude" in error.message
    assert "claude-9" not in error.message


def test_a_missing_file_is_no_missing_model() -> None:
    assert refused(404, "not_found_error", "file not found").code == "not_found"


def test_a_fault_in_a_tool_names_the_tool() -> None:
    error = refused(400, message="tools.3.custom.input_schema.type: Field required")

    assert error.param == "tools[3]"


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[]", b"null", b'"x"', b"{"])
def test_a_body_of_any_form_keeps_the_status(body: bytes) -> None:
    error = translate_error(529, {}, body, model="m")

    assert (error.status, error.code, error.message) == (
        503,
        "overloaded",
        "The upstream is overloaded.",
    )
    assert message_of(body) == ""


def test_keys_in_messages_are_hidden() -> None:
    assert "sk-ant-api03" not in refused(400, message="bad sk-ant-api03-abcdefgh").message


@pytest.mark.parametrize(
    "message",
    [
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        "messages.1.content.0: INVALID `SIGNATURE` IN `THINKING` BLOCK",
        "messages.7.content.12: `thinking` or `redacted_thinking` blocks in the latest assistant "
        "message cannot be modified. These blocks must remain as they were.",
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`.",
        "messages.1.content.0.thinking.signature: Field required",
        "Invalid thought signature.",
    ],
)
def test_every_wording_of_a_signature_fault_is_known(message: str) -> None:
    assert is_signature_fault(message)
    assert refused(400, "invalid_request_error", message).code == "invalid_thought_signature"


@pytest.mark.parametrize(
    "message", ['"thinking.type.enabled" is not supported for this model.', "max_tokens: too large"]
)
def test_other_faults_are_no_signature_faults(message: str) -> None:
    assert not is_signature_fault(message)
