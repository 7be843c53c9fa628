"""Errors of OpenAI-compatible upstreams: status, code and text, whatever their form."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.openai_errors import (
    auth_failed,
    error_from_body,
    error_from_object,
    no_credit,
    redact_bytes,
    redacted,
)

UNKNOWN = "The upstream reported an error."


def spoken(**fields: object) -> ProxyError:
    return error_from_object(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        # By a code in words,
        ({"code": "context_length_exceeded"}, 400),
        ({"code": "insufficient_quota"}, 429),
        ({"code": "rate_limit_exceeded"}, 429),
        ({"code": "model_not_found"}, 404),
        ({"code": "server_overloaded"}, 503),
        ({"code": "overloaded"}, 503),
        # by one in numbers,
        ({"code": 400}, 400),
        ({"code": 429}, 429),
        ({"code": 503.0}, 503),
        ({"code": "529"}, 529),
        ({"code": "404"}, 404),
        # by the type,
        ({"type": "invalid_request_error"}, 400),
        ({"type": "insufficient_quota", "code": None}, 429),
        ({"type": "not_found_error"}, 404),
        ({"type": "overloaded_error"}, 503),
        ({"type": "permission_error"}, 403),
        ({"type": "rate_limit_error"}, 429),
        ({"type": "requests"}, 429),
        ({"type": "tokens", "code": "something_new"}, 429),
        # and the code is more exact than the type.
        ({"type": "invalid_request_error", "code": "rate_limit_exceeded"}, 429),
        ({"type": "rate_limit_error", "code": 503}, 503),
        # Everything else is the upstream's own failure.
        ({}, 502),
        ({"type": "server_error", "code": "server_error"}, 502),
        ({"type": "something_new"}, 502),
        ({"code": 0}, 502),
        ({"code": 200}, 502),
        ({"code": 399}, 502),
        ({"code": 600}, 502),
        ({"code": -429}, 502),
        ({"code": "4290"}, 502),
        ({"code": "04290"}, 502),
        ({"code": "0429"}, 502),
        ({"code": "٤٢٩"}, 502),
        ({"code": "429 "}, 502),
        ({"code": True}, 502),
        ({"code": 10**40}, 502),
        ({"code": ["429"]}, 502),
    ],
)
def test_status_follows_from_code_and_type(fields: dict[str, object], status: int) -> None:
    assert spoken(**fields).status == status


@pytest.mark.parametrize(
    "fields",
    [
        {"code": "invalid_api_key", "type": "invalid_request_error"},
        {"code": "invalid_authentication"},
        {"type": "authentication_error"},
        {"code": 401},
        {"code": "401"},
    ],
)
def test_our_key_refused_is_not_reported_as_the_clients(fields: dict[str, object]) -> None:
    error = spoken(message="Incorrect API key provided: sk-abc***xyz", **fields)

    assert (error.status, error.code) == (502, "upstream_auth_failed")
    assert error.should_retry is False
    assert "sk-" not in error.message


def test_fields_are_passed_on() -> None:
    error = spoken(message="No.", type="tokens", param="max_tokens", code="rate_limit_exceeded")

    assert error.message == "No."
    assert error.error_type == "tokens"
    assert error.param == "max_tokens"
    assert error.code == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("raw", "message", "error_type", "code"),
    [
        (b"null", UNKNOWN, "server_error", "upstream_error"),
        (b"{}", UNKNOWN, "server_error", "upstream_error"),
        (b'"Out of memory"', "Out of memory", "server_error", "upstream_error"),
        (b'""', UNKNOWN, "server_error", "upstream_error"),
        (b'{"message":""}', UNKNOWN, "server_error", "upstream_error"),
        (b'{"message":null,"type":null}', UNKNOWN, "server_error", "upstream_error"),
        (b'{"type":"error","message":"x"}', "x", "server_error", "upstream_error"),
        (b'{"type":"error","code":429}', UNKNOWN, "rate_limit_error", 429),
        # A field of an odd type hides none of the others.
        (b'{"message":"x","param":["a"],"code":7}', "x", "server_error", "upstream_error"),
        (b'{"message":{"a":1},"type":5,"code":"c"}', UNKNOWN, "server_error", "c"),
        (b'{"message":"x","code":1.5,"type":"tokens"}', "x", "tokens", "upstream_error"),
        # What is no error object at all.
        (b"[1]", UNKNOWN, "server_error", "upstream_error"),
        (b"7", UNKNOWN, "server_error", "upstream_error"),
        (b"true", UNKNOWN, "server_error", "upstream_error"),
        (b"", UNKNOWN, "server_error", "upstream_error"),
        (b"{", UNKNOWN, "server_error", "upstream_error"),
        (b'{"message":"\xff"}', UNKNOWN, "server_error", "upstream_error"),
        (b'{"message":"a\\ud800b"}', "a\ufffdb", "server_error", "upstream_error"),
        (b'{"a":' + b"[" * 200_000, UNKNOWN, "server_error", "upstream_error"),
        (b'{"code":1e999}', UNKNOWN, "server_error", "upstream_error"),
        (b'{"code":' + b"9" * 9999 + b"}", UNKNOWN, "server_error", "upstream_error"),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_error_of_any_form_becomes_one(
    raw: bytes, message: str, error_type: str, code: str | int
) -> None:
    error = error_from_object(raw)

    assert (error.message, error.error_type, error.code) == (message, error_type, code)
    assert json.loads(error.body())["error"]["message"] == message


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b'{"error":{"message":"No.","code":429},"x":1}', 429, "No."),
        (b'{"error":"No."}', 502, "No."),
        (b'{"error":null}', 502, UNKNOWN),
        (b'{"message":"No."}', 502, "No."),
        (b'[{"error":{"message":"No."}}]', 502, "No."),
        (b"<html>", 502, UNKNOWN),
        (b"", 502, UNKNOWN),
        (b'{"x":' + b"[" * 200_000, 502, UNKNOWN),
    ],
    ids=lambda value: value[:40].decode() if isinstance(value, bytes) else "",
)
def test_error_of_a_whole_answer_is_read(body: bytes, status: int, message: str) -> None:
    error = error_from_body(body)

    assert (error.status, error.message) == (status, message)


SECRETS = [
    "sk-abcdef0123456789",
    "sk-proj-abc_def-ghi",
    "sk-abc***************wxyz",
    "sk-...wxyz",
    "AIzaSyA-1234567890_abcdef",
    "Bearer abcdef.ghijkl-mno",
    "Bearer   sk-abcdef0123456789",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("frame", ["{}", "key: {}.", '"{}"', "x={},y", "({})"])
def test_nothing_that_looks_like_a_key_gets_out(secret: str, frame: str) -> None:
    message = frame.format(secret)

    error = spoken(message=message, type=message, param=message, code=message)

    for text in (redacted(message), error.message, error.error_type, error.param, error.code):
        assert "[redacted]" in str(text)
        for tail in (secret[-6:], secret[4:9]):
            assert tail not in str(text)


@pytest.mark.parametrize("message", ["ask-me-anything", "risk-free", "Bearer of news", "sk-"])
def test_plain_words_stay(message: str) -> None:
    assert redacted(message) == message


def test_key_at_the_limit_of_length_is_taken_out_before_the_cut() -> None:
    message = "x" * 990 + " sk-abcdefghijklmnop"

    assert redacted(message) == ("x" * 990 + " [redacted]")[:1000]


def test_long_texts_are_cut() -> None:
    error = spoken(message="m" * 5000, type="t" * 5000, param="p" * 5000, code="c" * 5000)

    assert len(error.message) == len(error.error_type) == 1000
    assert len(str(error.param)) == len(str(error.code)) == 1000


def test_refused_key_names_the_upstream_and_who_must_act() -> None:
    error = auth_failed("deepseek")

    assert (error.status, error.code) == (502, "upstream_auth_failed")
    assert error.error_type == "server_error"
    assert error.should_retry is False
    assert "deepseek" in error.message


def test_an_account_without_credit_is_refused_and_another_key_may_be_tried() -> None:
    error = no_credit("Your balance is 0.")

    assert (error.status, error.code, error.retry_status) == (429, "insufficient_quota", 402)
    assert (error.reason, error.should_retry) == ("Your balance is 0.", False)
    assert "balance" not in error.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(st.sampled_from(["message", "type", "param", "code", "x"]), JSON)


@pytest.mark.slow
@settings(deadline=None)
@given(JSON | FIELDS)
def test_any_json_becomes_an_error_that_can_be_sent(value: object) -> None:
    error = error_from_object(json.dumps(value).encode())

    assert 400 <= error.status < 600
    assert json.loads(error.body())["error"]["message"]
    assert error.responses_event(0)


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_become_an_error(raw: bytes) -> None:
    assert 400 <= error_from_object(raw).status < 600
    assert 400 <= error_from_body(raw).status < 600


def test_a_body_loses_what_looks_like_a_key_and_nothing_else() -> None:
    body = b'{"error": {"message": "Incorrect API key: sk-proj-ab**yz.", "code": null}}\n'

    assert redact_bytes(body) == body.replace(b"sk-proj-ab**yz.", b"[redacted]")
    assert redact_bytes(b"no key in \xff this") == b"no key in \xff this"
