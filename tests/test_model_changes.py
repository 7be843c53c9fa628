"""One conversation that changes models, over real sockets: what belongs to whom goes nowhere else.

Gemini, then Claude, then a chat service that demands its reasoning, then Gemini again, for a client
of each API; each upstream refuses what the real one refuses.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jarvis_proxy.upstream_client.transport import HttpTransport
from tests.conftest import Proxy, running_proxy
from tests.support.conversations import (
    ChatConversation,
    Conversation,
    GoogleConversation,
    MessagesConversation,
    ResponsesConversation,
)
from tests.support.messages_service import (
    ENDING,
    SERVICE_KEY,
    START,
    STOP,
    event,
    message,
)
from tests.support.raw_site import FakeResolver
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.strict_anthropic import RefusedError, check
from tests.support.strict_chat import THOUGHT, StrictChat
from tests.support.strict_gemini import StrictGemini

pytestmark = pytest.mark.slow

Json = dict[str, Any]
GEMINI, CLAUDE, DEEPSEEK = "gemini-3-flash", "claude-sonnet-5", "deepseek-chat"
DEEPSEEK_HOST = "api.deepseek.com"
"""Of this service it is known that it has no fields for others' state."""
SIGNATURE = "EqQBCkYIBRgCKkB/signed+by/anthropic=="
THINKING: Json = {"type": "thinking", "thinking": "", "signature": SIGNATURE}
CALL: Json = {"type": "tool_use", "id": "toolu_B", "name": "get_weather", "input": {"city": "Bonn"}}


class StrictAnthropic:
    """Thinks, then calls a tool; answers once there is its result."""

    def __init__(self) -> None:
        self.bodies: list[Json] = []
        self.refusals: list[str] = []

    async def play(self, peer: Peer, request: Received) -> None:
        body = json.loads(request.body)
        self.bodies.append(body)
        try:
            check(_as_lists(body), [THINKING])
        except RefusedError as refusal:
            self.refusals.append(str(refusal))
            written = {"type": "invalid_request_error", "message": str(refusal)}
            await peer.reply(json.dumps({"type": "error", "error": written}).encode(), 400)
            return
        has_result = CALL["id"] in json.dumps(body["messages"])
        blocks = [{"type": "text", "text": "Bonn is sunny."}] if has_result else [THINKING, CALL]
        reason = "end_turn" if has_result else "tool_use"
        if not body.get("stream"):
            await peer.reply(message(*blocks, stop_reason=reason))
            return
        await peer.head()
        await peer.chunk(START)
        for index, block in enumerate(blocks):
            await peer.chunk(_events(index, block))
        await peer.chunk(ENDING.replace(b"end_turn", reason.encode()) + STOP)
        await peer.last_chunk()


def _as_lists(body: Json) -> Json:
    """Return *body* with each content as a list of blocks, for the checker."""
    messages = [
        {**turn, "content": [{"type": "text", "text": turn["content"]}]}
        if isinstance(turn["content"], str)
        else turn
        for turn in body["messages"]
    ]
    return {**body, "messages": messages}


def _events(index: int, block: Json) -> bytes:
    match block["type"]:
        case "thinking":
            empty: Json = {**block, "signature": ""}
            delta = {"type": "signature_delta", "signature": block["signature"]}
        case "text":
            empty, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
        case _:
            empty = {**block, "input": {}}
            piece = json.dumps(block["input"])
            delta = {"type": "input_json_delta", "partial_json": piece}
    return (
        event("content_block_start", index=index, content_block=empty)
        + event("content_block_delta", index=index, delta=delta)
        + event("content_block_stop", index=index)
    )


CLIENTS: dict[str, Callable[..., Conversation]] = {
    "messages": MessagesConversation,
    "chat": ChatConversation,
    "responses": ResponsesConversation,
    "google": GoogleConversation,
}
EVERY_CLIENT = pytest.mark.parametrize("api", CLIENTS)
STREAMED = pytest.mark.parametrize("stream", [False, True])


class Scene:
    """Three services, each as strict as the real one, and a proxy before them."""

    def __init__(self) -> None:
        self.gemini = StrictGemini()
        self.claude = StrictAnthropic()
        self.chat = StrictChat([[("get_weather", {"city": "Ulm"})]])
        self.chat_upstream = self.chat.running()

    @asynccontextmanager
    async def proxy(self) -> AsyncIterator[Proxy]:
        async with (
            self.gemini.running().running() as google,
            RawUpstream(self.claude.play, base_path="").running() as anthropic,
            self.chat_upstream.running() as deepseek,
        ):
            chat_url = f"http://{DEEPSEEK_HOST}:{deepseek.port}/v1"
            async with running_proxy(
                gemini=google.base_url,
                ANTHROPIC_BASE_URL=anthropic.base_url,
                ANTHROPIC_API_KEY=SERVICE_KEY,
                UPSTREAMS="deepseek",
                DEEPSEEK_BASE_URL=chat_url,
                DEEPSEEK_API_KEY="sk-chat-canary-0123456789",
                DEEPSEEK_MODELS="deepseek-*",
            ) as proxy:
                place = proxy.context.endpoints["deepseek"].api
                resolver = FakeResolver({DEEPSEEK_HOST: ["127.0.0.1"]})
                replaced = place.transport
                place.transport = HttpTransport("deepseek", chat_url, resolver=resolver)
                await replaced.close()
                yield proxy


@STREAMED
@EVERY_CLIENT
async def test_conversation_that_changes_models(api: str, stream: bool) -> None:
    scene = Scene()
    gemini, claude, chat = scene.gemini, scene.claude, scene.chat
    async with scene.proxy() as proxy:
        client = CLIENTS[api](proxy, stream=stream)
        first = await client.finish(GEMINI, "How is the weather?")
        assert len(first) == 3
        signatures = len(gemini.issued)
        await client.finish(CLAUDE, "And in Bonn?")
        await client.finish(DEEPSEEK, "And in Ulm?")
        sentinels = gemini.sentinels
        await client.ask(GEMINI, "Which is the warmest?")

    assert gemini.refusals == []
    # It has never seen the reasoning of the calls that others made: it is asked not to think.
    assert {"reasoning_content" in refusal for refusal in chat.refusals} == {True}
    assert signatures == 2
    assert gemini.real_signatures >= 2
    _check_claude(claude)
    _check_chat(scene)
    said = [turn.get("reasoning_content") for turn in chat.bodies[-1]["messages"]]
    assert [words for words in said if words] == [THOUGHT]  # its own came back
    assert gemini.sentinels > sentinels  # on the calls that others made


@STREAMED
@EVERY_CLIENT
async def test_one_model_calls_and_another_reads_the_result(api: str, stream: bool) -> None:
    """As where a fallback takes over in the middle of a loop."""
    scene = Scene()
    async with scene.proxy() as proxy:
        client = CLIENTS[api](proxy, stream=stream)
        calls = await client.ask(GEMINI, "How is the weather?")
        calls = await client.answer(calls, CLAUDE)
        assert [call.name for call in calls] == ["get_weather"]
        assert await client.answer(calls, DEEPSEEK) == []
        calls = await client.ask(DEEPSEEK, "And in Ulm?")
        assert [call.name for call in calls] == ["get_weather"]
        assert await client.answer(calls, GEMINI) == []

    assert scene.gemini.refusals == []
    assert scene.claude.refusals == []
    assert all("reasoning_content" in refusal for refusal in scene.chat.refusals)
    assert scene.gemini.sentinels == 2  # on the calls that others made, in the open turn or not
    _check_chat(scene)


def _check_claude(claude: StrictAnthropic) -> None:
    """Check that Claude got its own thinking back, byte for byte, and nobody else's."""
    assert claude.refusals == []
    asked, answered = claude.bodies
    assert "gemini:" not in json.dumps(claude.bodies)
    assert [block for block in _said(asked) if block["type"] == "thinking"] == []
    assert [block for block in _said(answered) if block["type"] == "thinking"] == [THINKING]
    assert _said(answered)[-2:] == [THINKING, CALL]
    calls = [block["name"] for block in _said(asked) if block["type"] == "tool_use"]
    assert calls == ["get_weather", "get_weather", "get_forecast"]


def _said(body: Json) -> list[Json]:
    """Return the blocks of the model's turns."""
    turns = (turn for turn in body["messages"] if turn["role"] == "assistant")
    return [block for turn in turns for block in turn["content"]]


def _check_chat(scene: Scene) -> None:
    """Check that the service got no seal of others."""
    for request in scene.chat_upstream.received:
        for foreign in ("gemini:", "thought_signature", SIGNATURE, *scene.gemini.issued):
            assert foreign not in request.body.decode()
