"""Upstreams for the tests with official SDKs: what OpenAI, Gemini and Claude say in a tool loop."""

import json
from typing import Any

from tests.support.anthropic_service import stream_of
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

Json = dict[str, Any]

SIGNATURE = "EskCCsYCAb4+9vvr4B0yDqnGmJ6Cc0Hl3g8hWmKIAP2ZBTu0gU3H0lQx9nJPLJPL3vN/x+Zqzwk1aA=="
BROKEN = "breaks-in-the-middle"
REFUSED = "is-refused"


def _frame(parts: list[Json], candidates: int, finish: str | None = None) -> bytes:
    """Return one frame with the spaces and the CRLF that Google's have."""
    candidate: Json = {"content": {"parts": parts, "role": "model"}}
    if finish:
        candidate["finishReason"] = finish
    candidate["index"] = 0
    frame = {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": 71,
            "candidatesTokenCount": candidates,
            "totalTokenCount": 71 + candidates + 93,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 71}],
            "thoughtsTokenCount": 93,
        },
        "modelVersion": "gemini-3.5-flash",
        "responseId": "aiS5abqwJJf7nsEPuIy3wQQ",
    }
    text = json.dumps(frame, separators=(",", ": "), ensure_ascii=False)
    return b"data: " + text.encode() + b"\r\n\r\n"


def _call(city: str, native_id: str) -> Json:
    return {"functionCall": {"name": "get_weather", "args": {"city": city}, "id": native_id}}


GEMINI_CALLS = [
    _frame([_call("Boston", "dv8szvqe") | {"thoughtSignature": SIGNATURE}], 16),
    _frame([_call("New Delhi", "j80tal12")], 33),
    _frame([{"text": ""}], 33, "STOP"),
]
"""Two calls at once in a stream, written after section 4.3 of the notes on recorded traffic."""
GEMINI_TEXT = [
    _frame([{"text": "Boston: 21 °C, "}], 5),
    _frame([{"text": "New Delhi: 31 °C\u2028both sunny."}], 12),
    _frame([{"text": "", "thoughtSignature": SIGNATURE}], 12, "STOP"),
]
TEXT = "Boston: 21 °C, New Delhi: 31 °C\u2028both sunny."


class FakeGemini:
    """Asks for two tools, then answers in text; keeps the conversations it was sent."""

    def __init__(self) -> None:
        self.upstream = RawUpstream(self.play, base_path="/v1beta")

    @property
    def conversations(self) -> list[Json]:
        """The bodies of the calls, in order."""
        return [json.loads(r.body) for r in self.upstream.received if r.method == "POST"]

    async def play(self, peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"models":[]}')
            return
        if REFUSED in request.body.decode():
            error = {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}
            await peer.reply(json.dumps({"error": error}).encode(), 429)
            return
        body = json.loads(request.body)
        answered = any("functionResponse" in p for c in body["contents"] for p in c["parts"])
        frames = GEMINI_CALLS if "tools" in body and not answered else GEMINI_TEXT
        if BROKEN in request.body.decode():
            frames = frames[:1]
        if ":streamGenerateContent" not in request.path:
            await peer.reply(_whole(frames))
            return
        await peer.head()
        for frame in frames:
            # Cut where the network likes to cut: in a character, between CR and LF.
            await peer.chunk(frame[:-1])
            await peer.chunk(frame[-1:])
        await peer.last_chunk()


def _whole(frames: list[bytes]) -> bytes:
    """Return the one answer that a stream of *frames* would have been."""
    decoded = [json.loads(frame[6:]) for frame in frames]
    whole: Json = decoded[-1]
    parts = [part for one in decoded for part in one["candidates"][0]["content"]["parts"]]
    whole["candidates"][0]["content"]["parts"] = parts
    return json.dumps(whole).encode()


class FakeOpenAI:
    """Asks for a tool, then answers in text, as OpenAI does."""

    def __init__(self) -> None:
        self.upstream = RawUpstream(self.play)

    @property
    def conversations(self) -> list[Json]:
        """The bodies of the calls, in order."""
        return [json.loads(r.body) for r in self.upstream.received if r.method == "POST"]

    async def play(self, peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[]}')
            return
        if REFUSED in request.body.decode():
            error = {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}
            await peer.reply(json.dumps({"error": error}).encode(), 429)
            return
        body = json.loads(request.body)
        if BROKEN in request.body.decode():
            await peer.head()
            await peer.chunk(chat_chunk("Hel") + b'data: {"id":"chatcmpl-1","object":')
            peer.close()
            return
        wants_tool = "tools" in body and not any(m["role"] == "tool" for m in body["messages"])
        if body.get("stream"):
            await peer.head()
            for event in _tool_events() if wants_tool else _text_events():
                await peer.chunk(event)
            await peer.last_chunk()
        else:
            await peer.reply(_tool_answer() if wants_tool else completion(TEXT))


_WEATHER: Json = {"name": "get_weather", "arguments": '{"city":"Boston"}'}


def _tool_answer() -> bytes:
    answer: Json = json.loads(completion())
    call = {"id": "call_1", "type": "function", "function": _WEATHER}
    answer["choices"][0] |= {
        "finish_reason": "tool_calls",
        "message": {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
    }
    return json.dumps(answer).encode()


def _tool_events() -> list[bytes]:
    first = {"index": 0, "id": "call_1", "type": "function"}
    deltas: list[Json] = [
        {"role": "assistant", "content": None},
        {"tool_calls": [first | {"function": {"name": "get_weather", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Boston"}'}}]},
    ]
    return [*map(_chunk, deltas), chat_chunk(None, "tool_calls"), b"data: [DONE]\n\n"]


def _text_events() -> list[bytes]:
    return [
        _chunk({"role": "assistant", "content": ""}),
        *(chat_chunk(TEXT[at : at + 9]) for at in range(0, len(TEXT), 9)),
        chat_chunk(None, "stop"),
        b"data: [DONE]\n\n",
    ]


def _chunk(delta: Json) -> bytes:
    event: Json = json.loads(chat_chunk("")[6:])
    event["choices"][0]["delta"] = delta
    return b"data: " + json.dumps(event).encode() + b"\n\n"


class FakeAnthropic:
    """Asks for a tool, then answers in text, as Claude does."""

    def __init__(self) -> None:
        self.upstream = RawUpstream(self.play, base_path="")

    @property
    def conversations(self) -> list[Json]:
        """The bodies of the calls, in order."""
        return [json.loads(r.body) for r in self.upstream.received if r.method == "POST"]

    async def play(self, peer: Peer, request: Received) -> None:
        if REFUSED in request.body.decode():
            error = {"type": "rate_limit_error", "message": "Slow down."}
            await peer.reply(json.dumps({"type": "error", "error": error}).encode(), 429)
            return
        body = json.loads(request.body)
        message = _message(wants_tool="tools" in body and "tool_result" not in str(body))
        if not body.get("stream"):
            await peer.reply(json.dumps(message).encode())
            return
        await peer.head()
        for event in stream_of(message):
            if BROKEN in str(body) and event["type"] == "content_block_stop":
                peer.close()
                return
            await peer.chunk(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        await peer.last_chunk()


def _message(*, wants_tool: bool) -> Json:
    block: Json = {"type": "text", "text": TEXT}
    if wants_tool:
        asked = {"city": "Boston"}
        block = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": asked}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5",
        "content": [block],
        "stop_reason": "tool_use" if wants_tool else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 20, "output_tokens": 9},
    }
