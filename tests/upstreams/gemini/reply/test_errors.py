"""Every row of the error table, by bodies as Google sends them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.exchange import RetryableError
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.reply import errors
from jarvis_proxy.upstreams.gemini.reply.errors import translate_error

RPC = "type.googleapis.com/google.rpc."
KEY = "AIzaSyCANARY0123456789abcdefghijklmnopq"


def body(message: str = "", status: str = "", *details: Any, code: int = 0) -> bytes:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return json.dumps({"error": error}).encode()


def info(reason: str) -> dict[str, Any]:
    return {"@type": RPC + "ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def quota(*quota_ids: str) -> dict[str, Any]:
    return {"@type": RPC + "QuotaFailure", "violations": [{"quotaId": q} for q in quota_ids]}


def retry(delay: str) -> dict[str, Any]:
    return {"@type": RPC + "RetryInfo", "retryDelay": delay}


TABLE = {
    "key_invalid_by_reason": (
        400,
        body("Bad key.", "INVALID_ARGUMENT", info("API_KEY_INVALID")),
        (502, "server_error", "upstream_auth_failed"),
    ),
    "key_invalid_by_words": (
        400,
        body("API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT"),
        (502, "server_error", "upstream_auth_failed"),
    ),
    "key_expired": (
        400,
        body("API key expired. Please renew the API key.", "INVALID_ARGUMENT"),
        (502, "server_error", "upstream_auth_failed"),
    ),
    "too_many_tokens": (
        400,
        body("The input token count (1200000) exceeds the maximum number of tokens allowed"),
        (400, "invalid_request_error", "context_length_exceeded"),
    ),
    "bad_schema": (
        400,
        body('Invalid JSON payload received. Unknown name "x"', "INVALID_ARGUMENT"),
        (400, "invalid_request_error", "invalid_argument"),
    ),
    "signature": (
        400,
        body("Function call is missing a thought_signature in functionCall parts."),
        (400, "invalid_request_error", "invalid_thought_signature"),
    ),
    "signature_in_other_words": (
        400,
        body("Thought signature is not valid", "INVALID_ARGUMENT"),
        (400, "invalid_request_error", "invalid_thought_signature"),
    ),
    "location": (
        400,
        body("User location is not supported for the API use.", "FAILED_PRECONDITION"),
        (403, "request_forbidden", "unsupported_country_region_territory"),
    ),
    "precondition": (
        400,
        body("Free tier is not available here; enable billing.", "FAILED_PRECONDITION"),
        (400, "invalid_request_error", "failed_precondition"),
    ),
    "unauthenticated": (
        401,
        body("Expected OAuth2 access token", "UNAUTHENTICATED"),
        (502, "server_error", "upstream_auth_failed"),
    ),
    "credits_gone": (
        402,
        body("Prepaid credits are used up.", "RESOURCE_EXHAUSTED"),
        (429, "insufficient_quota", "insufficient_quota"),
    ),
    "service_disabled": (
        403,
        body("Generative Language API has not been used in project 12345678", "PERMISSION_DENIED"),
        (502, "server_error", "upstream_auth_failed"),
    ),
    "leaked_key": (
        403,
        body("Your API key was reported as leaked.", "PERMISSION_DENIED"),
        (502, "server_error", "upstream_auth_failed"),
    ),
    "clients_file": (
        403,
        body("You do not have permission to access the File abc or it may not exist."),
        (403, "permission_error", "permission_denied"),
    ),
    "model": (
        404,
        body("models/g is not found for API version v1beta, or is not supported", "NOT_FOUND"),
        (404, "invalid_request_error", "model_not_found"),
    ),
    "not_found_without_words": (404, body(), (404, "invalid_request_error", "model_not_found")),
    "file_not_found": (
        404,
        body("Requested entity was not found.", "NOT_FOUND"),
        (404, "invalid_request_error", "not_found"),
    ),
    "too_large": (413, body("big"), (413, "invalid_request_error", "request_too_large")),
    "too_large_by_words": (
        400,
        body("Request payload size exceeds the limit: 104857600 bytes."),
        (413, "invalid_request_error", "request_too_large"),
    ),
    "rate_limit": (
        429,
        body("You exceeded your current quota", "RESOURCE_EXHAUSTED", retry("48s")),
        (429, "rate_limit_error", "rate_limit_exceeded"),
    ),
    "daily_quota_with_a_window": (
        429,
        body("quota", "RESOURCE_EXHAUSTED", quota("RequestsPerDay-FreeTier"), retry("36s")),
        (429, "rate_limit_error", "rate_limit_exceeded"),
    ),
    "daily_quota": (
        429,
        body("quota", "RESOURCE_EXHAUSTED", quota("GenerateRequestsPerDayPerProject")),
        (429, "insufficient_quota", "insufficient_quota"),
    ),
    "no_quota_at_all": (
        429,
        body("Quota exceeded for metric: free_tier_requests, limit: 0\nPlease retry in 20s."),
        (429, "insufficient_quota", "insufficient_quota"),
    ),
    "a_limit_that_begins_with_zero": (
        429,
        body("Quota exceeded, limit: 0.5 per second"),
        (429, "rate_limit_error", "rate_limit_exceeded"),
    ),
    "rate_limit_without_hint": (
        429,
        body("Resource exhausted. Please try again later.", "RESOURCE_EXHAUSTED"),
        (429, "rate_limit_error", "rate_limit_exceeded"),
    ),
    "cancelled": (499, body("The operation was cancelled."), (499, "server_error", "cancelled")),
    "internal": (500, body("An internal error"), (500, "server_error", "internal_error")),
    "unimplemented": (501, body("No."), (500, "server_error", "internal_error")),
    "overloaded": (
        503,
        body("The model is overloaded.", "UNAVAILABLE"),
        (503, "server_error", "overloaded"),
    ),
    "overloaded_elsewhere": (529, body("Busy."), (503, "server_error", "overloaded")),
    "deadline": (504, body("Deadline expired"), (504, "server_error", "timeout")),
    "bad_gateway": (502, body("x"), (502, "server_error", "upstream_bad_response")),
    "content_network": (524, b"<h1>timeout</h1>", (502, "server_error", "upstream_bad_response")),
    "conflict": (409, body("again", "ABORTED"), (409, "invalid_request_error", "aborted")),
    "teapot": (418, body("tea"), (418, "invalid_request_error", "invalid_request")),
    "page_500": (500, b"<p>oops</p>", (500, "server_error", "internal_error")),
    "page_503": (503, b"", (503, "server_error", "overloaded")),
    "page_429": (429, b"slow down", (429, "rate_limit_error", "rate_limit_exceeded")),
    "page_404": (
        404,
        b"<b>GET /v9 not found</b>",
        (404, "invalid_request_error", "model_not_found"),
    ),
    "page_403": (403, b"Forbidden", (502, "server_error", "upstream_auth_failed")),
    "page_400": (400, b"Bad Request", (400, "invalid_request_error", "invalid_argument")),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_row_of_the_table(name: str) -> None:
    status, raw, expected = TABLE[name]

    error = translate_error(status, raw, model="my-model")

    assert (error.status, error.error_type, error.code) == expected
    assert error.message


@pytest.mark.parametrize("name", TABLE)
def test_an_array_around_the_error_changes_nothing(name: str) -> None:
    status, raw, expected = TABLE[name]
    if raw.startswith(b"{"):
        raw = b"[" + raw + b"]\n"

    error = translate_error(status, raw, model="my-model")

    assert (error.status, error.error_type, error.code) == expected


def test_the_retry_window_is_passed_on_unclamped() -> None:
    windows = {
        "48s": 48.0,
        "34.4s": 34.4,
        "86400s": 86400.0,
    }
    actual = {
        delay: translate_error(429, body("q", "", retry(delay)), model="m").retry_after
        for delay in windows
    }

    assert windows == actual


def test_the_window_may_stand_in_the_words_or_in_a_header() -> None:
    in_words = translate_error(429, body("Please retry in 36.5s."), model="m")
    in_header = translate_error(429, body("slow"), model="m", headers={"retry-after": "9"})
    none = translate_error(429, body("slow"), model="m", headers={"retry-after": "Fri, 1 Jan"})
    overloaded = translate_error(503, body("busy", "", retry("5s")), model="m")

    assert in_words.retry_after == 36.5
    assert in_header.retry_after == 9.0
    assert none.retry_after is None
    assert overloaded.retry_after == 5.0


def test_only_temporary_errors_have_a_retry_window() -> None:
    for status in (400, 404, 500, 504):
        assert translate_error(status, body("x", "", retry("5s")), model="m").retry_after is None


def test_permanent_errors_say_not_to_retry() -> None:
    final = {
        name
        for name, (status, raw, _) in TABLE.items()
        if translate_error(status, raw, model="m").should_retry is False
    }

    assert final == {
        "key_invalid_by_reason",
        "key_invalid_by_words",
        "key_expired",
        "unauthenticated",
        "service_disabled",
        "leaked_key",
        "page_403",
        "credits_gone",
        "daily_quota",
        "no_quota_at_all",
    }


def test_a_refused_key_shows_the_reason_and_nothing_else() -> None:
    raw = body(
        f"API key not valid: {KEY}",
        "INVALID_ARGUMENT",
        info("API_KEY_INVALID"),
        {"@type": RPC + "DebugInfo", "detail": f"Invalid API key: {KEY}"},
    )

    error = translate_error(400, raw, model="m")

    assert error.message == (
        "The proxy's own key for Gemini was refused (API_KEY_INVALID). The operator of this proxy "
        "must set a valid key for it."
    )
    assert "(" not in translate_error(403, body("x", "", info("odd reason")), model="m").message


@pytest.mark.parametrize("name", TABLE)
def test_details_and_keys_never_leave(name: str) -> None:
    status, raw, _ = TABLE[name]
    detail = {"@type": RPC + "DebugInfo", "detail": f"CANARY {KEY}"}
    if raw.startswith(b"{"):
        parsed = json.loads(raw)
        parsed["error"]["details"].append(detail)
        parsed["error"]["message"] += f" for {KEY} at https://h/p?key={KEY}"
        raw = json.dumps(parsed).encode()
    else:
        raw += KEY.encode()

    error = translate_error(status, raw, model="m")

    assert b"CANARY" not in error.body()


def test_an_unknown_model_is_named_as_the_client_named_it() -> None:
    raw = body("models/gemini-3-flash-preview is not found for API version v1beta", "NOT_FOUND")

    error = translate_error(404, raw, model="gemini-3-flash")

    assert error.message == "The model `gemini-3-flash` does not exist or is not available here."
    assert "preview" not in error.message


@pytest.mark.parametrize(
    ("message", "field", "param"),
    [
        (
            "* GenerateContentRequest.tools[0].function_declarations[2].name: Invalid",
            "",
            "tools[2]",
        ),
        ("Invalid value", "tools[0].functionDeclarations[7].parameters", "tools[7]"),
        ("Bad", "generation_config.response_json_schema", "response_format"),
        ("Thinking level MINIMAL is not supported for this model", "", "reasoning_effort"),
        ("Unable to submit: temperature must be in [0, 2]", "", "temperature"),
        ("max_output_tokens must be positive", "", "max_completion_tokens"),
        ("", "generationConfig.topP", "top_p"),
        ("", "generationConfig.stopSequences", "stop"),
        ("", "tool_config.mode", "tool_choice"),
        ("", "generation_config.seed", "seed"),
        ("Please use a valid role: user, model.", "", None),
    ],
)
def test_the_parameter_at_fault_is_named(message: str, field: str, param: str | None) -> None:
    detail = {"@type": RPC + "BadRequest", "fieldViolations": [{"field": field}]}

    error = translate_error(400, body(message, "INVALID_ARGUMENT", detail), model="m")

    assert error.param == param


def test_a_page_in_place_of_json_shows_its_first_words() -> None:
    error = translate_error(500, b"<html><h1>Internal  error</h1>" + b"x" * 1000, model="m")

    assert error.message.startswith("Internal error xxx")
    assert len(error.message) == 300


def test_a_404_page_does_not_show_the_upstreams_path() -> None:
    error = translate_error(404, b"The URL /v1beta/models/x was not found.", model="m")

    assert "/v1beta" not in error.message


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"},
            (429, "rate_limit_exceeded"),
        ),
        ({"code": 503, "message": "m"}, (503, "overloaded")),
        ({"status": "UNAVAILABLE"}, (503, "overloaded")),
        ({"code": 13, "status": "INTERNAL"}, (500, "internal_error")),
        ({"code": 200, "status": "x"}, (502, "upstream_bad_response")),
        ({}, (502, "upstream_bad_response")),
        ("text", (502, "upstream_bad_response")),
        ({"code": 499, "status": "CANCELLED"}, (499, "cancelled")),
    ],
)
def test_a_late_error_says_itself_what_it_is(error: Any, expected: tuple[int, str]) -> None:
    raw = json.dumps(error).encode()

    actual = errors.error_in_answer(raw, model="m")

    assert (actual.status, actual.code) == expected


def test_an_error_in_plain_text_is_found_and_other_text_is_not() -> None:
    pretty = b'{\n  "error": {\n    "code": 503,\n    "message": "m"\n  }\n}\n'

    for text in (pretty, b"[" + pretty + b"]"):
        found = errors.error_in_text(text, model="m")
        assert found is not None
        assert (found.status, found.code) == (503, "overloaded")
    assert errors.error_in_text(b"upstream connect error", model="m") is None
    assert errors.error_in_text(b'{"candidates":[]}', model="m") is None


def test_googles_own_words_are_there_for_the_proxys_decisions() -> None:
    assert errors.message_of(body(f"too many states {KEY}")) == f"too many states {KEY}"
    assert errors.message_of(b'{"error":{}}') == ""
    assert errors.message_of(b"page") == ""


def test_an_unusable_answer_is_worth_a_retry_unless_something_was_sent() -> None:
    fresh = errors.malformed_reply("MALFORMED_FUNCTION_CALL", retryable=True)
    late = errors.malformed_reply("MALFORMED_FUNCTION_CALL", retryable=False)

    assert isinstance(fresh, RetryableError)
    assert not isinstance(late, RetryableError)
    assert fresh.body() == late.body()
    assert (fresh.status, fresh.code) == (502, "upstream_malformed_response")


@given(
    st.integers(400, 599),
    st.one_of(
        st.binary(),
        st.fixed_dictionaries(
            {
                "error": st.dictionaries(
                    st.sampled_from(["code", "message", "status", "details"]),
                    st.one_of(
                        st.integers(),
                        st.text(),
                        st.lists(
                            st.dictionaries(
                                st.sampled_from(["reason", "retryDelay", "violations"]), st.text()
                            )
                        ),
                    ),
                )
            }
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_any_body_with_any_status_is_some_error(status: int, raw: bytes) -> None:
    error = translate_error(status, raw, model="m")

    assert isinstance(error, ProxyError)
    assert 400 <= error.status < 600
    assert json.loads(error.body())["error"]["message"]
