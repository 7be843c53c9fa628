"""One good answer in each form that upstreams give it, event by event. No IO.

A script says "two events, then a reset"; which bytes these are depends on the surface.
"""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from tests.support import messages_service
from tests.support.raw_upstream import completion

Surface = Literal[
    "chat",
    "whole",
    "responses",
    "gemini",
    "messages",
    "messages-on-chat",
    "messages-on-gemini",
    "google",
    "google-on-chat",
    "google-on-claude",
]
"""What the client reads, and what the upstream writes where that is another API.

Chat stream, chat answer in one piece, Responses stream, chat stream translated from Gemini;
Messages stream, relayed and translated; Google's stream, relayed and translated. The last word
names the kind of upstream.
"""
Upstream = Literal["openai", "google", "anthropic"]

DONE: Final = b"data: [DONE]\n\n"
FIRST, SECOND = "Hé", "llo €🦀"
TEXT: Final = FIRST + SECOND


@dataclass(frozen=True)
class Dialect:
    """A good answer of one surface: two events with text, the last event, the end mark."""

    surface: Surface
    path: str
    events: tuple[bytes, bytes, bytes]
    end: bytes = b""

    @property
    def upstream(self) -> Upstream:
        """In whose form the upstream answers."""
        if self.surface in ("gemini", "google", "messages-on-gemini"):
            return "google"
        return "anthropic" if self.surface in ("messages", "google-on-claude") else "openai"

    @property
    def stream(self) -> bytes:
        """The whole good stream."""
        return b"".join(self.events) + self.end

    def request(self, model: str) -> dict[str, Any]:
        """Return the client's request; for Google's API, the arguments of its SDKs' methods."""
        if self.surface == "responses":
            return {"model": model, "input": "Hi", "stream": True}
        if self.surface.startswith("google"):
            return {"model": model, "contents": "Hi"}
        messages = [{"role": "user", "content": "Hi"}]
        body: dict[str, Any] = {"model": model, "messages": messages}
        if self.surface.startswith("messages"):
            body["max_tokens"] = 100
        return body if self.surface == "whole" else {**body, "stream": True}


def event(body: object, name: str = "") -> bytes:
    """Return one SSE event, named or not."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def chat_event(content: str | None, finish: str | None = None) -> bytes:
    """Return one chunk of a chat stream."""
    delta = {} if content is None else {"role": "assistant", "content": content}
    return event(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": "gpt-4o-mini",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        }
    )


def responses_event(kind: str, number: int, **fields: object) -> bytes:
    """Return one named event of a Responses stream."""
    return event({"type": kind, "sequence_number": number, **fields}, kind)


def response_object(status: str, text: str = "") -> dict[str, Any]:
    """Return the object that a Responses stream begins and ends with."""
    part = {"type": "output_text", "text": text, "annotations": []}
    message = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "model": "gpt-4o-mini",
        "status": status,
        "error": None,
        "output": [message] if text else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def text_delta(text: str, number: int) -> bytes:
    """Return the Responses event that carries a piece of text."""
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    return responses_event("response.output_text.delta", number, delta=text, **place)


def gemini_event(text: str | None, finish: str | None = None) -> bytes:
    """Return one frame of Gemini's, with the line ends that Google uses."""
    parts = [] if text is None else [{"text": text}]
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    frame = {
        "candidates": [candidate],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
        "modelVersion": "gemini-3-flash-preview",
        "responseId": "resp-1",
    }
    return event(frame).replace(b"\n\n", b"\r\n\r\n")


def block_delta(text: str) -> bytes:
    """Return the event of Anthropic's that carries a piece of text."""
    delta = {"type": "text_delta", "text": text}
    return messages_service.event("content_block_delta", index=0, delta=delta)


_EMPTY: Final = {"type": "text", "text": ""}
CHAT: Final = Dialect(
    "chat",
    "/v1/chat/completions",
    (chat_event(FIRST), chat_event(SECOND), chat_event(None, "stop")),
    DONE,
)
WHOLE: Final = Dialect("whole", "/v1/chat/completions", (b"", completion(TEXT), b""))
RESPONSES: Final = Dialect(
    "responses",
    "/v1/responses",
    (
        responses_event("response.created", 0, response=response_object("in_progress"))
        + text_delta(FIRST, 1),
        text_delta(SECOND, 2),
        responses_event("response.completed", 3, response=response_object("completed", TEXT)),
    ),
)
GEMINI: Final = Dialect(
    "gemini",
    "/v1/chat/completions",
    (gemini_event(FIRST), gemini_event(SECOND), gemini_event(None, "STOP")),
)
MESSAGES: Final = Dialect(
    "messages",
    "/v1/messages",
    (
        messages_service.START
        + messages_service.event("content_block_start", index=0, content_block=_EMPTY)
        + block_delta(FIRST),
        block_delta(SECOND),
        messages_service.event("content_block_stop", index=0)
        + messages_service.ENDING
        + messages_service.STOP,
    ),
)
_STREAM_PATH: Final = "/v1beta/models/%s:streamGenerateContent?alt=sse"
DIALECTS: Final[dict[Surface, Dialect]] = {
    dialect.surface: dialect
    for dialect in (
        CHAT,
        WHOLE,
        RESPONSES,
        GEMINI,
        MESSAGES,
        Dialect("messages-on-chat", MESSAGES.path, CHAT.events, CHAT.end),
        Dialect("messages-on-gemini", MESSAGES.path, GEMINI.events),
        Dialect("google", _STREAM_PATH, GEMINI.events),
        Dialect("google-on-chat", _STREAM_PATH, CHAT.events, CHAT.end),
        Dialect("google-on-claude", _STREAM_PATH, MESSAGES.events),
    )
}
