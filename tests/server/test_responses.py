"""Answers that are not streamed: what is on them, and what an upstream's refusal becomes."""

import json

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.responses import error_headers
from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

CHAT = "/v1/chat/completions"


async def relayed(
    status: int, body: bytes, *extra: str, content_type: str = "application/json"
) -> tuple[RawResponse, str]:
    """Return what the client sees of an upstream's answer, and the log."""

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(body, status, content_type, extra)

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        # An SDK, known by its header, does its retries itself.
        headers = {**BEARER, "x-stainless-retry-count": "0"}
        response = await fetch(proxy.port, CHAT, {"model": "gpt-4o"}, headers)
        return response, proxy.logged()


ERROR = (
    b'{ "error": {"message":"Rate limit reached for org-x","type":"tokens","param":null,\n'
    b'"code":"rate_limit_exceeded"} }'
)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422, 429, 500, 503])
async def test_refusal_of_an_openai_upstream_is_passed_on_unchanged(status: int) -> None:
    passing = {
        "retry-after": "7",
        "retry-after-ms": "6543",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-of-the-future": "yes",
        "x-request-id": "req_of_the_upstream",
        "openai-processing-ms": "12",
        "x-should-retry": "false",
    }
    staying = ["Set-Cookie: a=b", "Server: cloudflare", "cf-ray: 1", "openai-organization: org"]
    lines = [f"{name}: {value}" for name, value in passing.items()]
    response, log = await relayed(status, ERROR, *lines, *staying)

    assert (response.status, response.body) == (status, ERROR)
    assert {name: response.headers.get(name) for name in passing} == passing
    assert response.headers["content-type"] == "application/json"
    assert not {"set-cookie", "server", "cf-ray", "openai-organization"} & set(response.headers)
    assert f"status={status} outcome=upstream_error code=rate_limit_exceeded" in log


@pytest.mark.parametrize(
    "lines",
    [
        ("Retry-After: 61", "retry-after-ms: 61000"),
        ("Retry-After: 3600",),
        ("Retry-After: 86400.5",),
        ("Retry-After: inf",),
        ("Retry-After: Wed, 21 Oct 2099 07:28:00 GMT",),
        ("retry-after-ms: 3600000",),
        ("Retry-After: 1", "retry-after-ms: 3600000"),
        ("Retry-After: 7200s",),
        ("Retry-After: 120, 240",),
        ("Retry-After: 2099-10-21T07:28:00Z",),
        ("Retry-After: 3600", "x-should-retry: true"),
    ],
)
async def test_a_wait_of_hours_stays_and_no_sdk_sleeps_on_it(lines: tuple[str, ...]) -> None:
    """The SDK for Node would sleep through it without a word to its user."""
    response, _ = await relayed(429, ERROR, *lines)

    sent = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert response.body == ERROR
    assert {name: response.headers.get(name) for name in sent} == {
        **sent,
        **({"x-should-retry": "false"} if "x-should-retry" in sent else {}),
    }
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("line", ["Retry-After: 60", "retry-after-ms: 60000", "Retry-After: soon"])
async def test_of_a_short_wait_the_client_decides(line: str) -> None:
    response, _ = await relayed(429, ERROR, line)

    name, _, value = line.partition(": ")
    assert response.headers[name.lower()] == value
    assert "x-should-retry" not in response.headers


async def test_client_is_told_not_to_repeat_what_was_tried_with_every_key() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(ERROR, 429)

    upstream = RawUpstream(play)
    keys = "sk-first-canary,sk-second-canary"
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, OPENAI_API_KEY=keys) as proxy,
    ):
        response = await fetch(proxy.port, CHAT, {"model": "gpt-4o"}, BEARER)

    assert len(upstream.received) == 2
    assert (response.status, response.body) == (429, ERROR)
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-jarvis-attempts"] == "2"


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        ("*", ("*", None)),
        ("https://page.example", ("https://page.example", "Origin")),
        ("https://other.example", (None, None)),
    ],
)
async def test_page_may_read_an_answer_and_its_headers(
    origins: str, expected: tuple[str | None, str | None]
) -> None:
    async with running_proxy(CORS_ORIGINS=origins) as proxy:
        page = {"Origin": "https://page.example"}
        response = await fetch(proxy.port, "/v1/models", headers={**BEARER, **page}, method="GET")

    headers = response.headers
    assert (headers.get("access-control-allow-origin"), headers.get("vary")) == expected
    assert ("access-control-expose-headers" in headers) == (expected[0] is not None)


async def test_refusal_of_the_proxys_own_key_does_not_look_like_the_clients_fault() -> None:
    body = (
        b'{"error":{"message":"Incorrect API key provided: sk-upst***","code":"invalid_api_key"}}'
    )
    response, _ = await relayed(401, body)

    assert (response.status, response.error()["code"]) == (502, "upstream_auth_failed")
    assert response.headers["x-should-retry"] == "false"
    assert "www-authenticate" not in response.headers
    assert b"sk-" not in response.body


@pytest.mark.parametrize(
    ("status", "content_type", "body", "expected"),
    [
        (502, "text/html", b"<html>bad gateway</html>", ": bad gateway"),
        (503, "text/plain", b"no upstream", ": no upstream"),
        (404, "text/html", b"<html>nothing</html>", ": nothing"),
        (429, "application/json", b"", " and no message."),
        (500, "application/xml", b"<Error>busy</Error>", ": busy"),
        (520, "", b"sk-abcdef0123456789", ": [redacted]"),
    ],
)
async def test_page_of_a_gateway_becomes_an_error_in_the_proxys_form(
    status: int, content_type: str, body: bytes, expected: str
) -> None:
    response, _ = await relayed(status, body, content_type=content_type)

    assert response.status == status
    assert response.error()["code"] == "upstream_bad_response"
    assert response.error()["message"] == f"The upstream answered with status {status}{expected}"
    assert response.headers["content-type"] == "application/json"


async def test_code_of_an_upstream_cannot_break_the_log() -> None:
    body = json.dumps({"error": {"code": 'a\nb "c=d\u2028e', "message": "x"}}).encode()
    _, log = await relayed(400, body)

    calls = [line for line in log.splitlines() if " call " in line]
    assert len(calls) == 1
    assert 'code="a?b \\"c=d?e"' in calls[0]


async def test_whole_answer_keeps_its_headers_and_names_where_it_came_from() -> None:
    response, log = await relayed(200, completion(), "x-request-id: up", "openai-version: 2020")

    assert response.body == completion()
    assert response.headers["x-request-id"] == "up"
    assert response.headers["openai-version"] == "2020"
    assert response.headers["x-jarvis-upstream"] == "openai"
    assert response.headers["x-jarvis-model"] == "gpt-4o"
    assert response.headers["content-length"] == str(len(completion()))
    assert "prompt_tokens=3 completion_tokens=2" in log


@pytest.mark.parametrize("rpm", ["", "9"])
async def test_limits_that_a_client_sees_are_its_own(rpm: str) -> None:
    """Those of the upstream are of an account that others use too."""

    async def play(peer: Peer, request: Received) -> None:
        extra = ["x-ratelimit-limit-requests: 5000", "x-ratelimit-remaining-tokens: 4999"]
        await peer.reply(completion(), extra=extra)

    upstream = RawUpstream(play)
    env = {"KEY_TESTER_RPM": rpm} if rpm else {}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        response = await fetch(proxy.port, CHAT, {"model": "gpt-4o"}, BEARER)
        uncounted = await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")

    limits = {n: v for n, v in response.headers.items() if n.startswith("x-ratelimit-")}
    if rpm:
        assert limits["x-ratelimit-limit-requests"] == "9"
        assert "x-ratelimit-remaining-tokens" not in limits
    else:
        assert limits == {
            "x-ratelimit-limit-requests": "5000",
            "x-ratelimit-remaining-tokens": "4999",
        }
    assert not [name for name in uncounted.headers if name.startswith("x-ratelimit-")]


async def test_refusal_of_the_proxy_names_no_upstream() -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, CHAT, b"{", BEARER)

    assert response.status == 400
    assert not [name for name in response.headers if name.startswith("x-jarvis")]


async def test_model_that_is_no_header_value_is_not_one() -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, CHAT, {"model": "gpt-4ö\r\nX-Evil: y"}, BEARER)

    assert response.status == 502
    assert "x-jarvis-model" not in response.headers
    assert "x-evil" not in response.headers


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        (None, {}),
        (0.0, {"Retry-After": "1", "retry-after-ms": "1"}),
        (0.25, {"Retry-After": "1", "retry-after-ms": "250"}),
        (1.2, {"Retry-After": "2", "retry-after-ms": "1200"}),
        (60.0, {"Retry-After": "60", "retry-after-ms": "60000"}),
        (60.1, {"x-should-retry": "false"}),
        (86400.0, {"x-should-retry": "false"}),
    ],
)
def test_wait_is_reported_in_whole_seconds_and_in_milliseconds(
    retry_after: float | None, expected: dict[str, str]
) -> None:
    error = ProxyError(429, "Slow down.", retry_after=retry_after)

    assert error_headers(error) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ProxyError(500, "x", should_retry=True), {"x-should-retry": "true"}),
        (ProxyError(400, "x", should_retry=False), {"x-should-retry": "false"}),
        (ProxyError(401, "x"), {"WWW-Authenticate": "Bearer"}),
        (ProxyError(405, "x", headers=(("Allow", "GET"),)), {"Allow": "GET"}),
    ],
)
def test_error_says_whether_to_try_again(error: ProxyError, expected: dict[str, str]) -> None:
    assert error_headers(error) == expected
