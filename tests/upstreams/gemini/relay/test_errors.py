"""Google's errors reach Google's clients as they came, but for what may hold a key."""

import json

import pytest

from jarvis_proxy.upstreams.gemini.relay.errors import error_in_stream, relayed_error, shown
from tests.support.recordings import recordings, response_of

RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"}
DEBUG_INFO = {
    "@type": "type.googleapis.com/google.rpc.DebugInfo",
    "detail": "[ORIGINAL ERROR] generic::key AIzaSyD-abcdefghijklmnop",
}


def an_error(code: int = 429, status: str = "RESOURCE_EXHAUSTED", **more: object) -> bytes:
    error = {"code": code, "message": "Quota exceeded. Grüße", "status": status, **more}
    return json.dumps({"error": error}, indent=2, ensure_ascii=False).encode()


def test_an_error_passes_byte_for_byte_with_its_details() -> None:
    body = an_error(details=[RETRY_INFO])

    error = relayed_error(429, body, model="m")

    assert (error.status, error.native, error.retry_after) == (429, body, 2.0)


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: [error]])
def test_debug_info_is_removed_and_an_array_stays_one(wrap: object) -> None:
    assert callable(wrap)
    body = json.dumps(wrap(json.loads(an_error(details=[DEBUG_INFO, RETRY_INFO])))).encode()

    error = relayed_error(429, body, model="m")

    assert json.loads(error.native) == wrap(json.loads(an_error(details=[RETRY_INFO])))


def test_keys_are_blacked_out_and_the_rest_stays_json() -> None:
    message = 'Bad "Bearer abcdefgh" at https://x/?key=AIzaSyD-abcdefghijklmnop and api_key:abc"'
    body = json.dumps({"error": {"code": 400, "message": message, "status": "X"}}).encode()

    written = json.loads(relayed_error(400, body, model="m").native)["error"]["message"]

    assert "abcdefgh" not in written
    assert written.count("[redacted]") == 3


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (
            400,
            {
                "code": 400,
                "message": "API key not valid.",
                "details": [{"reason": "API_KEY_INVALID"}],
            },
        ),
        (401, {"code": 401, "message": "Request had invalid authentication credentials."}),
        (403, {"code": 403, "message": "Permission denied: Consumer has been suspended."}),
    ],
)
def test_a_refused_key_of_the_proxy_is_reported_in_the_proxys_words(
    status: int, body: dict[str, object]
) -> None:
    error = relayed_error(status, json.dumps({"error": body}).encode(), model="m")

    assert (error.status, error.code, error.native) == (502, "upstream_auth_failed", b"")


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b'{"detail":"no"}'])
def test_a_page_in_place_of_an_error_becomes_the_proxys_error(body: bytes) -> None:
    error = relayed_error(503, body, model="m")

    assert (error.status, error.native) == (503, b"")


def test_a_status_that_is_none_becomes_502() -> None:
    assert relayed_error(777, an_error(), model="m").status == 502


def test_broken_json_with_debug_info_is_not_shown() -> None:
    assert shown(b'{"error": google.rpc.DebugInfo') == b""


@pytest.mark.parametrize("value", ["google.rpc.DebugInfo", {"error": "google.rpc.DebugInfo"}])
def test_debug_info_elsewhere_changes_nothing(value: object) -> None:
    assert json.loads(shown(json.dumps(value).encode())) == value


def test_an_error_in_a_stream_keeps_its_body() -> None:
    text = an_error(503, "UNAVAILABLE")

    error = error_in_stream(text, model="m")

    assert error is not None
    assert (error.status, error.code, error.native) == (503, "overloaded", text)
    assert error_in_stream(b'{"candidates":[]}', model="m") is None


REFUSALS = [
    param
    for param in recordings("gemini")
    if param.values[0] is None or param.values[0]["response"]["status"] >= 400
]


@pytest.mark.parametrize("recording", REFUSALS)
def test_every_recorded_refusal_passes(recording: dict[str, dict[str, int]]) -> None:
    body, _ = response_of(recording)
    status = recording["response"]["status"]

    error = relayed_error(status, body, model="m")

    if error.code == "upstream_auth_failed":
        assert status in (400, 401, 403)
        assert b"key" in body.lower() or status in (401, 403)
    elif b"DebugInfo" in body:
        written = json.loads(body)
        written["error"]["details"] = []
        assert (error.status, json.loads(error.native)) == (status, written)
    else:
        assert (error.status, error.native) == (status, body)
