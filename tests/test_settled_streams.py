"""Streams that break off behind their finish reason, before their end: the answer is there, whole.

Whatever API the client speaks, and whether the stream is relayed or translated.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from tests.conftest import BEARER, Proxy, running_proxy
from tests.matrix import client_readers as readers
from tests.support.messages_service import ENDING, SERVICE_KEY, START, TEXT
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk

pytestmark = pytest.mark.slow

Json = dict[str, Any]
CHAT, CLAUDE = "deepseek-chat", "claude-sonnet-5"
USER: Final = [{"role": "user", "content": "Hi"}]
USAGE: Final = {
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "total_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 0},
}
BEGUN: Final = {CHAT: chat_chunk("Hello!"), CLAUDE: START + TEXT}
FINISHED: Final = {CHAT: chat_chunk(None, "stop", usage=USAGE), CLAUDE: ENDING}
"""What each kind of upstream says, up to what ends it: ``[DONE]`` or ``message_stop``."""


async def reset(peer: Peer) -> None:
    """Reset the connection once all of it is read."""
    for _ in range(30):
        await asyncio.sleep(0)
    peer.reset()


async def hang_up(peer: Peer) -> None:
    """Close the connection in the middle of the body."""
    peer.close()


async def fall_silent(peer: Peer) -> None:
    """Send nothing more."""
    await peer.closed()


ENDS: Final = {"reset": reset, "hang up": hang_up, "fall silent": fall_silent}


@asynccontextmanager
async def breaking(end: str, *, is_finished: bool) -> AsyncIterator[Proxy]:
    """Start a proxy before a chat service and an Anthropic whose streams break off."""

    async def play(peer: Peer, request: Received) -> None:
        model = CLAUDE if request.path.endswith("/messages") else CHAT
        await peer.head()
        await peer.chunk(BEGUN[model])
        if is_finished:
            await peer.chunk(FINISHED[model])
        await ENDS[end](peer)

    chat, claude = RawUpstream(play), RawUpstream(play, base_path="")
    async with (
        chat.running(),
        claude.running(),
        running_proxy(
            UPSTREAMS="deepseek",
            DEEPSEEK_BASE_URL=chat.base_url,
            DEEPSEEK_API_KEY="sk-deepseek-canary-0123456789",
            DEEPSEEK_MODELS="deepseek-*",
            DEEPSEEK_APIS="chat",
            ANTHROPIC_BASE_URL=claude.base_url,
            ANTHROPIC_API_KEY=SERVICE_KEY,
            IDLE_TIMEOUT="0.3",
        ) as proxy,
    ):
        yield proxy


async def ask_chat(proxy: Proxy, model: str) -> RawResponse:
    body: Json = {"model": model, "messages": USER, "stream": True}
    return await fetch(proxy.port, "/v1/chat/completions", body, BEARER)


async def ask_responses(proxy: Proxy, model: str) -> RawResponse:
    body: Json = {"model": model, "input": "Hi", "stream": True}
    return await fetch(proxy.port, "/v1/responses", body, BEARER)


async def ask_messages(proxy: Proxy, model: str) -> RawResponse:
    body: Json = {"model": model, "max_tokens": 9, "messages": USER, "stream": True}
    return await fetch(proxy.port, "/v1/messages", body, BEARER)


async def ask_google(proxy: Proxy, model: str) -> RawResponse:
    path = f"/v1beta/models/{model}:streamGenerateContent?alt=sse"
    headers = {**BEARER, "x-goog-api-client": "google-genai-sdk/1.38.0"}
    return await fetch(proxy.port, path, {"contents": [{"parts": [{"text": "Hi"}]}]}, headers)


Ask = Callable[[Proxy, str], Awaitable[RawResponse]]
CLIENTS: Final[dict[str, tuple[Ask, Callable[[bytes], readers.Seen]]]] = {
    "chat": (ask_chat, readers.chat_stream),
    "responses": (ask_responses, readers.responses_stream),
    "messages": (ask_messages, readers.messages_stream),
    "google": (ask_google, readers.generate_content_stream),
}


async def seen_by_all(proxy: Proxy) -> dict[str, readers.Seen]:
    """Return what clients of all APIs read, on both kinds of upstream; each body must be whole."""

    async def one(name: str, model: str) -> readers.Seen:
        ask, read = CLIENTS[name]
        response = await ask(proxy, model)
        assert response.whole, (name, model)
        if name == "chat" and b"error" not in response.body:
            assert response.body.endswith(b"data: [DONE]\n\n")
            assert response.body.count(b"[DONE]") == 1
        return read(response.body)

    pairs = [(name, model) for name in CLIENTS for model in (CHAT, CLAUDE)]
    found = await asyncio.gather(*(one(*pair) for pair in pairs))
    return {" on ".join(pair): seen for pair, seen in zip(pairs, found, strict=True)}


@pytest.mark.parametrize("end", ENDS)
async def test_an_answer_with_its_finish_reason_is_complete(end: str) -> None:
    async with breaking(end, is_finished=True) as proxy:
        seen = await seen_by_all(proxy)

    for name, one in seen.items():
        assert (one.events, one.reason, one.error) == ([("text", "Hello!")], "stop", None), name


@pytest.mark.parametrize("end", ENDS)
async def test_an_answer_without_is_not(end: str) -> None:
    async with breaking(end, is_finished=False) as proxy:
        seen = await seen_by_all(proxy)

    assert [name for name, one in seen.items() if one.error is None] == []
