"""What an upstream's refusal becomes for the client: its status and its waits stay."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable

import pytest

from tests.conftest import BEARER, OPENAI_KEY, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow

SDK = {"x-stainless-retry-count": "0"}
ERROR = b'{"error": {"message": "no", "type": "t", "param": "p", "code": "c"}}'
FORM = (
    b"--X\r\nContent-Disposition: form-data; name=model\r\n\r\nwhisper-1\r\n"
    b"--X\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nzz\r\n--X--\r\n"
)
FORM_TYPE = "multipart/form-data; boundary=X"

CALLS: dict[str, tuple[str, str, bytes, str]] = {
    "chat": ("POST", "/v1/chat/completions", b'{"model":"gpt-4o"}', "application/json"),
    "stream": (
        "POST",
        "/v1/chat/completions",
        b'{"model":"gpt-4o","stream":true}',
        "application/json",
    ),
    "responses": (
        "POST",
        "/v1/responses",
        b'{"model":"gpt-4o","stream":true}',
        "application/json",
    ),
    "embeddings": ("POST", "/v1/embeddings", b'{"model":"e"}', "application/json"),
    "speech": ("POST", "/v1/audio/speech", b'{"model":"tts-1","stream":true}', "application/json"),
    "form": ("POST", "/v1/audio/transcriptions", FORM, FORM_TYPE),
    "get": ("GET", "/v1/files/file-1", b"", ""),
    "put": ("PUT", "/v1/x", b"{}", "application/json"),
}

Script = Callable[[Peer, Received], Awaitable[None]]


async def refused(script: Script, call: str = "chat", **env: str) -> tuple[RawResponse, str]:
    """Return what the client gets, and the log."""
    method, path, body, kind = CALLS[call]
    upstream = RawUpstream(script)
    headers = {**BEARER, **SDK, **({"Content-Type": kind} if kind else {})}
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, PASSTHROUGH="all", **env) as proxy,
    ):
        response = await asyncio.wait_for(fetch(proxy.port, path, body, headers, method), 20)
        return response, proxy.logged()


def answering(status: int, body: bytes, kind: str | None, *extra: str) -> Script:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(body, status, kind, extra)

    return play


@pytest.mark.parametrize("call", CALLS)
async def test_refusal_that_is_json_passes_as_it_came(call: str) -> None:
    response, _ = await refused(answering(422, ERROR, "application/json"), call)

    assert (response.status, response.body) == (422, ERROR)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "kind", "body", "message"),
    [
        (503, "text/plain", b"no healthy upstream", "no healthy upstream"),
        (429, "application/problem+json", b'{"title":"Slow","detail":"Slow down."}', "Slow down."),
        (503, "text/event-stream", b'data: {"error":{"message":"Busy."}}\n\n', "Busy."),
        (502, "text/html", b"<html><h1>Bad gateway</h1></html>", "Bad gateway"),
        (500, None, b"", "no message"),
        (402, "text/plain", b"Insufficient Balance", "Insufficient Balance"),
        (408, "text/plain", b"Timed out", "Timed out"),
        (413, "text/html", b"<h1>413 Too Large</h1>", "413 Too Large"),
        (524, "text/html", b"<h1>A timeout</h1>", "A timeout"),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
async def test_status_wait_and_words_stay(
    call: str, status: int, kind: str | None, body: bytes, message: str
) -> None:
    waits = ("Retry-After: 7", "x-ratelimit-remaining-requests: 0")

    response, log = await refused(answering(status, body, kind, *waits), call)

    assert response.status == status
    assert message in str(response.error()["message"])
    assert b"<" not in response.body
    assert response.headers["retry-after"] == "7"
    assert response.headers["x-ratelimit-remaining-requests"] == "0"
    assert f"status={status} outcome=upstream_error" in log


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/json", "x/y"])
async def test_no_key_is_sent(kind: str) -> None:
    body = f"your key {OPENAI_KEY}, or sk-other-0123456789abcdef".encode()

    response, _ = await refused(answering(403, body, kind))

    assert b"canary" not in response.body
    assert b"sk-other" not in response.body
    assert str(response.error()["message"]).endswith("your key [redacted], or [redacted]")


@pytest.mark.parametrize("body", [ERROR, b"busy"])
async def test_a_packed_refusal_is_unpacked(body: bytes) -> None:
    """Else keys in it would pass unseen."""
    packed = gzip.compress(body.replace(b"no", b"no sk-abcdef0123456789"))
    kind = "application/json" if body is ERROR else "text/plain"

    response, _ = await refused(answering(429, packed, kind, "Content-Encoding: gzip"))

    assert response.status == 429
    assert "content-encoding" not in response.headers
    assert response.error()["message"] in (
        "no [redacted]",
        "The upstream answered with status 429: busy",
    )


@pytest.mark.parametrize("coding", ["br", "gzip"])
async def test_what_cannot_be_unpacked_loses_its_words_only(coding: str) -> None:
    script = answering(503, b"\x8b\x02", "application/json", f"Content-Encoding: {coding}")

    response, _ = await refused(script)

    assert response.status == 503
    assert "no message" in str(response.error()["message"])


@pytest.mark.parametrize("end", ["fin", "rst"])
async def test_a_refusal_that_is_cut_keeps_its_status(end: str) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(429, "application/json", length=1000, extra=["Retry-After: 5"])
        await peer.send(b'{"error": {"mess')
        if end == "fin":
            peer.close()
        else:
            await asyncio.sleep(0.05)
            peer.reset()

    response, _ = await refused(play)

    assert (response.status, response.headers["retry-after"]) == (429, "5")


async def test_of_an_endless_refusal_the_beginning_is_sent() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(500, "text/plain")
        while True:
            await peer.chunk(b"x" * 65536)

    response, _ = await refused(play)

    assert response.status == 500
    assert len(response.body) < 1000


@pytest.mark.parametrize("call", ["chat", "stream", "form", "get"])
async def test_why_the_proxys_key_was_refused_is_in_the_log_and_only_there(call: str) -> None:
    reason = f"Missing scopes: model.request\nfor {OPENAI_KEY} or sk-other-0123456789"
    body = json.dumps({"error": {"message": reason, "code": "missing_scope"}}).encode()

    response, log = await refused(answering(401, body, "application/json"), call)

    assert (response.status, response.error()["code"]) == (502, "upstream_auth_failed")
    assert b"scopes" not in response.body
    (line,) = [line for line in log.splitlines() if "refused the proxy's key" in line]
    assert line.endswith("Missing scopes: model.request for [redacted] or [redacted]")


async def test_a_reason_that_is_no_json_is_logged_too() -> None:
    _, log = await refused(answering(401, b"<h1>Expired</h1>", "text/html"))

    assert "openai refused the proxy's key: The upstream answered with status 401: Expired" in log
