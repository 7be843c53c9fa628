"""Errors in Google's form, as Google's own SDK reads them."""

import json
from typing import Any

import pytest
from google.genai import errors as genai_errors

from jarvis_proxy.dialects.generate_content.errors import error_body, error_object, status_word
from jarvis_proxy.errors import ProxyError


def written(error: ProxyError) -> Any:
    return json.loads(error_body(error))["error"]


def test_a_wrong_key_has_googles_reason() -> None:
    """Home Assistant asks for another key where it finds this word; else it sees no server."""
    error = written(ProxyError(401, "Incorrect API key provided.", code="invalid_api_key"))

    assert error["details"][0]["reason"] == "API_KEY_INVALID"


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (402, "RESOURCE_EXHAUSTED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (405, "INVALID_ARGUMENT"),
        (408, "DEADLINE_EXCEEDED"),
        (409, "ABORTED"),
        (413, "INVALID_ARGUMENT"),
        (415, "INVALID_ARGUMENT"),
        (429, "RESOURCE_EXHAUSTED"),
        (431, "INVALID_ARGUMENT"),
        (499, "CANCELLED"),
        (500, "INTERNAL"),
        (501, "UNIMPLEMENTED"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
        (529, "UNAVAILABLE"),
    ],
)
def test_each_status_has_googles_word_and_its_code(status: int, word: str) -> None:
    error = written(ProxyError(status, "Grüße", code="some-code"))

    assert status_word(status) == word
    assert (error["code"], error["status"], error["message"]) == (status, word, "Grüße")
    assert error["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "SOME_CODE",
            "domain": "jarvis",
        }
    ]


def test_googles_sdk_reads_code_status_and_message() -> None:
    body = json.loads(error_body(ProxyError(429, "Too many.", code="rate_limit_exceeded")))

    error = genai_errors.APIError(429, body)

    assert (error.code, error.status, error.message) == (429, "RESOURCE_EXHAUSTED", "Too many.")


@pytest.mark.parametrize(("wait", "delay"), [(2.0, "2s"), (0.2, "1s"), (11.5, "12s")])
def test_a_wait_is_reported_as_retry_info(wait: float, delay: str) -> None:
    details = written(ProxyError(503, "x", code="overloaded", retry_after=wait))["details"]

    assert details[1] == {
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": delay,
    }


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        (ProxyError(429, "No credit.", code="insufficient_quota"), ["3600s"]),
        (ProxyError(429, "Used up.", code="insufficient_quota", retry_after=70_000), ["70000s"]),
        (ProxyError(429, "Slow down.", code="rate_limit_exceeded"), []),
    ],
)
def test_a_used_up_quota_is_not_to_be_asked_for_again_soon(
    error: ProxyError, delay: list[str]
) -> None:
    details = written(error)["details"]

    assert [one["retryDelay"] for one in details if "retryDelay" in one] == delay


def test_the_field_at_fault_is_reported() -> None:
    details = written(ProxyError(400, "bad", code="invalid_value", param="contents[0]"))["details"]

    assert details[1]["fieldViolations"] == [{"field": "contents[0]", "description": "bad"}]


def test_an_error_without_a_code_has_a_reason() -> None:
    assert written(ProxyError(500, "x"))["details"][0]["reason"] == "SERVER_ERROR"


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 128000 tokens. However, your messages resulted in "
        "130001 tokens. Please reduce them.",
        "prompt is too long: 130001 tokens > 128000 maximum",
        "The input token count (130001) exceeds the maximum number of tokens allowed (128000).",
    ],
)
def test_a_prompt_that_is_too_long_is_reported_in_googles_words(message: str) -> None:
    error = written(ProxyError(400, message, code="context_length_exceeded"))

    assert error["message"] == (
        "The input token count (130001) exceeds the maximum number of tokens allowed (128000)."
    )


def test_without_numbers_the_message_stays() -> None:
    error = written(ProxyError(400, "Too long.", code="context_length_exceeded"))

    assert error["message"] == "Too long."


def test_googles_own_error_goes_out_as_it_came() -> None:
    error = ProxyError(429, "ours", code="rate_limit_exceeded")
    error.native = b'[{ "error": {"code": 429}}]'

    assert error_body(error) == error.native
    assert error_object(error) == b'{ "error": {"code": 429}}'
    error.native = b"[]"
    assert error_object(error) == b"{}"
    error.native = b""
    assert error_object(error) == error_body(error)
