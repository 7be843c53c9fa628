"""One conversation that changes models, over real sockets: what belongs to whom goes nowhere else.

Gemini, then Claude, then a chat service that demands its reasoning, then Gemini again; the client
speaks the Messages API, and each upstream refuses what the real one refuses.
"""

import json
from typing import Any

import pytest

from tests.conftest import Proxy, running_proxy
from tests.support.messages_service import (
    CLIENT,
    ENDING,
    SERVICE_KEY,
    START,
    STOP,
    event,
    message,
)
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.strict_anthropic import RefusedError, check
from tests.support.strict_chat import THOUGHT, StrictChat
from tests.support.strict_gemini import StrictGemini

pytestmark = pytest.mark.slow

Json = dict[str, Any]
GEMINI, CLAUDE, DEEPSEEK = "gemini-3-flash", "claude-sonnet-5", "deepseek-chat"
SIGNATURE = "EqQBCkYIBRgCKkB/signed+by/anthropic=="
THINKING: Json = {"type": "thinking", "thinking": "", "signature": SIGNATURE}
CALL: Json = {"type": "tool_use", "id": "toolu_B", "name": "get_weather", "input": {"city": "Bonn"}}
_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [
    {"name": "get_weather", "input_schema": _PARAMETERS},
    {"name": "get_forecast", "input_schema": {"type": "object", "properties": {}}},
]


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
            told = {"type": "invalid_request_error", "message": str(refusal)}
            await peer.reply(json.dumps({"type": "error", "error": told}).encode(), 400)
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


class Conversation:
    """A Messages client that sends back all that it got."""

    def __init__(self, proxy: Proxy, *, stream: bool) -> None:
        self._proxy = proxy
        self._stream = stream
        self.messages: list[Json] = []

    async def ask(self, model: str, content: Any) -> list[Json]:
        """Return the calls in the answer to *content*."""
        self.messages.append({"role": "user", "content": content})
        body: Json = {
            "model": model,
            "max_tokens": 4000,
            "stream": self._stream,
            "thinking": {"type": "adaptive", "display": "omitted"},
            "tools": TOOLS,
            "messages": self.messages,
        }
        response = await fetch(self._proxy.port, "/v1/messages?beta=true", body, CLIENT)
        assert response.status == 200, response.body
        blocks = _read(response.body) if self._stream else json.loads(response.body)["content"]
        self.messages.append({"role": "assistant", "content": blocks})
        return [block for block in blocks if block["type"] == "tool_use"]

    async def finish(self, model: str, question: str) -> list[Json]:
        """Ask, and answer calls until there are none; return all of them."""
        made: list[Json] = []
        calls = await self.ask(model, question)
        while calls:
            made += calls
            results = [
                {"type": "tool_result", "tool_use_id": call["id"], "content": "21 °C"}
                for call in calls
            ]
            calls = await self.ask(model, results)
        return made


def _read(stream: bytes) -> list[Json]:
    """Return the blocks of a stream."""
    blocks: list[Json] = []
    for line in stream.decode().splitlines():
        if not line.startswith("data: "):
            continue
        told = json.loads(line[6:])
        if told["type"] == "content_block_start":
            blocks.append(dict(told["content_block"]))
        elif told["type"] == "content_block_delta":
            delta = dict(told["delta"])
            delta.pop("type")
            ((name, piece),) = delta.items()
            name = "json" if name == "partial_json" else name
            blocks[-1][name] = blocks[-1].get(name, "") + piece
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block.pop("json", "{}"))
    return blocks


@pytest.mark.parametrize("stream", [False, True])
async def test_conversation_that_changes_models(stream: bool) -> None:
    gemini, claude = StrictGemini(), StrictAnthropic()
    chat = StrictChat([[("get_weather", {"city": "Ulm"})]])
    async with (
        gemini.running().running() as google,
        RawUpstream(claude.play, base_path="").running() as anthropic,
        chat.running().running() as deepseek,
        running_proxy(
            gemini=google.base_url,
            ANTHROPIC_BASE_URL=anthropic.base_url,
            ANTHROPIC_API_KEY=SERVICE_KEY,
            UPSTREAMS="deepseek",
            DEEPSEEK_BASE_URL=deepseek.base_url,
            DEEPSEEK_API_KEY="sk-chat-canary-0123456789",
            DEEPSEEK_MODELS="deepseek-*",
        ) as proxy,
    ):
        client = Conversation(proxy, stream=stream)
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
    _check_chat(chat)
    assert gemini.sentinels > sentinels  # on the calls that others made


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


def _check_chat(chat: StrictChat) -> None:
    """Check that the service got its own reasoning back, and no seal of others."""
    for body in chat.bodies:
        text = json.dumps(body)
        assert "gemini:" not in text
        assert SIGNATURE not in text
    said = [turn.get("reasoning_content") for turn in chat.bodies[-1]["messages"]]
    assert [words for words in said if words] == [THOUGHT]
