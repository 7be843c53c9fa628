"""Keys with a limit on tokens or money: what streams take is known, and no client can tell."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk

USAGE: Final = {"prompt_tokens": 5000, "completion_tokens": 4000, "total_tokens": 9000}
DONE: Final = b"data: [DONE]\n\n"
ANSWER: Final = chat_chunk("Hi") + chat_chunk(None, "stop")
USAGE_CHUNK: Final = chat_chunk(choices=[], usage=USAGE)
PATHS: Final = ("/v1/chat/completions", "/v1/completions")
LIMITS: Final = ({"KEY_TESTER_BUDGET": "100000tokens/day"}, {"KEY_TESTER_TPM": "100000"})


def asks(request: Received) -> bool:
    options = json.loads(request.body).get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


async def obliging(peer: Peer, request: Received) -> None:
    """Tell usage to those who ask for it, as OpenAI does."""
    await peer.head()
    await peer.chunk(ANSWER + (USAGE_CHUNK if asks(request) else b"") + DONE)
    await peer.last_chunk()


async def refusing(peer: Peer, request: Received) -> None:
    if "stream_options" in json.loads(request.body):
        error = {"message": "Unknown parameter: 'stream_options'", "type": "invalid_request_error"}
        await peer.reply(json.dumps({"error": error}).encode(), 400)
    else:
        await obliging(peer, request)


async def silent(peer: Peer, request: Received) -> None:
    """Stream a hundred events and tell no usage."""
    await peer.head()
    await peer.chunk(chat_chunk("word") * 100 + chat_chunk(None, "stop") + DONE)
    await peer.last_chunk()


async def ask(
    upstream: RawUpstream, path: str, env: Mapping[str, str], **more: object
) -> tuple[RawResponse, dict[str, Any], list[Received]]:
    """Return a stream's answer, what the key has used by then, and what the upstream was sent."""
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        body = {"model": "gpt-4o", "stream": True, "messages": [], "prompt": "x", **more}
        response = await fetch(proxy.port, path, body, {**BEARER, "Idempotency-Key": "k"})
        used = await fetch(proxy.port, "/v1/usage", headers=BEARER, method="GET")
    return response, json.loads(used.body)["total"], upstream.received


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("env", LIMITS, ids=["budget", "tpm"])
@pytest.mark.parametrize(
    "options",
    [{}, {"stream_options": {"include_usage": False}}, {"stream_options": {"x": 1}}],
    ids=["none", "false", "others"],
)
async def test_usage_is_asked_for_and_the_client_sees_nothing_of_it(
    path: str, env: Mapping[str, str], options: dict[str, object]
) -> None:
    response, used, received = await ask(RawUpstream(obliging), path, env, **options)

    assert response.body == ANSWER + DONE
    assert asks(received[0])
    assert (used["prompt_tokens"], used["completion_tokens"]) == (5000, 4000)


@pytest.mark.parametrize("path", PATHS)
async def test_a_client_that_asks_for_usage_gets_it(path: str) -> None:
    options = {"stream_options": {"include_usage": True}}
    response, used, _ = await ask(RawUpstream(obliging), path, LIMITS[0], **options)

    assert response.body == ANSWER + USAGE_CHUNK + DONE
    assert used["total_tokens"] == 9000


@pytest.mark.parametrize("env", [{}, {"KEY_TESTER_RPM": "100"}], ids=["no-limit", "rpm"])
async def test_requests_of_other_keys_stay_as_they_are(env: Mapping[str, str]) -> None:
    response, used, received = await ask(RawUpstream(obliging), PATHS[0], env)

    assert response.body == ANSWER + DONE
    assert "stream_options" not in json.loads(received[0].body)
    assert used["calls_without_tokens"] == 1


@pytest.mark.parametrize("path", PATHS)
async def test_an_upstream_that_refuses_the_question_is_asked_without_it(path: str) -> None:
    response, used, received = await ask(RawUpstream(refusing), path, LIMITS[0])
    keys = {request.header("Idempotency-Key") for request in received}

    assert (response.status, response.body) == (200, ANSWER + DONE)
    assert [asks(request) for request in received] == [True, False]
    assert len(keys) == 2
    assert used["total_tokens"] > 0


async def test_a_refusal_of_the_clients_own_options_is_passed_on() -> None:
    options = {"stream_options": {"include_usage": True}}
    response, used, received = await ask(RawUpstream(refusing), PATHS[0], LIMITS[0], **options)

    assert response.status == 400
    assert len(received) == 1
    assert used["total_tokens"] == 0


@pytest.mark.parametrize("env", LIMITS, ids=["budget", "tpm"])
async def test_where_no_usage_comes_it_is_estimated(env: Mapping[str, str]) -> None:
    words = [{"role": "user", "content": "word " * 800}]
    _, used, _ = await ask(RawUpstream(silent), PATHS[0], env, messages=words)

    assert 1000 <= used["prompt_tokens"] <= 1100
    assert 70 <= used["completion_tokens"] <= 130


async def test_a_whole_answer_without_usage_is_estimated() -> None:
    async def play(peer: Peer, request: Received) -> None:
        message = {"role": "assistant", "content": "word " * 800}
        await peer.reply(json.dumps({"choices": [{"message": message}]}).encode())

    _, used, _ = await ask(RawUpstream(play), PATHS[0], LIMITS[0], stream=False)

    assert 800 <= used["completion_tokens"] <= 1100


async def test_a_client_that_leaves_before_usage_comes_has_used_what_it_got() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(chat_chunk("word") * 100)
        await peer.closed()

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url, **LIMITS[0]) as proxy:
        body = json.dumps({"model": "gpt-4o", "stream": True, "pad": "word " * 800}).encode()
        async with connect(proxy.port) as client:
            await client.post(PATHS[0], body, {**BEARER, "Content-Type": "application/json"})
            await client.head()
            await client.chunk()
        used: dict[str, Any] = {"calls": 0}
        while not used["calls"]:
            answer = await fetch(proxy.port, "/v1/usage", headers=BEARER, method="GET")
            used = json.loads(answer.body)["total"]

    assert 1000 <= used["prompt_tokens"] <= 1100
    assert 70 <= used["completion_tokens"] <= 130


@pytest.mark.parametrize("upstream", [obliging, silent, refusing], ids=lambda play: play.__name__)
async def test_a_budget_is_spent_by_streams(upstream: Any) -> None:
    site = RawUpstream(upstream)
    env = {"KEY_TESTER_BUDGET": "10tokens/day"}
    async with site.running(), running_proxy(site.base_url, **env) as proxy:
        body: dict[str, object] = {"model": "gpt-4o", "stream": True, "pad": "word " * 100}
        answers = [await fetch(proxy.port, PATHS[0], body, BEARER) for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 429, 429]


async def test_a_failed_call_costs_nothing() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(b'{"error":{"message":"no"}}', 400)

    env = {**LIMITS[0], "COMMIT_AFTER": "0.1"}
    response, used, _ = await ask(RawUpstream(play), PATHS[0], env)

    assert response.status == 400
    assert used["total_tokens"] == 0
