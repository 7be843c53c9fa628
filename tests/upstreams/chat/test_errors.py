"""Errors of chat services: statuses, codes, waits, and prompts that are too long."""

import json

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.errors import relocated, translate_error


def translated(
    status: int,
    error: object,
    headers: dict[str, str] | None = None,
    label: str = "application/json",
) -> ProxyError:
    body = error if isinstance(error, bytes) else json.dumps({"error": error}).encode()
    given = {"content-type": label, **(headers or {})}
    return translate_error(status, given, body, upstream="deepseek", now=1000.0)


def test_refused_key_is_the_proxys_own_fault() -> None:
    error = translated(401, {"message": "Incorrect API key provided: sk-abcdefgh"})

    assert (error.status, error.code) == (502, "upstream_auth_failed")
    assert "sk-" not in error.message
    assert "Incorrect API key" in error.reason


def test_account_without_credit_is_no_rate_limit() -> None:
    error = translated(402, {"message": "Insufficient Balance", "code": "invalid_request_error"})

    assert (error.status, error.code, error.retry_status) == (429, "insufficient_quota", 402)
    assert error.should_retry is False


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({"retry-after": "7"}, 7.0), ({"retry-after-ms": "1500"}, 1.5), ({}, None)],
)
@pytest.mark.parametrize("status", [429, 503])
def test_wait_of_the_upstream_is_kept(
    status: int, headers: dict[str, str], wait: float | None
) -> None:
    error = translated(status, {"message": "Slow down.", "code": "rate_limit_exceeded"}, headers)

    assert (error.status, error.retry_after) == (status, wait)
    assert error.from_upstream


def test_overload_is_unavailability() -> None:
    assert translated(529, {"message": "Overloaded."}).status == 503


def test_own_words_param_and_code_are_kept() -> None:
    written = {"message": "Bad.", "type": "invalid_request_error", "param": "seed", "code": "bad"}
    error = translated(400, written)

    assert (error.status, error.message, error.param, error.code) == (400, "Bad.", "seed", "bad")


def test_page_of_a_gateway_is_an_excerpt() -> None:
    error = translated(502, b"<html><body><h1>Bad gateway</h1></body></html>", label="text/html")

    assert (error.status, error.code) == (502, "upstream_bad_response")
    assert "Bad gateway" in error.message


@pytest.mark.parametrize(
    ("status", "error", "numbers"),
    [
        (400, {"message": "This model's maximum context length is 65536 tokens. However, you "
               "requested 77777 tokens (76777 in the messages, 1000 in the completion). Please "
               "reduce the length of the messages or completion."}, (77777, 65536)),
        (400, {"message": "Your input exceeds the context window of this model.",
               "code": "context_length_exceeded"}, None),
        (400, {"message": "Input tokens exceed the configured limit of 272000 tokens. Your "
               "messages resulted in 300000 tokens.", "code": "context_length_exceeded"},
         (300000, 272000)),
        (400, {"message": "request (5000 tokens) exceeds the available context size (4096 tokens),"
               " try increasing it", "type": "exceed_context_size_error"}, (5000, 4096)),
        (400, {"message": "The decoder prompt (length 5000) is longer than the maximum model "
               "length of 4096."}, (5000, 4096)),
        (400, {"message": "Prompt contains 40,000 tokens and 0 draft tokens, too large for model "
               "with 32,768 maximum context length"}, (40000, 32768)),
        (400, {"message": "prompt is too long: 210000 tokens > 200000 maximum"}, (210000, 200000)),
        (400, {"message": "Invalid request: Your request exceeded model token limit: 8192 "
               "(requested: 9000)"}, (9000, 8192)),
        (400, {"message": "The input token count (1200000) exceeds the maximum number of tokens "
               "allowed (1048576)."}, (1200000, 1048576)),
        (400, {"message": "Prompt exceeds max length", "code": "1261"}, None),
        (413, {"message": "Please reduce the length of the messages or completion.",
               "code": "context_length_exceeded"}, None),
    ],
)  # fmt: skip
def test_prompt_that_is_too_long_is_said_in_openais_words(
    status: int, error: dict[str, str], numbers: tuple[int, int] | None
) -> None:
    found = translated(status, error)

    assert (found.status, found.code) == (400, "context_length_exceeded")
    assert found.error_type == "invalid_request_error"
    if numbers is None:
        assert found.message == error["message"]
    else:
        given, most = numbers
        assert found.message.startswith(
            f"This model's maximum context length is {most} tokens. However, your messages "
            f"resulted in {given} tokens."
        )


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "max_tokens is too large: 100000. This model supports at most 16384."),
        (400, "Invalid maximum value."),
        (500, "The context length service failed."),
    ],
)
def test_other_refusals_are_not_about_length(status: int, message: str) -> None:
    assert translated(status, {"message": message}).code != "context_length_exceeded"


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        ("messages[2].content", "messages[5].content"),
        ("messages.[2].role", "messages[5].role"),
        ("messages.2.content.0", "messages[5].content.0"),
        ("messages[9].content", "messages[9].content"),
        ("messages", "messages"),
        ("temperature", "temperature"),
        (None, None),
    ],
)
def test_message_that_is_refused_is_found_in_the_clients_request(
    param: str | None, expected: str | None
) -> None:
    error = relocated(ProxyError(400, "Bad.", param=param), (0, 3, 5))

    assert error.param == expected
