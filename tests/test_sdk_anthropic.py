"""Anthropic's official SDK against the proxy, over each kind of upstream: what it raises, what it
reads.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conftest import KEY, Proxy, running_proxy
from tests.support.messages_service import (
    ASK,
    ENDING,
    MODEL,
    START,
    STOP,
    STREAM,
    TEXT,
    Json,
    error,
    event,
    message,
    proxy_before,
)
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

anthropic: Any = pytest.importorskip("anthropic", reason="the anthropic package is not installed")

pytestmark = pytest.mark.slow

CALL = (
    event(
        "content_block_start",
        index=1,
        content_block={"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
    )
    + event(
        "content_block_delta",
        index=1,
        delta={"type": "input_json_delta", "partial_json": '{"city":"Köln"}'},
    )
    + event("content_block_stop", index=1)
)


@asynccontextmanager
async def client_of(proxy: Proxy) -> AsyncIterator[Any]:
    async with anthropic.AsyncAnthropic(
        auth_token=KEY, api_key=None, base_url=proxy.url, max_retries=0
    ) as client:
        yield client


def events(*parts: bytes, pause: asyncio.Event | None = None) -> Any:
    """Return a script that streams *parts*; before the last it waits for *pause*."""

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        for part in parts[:-1]:
            await peer.chunk(part)
        if pause is not None:
            await pause.wait()
        await peer.chunk(parts[-1])
        await peer.last_chunk()

    return play


async def reply(peer: Peer, request: Received) -> None:
    await peer.reply(message())


async def streamed(client: Any, model: str = MODEL) -> Any:
    async with client.messages.stream(**{**ASK, "model": model}) as stream:
        return await stream.get_final_message()


async def test_whole_answer() -> None:
    async with proxy_before(reply) as (proxy, _), client_of(proxy) as client:
        answer = await client.messages.create(**ASK)
    assert answer.content[0].text == "Hello!"
    assert answer.usage.cache_read_input_tokens == 30
    assert answer._request_id.startswith("req_")


async def test_whole_answer_in_place_of_a_stream() -> None:
    """The SDK parses no JSON there: it would see an empty answer."""
    content: list[Json] = [
        {"type": "thinking", "thinking": "hm", "signature": "Eq=="},
        {"type": "redacted_thinking", "data": "QQ=="},
        {"type": "text", "text": "Hé"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": "Köln"}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
    ]

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(message(*content, stop_reason="tool_use"))

    async with proxy_before(play) as (proxy, _), client_of(proxy) as client:
        answer = await streamed(client)

    expected = json.loads(message(*content, stop_reason="tool_use"))
    assert answer.to_dict() | expected == answer.to_dict()


async def test_stream_with_a_call() -> None:
    script = events(START, TEXT, CALL, ENDING, STOP)
    async with proxy_before(script) as (proxy, _), client_of(proxy) as client:
        answer = await streamed(client)
    assert answer.content[0].text == "Hello!"
    assert answer.content[1].input == {"city": "Köln"}
    assert answer.stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("status", "kind", "raised"),
    [
        (400, "invalid_request_error", "BadRequestError"),
        (404, "not_found_error", "NotFoundError"),
        (413, "request_too_large", "ContentTooLargeError"),
        (429, "rate_limit_error", "RateLimitError"),
        (529, "overloaded_error", "OverloadedError"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_error_of_the_service_is_raised(
    status: int, kind: str, raised: str, stream: bool
) -> None:
    async def refuse(peer: Peer, request: Received) -> None:
        await peer.reply(error(kind, "said upstream"), status)

    async with proxy_before(refuse) as (proxy, _), client_of(proxy) as client:
        with pytest.raises(anthropic.APIStatusError, match="said upstream") as caught:
            await (streamed(client) if stream else client.messages.create(**ASK))
    assert caught.value.status_code == status
    assert type(caught.value).__name__ == raised


async def test_wrong_key_is_raised() -> None:
    async with running_proxy() as proxy:
        client = anthropic.AsyncAnthropic(api_key="wrong", base_url=proxy.url, max_retries=2)
        async with client:
            with pytest.raises(anthropic.AuthenticationError):
                await client.messages.create(**ASK)


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"", id="cut"),
        pytest.param(event("error", error={"type": "api_error", "message": "broke"}), id="error"),
        pytest.param(b'data: {"error":{"message":"of another form"}}\n\n', id="other error"),
        pytest.param(b"event: content_block_delta\ndata: {nonsense\n\n", id="nonsense"),
    ],
)
async def test_answer_that_breaks_off_is_raised(rest: bytes) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(START + TEXT + rest)
        await peer.last_chunk()

    async with proxy_before(play) as (proxy, _), client_of(proxy) as client:
        with pytest.raises(anthropic.APIStatusError):
            await streamed(client)


async def test_chat_answer_that_breaks_off_is_raised() -> None:
    script = events(chat_chunk("Hel"), chat_chunk("lo"))
    async with (
        RawUpstream(script).running() as upstream,
        running_proxy(upstream.base_url) as proxy,
        client_of(proxy) as client,
    ):
        with pytest.raises(anthropic.APIStatusError):
            await streamed(client, "gpt-4o")


@pytest.mark.parametrize("at", [0, 2])
async def test_sdk_accepts_heartbeats_before_and_within_the_message(at: int) -> None:
    parts = (START, TEXT, ENDING, STOP)
    done = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        for part in parts[:at]:
            await peer.chunk(part)
        await done.wait()
        await peer.chunk(b"".join(parts[at:]))
        await peer.last_chunk()

    quick = {"COMMIT_AFTER": "0.05", "HEARTBEAT_INTERVAL": "0.1"}
    seen: list[str] = []
    async with proxy_before(play, **quick) as (proxy, _), client_of(proxy) as client:
        body: Json = {**ASK, "stream": True}
        async with client.messages.with_streaming_response.create(**body) as response:
            async for line in response.iter_lines():
                seen.append(line)
                if seen.count("event: ping") == 2:
                    done.set()
    assert seen.count("event: ping") >= 2
    assert seen.count("event: message_stop") == 1


async def test_other_clients_get_claudes_answers_by_translation() -> None:
    async def play(peer: Peer, request: Received) -> None:
        assert request.path == "/v1/messages"
        assert request.header("anthropic-version") == "2023-06-01"
        is_stream = b'"stream":true' in request.body
        body, kind = (STREAM, "text/event-stream") if is_stream else (message(), "application/json")
        await peer.reply(body, 200, kind)

    openai: Any = pytest.importorskip("openai")
    async with (
        proxy_before(play) as (proxy, _),
        openai.AsyncOpenAI(api_key=KEY, base_url=f"{proxy.url}/v1", max_retries=0) as client,
    ):
        chat = await client.chat.completions.create(model=MODEL, messages=ASK["messages"])
        response = await client.responses.create(model=MODEL, input="Hi")
        pieces = [
            chunk.choices[0].delta.content
            async for chunk in await client.chat.completions.create(
                model=MODEL, messages=ASK["messages"], stream=True
            )
            if chunk.choices
        ]
    assert chat.choices[0].message.content == response.output_text == "Hello!"
    assert chat.usage.prompt_tokens == 60
    assert "".join(piece or "" for piece in pieces) == "Hello!"


async def test_models_and_counts() -> None:
    async def chat(peer: Peer, request: Received) -> None:
        await peer.reply(completion())

    async with (
        RawUpstream(chat).running() as upstream,
        running_proxy(upstream.base_url) as proxy,
        client_of(proxy) as client,
    ):
        names = [model.id async for model in client.models.list(limit=2)]
        one = await client.models.retrieve("claude-gpt-4o")
        count = await client.messages.count_tokens(model="gpt-4o", messages=ASK["messages"])
        answer = await client.messages.create(**{**ASK, "model": "claude-gpt-4o"})
    assert {"gpt-4o", "claude-gpt-4o"} <= set(names)
    assert one.type == "model"
    assert count.input_tokens > 0
    assert answer.content[0].text == "Hello!"
