"""What the proxy itself says, in the words of the client's API: at the socket."""

import json
from typing import Any

import pytest

from tests.conftest import BEARER, KEY, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

pytestmark = pytest.mark.slow

MESSAGES = [
    "/v1/messages",
    "/messages",
    "/anthropic/v1/messages",
    "/anthropic/messages",
    "/v1/messages?beta=true",
    "/v1/messages/count_tokens",
    "/anthropic/v1/messages/count_tokens?beta=true",
]
GOOGLE = [
    "/v1beta/models/gemini-3-flash:generateContent",
    "/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse",
    "/v1/models/gemini-3-flash:generateContent",
    "/models/gemini-3-flash%3AgenerateContent",
    "/gemini/v1beta/models/openai/gpt-4.1:countTokens",
    "/v1beta1/projects/p/locations/l/publishers/google/models/gemini-3-flash:generateContent",
]


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


def openai_error(response: RawResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.body)["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return found


def anthropic_error(response: RawResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.body)
    assert found["type"] == "error"
    assert found["request_id"] == response.headers["request-id"]
    assert response.headers["request-id"] == response.headers["x-request-id"]
    error: dict[str, Any] = found["error"]
    assert set(error) == {"type", "message"}
    return error


def google_error(response: RawResponse) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(response.body)["error"]
    assert error["code"] == response.status
    assert error["details"][0]["@type"].endswith("google.rpc.ErrorInfo")
    return error


@pytest.mark.parametrize("path", MESSAGES)
async def test_messages_client_without_a_key_reads_anthropics_error(path: str) -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, path, {})
        assert response.status == 401
        assert anthropic_error(response)["type"] == "authentication_error"
        assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", GOOGLE)
async def test_client_of_googles_without_a_key_reads_googles_error(path: str) -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, path, {})
        assert response.status == 401
        assert google_error(response)["status"] == "UNAUTHENTICATED"


async def test_openai_client_without_a_key_reads_openais_error() -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, "/v1/chat/completions", {})
        assert response.status == 401
        assert openai_error(response)["code"] == "invalid_api_key"
        assert "request-id" not in response.headers


@pytest.mark.parametrize(
    ("header", "value"),
    [("x-api-key", KEY), ("Authorization", f"Bearer {KEY}"), ("x-goog-api-key", KEY)],
)
async def test_each_api_takes_the_key_where_its_clients_put_it(header: str, value: str) -> None:
    async with running_proxy() as proxy:
        for path in (MESSAGES[0], GOOGLE[0]):
            response = await fetch(proxy.port, path, b"{", {header: value})
            assert response.status == 400, path


async def test_wrong_method_is_reported_in_the_clients_own_form() -> None:
    async with running_proxy() as proxy:
        messages = await fetch(proxy.port, MESSAGES[0], headers=BEARER, method="PUT")
        assert messages.status == 405
        assert messages.headers["allow"] == "POST"
        assert anthropic_error(messages)["type"] == "invalid_request_error"
        google = await fetch(proxy.port, GOOGLE[0], headers=BEARER, method="GET")
        assert google.status == 405
        assert google_error(google)["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/messages/batches", {"anthropic-version": "2023-06-01"}),
        ("/v1/messages/batches", {}),
        ("//messages/batches/msgbatch_1", {}),
        ("/v1/complete", {}),
        ("/anthropic/v1/files", {}),
    ],
)
async def test_unknown_address_of_anthropics_is_reported_in_its_form(
    path: str, headers: dict[str, str]
) -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, path, {}, {**BEARER, **headers})
        assert response.status == 404
        assert anthropic_error(response)["type"] == "not_found_error"


@pytest.mark.parametrize(
    "path",
    ["/v1beta/models/gemini-3-flash:generateContents", "/v1beta/files", "/v1:generateContent"],
)
async def test_unknown_address_of_googles_is_reported_in_its_form(path: str) -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, path, {}, BEARER)
        assert response.status == 404
        assert google_error(response)["status"] == "NOT_FOUND"


async def test_unknown_address_shows_nothing_without_a_key() -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, "/v1beta/models/x:generateContents", {})
        assert response.status == 401


async def test_start_probe_of_claude_code_needs_no_key() -> None:
    async with running_proxy() as proxy:
        for method in ("HEAD", "GET"):
            headers = {"Connection": "close"}
            response = await fetch(proxy.port, "/api/hello", headers=headers, method=method)
            assert response.status == 200


async def test_googles_prefix_for_openai_clients_is_served() -> None:
    async with running_proxy() as proxy:
        body: dict[str, object] = {
            "model": "jarvis-echo",
            "messages": [{"role": "user", "content": "hello"}],
        }
        response = await fetch(proxy.port, "/v1beta/openai/chat/completions", body, BEARER)
        assert response.status == 200


ASK: dict[str, object] = {
    "model": "gpt-4.1",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hello"}],
}


async def test_messages_client_gets_a_message_from_a_chat_service() -> None:
    async with RawUpstream(answer).running() as upstream, running_proxy(upstream.base_url) as proxy:
        response = await fetch(proxy.port, "/v1/messages", ASK, BEARER)
        assert response.status == 200
        message = json.loads(response.body)
        assert message["type"] == "message"
        assert message["content"][0]["type"] == "text"
        assert response.headers["request-id"].startswith("req_")


async def test_messages_client_has_to_name_a_model() -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, "/v1/messages", {"max_tokens": 1}, BEARER)
        assert response.status == 400
        assert anthropic_error(response)["message"] == "model: Field required"


async def test_model_is_found_under_its_name_for_claude_clients() -> None:
    async with RawUpstream(answer).running() as upstream, running_proxy(upstream.base_url) as proxy:
        body = {**ASK, "model": "claude-gpt-4o[1m]"}
        response = await fetch(proxy.port, "/v1/messages", body, BEARER)
        assert response.status == 200
        assert response.headers["x-jarvis-model"] == "gpt-4o"
        assert json.loads(response.body)["model"] == "claude-gpt-4o[1m]"


@pytest.mark.parametrize("name", ["gemini-3-flash[1m]", "claude-gemini-3-flash[1m]"])
async def test_mark_of_a_long_context_is_no_part_of_a_model_of_googles(name: str) -> None:
    asked: list[str] = []

    async def google(peer: Peer, request: Received) -> None:
        asked.append(request.path)
        turn = b'{"role":"model","parts":[{"text":"Hi"}]}'
        await peer.reply(b'{"candidates":[{"content":%b,"finishReason":"STOP"}]}' % turn)

    async with (
        RawUpstream(google).running() as upstream,
        running_proxy(gemini=upstream.base_url) as proxy,
    ):
        response = await fetch(proxy.port, "/v1/messages", {**ASK, "model": name}, BEARER)
        assert response.status == 200
        assert [path.rpartition("/")[2].partition(":")[0] for path in asked] == [
            "gemini-3-flash-preview"
        ]
