"""Bodies of refusals: what of them a client is shown, whatever their type."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.upstreams.refusal_body import excerpt, for_log, read_refusal

PAGE = (
    b"<!DOCTYPE html><html><head><title>Bad Gateway</title><style>p{}</style>"
    b"<script>var a = '<p>unseen</p>'</script></head>"
    b"<body><h1>Try&nbsp;later</h1><hr>nginx</body></html>"
)
PROBLEM = b'{"type":"about:blank","title":"Slow","status":429,"detail":"Slow down."}'

SHOWN: dict[str, tuple[str, bytes, str, str | int]] = {
    "text": ("text/plain", b"no healthy\n upstream", "no healthy upstream", ""),
    "text without a type": ("", b"busy", "busy", ""),
    "text labelled JSON": ("application/json", b"Internal Error", "Internal Error", ""),
    "JSON text": ("application/json", b'"Too many"', "Too many", ""),
    "page": ("text/html", PAGE, "Bad Gateway Try later nginx", ""),
    "page without a type": ("", PAGE, "Bad Gateway Try later nginx", ""),
    "page that was cut": ("text/html", b"<p>Busy</p><a href=", "Busy", ""),
    "XML": ("application/xml", b"<Error><Code>Slow</Code></Error>", "Slow", ""),
    "signs that are no tags": ("text/plain", b"a < b <3 </p>", "a b 3", ""),
    "another charset": ("text/plain; charset=gbk", "忙".encode("gbk"), "忙", ""),
    "unknown charset": ("text/plain; charset=no", b"busy\xff", "busy\ufffd", ""),
    "bytes": ("application/octet-stream", b"\x00\x1b[2Jx", "[2Jx", ""),
    "key": ("text/plain", b"bad key sk-abcdef0123456789 x", "bad key [redacted] x", ""),
    "problem": ("application/problem+json", PROBLEM, "Slow down.", 429),
    "problem as text": ("text/plain", PROBLEM, "Slow down.", 429),
    "FastAPI as text": ("text/plain", b'{"detail":"No."}', "No.", "upstream_error"),
    "unknown JSON as text": ("text/plain", b'{"a":"No."}', '{"a":"No."}', ""),
    "event": ("text/event-stream", b'data: {"message":"No.","code":"c"}\n\n', "No.", "c"),
    "event of text": ("text/event-stream", b"event: error\ndata: busy\n\n", "busy", ""),
    "unfinished event": ("text/event-stream", b": hi\n\ndata: busy", "busy", ""),
    "event as text": ("text/plain", b"data: busy\n\n", "busy", ""),
}


@pytest.mark.every_case
@pytest.mark.parametrize(("kind", "body", "text", "code"), SHOWN.values(), ids=SHOWN)
@pytest.mark.parametrize("status", [400, 429, 503, 520])
def test_of_what_is_no_json_error_an_excerpt_is_sent(
    kind: str, body: bytes, text: str, code: str | int, status: int
) -> None:
    error, sent = read_refusal(status, kind, body)

    assert error.status == status
    assert error.message == (
        text if code else f"The upstream answered with status {status}: {text}"
    )
    assert error.code == (code or "upstream_bad_response")
    assert error.error_type == {429: "rate_limit_error", 400: "invalid_request_error"}.get(
        status, "server_error"
    )
    assert sent == error.body()


@pytest.mark.parametrize("kind", ["", "text/html", "application/json", "text/event-stream"])
def test_an_empty_refusal_keeps_its_status(kind: str) -> None:
    error, sent = read_refusal(503, kind, b"")

    assert error.message == "The upstream answered with status 503 and no message."
    assert json.loads(sent)["error"]["code"] == "upstream_bad_response"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"error":{"message":"no"}} '),
        ("application/json; charset=utf-8", b'{"detail":"no"}'),
        ("application/json", b'[{"error":{"message":"no"}}]'),
        ("application/json", b'{"a":1}'),
        ("text/plain", b' {"error":{"message":"no"}}'),
        ("text/html", b'{"error":{"message":"no"}}'),
        ("", b'{"error":{"message":"a\\ud83d"}}'),
    ],
)
def test_an_object_that_clients_can_read_passes_as_it_came(kind: str, body: bytes) -> None:
    error, sent = read_refusal(418, kind, body)

    assert sent is body or sent == body
    assert error.status == 418


def test_the_object_in_a_streamed_error_passes_as_it_came() -> None:
    body = b'data: {"error":{"message":"no","code":"c"}}\n\ndata: [DONE]\n\n'

    error, sent = read_refusal(503, "text/event-stream", body)

    assert sent == b'{"error":{"message":"no","code":"c"}}'
    assert (error.status, error.code, error.message) == (503, "c", "no")


def test_a_status_that_http_does_not_have_becomes_502() -> None:
    assert read_refusal(999, "text/plain", b"x")[0].status == 502


def test_an_excerpt_is_short_and_holds_no_part_of_a_key_at_its_end() -> None:
    text = excerpt("x" * 290 + " sk-abcdef0123456789" + "y" * 1000)

    assert text == "x" * 290 + " [redacte…"
    assert len(text) == 300


@pytest.mark.parametrize(
    ("reason", "logged"),
    [
        ("Missing scopes: model.request.", "Missing scopes: model.request."),
        ("Your account has 2 keys, error 1113", "Your account has 2 keys, error 1113"),
        ('no org-a1b2c3d4e5 or "proj_0123"', "no [redacted] or [redacted]"),
        ("key sk-abcdefgh\nis old", "key [redacted] is old"),
        ("余额不足", "余额不足"),
    ],
)
def test_a_reason_is_logged_without_ids(reason: str, logged: str) -> None:
    assert for_log(reason) == logged


def test_work_does_not_grow_with_what_is_nested_or_open() -> None:
    """Counted by what is looked at: a page of any size costs as much as one of 64 KiB."""
    assert excerpt("<script>" * 1_000_000 + "x") == ""
    assert excerpt("<" * 1_000_000).count("<") == 0


@given(st.binary(), st.sampled_from(["", "text/html", "text/event-stream", "application/json"]))
def test_any_body_becomes_json_that_can_be_sent(body: bytes, kind: str) -> None:
    error, sent = read_refusal(500, kind, body)

    assert error.status == 500
    assert sent
