"""Google's API at the socket, translated for a chat service."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conftest import KEY, Proxy, running_proxy
from tests.support.google_frames import google_error
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

pytestmark = pytest.mark.slow

JSON = dict[str, Any]
SDK = {"x-goog-api-client": "google-genai-sdk/1.38.0"}
"""By which errors in streams come in the form that Google's SDKs read."""
GOOGLE = {"x-goog-api-key": KEY, "Content-Type": "application/json", **SDK}
MODEL = "gemini-3.8-flash"
CHAT = "/v1beta/models/deepseek/deepseek-chat"
ASKED = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
    "generationConfig": {"topK": 3, "maxOutputTokens": 5},
}


async def ask(proxy: Proxy, path: str, body: JSON = ASKED) -> RawResponse:
    return await fetch(proxy.port, path, json.dumps(body).encode(), GOOGLE)


class Service:
    """A chat service behind a proxy."""

    def __init__(self, proxy: Proxy, upstream: RawUpstream) -> None:
        self.proxy = proxy
        self.upstream = upstream

    async def ask(self, verb: str, body: JSON = ASKED) -> RawResponse:
        return await ask(self.proxy, f"{CHAT}:{verb}", body)

    @property
    def asked(self) -> JSON:
        found: JSON = json.loads(self.upstream.received[-1].body)
        return found


async def answer(peer: Peer, request: Received) -> None:
    if not json.loads(request.body).get("stream"):
        await peer.reply(completion("Grüße"))
        return
    await peer.head()
    for text in ("Grü", "ße"):
        await peer.chunk(chat_chunk(text))
    finish = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}
    for one in (finish, usage):
        await peer.chunk(b"data: " + json.dumps(one).encode() + b"\n\n")
    await peer.chunk(b"data: [DONE]\n\n")
    await peer.last_chunk()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(
            UPSTREAMS="deepseek",
            DEEPSEEK_BASE_URL=upstream.base_url,
            DEEPSEEK_API_KEY="sk-deepseek-canary-0123456789",
        ) as proxy,
    ):
        yield Service(proxy, upstream)


async def test_a_stream_over_chat(service: Service) -> None:
    response = await service.ask("streamGenerateContent?alt=sse")

    assert response.status == 200
    assert response.headers["content-type"] == "text/event-stream"
    found = [json.loads(line[6:]) for line in response.body[:-4].split(b"\r\n\r\n")]
    texts = [part["text"] for one in found for part in one["candidates"][0]["content"]["parts"]]
    assert "".join(texts) == "Grüße"
    assert found[-1]["candidates"][0]["finishReason"] == "STOP"
    assert found[-1]["usageMetadata"]["totalTokenCount"] == 11
    assert {one["modelVersion"] for one in found} == {"deepseek/deepseek-chat"}
    assert [one["role"] for one in service.asked["messages"]] == ["system", "user"]
    assert service.asked["model"] == "deepseek-chat"


async def test_a_stream_without_alt_is_an_array(service: Service) -> None:
    response = await service.ask("streamGenerateContent")

    assert response.headers["content-type"].startswith("application/json")
    assert len(json.loads(response.body)) == 3


async def test_a_whole_answer_over_chat(service: Service) -> None:
    response = await service.ask("generateContent")

    (candidate,) = json.loads(response.body)["candidates"]
    assert candidate["content"]["parts"] == [{"text": "Grüße"}]
    assert service.asked["max_tokens"] == 5


async def test_other_models_are_no_404(service: Service) -> None:
    assert (await service.ask("generateContent")).status == 200
    unknown = await ask(service.proxy, "/v1beta/models/gemini/none/such:generateContent")
    assert (unknown.status, unknown.error()["status"]) == (404, "NOT_FOUND")


async def test_a_wrong_request_is_reported_with_googles_path(service: Service) -> None:
    response = await service.ask("generateContent", {"contents": [{"parts": [{"text": 3}]}]})

    details: Any = response.error()["details"]
    violation = details[1]["fieldViolations"][0]
    assert (response.status, violation["field"]) == (400, "contents[0].parts[0].text")


async def test_an_error_of_the_service_is_reported_in_googles_form(service: Service) -> None:
    async def refuse(peer: Peer, request: Received) -> None:
        error = {"error": {"message": "Slow down.", "type": "rate_limit", "code": None}}
        await peer.reply(json.dumps(error).encode(), 429, extra=["Retry-After: 3"])

    service.upstream.script = refuse
    response = await service.ask("streamGenerateContent?alt=sse")

    details: Any = response.error()["details"]
    assert (response.status, response.error()["message"]) == (429, "Slow down.")
    assert details[-1]["retryDelay"] == "3s"


async def test_a_cut_stream_over_chat_ends_in_a_bare_error(service: Service) -> None:
    async def cut(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(chat_chunk("Hel"))
        peer.close()

    service.upstream.script = cut
    response = await service.ask("streamGenerateContent?alt=sse")

    frames_before, _, bare = response.body.partition(b"\r\n\r\n")
    assert json.loads(frames_before[6:])["candidates"][0]["content"]["parts"] == [{"text": "Hel"}]
    assert json.loads(bare)["error"]["status"] == "UNAVAILABLE"


async def test_tokens_are_estimated_without_an_upstream_call(service: Service) -> None:
    response = await service.ask("countTokens", {"contents": "x" * 35})

    assert json.loads(response.body) == {"totalTokens": 18}
    assert service.upstream.received == []


async def test_claude_embeds_nothing() -> None:
    async with running_proxy(ANTHROPIC_API_KEY="sk-ant-canary-0123456789") as proxy:
        response = await ask(proxy, "/v1beta/models/claude-x:embedContent")

    assert (response.status, response.error()["status"]) == (400, "INVALID_ARGUMENT")


async def test_what_has_no_equivalent_is_named(service: Service) -> None:
    body = {**ASKED, "safetySettings": [{"threshold": "BLOCK_LOW_AND_ABOVE"}]}

    response = await service.ask("generateContent", body)

    assert response.headers["x-jarvis-ignored"] == "safetySettings"


async def test_a_call_may_fall_back_to_another_api(service: Service) -> None:
    async def fail(peer: Peer, request: Received) -> None:
        await peer.reply(google_error(503, "UNAVAILABLE"), 503)

    gemini = RawUpstream(fail, base_path="/v1beta")
    async with (
        gemini.running(),
        running_proxy(
            gemini=gemini.base_url,
            UPSTREAMS="deepseek",
            DEEPSEEK_BASE_URL=service.upstream.base_url,
            DEEPSEEK_API_KEY="sk-deepseek-canary-0123456789",
            FALLBACKS=f"{MODEL}=deepseek/deepseek-chat",
        ) as proxy,
    ):
        response = await ask(proxy, f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse")

    assert response.status == 200
    assert b"finishReason" in response.body
    assert response.headers["x-jarvis-upstream"] == "deepseek"
