"""Pages in a browser: preflights without a key, and answers that the right pages may read."""

import pytest

from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import fetch

CHAT = "/v1/chat/completions"
PAGE = {"Origin": "https://page.example"}
ECHO: dict[str, object] = {
    "model": "jarvis-echo",
    "messages": [{"role": "user", "content": "hello"}],
}


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/health", "/nowhere", "/v1/%00"])
async def test_preflight_needs_no_key_anywhere_and_echoes_the_headers_asked_for(path: str) -> None:
    asked = "authorization, content-type, x-stainless-lang, x-stainless-retry-count"
    async with running_proxy() as proxy:
        headers = {
            **PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": asked,
        }
        response = await fetch(proxy.port, path, headers=headers, method="OPTIONS")

    assert (response.status, response.body) == (204, b"")
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-headers"] == asked
    assert "POST" in response.headers["access-control-allow-methods"]
    assert int(response.headers["access-control-max-age"]) > 0


@pytest.mark.parametrize("asked", ["", "x" * 3000, "ÿ", "a\tb"])
async def test_preflight_that_asks_for_odd_headers_gets_the_usual_ones(asked: str) -> None:
    async with running_proxy() as proxy:
        headers = {**PAGE, "Access-Control-Request-Headers": asked}
        response = await fetch(proxy.port, CHAT, headers=headers, method="OPTIONS")

    assert response.status == 204
    assert response.headers["access-control-allow-headers"] == "Authorization, Content-Type"


@pytest.mark.parametrize(
    ("origins", "origin", "allowed", "varies"),
    [
        ("*", "https://page.example", "*", None),
        ("*", None, None, None),
        ("https://page.example", "https://page.example", "https://page.example", "Origin"),
        ("https://a.example,https://b.example", "https://b.example", "https://b.example", "Origin"),
        ("https://page.example", "https://evil.example", None, None),
        ("https://page.example", "null", None, None),
        ("", "https://page.example", None, None),
    ],
)
async def test_answers_may_be_read_by_the_pages_of_the_setting(
    origins: str, origin: str | None, allowed: str | None, varies: str | None
) -> None:
    page = {} if origin is None else {"Origin": origin}
    async with running_proxy(CORS_ORIGINS=origins) as proxy:
        responses = [
            await fetch(proxy.port, CHAT, ECHO, {**BEARER, **page}),
            await fetch(proxy.port, CHAT, {**ECHO, "stream": True}, {**BEARER, **page}),
            await fetch(proxy.port, CHAT, ECHO, page),
            await fetch(proxy.port, "/nowhere", ECHO, {**BEARER, **page}),
        ]

    assert [response.status for response in responses] == [200, 200, 401, 404]
    for response in responses:
        assert response.headers.get("access-control-allow-origin") == allowed
        assert response.headers.get("vary") == varies
        exposed = response.headers.get("access-control-expose-headers", "")
        assert ("x-request-id" in exposed) == (allowed is not None)
        assert "access-control-allow-credentials" not in response.headers


async def test_without_cors_options_is_a_method_like_others() -> None:
    async with running_proxy(CORS_ORIGINS="") as proxy:
        stranger = await fetch(proxy.port, CHAT, headers=PAGE, method="OPTIONS")
        known = await fetch(proxy.port, CHAT, headers={**BEARER, **PAGE}, method="OPTIONS")

    assert stranger.status == 401
    assert (known.status, known.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (
            "/v1/messages",
            "x-api-key, anthropic-version, anthropic-beta, "
            "anthropic-dangerous-direct-browser-access, content-type",
        ),
        ("/v1beta/models/m:generateContent", "x-goog-api-key, x-goog-api-client, content-type"),
    ],
)
async def test_browsers_may_send_the_headers_of_each_api_and_read_its_ids(
    path: str, asked: str
) -> None:
    async with running_proxy() as proxy:
        headers = {
            **PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": asked,
        }
        preflight = await fetch(proxy.port, path, headers=headers, method="OPTIONS")
        answer = await fetch(proxy.port, path, b"{", {**PAGE, **BEARER})

    assert preflight.status == 204
    assert preflight.headers["access-control-allow-headers"] == asked
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"request-id", "x-request-id", "retry-after"} <= set(exposed)
