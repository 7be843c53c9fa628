"""What upstreams answer to a key, and what that means. Bodies as documented, messages cut."""

import json

import pytest

from jarvis_proxy.config.settings import UpstreamSettings
from jarvis_proxy.doctor.checks.upstream_keys import evaluate_key, unanswered
from jarvis_proxy.doctor.net.http_answer import HttpAnswer

CANARY = "sk-canary-0123456789"
OPENAI = UpstreamSettings("openai", "https://api.openai.com/v1", (CANARY,))
GEMINI = UpstreamSettings("gemini", "https://generativelanguage.googleapis.com/v1beta", (CANARY,))
DEEPSEEK = UpstreamSettings("deepseek", "https://api.deepseek.com", (CANARY,))

TWO_KEYS = UpstreamSettings("openai", "https://api.openai.com/v1", (CANARY, "sk-canary-2"))

OPENAI_LIST = b'{"object":"list","data":[{"id":"gpt-4.1-mini","created":1},{"id":"gpt-4o"}]}'
GEMINI_LIST = (
    b'{"models":[{"name":"models/gemini-3-flash-preview",'
    b'"supportedGenerationMethods":["generateContent"]}]}'
)


def openai_error(
    status: int, code: str | None, error_type: str = "invalid_request_error"
) -> HttpAnswer:
    error = {"message": f"about {CANARY}", "type": error_type, "param": None, "code": code}
    return HttpAnswer(status, {}, json.dumps({"error": error}).encode())


def google_error(status: int, name: str, reason: str | None = None) -> HttpAnswer:
    details = [] if reason is None else [{"@type": "x", "reason": reason}]
    error = {"code": status, "message": f"about {CANARY}", "status": name, "details": details}
    return HttpAnswer(status, {}, json.dumps({"error": error}).encode())


def test_model_list_means_that_the_key_is_valid() -> None:
    finding, models = evaluate_key(TWO_KEYS, 1, HttpAnswer(200, {}, OPENAI_LIST))

    assert (finding.check, finding.status) == ("openai: key 1 of 2", "ok")
    assert finding.detail == "valid, lists 2 models"
    assert models == frozenset({"gpt-4.1-mini", "gpt-4o"})


def test_gemini_list_is_read_in_its_own_form() -> None:
    finding, models = evaluate_key(GEMINI, 1, HttpAnswer(200, {}, GEMINI_LIST))

    assert finding.detail == "valid, lists 1 model"
    assert models == frozenset({"gemini-3-flash-preview"})


@pytest.mark.parametrize(
    ("upstream", "answer", "status", "words", "advice"),
    [
        (
            OPENAI,
            openai_error(401, "invalid_api_key"),
            "problem",
            "refused (401 invalid_api_key)",
            "https://platform.openai.com/api-keys",
        ),
        (OPENAI, HttpAnswer(401, {}, b""), "problem", "refused (401)", "OPENAI_API_KEY"),
        (
            DEEPSEEK,
            openai_error(401, "invalid_request_error"),
            "problem",
            "refused (401",
            "Put a valid key into DEEPSEEK_API_KEY",
        ),
        (
            GEMINI,
            google_error(400, "INVALID_ARGUMENT", "API_KEY_INVALID"),
            "problem",
            "refused (400 API_KEY_INVALID)",
            "https://aistudio.google.com/apikey",
        ),
        (
            GEMINI,
            google_error(403, "PERMISSION_DENIED", "SERVICE_DISABLED"),
            "problem",
            "the Gemini API is not enabled",
            "aistudio",
        ),
        (
            GEMINI,
            google_error(403, "PERMISSION_DENIED", "API_KEY_IP_ADDRESS_BLOCKED"),
            "problem",
            "may not be used from this machine's address",
            "Change what the key is allowed",
        ),
        (
            GEMINI,
            google_error(403, "PERMISSION_DENIED"),
            "problem",
            "refused (403 PERMISSION_DENIED)",
            "Change what the key is allowed",
        ),
        (
            GEMINI,
            google_error(400, "FAILED_PRECONDITION"),
            "problem",
            "gemini does not serve the region",
            "UPSTREAM_PROXY",
        ),
        (
            OPENAI,
            openai_error(403, "unsupported_country_region_territory", "request_forbidden"),
            "problem",
            "openai does not serve the region",
            "UPSTREAM_PROXY",
        ),
        (
            OPENAI,
            openai_error(403, "insufficient_permissions"),
            "warning",
            "may not list models",
            "right to read models",
        ),
        (
            DEEPSEEK,
            HttpAnswer(403, {}, b"<html>"),
            "problem",
            "refused (403)",
            "the upstream's console",
        ),
        (
            OPENAI,
            openai_error(429, "insufficient_quota", "insufficient_quota"),
            "problem",
            "its credit is used up",
            "Add credit",
        ),
        (
            DEEPSEEK,
            HttpAnswer(402, {}, b""),
            "problem",
            "its credit is used up (402)",
            "Add credit",
        ),
        (
            OPENAI,
            openai_error(429, "rate_limit_exceeded", "requests"),
            "warning",
            "limited at this moment",
            "again",
        ),
        (
            OPENAI,
            HttpAnswer(404, {}, b""),
            "problem",
            "no list of models under this base URL (404)",
            "Is the /v1 at the end of OPENAI_BASE_URL missing",
        ),
        (
            GEMINI,
            HttpAnswer(404, {}, b""),
            "problem",
            "no list of models",
            "Is the /v1beta at the end",
        ),
        (
            DEEPSEEK,
            HttpAnswer(404, {}, b""),
            "warning",
            "gives no list of models (404)",
            "DEEPSEEK_BASE_URL",
        ),
        (DEEPSEEK, HttpAnswer(405, {}, b""), "warning", "gives no list of models (405)", "/v1"),
        (
            OPENAI,
            HttpAnswer(407, {}, b""),
            "problem",
            "the outbound proxy rejects the credentials",
            "UPSTREAM_PROXY",
        ),
        (
            OPENAI,
            HttpAnswer(503, {}, b""),
            "warning",
            "openai itself fails at this moment (503)",
            "status page",
        ),
        (OPENAI, HttpAnswer(418, {}, b""), "warning", "an unexpected answer (418)", ""),
        (
            OPENAI,
            HttpAnswer(301, {"location": "https://x/v1/models?key=canary"}),
            "problem",
            "redirects to https://x/v1/models; the proxy follows",
            "Set OPENAI_BASE_URL to that address.",
        ),
        (
            OPENAI,
            HttpAnswer(200, {"content-type": "text/html; x"}, b"<html>"),
            "problem",
            "no list of models (text/html)",
            "must be the API's address",
        ),
        (GEMINI, HttpAnswer(200, {}, b"[]"), "problem", "no list of models", "GEMINI_BASE_URL"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, HttpAnswer) else None,
)
def test_each_refusal_is_distinguished(
    upstream: UpstreamSettings, answer: HttpAnswer, status: str, words: str, advice: str
) -> None:
    found, models = evaluate_key(upstream, 1, answer)

    assert (found.status, models) == (status, None)
    assert words in found.detail
    assert advice in found.advice
    assert "canary" not in str(found)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("API_KEY_HTTP_REFERRER_BLOCKED", "by web pages only"),
        ("API_KEY_ANDROID_APP_BLOCKED", "by an Android app only"),
        ("API_KEY_IOS_APP_BLOCKED", "by an iOS app only"),
        ("API_KEY_SERVICE_BLOCKED", "may not be used for the Gemini API"),
        ("CONSUMER_SUSPENDED", "the key's project is suspended"),
        ("BILLING_DISABLED", "billing is off in the key's project"),
    ],
)
def test_each_google_key_restriction_has_a_finding(code: str, words: str) -> None:
    found, _ = evaluate_key(GEMINI, 1, google_error(403, "PERMISSION_DENIED", code))

    assert words in found.detail
    assert found.detail.endswith(f" (403 {code})")


def test_one_refused_key_of_several_leaves_the_others() -> None:
    found, _ = evaluate_key(TWO_KEYS, 2, HttpAnswer(401, {}))

    assert "until then calls use the other keys" in found.advice


@pytest.mark.parametrize(
    ("result", "status", "detail"),
    [
        ("not_sent", "problem", "not asked: why"),
        ("incomplete", "warning", "no whole answer within why"),
        ("outbound_proxy", "problem", "the outbound proxy does not connect to openai (why)"),
        ("outbound_proxy_login", "problem", "the outbound proxy rejects the credentials (why)"),
    ],
)
def test_request_without_answer_has_a_result(result: str, status: str, detail: str) -> None:
    found = unanswered(OPENAI, 1, result, "why")

    assert (found.check, found.status, found.detail) == ("openai: key", status, detail)
    assert found.advice
