"""The official SDK reads every golden answer: what it puts together from a stream is the whole."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

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
        RawUpstream(play, base_path="").running() as server,
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
