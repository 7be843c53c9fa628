"""Every recorded exchange with Anthropic over sockets: the client sees what Anthropic said."""

import json
from typing import Any

import pytest

from tests.conftest import KEY, Proxy
from tests.support.messages_service import SERVICE_KEY, proxy_before
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, Received
from tests.support.recordings import MISSING, recordings, response_of

pytestmark = pytest.mark.slow

Json = dict[str, Any]
RECORDINGS = [param.values[0] for param in recordings("anthropic") if param.values[0] is not None]
CROSSING = {
    "accept",
    "accept-encoding",
    "anthropic-beta",
    "anthropic-version",
    "authorization",
    "content-length",
    "content-type",
    "host",
    "user-agent",
    "x-api-key",
    "x-jarvis-hop",
}
STAYING = {
    "Authorization": f"Bearer {KEY}",
    "x-api-key": KEY,
    "Cookie": "session=1",
    "User-Agent": "claude-cli/2.1",
    "x-app": "cli",
    "x-stainless-lang": "js",
    "x-claude-code-session-id": "s",
    "anthropic-dangerous-direct-browser-access": "true",
    "X-Forwarded-For": "10.0.0.1",
}


async def play(peer: Peer, recording: Json) -> None:
    """Answer as recorded, streams in pieces."""
    body, content_type = response_of(recording)
    status = recording["response"]["status"]
    if "sse" not in recording["response"]:
        await peer.reply(body, status, content_type)
        return
    await peer.head(status, content_type)
    for at in range(0, len(body), 700):
        await peer.chunk(body[at : at + 700])
    await peer.last_chunk()


def request_of(recording: Json) -> tuple[str, bytes, dict[str, str]]:
    """Return the path, the body and the headers of a recording's request."""
    request = recording["request"]
    body = request["body"]
    if body is None:  # published without its request
        stream = "sse" in recording["response"]
        body = {"model": "claude-x", "max_tokens": 9, "stream": stream, "messages": []}
    text = json.dumps(body, ensure_ascii=False, indent=1).encode()
    return request["path"], text, request.get("headers", {})


def check_request(received: Received, path: str, body: bytes, headers: dict[str, str]) -> None:
    """Check that the service got what the client sent, but for keys and the client's own matters.

    The service on loopback is none of Anthropic's addresses, so it gets the key in both headers.
    """
    assert received.path == path
    assert received.body == body
    names = [name.lower() for name, _ in received.headers]
    assert set(names) <= CROSSING
    assert len(names) == len(set(names))
    assert received.header("x-api-key") == SERVICE_KEY
    assert received.header("authorization") == f"Bearer {SERVICE_KEY}"
    assert received.header("anthropic-version") == headers.get("anthropic-version", "2023-06-01")
    assert received.header("anthropic-beta") == headers.get("anthropic-beta")
    assert KEY not in str(received.headers)


def check_response(response: RawResponse, recording: Json) -> None:
    """Check that the client sees the service's answer; errors of the proxy's key are its own."""
    body, _ = response_of(recording)
    status = recording["response"]["status"]
    assert response.whole
    if status == 401:
        assert response.status == 502
        assert json.loads(response.body)["error"]["type"] == "api_error"
        return
    assert response.status == status
    if "sse" in recording["response"]:  # a last blank line that lacks is added
        body, response.body = body.rstrip(b"\n"), response.body.rstrip(b"\n")
    assert response.body == body
    assert response.headers["request-id"].startswith("req_")


async def replay(proxy: Proxy, recording: Json) -> RawResponse:
    path, body, headers = request_of(recording)
    sent = {"Content-Type": "application/json", **STAYING, **headers}
    return await fetch(proxy.port, path, body, sent)


async def test_every_recorded_call_passes_byte_for_byte() -> None:
    if not RECORDINGS:
        pytest.skip(MISSING)
    current: Json = {}

    async def script(peer: Peer, request: Received) -> None:
        await play(peer, current)

    async with proxy_before(script, MODEL_ALIASES="this-model-*=anthropic/x") as (proxy, service):
        replayed = 0
        for recording in RECORDINGS:
            path, body, headers = request_of(recording)
            if recording["kind"] == "models" or b'"this-model' in body:
                continue
            current = recording
            service.received.clear()
            response = await replay(proxy, recording)
            assert len(service.received) == 1, recording["id"]
            check_request(service.received[0], path, body, headers)
            check_response(response, recording)
            replayed += 1
    assert replayed > 250
