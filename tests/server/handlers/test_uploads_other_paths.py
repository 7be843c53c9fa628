"""Paths that are no call to a model, with PASSTHROUGH=all: each goes to the service it is of."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.conftest import BEARER, Proxy, running_proxy
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

RERANKED = b'{"results": [{"index": 0}]}'
ANTHROPIC_KEY = "sk-ant-upstream-0123456789"


class Services:
    """OpenAI, Google, Anthropic and a compatible service, each with what it received."""

    def __init__(self) -> None:
        self.status, self.body = 200, RERANKED
        self.all = {
            name: RawUpstream(self._play, base_path=path)
            for name, path in {
                "openai": "/v1",
                "google": "/v1beta",
                "anthropic": "/v1",
                "jina": "/v1",
            }.items()
        }

    async def _play(self, peer: Peer, request: Received) -> None:
        await peer.reply(self.body, self.status)

    def received(self) -> dict[str, list[str]]:
        """Return what came to each service, as method and path; lists of models left out."""
        return {
            name: [
                f"{request.method} {request.path}"
                for request in upstream.received
                if not request.path.endswith("/models")
            ]
            for name, upstream in self.all.items()
        }


@asynccontextmanager
async def running(**env: str) -> AsyncIterator[tuple[Proxy, Services]]:
    services = Services()
    openai, google, anthropic, jina = services.all.values()
    async with openai.running(), google.running(), anthropic.running(), jina.running():
        settings = {
            "ANTHROPIC_API_KEY": ANTHROPIC_KEY,
            "ANTHROPIC_BASE_URL": anthropic.base_url.removesuffix("/v1"),
            "UPSTREAMS": "jina",
            "JINA_BASE_URL": jina.base_url,
            "JINA_API_KEY": "jina-key-0123456789",
            "JINA_MODELS": "jina-*",
            "PASSTHROUGH": "all",
            **env,
        }
        proxied = running_proxy(openai.base_url, google.base_url, **settings)
        async with proxied as proxy:
            yield proxy, services


async def test_a_body_that_names_a_model_goes_to_its_service() -> None:
    body = b'{"model": "jina-reranker", "query": "q", "documents": ["a"]}'
    async with running() as (proxy, services):
        headers = {**BEARER, "Content-Type": "application/json"}
        response = await fetch(proxy.port, "/v1/rerank", body, headers)

    (seen,) = [r for r in services.all["jina"].received if r.path == "/v1/rerank"]
    assert seen.body == body
    assert seen.header("Authorization") == "Bearer jina-key-0123456789"
    assert (response.status, response.body) == (200, RERANKED)
    assert services.received()["openai"] == []


async def test_a_compressed_body_keeps_its_coding() -> None:
    """Without the header the service would take compressed bytes for JSON."""
    body = gzip.compress(b'{"input_file_id": "file-1"}')
    async with running() as (proxy, services):
        headers = {**BEARER, "Content-Type": "application/json", "Content-Encoding": "GZIP"}
        response = await fetch(proxy.port, "/v1/batches", body, headers)
        odd = await fetch(proxy.port, "/v1/batches", body, {**headers, "Content-Encoding": "é"})

    (seen,) = [r for r in services.all["openai"].received if r.path == "/v1/batches"]
    assert (response.status, seen.body) == (200, body)
    assert seen.header("Content-Encoding") == "gzip"
    assert (odd.status, odd.error()["code"]) == (415, "unsupported_encoding")


async def test_a_model_of_another_name_is_renamed() -> None:
    async with running(MODEL_ALIASES="ranker=jina/jina-reranker-v3") as (proxy, services):
        await fetch(proxy.port, "/v1/rerank", {"model": "ranker", "query": "é"}, BEARER)

    (seen,) = [r for r in services.all["jina"].received if r.path == "/v1/rerank"]
    assert json.loads(seen.body) == {"model": "jina-reranker-v3", "query": "é"}


@pytest.mark.parametrize(
    "body", [b'{"model": "gpt-4.1"}', b'{"input": 1}', b"no JSON", b"", b'{"model": 5}', b"[]"]
)
async def test_any_other_body_is_openais_as_it_is(body: bytes) -> None:
    async with running() as (proxy, services):
        headers = {**BEARER, "Content-Type": "application/json"}
        await fetch(proxy.port, "/v1/fine_tuning/jobs", body, headers)

    (seen,) = [r for r in services.all["openai"].received if "fine_tuning" in r.path]
    assert seen.body == body


async def test_a_model_whose_service_has_no_such_path_is_an_error() -> None:
    async with running() as (proxy, services):
        response = await fetch(proxy.port, "/v1/rerank", {"model": "gemini-3-flash"}, BEARER)

    assert (response.status, response.error()["code"]) == (400, "unsupported_endpoint")
    assert not any(services.received().values())


async def test_a_key_limited_to_models_reaches_no_other_path() -> None:
    async with running(KEY_TESTER_MODELS="jina-*") as (proxy, services):
        response = await fetch(proxy.port, "/v1/rerank", {"model": "jina-reranker"}, BEARER)

    assert response.status == 404
    assert not any(services.received().values())


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/anthropic/v1/files", "/v1/files"])
async def test_a_messages_client_reaches_anthropic(path: str) -> None:
    headers = {"x-api-key": BEARER["Authorization"][7:], "anthropic-version": "2023-06-01"}
    headers["anthropic-beta"] = "files-api-2025-04-14"
    async with running() as (proxy, services):
        response = await fetch(proxy.port, f"{path}?limit=2", headers=headers, method="GET")

    here = "/v1/" + path.rpartition("v1/")[2]
    (seen,) = [r for r in services.all["anthropic"].received if r.path == f"{here}?limit=2"]
    assert seen.header("x-api-key") == ANTHROPIC_KEY
    assert seen.header("anthropic-version") == "2023-06-01"
    assert seen.header("anthropic-beta") == "files-api-2025-04-14"
    assert response.body == RERANKED


@pytest.mark.parametrize(
    ("path", "here"),
    [
        ("/v1beta/cachedContents", "/v1beta/cachedContents"),
        ("/gemini/v1beta/files/abc", "/v1beta/files/abc"),
        ("/v1beta/models/veo-3:predictLongRunning", "/v1beta/models/veo-3:predictLongRunning"),
        ("/v1beta/models/veo-3/operations/1", "/v1beta/models/veo-3/operations/1"),
    ],
)
async def test_a_google_client_reaches_google(path: str, here: str) -> None:
    async with running() as (proxy, services):
        key = BEARER["Authorization"][7:]
        response = await fetch(proxy.port, f"{path}?key={key}", b'{"a": 1}', {})

    (seen,) = [r for r in services.all["google"].received if r.path.startswith(here)]
    assert seen.path.rstrip("?") == here
    assert seen.header("x-goog-api-key") == "AIza-upstream-canary-0123456789"
    assert seen.body == b'{"a": 1}'
    assert response.body == RERANKED


@pytest.mark.parametrize("version", ["v1beta", "v1", "gemini/v1beta"])
async def test_a_google_client_polls_its_operation(version: str) -> None:
    """The path of a video's operation begins with that of its model, which is served here."""
    path = "/models/veo-3/operations/abc"
    async with running() as (proxy, services):
        headers = {"x-goog-api-key": BEARER["Authorization"][7:]}
        response = await fetch(proxy.port, f"/{version}{path}", headers=headers, method="GET")

    (seen,) = [r for r in services.all["google"].received if "operations" in r.path]
    assert (seen.method, seen.path.rstrip("?")) == ("GET", f"/v1beta{path}")
    assert response.body == RERANKED


async def test_uploads_to_google_are_refused_since_they_lead_elsewhere() -> None:
    async with running() as (proxy, services):
        response = await fetch(proxy.port, "/upload/v1beta/files", b"x", BEARER)

    assert response.status == 404
    assert not any(services.received().values())


@pytest.mark.parametrize(
    ("path", "headers", "error"),
    [
        (
            "/v1/messages/batches",
            {"anthropic-version": "2023-06-01"},
            b'{"type":"error","error":{"type":"not_found_error","message":"no batch"}}',
        ),
        (
            "/v1beta/cachedContents",
            {},
            b'{"error": {"code": 404, "message": "no cache", "status": "NOT_FOUND"}}',
        ),
    ],
)
async def test_errors_come_back_as_they_are(
    path: str, headers: dict[str, str], error: bytes
) -> None:
    async with running() as (proxy, services):
        services.status, services.body = 404, error
        response = await fetch(proxy.port, path, b"{}", {**BEARER, **headers})

    assert (response.status, response.body) == (404, error)


async def test_without_the_setting_only_calls_are_served() -> None:
    async with running(PASSTHROUGH="inference") as (proxy, services):
        for path in ("/v1/rerank", "/v1/messages/batches", "/v1beta/cachedContents"):
            response = await fetch(proxy.port, path, {"model": "jina-reranker"}, BEARER)
            assert response.status == 404

    assert not any(services.received().values())


async def test_a_call_over_webrtc_goes_through_byte_for_byte_and_has_its_id() -> None:
    offer, answer = b"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n", b"v=0\r\no=- 3 4 IN IP4 127.0.0.1\r\n"

    async def script(peer: Peer, request: Received) -> None:
        location = ["Location: /v1/realtime/calls/rtc_1"]
        await peer.reply(answer, 201, "application/sdp", location)

    openai = RawUpstream(script)
    async with openai.running(), running_proxy(openai.base_url, PASSTHROUGH="all") as proxy:
        headers = {**BEARER, "Content-Type": "application/sdp"}
        path = "/v1/realtime/calls?model=gpt-realtime"
        response = await fetch(proxy.port, path, offer, headers)

    (seen,) = openai.received
    assert (seen.path, seen.header("content-type")) == (path, "application/sdp")
    assert seen.body == offer
    assert (response.status, response.body) == (201, answer)
    assert response.headers["content-type"] == "application/sdp"
    assert response.headers["location"] == "/v1/realtime/calls/rtc_1"


async def test_a_picture_is_varied_byte_for_byte() -> None:
    form = (
        b'--X\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        b"\x89PNG\r\n\x1a\n\x00\r\n--X--\r\n"
    )
    made = b'{"created": 1, "data": [{"b64_json": "AA=="}]}'

    async def script(peer: Peer, request: Received) -> None:
        await peer.reply(made, 200, "application/json", ["Location: /elsewhere"])

    openai = RawUpstream(script)
    async with openai.running(), running_proxy(openai.base_url) as proxy:
        headers = {**BEARER, "Content-Type": "multipart/form-data; boundary=X"}
        response = await fetch(proxy.port, "/v1/images/variations", form, headers)

    (seen,) = openai.received
    assert (seen.path, seen.body) == ("/v1/images/variations", form)
    assert (response.status, response.body) == (200, made)
    assert "location" not in response.headers
