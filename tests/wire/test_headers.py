"""Which headers cross the proxy, and what their values may look like."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from jarvis_proxy.dialects.messages.client_api import MessagesApi
from jarvis_proxy.wire.headers import (
    EXPOSED,
    charset,
    connection_names,
    created_path,
    idempotency_key,
    is_field_value,
    media_type,
    request_headers,
    response_headers,
    retry_after,
)

CROSSING = {
    "accept": "application/json",
    "content-type": "application/json",
    "idempotency-key": "abc",
    "openai-beta": "assistants=v2",
    "x-client-request-id": "trace-1",
}
PRIVATE = [
    "Authorization",
    "AUTHORIZATION",
    "api-key",
    "Api_Key",
    "x-api-key",
    "x-goog-api-key",
    "Cookie",
    "OpenAI-Organization",
    "OpenAI-Project",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "Via",
    "Host",
    "Origin",
    "Referer",
    "User-Agent",
    "X-Stainless-Lang",
    "traceparent",
    "Accept-Encoding",
    "Connection",
    "Keep-Alive",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Expect",
    "Content-Length",
    "Content-Encoding",
]


@pytest.mark.parametrize("name", PRIVATE)
def test_request_header_stays_behind(name: str) -> None:
    headers = CIMultiDict({**CROSSING, name: "canary"})

    assert request_headers(headers) == CROSSING


def test_allowed_request_headers_cross_in_lower_case() -> None:
    headers = CIMultiDict({name.upper(): value for name, value in CROSSING.items()})

    assert request_headers(headers) == CROSSING


@pytest.mark.parametrize("connection", ["OpenAI-Beta", "close, openai-beta", " OPENAI-BETA ,x"])
def test_request_header_named_in_connection_stays_behind(connection: str) -> None:
    headers = CIMultiDict({**CROSSING, "Connection": connection})

    assert "openai-beta" not in request_headers(headers)


def test_naming_a_credential_in_connection_is_inert() -> None:
    headers = CIMultiDict({"Connection": "authorization, x-api-key", "Authorization": "Bearer x"})

    assert request_headers(headers) == {}


RESPONSE_CASES = {
    "content-type": True,
    "content-disposition": True,
    "content-encoding": True,
    "content-language": True,
    "content-range": True,
    "accept-ranges": True,
    "last-modified": True,
    "openai-model": True,
    "openai-processing-ms": True,
    "openai-version": True,
    "retry-after": True,
    "retry-after-ms": True,
    "x-request-id": True,
    "x-should-retry": True,
    "x-ratelimit-limit-requests": True,
    "x-ratelimit-remaining-tokens": True,
    "x-ratelimit-reset-tokens": True,
    "set-cookie": False,
    "server": False,
    "openai-organization": False,
    "openai-project": False,
    "cf-ray": False,
    "cf-cache-status": False,
    "location": False,
    "date": False,
    "alt-svc": False,
    "strict-transport-security": False,
    "transfer-encoding": False,
    "content-length": False,
    "connection": False,
    "keep-alive": False,
    "www-authenticate": False,
    "access-control-allow-origin": False,
}


@pytest.mark.parametrize(("name", "crosses"), RESPONSE_CASES.items())
def test_response_header_crosses_only_if_it_is_on_the_list(name: str, crosses: bool) -> None:
    expected = {name: "value"} if crosses else {}

    assert response_headers({name: "value"}) == expected


def test_response_header_named_in_connection_stays_behind() -> None:
    headers = {"x-request-id": "r1", "retry-after": "3", "connection": "close, X-Request-ID"}

    assert response_headers(headers) == {"retry-after": "3"}


def test_response_headers_of_the_same_names_keep_their_own_values() -> None:
    first = {"date": "now", "retry-after": "1", "x-request-id": "r1"}
    other = {"date": "then", "retry-after": "2", "x-request-id": "r2"}

    assert response_headers(first) == {"retry-after": "1", "x-request-id": "r1"}
    assert response_headers(other) == {"retry-after": "2", "x-request-id": "r2"}


def test_many_response_headers_may_be_longer_together_than_one_may_be() -> None:
    headers = {f"x-ratelimit-{number}": "v" * 100 for number in range(9)}

    assert response_headers({**headers, "openai-version": "v" * 257}) == headers


def test_connection_names_are_lower_cased_and_trimmed() -> None:
    assert connection_names("Close,  X-Foo ,x-bar") == {"close", "x-foo", "x-bar"}


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("plain", True),
        ('a b;c="d"', True),
        ("", True),
        ("x" * 256, True),
        ("x" * 257, False),
        ("tab\there", False),
        ("line\nbreak", False),
        ("carriage\rreturn", False),
        ("nul\0", False),
        ("del\x7f", False),
        ("é", False),
        ("\udcff", False),
        ("\u2028", False),
    ],
)
def test_value_crosses_only_as_printable_ascii_of_sane_length(value: str, good: bool) -> None:
    assert is_field_value(value) is good
    assert ("accept" in request_headers({"accept": value})) is good
    assert ("retry-after" in response_headers({"retry-after": value})) is good


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.text()))
def test_no_header_can_make_the_lists_fail_or_leak(headers: dict[str, str]) -> None:
    folded = CIMultiDict(headers)

    assert set(request_headers(folded)) <= set(CROSSING)
    crossed = response_headers({name.lower(): value for name, value in headers.items()})
    assert all(RESPONSE_CASES.get(name, name.startswith("x-ratelimit-")) for name in crossed)
    assert all(is_field_value(value) for value in crossed.values())


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/v1/realtime/calls/rtc_1", "/v1/realtime/calls/rtc_1"),
        ("https://api.openai.com/v1/realtime/calls/rtc_1?x=1#y", "/v1/realtime/calls/rtc_1"),
        ("//evil.example/rtc_1", "/rtc_1"),
        ("https://evil.example//evil.example/x", None),
        ("rtc_1", None),
        ("", None),
        ("http://[x/", None),
        ("/a b\x7f", None),
        ("/" + "a" * 300, None),
    ],
)
def test_of_a_location_the_path_crosses(location: str, path: str | None) -> None:
    assert created_path(location) == path


def test_exposed_headers_are_the_proxys_or_cross_from_upstreams() -> None:
    """What a page may read must exist, else the list promises nothing."""
    messages = MessagesApi().answer_headers("0" * 24)
    assert created_path("/x") == "/x"
    for name in EXPOSED.removeprefix("location, ").split(", "):
        crossed = response_headers({name: "1"})
        assert name.startswith("x-jarvis-") or name in messages or crossed == {name: "1"}


@pytest.mark.parametrize(
    ("value", "kind", "encoding"),
    [
        ("application/json", "application/json", None),
        ("Application/JSON; charset=UTF-8", "application/json", "utf-8"),
        ('text/plain;format=flowed; Charset="utf-8"', "text/plain", "utf-8"),
        ("text/plain; charset = latin-1 ", "text/plain", "latin-1"),
        ("text/plain; charset", "text/plain", ""),
        ("  text/event-stream  ", "text/event-stream", None),
        ("", "", None),
        (";;;", "", None),
    ],
)
def test_content_type_is_taken_apart(value: str, kind: str, encoding: str | None) -> None:
    assert media_type(value) == kind
    assert charset(value) == encoding


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "-7"}, 0.0),
        ({"retry-after-ms": "6500"}, 6.5),
        ({"retry-after": "7", "retry-after-ms": "6500"}, 7.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:14:20 GMT"}, 60.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:00 GMT"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        # As the SDK for Node reads it, which sleeps for so long.
        ({"retry-after": "7200s"}, 7200.0),
        ({"retry-after": " 90, 120"}, 90.0),
        ({"retry-after": "1e3"}, 1000.0),
        ({"retry-after": ".5"}, 0.5),
        ({"retry-after": "Infinity"}, float("inf")),
        ({"retry-after": "information"}, None),
        ({"retry-after": "1e99999"}, float("inf")),
        ({"retry-after-ms": "90000ms"}, 90.0),
        ({"retry-after": "2023-11-14T22:14:20Z"}, 2023.0),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "Tue, 14 Nov 99999 22:13:00 GMT"}, None),
    ],
)
def test_the_longest_wait_is_what_counts(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after(headers, 1_700_000_000.0) == expected


def test_a_long_idempotency_key_is_digested() -> None:
    long = idempotency_key("k" * 10_000, "client")

    assert len(long) <= 255
    assert long != idempotency_key("k" * 9_999, "client")
    assert idempotency_key("k", "client").endswith("-k")
