"""Paths, spellings and methods at the socket: what is served, and what a refusal says."""

import asyncio
import json

import pytest

from tests.conftest import BEARER, Proxy, running_proxy
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

pytestmark = pytest.mark.slow

ECHO: dict[str, object] = {
    "model": "jarvis-echo",
    "messages": [{"role": "user", "content": "hello"}],
}
CHAT = "/v1/chat/completions"


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1", "/openai/v1", "/api/v1"])
@pytest.mark.parametrize("spelling", ["{}/chat/completions", "/{}/chat//completions/"])
async def test_every_prefix_and_spelling_leads_to_the_normalised_path(
    prefix: str, spelling: str
) -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        path = spelling.format(prefix)
        response = await fetch(proxy.port, path, {"model": "gpt-4o"}, BEARER)

    assert response.status == 200
    assert upstream.received[0].path == CHAT


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/chat/complete", "/v1/chat/completions"),
        ("/v1/embedding", "/v1/embeddings"),
        ("/healthz", "/health"),
        ("/v1/model", "/v1/models"),
        ("/v1/audio/transcription", "/v1/audio/transcriptions"),
        ("/v1/../admin", "/v1/"),
        ("/v1/chat/completions%00", "/v1/chat/completions"),
        ("/v1/chat/completions#x", "/v1/chat/completions"),
        ("/v1/%63hat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions;x", "/v1/chat/completions"),
        ("/v1\\chat\\completions", "/v1/chat/completions"),
        ("/v1/" + "a" * 5000, "/v1/chat/completions"),
        ("/v1/files", "/v1/"),
        ("/v1/a%0Ab", "/v1/"),
    ],
)
async def test_unknown_address_is_refused_with_the_nearest_one(path: str, nearest: str) -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, path, ECHO, BEARER)

    assert (response.status, response.error()["code"]) == (404, "unknown_url")
    assert nearest in str(response.error()["message"])
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-should-retry"] == "false"
    assert b"<" not in response.body


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", CHAT, "POST"),
        ("HEAD", CHAT, "POST"),
        ("PUT", CHAT, "POST"),
        ("DELETE", "/v1/embeddings", "POST"),
        ("TRACE", CHAT, "POST"),
        ("PATCH", "/v1/responses", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/v1/models", "GET, HEAD"),
        ("POST", "/v1/models/gpt-4o", "GET, HEAD"),
    ],
)
async def test_wrong_method_is_refused_with_the_right_ones(
    method: str, path: str, allow: str
) -> None:
    async with running_proxy() as proxy:
        response = await asyncio.wait_for(_headless(proxy, path, method), 5)

    assert response.status == 405
    assert response.headers["allow"] == allow
    assert response.headers["content-type"] == "application/json"
    if method != "HEAD":
        assert response.error()["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/v1/models", "/v1/models/gpt-4o"])
async def test_head_is_get_without_its_body(path: str) -> None:
    async with running_proxy() as proxy:
        full = await fetch(proxy.port, path, headers=BEARER, method="GET")
        async with connect(proxy.port) as connection:
            await connection.post(path, b"", BEARER, "HEAD")
            status, headers = await connection.head()
            # The next answer on the connection starts where a body would stand.
            await connection.post("/health", b"", method="GET")
            following = await connection.response()

    assert (status, full.status) == (200, 200)
    assert headers["content-length"] == str(len(full.body))
    assert headers["content-type"] == full.headers["content-type"]
    assert following.status == 200


async def _headless(proxy: Proxy, path: str, method: str) -> RawResponse:
    """Return a response whose body is not waited for if *method* is HEAD."""
    if method != "HEAD":
        return await fetch(proxy.port, path, headers=BEARER, method=method)
    async with connect(proxy.port) as connection:
        await connection.post(path, b"", BEARER, method)
        status, headers = await connection.head()
        return RawResponse(status, headers, b"", b"", whole=True)


@pytest.mark.parametrize("endpoint", ["responses/compact", "responses/input_tokens"])
@pytest.mark.parametrize("prefix", ["/v1", "", "/openai/v1"])
async def test_these_belong_to_what_is_relayed(endpoint: str, prefix: str) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(b'{"object":"response.compaction","output":[]}')

    upstream = RawUpstream(play)
    body: dict[str, object] = {"model": "gpt-5", "input": "Hi"}
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        response = await fetch(proxy.port, f"{prefix}/{endpoint}", body, BEARER)
        refused = await fetch(
            proxy.port, f"{prefix}/{endpoint}", {**body, "model": "gemini-3-flash"}, BEARER
        )

    assert response.body == b'{"object":"response.compaction","output":[]}'
    assert [request.path for request in upstream.received] == [f"/v1/{endpoint}"]
    if endpoint == "responses/input_tokens":
        # Estimated here: nothing is asked of an upstream that cannot count this API's form.
        assert json.loads(refused.body)["object"] == "response.input_tokens"
        return
    assert (refused.status, refused.error()["code"]) == (400, "unsupported_endpoint")
    assert "/v1/responses" in str(refused.error()["message"])


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/files", "PASSTHROUGH=all"),
        ("/v1/batches", "PASSTHROUGH=all"),
    ],
)
async def test_an_unknown_address_is_refused_with_what_would_serve_it(
    path: str, words: str
) -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, path, ECHO, BEARER)

    assert (response.status, response.error()["code"]) == (404, "unknown_url")
    assert words in str(response.error()["message"])
    assert "nearest" not in str(response.error()["message"])
