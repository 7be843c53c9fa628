"""What answers from outside mean."""

import pytest

from jarvis_proxy.doctor.checks.public_url_verdicts import (
    CheckTarget,
    encryption,
    evaluate_auth,
    evaluate_health,
    evaluate_large_body,
    evaluate_models,
    is_ours,
)
from jarvis_proxy.doctor.net.http_answer import HttpAnswer
from jarvis_proxy.doctor.net.proxy_url import ProxyUrl
from jarvis_proxy.web.info import HEALTH

SITE = ProxyUrl("https", "my.host", 443)
NGINX = {"server": "nginx", "content-type": "text/html"}
REFUSED = HttpAnswer(
    401, {}, b'{"error":{"message":"x","type":"y","param":null,"code":"invalid_api_key"}}'
)
MODELS = HttpAnswer(200, {}, b'{"object":"list","data":[{"id":"jarvis-echo"}]}')
HERE, OUTSIDE = CheckTarget(SITE, here=True), CheckTarget(SITE, here=False)


@pytest.mark.parametrize(
    ("body", "expected"),
    [(HEALTH, True), (b'{"status":"ok"}', False), (b"ok", False), (b"[]", False), (b"", False)],
)
def test_our_health_is_known_by_the_service_s_name(body: bytes, expected: bool) -> None:
    assert is_ours(HttpAnswer(200, {}, body)) == expected


@pytest.mark.parametrize(
    ("site", "status"),
    [
        (SITE, "ok"),
        (ProxyUrl("http", "192.168.1.5", 9000), "ok"),
        (ProxyUrl("http", "nas", 9000), "ok"),
        (ProxyUrl("http", "my.host", 80), "warning"),
    ],
)
def test_plain_http_is_for_networks_of_one_s_own(site: ProxyUrl, status: str) -> None:
    assert encryption(site).status == status


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (HttpAnswer(200, {}, HEALTH), "ok", "the proxy answers"),
        (HttpAnswer(200, {"server": "nginx"}, HEALTH), "ok", "the proxy answers, through nginx"),
        (
            HttpAnswer(308, {"location": "https://my.host/health"}),
            "problem",
            "redirects to https://my.host",
        ),
        (HttpAnswer(302, {}), "problem", "redirects to an address that cannot be shown"),
        (HttpAnswer(502, NGINX), "problem", "502: nginx answers, but does not reach the proxy"),
        (HttpAnswer(504, {}), "problem", "504: what answers"),
        (
            HttpAnswer(522, {"cf-ray": "x"}),
            "problem",
            "522: Cloudflare says that its server does not answer",
        ),
        (HttpAnswer(401, NGINX), "problem", "wants a login or a browser"),
        (
            HttpAnswer(503, {"cf-ray": "x", "cf-mitigated": "challenge"}),
            "problem",
            "503: Cloudflare answers",
        ),
        (HttpAnswer(403, {"cf-ray": "x", "cf-mitigated": "challenge"}), "problem", "wants a login"),
        (HttpAnswer(400, NGINX, b"sent to HTTPS port"), "problem", "this port speaks HTTPS"),
        (
            HttpAnswer(400, NGINX, b""),
            "problem",
            "400 (text/html): nginx answers, but it is not this proxy",
        ),
        (HttpAnswer(404, {}), "problem", "404 (no type): what answers"),
        (
            HttpAnswer(200, NGINX, b"Welcome"),
            "problem",
            "200 (text/html): nginx answers, but it is not",
        ),
        (HttpAnswer(404, {}, HEALTH), "problem", "404 (no type)"),
    ],
)
def test_what_answers_to_health_is_told(answer: HttpAnswer, status: str, words: str) -> None:
    found = evaluate_health(SITE, answer)

    assert found.status == status
    assert words in found.detail
    assert bool(found.advice) == (status != "ok")


def test_a_port_that_wants_https_is_named_with_https() -> None:
    found = evaluate_health(
        ProxyUrl("http", "my.host", 8443), HttpAnswer(400, NGINX, b"to HTTPS port")
    )

    assert found.advice == "Use https://: https://my.host:8443"


def test_a_path_before_the_proxy_is_named() -> None:
    found = evaluate_health(ProxyUrl("https", "my.host", 443, "/jarvis"), HttpAnswer(404, {}))

    assert found.advice.endswith("nothing else at /health under /jarvis?")


@pytest.mark.parametrize(
    ("without", "wrong", "status", "words"),
    [
        (REFUSED, REFUSED, "ok", "no key and a wrong key get 401"),
        (MODELS, REFUSED, "problem", "a request without a key is let in"),
        (REFUSED, HttpAnswer(200, NGINX), "problem", "a request with a wrong key is let in"),
        (
            HttpAnswer(401, NGINX),
            REFUSED,
            "problem",
            "401 and not the proxy's 401 for a request without",
        ),
        (
            REFUSED,
            HttpAnswer(404, {}),
            "problem",
            "404 and not the proxy's 401 for a request with a",
        ),
    ],
)
def test_only_the_proxy_s_own_refusal_is_right(
    without: HttpAnswer, wrong: HttpAnswer, status: str, words: str
) -> None:
    found = evaluate_auth(without, wrong)

    assert found.status == status
    assert words in found.detail


def test_whoever_lets_everyone_in_is_named_where_known() -> None:
    assert "(nginx)" in evaluate_auth(HttpAnswer(200, NGINX), REFUSED).advice
    assert "reverse proxy put" in evaluate_auth(HttpAnswer(200, {}), REFUSED).advice


@pytest.mark.parametrize(
    ("visit", "bearer", "api_key", "status", "words"),
    [
        (OUTSIDE, MODELS, None, "ok", "1 model"),
        (
            OUTSIDE,
            HttpAnswer(200, {"x-jarvis-warning": "models not up to date: openai"}, MODELS.body),
            None,
            "warning",
            "1 model; models not up to date: openai",
        ),
        (
            OUTSIDE,
            HttpAnswer(200, NGINX, b"<html>"),
            None,
            "problem",
            "no list of models (text/html)",
        ),
        (OUTSIDE, HttpAnswer(500, {}), None, "problem", "500 (no type) in place of the list"),
        (OUTSIDE, REFUSED, REFUSED, "problem", "401: the key is refused"),
        (HERE, REFUSED, REFUSED, "problem", "401: the key is refused"),
        (OUTSIDE, HttpAnswer(401, NGINX), MODELS, "problem", "nginx drops that header"),
        (OUTSIDE, REFUSED, None, "problem", "401: the key is refused"),
    ],
)
def test_the_answer_to_a_good_key_is_judged(
    visit: CheckTarget, bearer: HttpAnswer, api_key: HttpAnswer | None, status: str, words: str
) -> None:
    found = evaluate_models(visit, bearer, api_key)

    assert found.status == status
    assert words in found.detail


def test_a_refused_key_has_other_causes_here_than_outside() -> None:
    assert "JARVIS_KEY" in evaluate_models(OUTSIDE, REFUSED, REFUSED).advice
    assert "JARVIS_KEY" not in evaluate_models(HERE, REFUSED, REFUSED).advice


@pytest.mark.parametrize(
    ("answer", "status", "example"),
    [
        (HttpAnswer(200, {}), "ok", ""),
        (HttpAnswer(413, {}, b'{"error":{"code":"request_too_large"}}'), "skipped", ""),
        (HttpAnswer(413, NGINX), "warning", "client_max_body_size 80m;"),
        (HttpAnswer(413, {"server": "lighttpd"}), "warning", ""),
        (HttpAnswer(413, {}), "warning", ""),
        (HttpAnswer(500, {}), "warning", ""),
    ],
)
def test_a_limit_on_bodies_is_told_with_its_setting(
    answer: HttpAnswer, status: str, example: str
) -> None:
    found = evaluate_large_body(answer)

    assert (found.status, found.example) == (status, example)
