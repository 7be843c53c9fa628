"""Every recorded OpenAI exchange goes through the proxy unchanged, both ways."""

import json
from typing import Any

import pytest

from tests.conftest import BEARER, KEY, OPENAI_KEY, running_proxy
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.recordings import recordings, request_of, response_of

pytestmark = pytest.mark.slow

_MUST_NOT_PASS = {
    "authorization",
    "cookie",
    "forwarded",
    "openai-organization",
    "openai-project",
    "x-api-key",
    "api-key",
    "x-forwarded-for",
    "x-goog-api-key",
    "x-stainless-lang",
}
_PRIVATE = {
    "Cookie": "session=canary-cookie",
    "OpenAI-Organization": "org-canary",
    "OpenAI-Project": "proj-canary",
    "x-api-key": KEY,
    "api-key": KEY,
    "X-Forwarded-For": "203.0.113.9",
    "Forwarded": "for=203.0.113.9",
    "X-Stainless-Lang": "python",
}


_IN_TRUTH = {"dd-trace-py__response_create_error__0_a7ce25": 404}
"""Recordings in which an error has the status 200, and what the proxy makes of it."""


@pytest.mark.parametrize("recording", recordings("openai"))
async def test_exchange_is_byte_identical(recording: dict[str, Any]) -> None:
    path = recording["request"]["path"]
    if recording["kind"] == "models":
        pytest.skip("the proxy lists models itself, without asking an upstream")
    body, content_type = request_of(recording)
    answer, answer_type = response_of(recording)
    status = recording["response"]["status"]

    async def play(peer: Peer, request: Received) -> None:
        extra = ["x-request-id: req_upstream", "Set-Cookie: a=b", "openai-organization: org"]
        if "sse" not in recording["response"]:
            await peer.reply(answer, status, answer_type, extra)
            return
        await peer.head(status, answer_type, extra=extra)
        for at in range(0, len(answer), 1400):
            await peer.chunk(answer[at : at + 1400])
        await peer.last_chunk()

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        headers = {**BEARER, **_PRIVATE, "Content-Type": content_type}
        response = await fetch(proxy.port, path, body, headers)

    (seen,) = (request for request in upstream.received if request.method == "POST")
    assert seen.body == body
    assert seen.path == path
    assert seen.header("Authorization") == f"Bearer {OPENAI_KEY}"
    names = [name.lower() for name, _ in seen.headers]
    assert _MUST_NOT_PASS & set(names) == {"authorization"}
    assert len(names) == len(set(names))
    if status == 401:
        # The client's key is good: a bad key of the proxy must look different to it.
        assert (response.status, response.error()["code"]) == (502, "upstream_auth_failed")
        return
    if recording["id"] in _IN_TRUTH:
        assert response.status == _IN_TRUTH[recording["id"]]
        assert response.error() == json.loads(answer)["error"]
        return
    assert response.status == status
    assert response.body == answer
    assert response.whole
    assert response.headers["content-type"] == answer_type
    assert response.headers["x-request-id"] == "req_upstream"
    assert "set-cookie" not in response.headers
    assert "openai-organization" not in response.headers
    assert "server" not in response.headers
