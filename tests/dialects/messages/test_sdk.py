"""The official SDK reads every golden answer: what it puts together from a stream is the whole."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jarvis_proxy.dialects.messages.dialect import count_tokens
from jarvis_proxy.dialects.messages.errors import encode_error, encode_error_event
from jarvis_proxy.dialects.messages.models import model_list
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.messages_types import PING
from tests.dialects.messages.golden_files import CASES, GOLDEN
from tests.support.raw_upstream import Peer, RawUpstream, Received

anthropic: Any = pytest.importorskip("anthropic", reason="the anthropic package is not installed")

Json = dict[str, Any]
ASKED: Json = {
    "model": "my-model",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hi"}],
}


@asynccontextmanager
async def client_of(data: bytes, content_type: str, status: int = 200) -> AsyncIterator[Any]:
    """Yield a client of a server that answers with *data*."""

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(data, status, content_type)

    async with (
        RawUpstream(play, base_path="", plays_lists=True).running() as server,
        anthropic.AsyncAnthropic(api_key="k", base_url=server.base_url, max_retries=0) as client,
    ):
        yield client


async def streamed(data: bytes) -> Any:
    """Return the message that the SDK makes of a stream."""
    async with (
        client_of(data, "text/event-stream") as client,
        client.messages.stream(**ASKED) as stream,
    ):
        return await stream.get_final_message()


@pytest.mark.parametrize("name", CASES)
async def test_the_sdk_reads_the_stream_as_the_whole_answer(name: str) -> None:
    async with client_of((GOLDEN / f"{name}.json").read_bytes(), "application/json") as client:
        whole = await client.messages.create(**ASKED)

    message = await streamed((GOLDEN / f"{name}.sse").read_bytes())

    assert whole.model_dump(exclude_none=True) == message.model_dump(
        exclude_none=True, exclude={"content": {"__all__": {"parsed_output"}}}
    )
    assert whole.stop_reason is not None
    assert whole.usage.input_tokens == 60


async def test_sdk_accepts_heartbeats_before_the_message() -> None:
    data = (GOLDEN / "thinking_then_calls.sse").read_bytes()
    beating = PING + data.replace(b"event: ", PING + b"event: ")

    assert await streamed(beating) == await streamed(data)


@pytest.mark.parametrize(
    ("status", "code", "name"),
    [
        (400, "invalid_value", "BadRequestError"),
        (401, "invalid_api_key", "AuthenticationError"),
        (404, "model_not_found", "NotFoundError"),
        (429, "rate_limit_exceeded", "RateLimitError"),
        (500, "internal_error", "InternalServerError"),
        (503, "overloaded", "OverloadedError"),
    ],
)
async def test_the_sdk_raises_its_own_class_for_an_error(status: int, code: str, name: str) -> None:
    answer = encode_error(ProxyError(status, "M", code=code), "0" * 24)
    async with client_of(answer.body, "application/json", answer.status) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(**ASKED)

    assert type(caught.value).__name__ == name
    assert caught.value.body["error"]["message"] == "M"


@pytest.mark.parametrize("begun", [True, False])
async def test_the_sdk_raises_at_an_error_within_a_stream(begun: bool) -> None:
    whole = (GOLDEN / "text.sse").read_bytes()
    data = whole.partition(b"event: content_block_stop")[0] if begun else b""
    error = encode_error_event(ProxyError(503, "M", code="overloaded"), "0" * 24)

    with pytest.raises(anthropic.APIStatusError) as caught:
        await streamed(data + error)

    assert caught.value.body["error"] == {"type": "overloaded_error", "message": "M"}


async def test_the_sdk_reads_the_list_of_models() -> None:
    listed = model_list([("gemini-3-pro", 1767225600), ("claude-x", 0)])
    async with client_of(listed, "application/json") as client:
        models = [model async for model in client.models.list()]

    assert [model.id for model in models] == ["gemini-3-pro", "claude-gemini-3-pro", "claude-x"]
    assert {model.lifecycle for model in models} == {"active"}
    assert models[0].created_at.year == 2026


async def test_the_sdk_reads_a_count() -> None:
    asked = {name: value for name, value in ASKED.items() if name != "max_tokens"}
    async with client_of(count_tokens(json.dumps(asked).encode()), "application/json") as client:
        counted = await client.messages.count_tokens(**asked)

    assert counted.input_tokens == 9
