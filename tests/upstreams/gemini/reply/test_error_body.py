"""Google's error bodies: taken apart, and cleaned."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.upstreams.gemini.reply.error_body import (
    GoogleError,
    ParsedError,
    clean,
    page_excerpt,
    parse_body,
    parse_error,
    read_delay,
)

RPC = "type.googleapis.com/google.rpc."


def fault(message: str = "", *details: Any) -> ParsedError:
    return ParsedError(
        parse_error(json.dumps({"message": message, "details": list(details)}).encode())
    )


def test_an_object_and_an_array_are_the_same_error() -> None:
    body = b'{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}'

    one, other = parse_body(body), parse_body(b" [" + body + b"]")

    assert one is not None
    assert other is not None
    assert (one.code, one.message, one.status) == (503, "m", "UNAVAILABLE")
    assert (other.code, other.message, other.status) == (503, "m", "UNAVAILABLE")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'{"error":"text"}', b"[1]"])
def test_a_body_that_is_not_googles_is_none(body: bytes) -> None:
    assert parse_body(body) is None


def test_an_error_of_an_unknown_shape_is_an_empty_one() -> None:
    assert parse_error(b'"overloaded"').message is None
    assert parse_error(b'{"code":"429","message":"m"}').code == 429


def test_details_give_reason_hint_quota_and_field() -> None:
    actual = fault(
        "m",
        {"@type": RPC + "ErrorInfo", "reason": "R", "domain": "d", "metadata": {"a": "b"}},
        {"@type": RPC + "QuotaFailure", "violations": [{"quotaId": "PerDay"}, {"quotaId": None}]},
        {"@type": RPC + "RetryInfo", "retryDelay": "34.4s"},
        {"@type": RPC + "BadRequest", "fieldViolations": [{"field": "a.b"}, {"field": "c"}]},
    )

    assert (actual.reason, actual.retry_delay, actual.field) == ("R", 34.4, "a.b")
    assert actual.quota_ids == ["PerDay"]


def test_a_detail_of_an_unknown_shape_does_not_hide_the_others() -> None:
    assert fault("m", 7, {"reason": ["x"]}, {"retryDelay": "2s"}).retry_delay == 2.0
    assert ParsedError(parse_error(b'{"details":{"no":"list"}}')).retry_delay is None


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please retry in 36.5s.", 36.5),
        ("please retry in 500ms", 0.5),
        ("Please retry in 2m", 120.0),
        ("Please retry in a while", None),
        ("retry in 3 days", None),
    ],
)
def test_a_hint_may_stand_in_the_message(message: str, seconds: float | None) -> None:
    assert fault(message).retry_delay == seconds


def test_retry_info_outranks_the_message() -> None:
    assert (
        fault("Please retry in 99s", {"retryDelay": "1s"}, {"retryDelay": "5s"}).retry_delay == 1.0
    )
    assert fault("Please retry in 99s", {"retryDelay": "soon"}).retry_delay == 99.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("48s", 48.0),
        ("0s", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("Fri, 31 Dec 1999", None),
        ("-1s", None),
    ],
)
def test_delays_are_seconds(text: str, seconds: float | None) -> None:
    assert read_delay(text) == seconds


@pytest.mark.parametrize(
    "secret",
    [
        "AIzaSyA-0123456789_abcdefghijklmnop",
        "AQ.Ab8RN6Kx_0123456789-abcdefghijkl",
        "sk-proj-abcdefghijkl",
        "ya29.a0AfH6SMBx",
    ],
)
def test_keys_are_redacted_wherever_they_stand(secret: str) -> None:
    for text in (
        f"key {secret} is bad",
        f"'{secret}'",
        f"api_key:{secret}",
        f"k={secret}.",
        secret,
    ):
        assert secret not in clean(text)
        assert "[redacted]" in clean(text)


def test_credentials_in_known_places_are_redacted_whatever_they_look_like() -> None:
    assert clean("Authorization: Bearer abc.def") == "Authorization: Bearer [redacted]"
    assert (
        clean("Consumer 'api_key:x1' was suspended")
        == "Consumer 'api_key:[redacted]' was suspended"
    )
    assert "s3cret" not in clean("GET https://h/v1?key=s3cret&alt=sse failed")


def test_queries_of_urls_and_projects_are_left_out() -> None:
    actual = clean(
        "See https://console.x/api?project=12345678 in project 12345678, projects/my-p/x"
    )

    assert actual == "See https://console.x/api in project [redacted], projects/[redacted]/x"
    assert clean("consumer 'project_number:99'.") == "consumer 'project_number:[redacted]'."


def test_messages_are_kept_at_a_bearable_length() -> None:
    assert len(clean("x" * 10_000)) == 2000
    assert len(ParsedError(GoogleError(message="x" * 100_000)).message) == 8192


def test_a_pages_words_come_without_its_tags() -> None:
    page = b"<html><style>b{}</style><SCRIPT>x</SCRIPT><h1>502\n Bad\xff</h1>" + b"<p>word " * 200

    words = page_excerpt(page)

    assert words.startswith("502 Bad\ufffd word word")
    assert len(words) == 300
    assert "<" not in words


@given(st.text(alphabet="AIza skBearr:?&=key-.0", max_size=60))
def test_cleaning_is_stable(text: str) -> None:
    assert clean(clean(text)) == clean(text)
