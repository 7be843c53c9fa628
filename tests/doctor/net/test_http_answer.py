"""What is read of an answer, and what is never repeated of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.doctor.net.http_answer import HttpAnswer, TimedBytes, printable_url

GOOGLE = b"""{"error": {"code": 400, "message": "API key not valid: AIzaSyCanary", "status":
 "INVALID_ARGUMENT", "details": [{"@type": "x", "reason": "API_KEY_INVALID"}, {"reason": 7}, 8]}}"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"error":{"message":"Incorrect API key: sk-ca***ary","type":"invalid_request_error",'
            b'"param":null,"code":"invalid_api_key"}}',
            ("invalid_api_key", "invalid_request_error"),
        ),
        (GOOGLE, ("API_KEY_INVALID", "INVALID_ARGUMENT")),
        (b"[" + GOOGLE + b"]", ("API_KEY_INVALID", "INVALID_ARGUMENT")),
        (b'{"error":{"code":"a b","type":"<script>"}}', ()),
        (b'{"error":{"code":"sk-' + b"x" * 80 + b'"}}', ()),
        (b'{"error":{"details":"no list"}}', ()),
        (b'{"error":"a word"}', ()),
        (b"[]", ()),
        (b"<html>", ()),
        (b"", ()),
        (b"[" * 5000, ()),
    ],
    ids=[
        "openai",
        "google",
        "array",
        "no words",
        "too long",
        "odd details",
        "string",
        "empty list",
        "page",
        "empty",
        "deep",
    ],
)
def test_codes_of_an_error_are_read_and_its_message_is_not(
    body: bytes, expected: tuple[str, ...]
) -> None:
    assert expected == HttpAnswer(400, {}, body).error_codes


@given(st.binary(max_size=60))
def test_any_body_is_read_without_an_exception(body: bytes) -> None:
    assert isinstance(HttpAnswer(400, {}, body).error_codes, tuple)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text/html; charset=utf-8", "text/html"),
        ("Text/Event-Stream", "text/event-stream"),
        ("", "no type"),
        ("a\x1b[31m", "no type"),
    ],
)
def test_media_type_is_printable(value: str, expected: str) -> None:
    assert expected == HttpAnswer(200, {"content-type": value}).content_type


def test_pieces_make_the_body_and_header_names_are_lowercase() -> None:
    pieces = [TimedBytes(0.1, b"a"), TimedBytes(0.2, b"b")]

    found = HttpAnswer.of(200, {"X-A": "b"}, pieces)

    assert (found.body, found.header("x-a"), found.pieces) == (b"ab", "b", pieces)


def test_missing_header_is_empty() -> None:
    assert HttpAnswer(200, {}).header("server") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://my.host/v1/models?key=secret", "https://my.host/v1/models"),
        ("https://user:secret@my.host/#x", "https://my.host/"),
        ("/login", "/login"),
        ("", "an address that cannot be shown"),
        ("https://x/\x07", "an address that cannot be shown"),
    ],
)
def test_url_is_shown_without_its_secrets(text: str, expected: str) -> None:
    assert expected == printable_url(text)
