"""OpenClaw's requests, as captured and as written after them, pass: base URL without /v1."""

import json
from typing import Any

import pytest

from tests.conftest import KEY, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk
from tests.support.recordings import recordings
from tests.support.sdk_upstreams import FakeGemini
from tests.upstreams.gemini.google_types import assert_google_accepts

Json = dict[str, Any]

HEADERS = {
    "Connection": "keep-alive",
    "Accept": "application/json",
    "Content-Type": "application/json",
    "traceparent": "00-33fc84b07fa77b267e553690d1c94d50-e5f7177149cc9af0-01",
    "User-Agent": "OpenAI/JS 7.15.0",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "0",
    "x-stainless-runtime": "node",
    "Accept-Language": "*",
    "Sec-Fetch-Mode": "cors",
    "Accept-Encoding": "gzip, deflate",
}
EVENTS = [chat_chunk("Hi"), chat_chunk(None, "stop"), b"data: [DONE]\n\n"]


def written(model: str, *, tool_turn: bool) -> Json:
    """Return a request in OpenClaw's form: text and parts, two user turns in a row, odd schemas."""
    call = {"name": "exec", "arguments": '{"command":"echo hi"}'}
    call_id = "callabcdefghijklmnop12345678"  # stripped to letters and digits by the client
    history: list[Json] = [
        {"role": "assistant", "content": None, "tool_calls": [_call(call_id, call)]},
        {"role": "tool", "content": "hi", "tool_call_id": call_id},
    ]
    parameters: Json = {
        "type": "object",
        "required": ["command"],
        "properties": {
            "command": {"type": "string", "description": "What to run."},
            "env": {"type": "object", "patternProperties": {"^.*$": {"type": "string"}}},
            "pty": {"type": "boolean", "default": False},
            "host": {"type": "string", "enum": ["auto", "sandbox"]},
        },
    }
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a personal assistant.\n## Tooling\n- exec"},
            {"role": "user", "content": "[context] 1 + 1 = 2 \u2028 ü"},
            *(history if tool_turn else []),
            {"role": "user", "content": [{"type": "text", "text": "Say hi with the tool."}]},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [
            {
                "type": "function",
                "function": {"name": "exec", "description": "Run.", "parameters": parameters},
            }
        ],
        "tool_choice": "auto",
        "max_completion_tokens": 8192,
    }


def _call(call_id: str, function: Json) -> Json:
    return {"id": call_id, "type": "function", "function": function}


def captures() -> list[Any]:
    """Return every request as a parameter: those written by hand, and the captured ones."""
    own = [
        {"path": "/chat/completions", "headers": HEADERS, "body": written(model, tool_turn=turn)}
        for model, turn in (
            ("gpt-4.1-mini", False),
            ("gemini-3-flash", False),
            ("gemini-3-flash", True),
        )
    ]
    ids = ["own-first-turn-gpt", "own-first-turn-gemini", "own-tool-turn-gemini"]
    return [
        *(pytest.param(one, id=name) for one, name in zip(own, ids, strict=True)),
        *recordings("clients"),
    ]


async def sent(capture: Json, port: int, body: bytes) -> RawResponse:
    """Send a capture as it was, but for the key."""
    headers = {**capture["headers"], "Authorization": f"Bearer {KEY}"}
    return await fetch(port, capture["path"], body, headers)


def of(model: str) -> list[Any]:
    """Return the captures for models whose name begins so."""
    return [
        one
        for one in captures()
        if one.values[0] is None or one.values[0]["body"]["model"].startswith(model)
    ]


@pytest.mark.parametrize("capture", of("gpt-"))
async def test_request_for_openai_arrives_byte_for_byte(capture: Json) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        for event in EVENTS:
            await peer.chunk(event)
        await peer.last_chunk()

    body = json.dumps(capture["body"], ensure_ascii=False).encode()
    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        response = await sent(capture, proxy.port, body)

    (seen,) = upstream.received
    assert (seen.path, seen.body) == ("/v1/chat/completions", body)
    named = [name for name, _ in seen.headers if name.lower().startswith(("x-", "trace"))]
    assert named == ["x-jarvis-hop", "traceparent"], "of the client's, the trace only"
    assert response.body == b"".join(EVENTS)


@pytest.mark.parametrize("capture", of("gemini-"))
async def test_request_for_gemini_is_one_that_google_takes(capture: Json) -> None:
    body = json.dumps(capture["body"], ensure_ascii=False).encode()
    gemini = FakeGemini()
    async with (
        gemini.upstream.running(),
        running_proxy(gemini=gemini.upstream.base_url) as proxy,
    ):
        response = await sent(capture, proxy.port, body)

    (conversation,) = gemini.conversations
    assert_google_accepts(conversation)
    _assert_says_the_same(capture["body"], conversation)
    _assert_is_an_answer(response)


def _assert_says_the_same(asked: Json, conversation: Json) -> None:
    """Assert that every text, tool, call and limit of the request is in the conversation."""
    named = json.dumps(conversation, ensure_ascii=False)
    for message in asked["messages"]:
        content = message["content"]
        texts = [content] if isinstance(content, str) else [p["text"] for p in content or []]
        for text in texts:
            assert json.dumps(text, ensure_ascii=False)[1:-1] in named
    declared = [
        function["name"]
        for tool in conversation["tools"]
        for function in tool["functionDeclarations"]
    ]
    assert declared == [tool["function"]["name"] for tool in asked["tools"]]
    assert conversation["generationConfig"]["maxOutputTokens"] == 8192
    calls = [call for m in asked["messages"] for call in m.get("tool_calls", [])]
    parts = [part for content in conversation["contents"] for part in content["parts"]]
    assert [part["functionCall"]["args"] for part in parts if "functionCall" in part] == [
        json.loads(call["function"]["arguments"]) for call in calls
    ]
    assert len([part for part in parts if "functionResponse" in part]) == len(calls)


def _assert_is_an_answer(response: RawResponse) -> None:
    """Assert what OpenClaw needs: one finish, usage, [DONE], and nothing that it cannot read."""
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = response.body.decode().split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(block[6:]) for block in blocks[:-2] if not block.startswith(":")]
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    finishes = [c["finish_reason"] for c in choices if c["finish_reason"]]
    assert len(finishes) == 1
    assert [chunk["usage"] is not None for chunk in chunks].count(True) == 1
    assert {chunk["model"] for chunk in chunks} == {"gemini-3-flash"}
