"""What to send in a stream while its upstream is silent. Pure.

A comment keeps connections open, and every client accepts it. But some clients have a watchdog that
sees only events: it aborts a silent answer and sends (and pays for) the request again. These
clients get an empty chunk in a form that they are known to accept. Heartbeats are sent only while
the upstream is within its idle limit.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from jarvis_proxy.wire.sse import KEEPALIVE

HeartbeatFormat = Literal["comment", "empty_choices", "empty_delta", "in_progress"]

CHUNK_AFTER: Final = 4 / 3
"""Silence, in heartbeat intervals, after which a chunk replaces the comment."""


class _Head(msgspec.Struct):
    id: str = ""
    created: int = 0
    model: str = ""


class _Delta(msgspec.Struct):
    """An empty delta, with the usage in which OpenClaw's newer watchdog looks for progress."""

    index: int = 0
    delta: dict[str, str] = {}
    finish_reason: None = None
    usage: dict[str, int] = {}


class _Chunk(msgspec.Struct):
    id: str
    object: str
    created: int
    model: str
    choices: list[_Delta]


def heartbeat_format(
    headers: Mapping[str, str], *, endpoint: str, asks_usage: bool
) -> HeartbeatFormat:
    """Return the heartbeat format that a client accepts, judging by its request.

    OpenAI's JavaScript SDK (which OpenClaw uses) accepts an empty delta. A client that asked for a
    usage chunk must accept empty ``choices``. Other clients might raise on either. Responses
    streams have an event for this; Codex also counts only events.
    """
    is_js = headers.get("x-stainless-lang", "").lower() == "js"
    if endpoint == "responses":
        return "in_progress" if is_js or is_codex(headers) else "comment"
    if endpoint != "chat/completions":
        return "comment"
    if is_js:
        return "empty_delta"
    return "empty_choices" if asks_usage else "comment"


def is_codex(headers: Mapping[str, str]) -> bool:
    """Return whether the client is Codex in any of its variants."""
    originator, agent = headers.get("originator", ""), headers.get("user-agent", "")
    return originator.lower().startswith("codex") or agent.lower().startswith("codex")


def heartbeat_event(
    shape: HeartbeatFormat, sample: bytes, *, call_id: str, created: int, model: str
) -> bytes:
    """Return one heartbeat; ``response_events`` makes those of a response.

    *sample* is the first events of the answer, ``b""`` before its start: a heartbeat has the id,
    time and model of the chunks around it.
    """
    if shape in ("comment", "in_progress"):
        return KEEPALIVE
    head = _head(sample) or _Head(f"chatcmpl-{call_id}", created, model)
    choices = [] if shape == "empty_choices" else [_Delta()]
    chunk = _Chunk(head.id, "chat.completion.chunk", head.created, head.model, choices)
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _head(sample: bytes) -> _Head | None:
    line = sample.partition(b"data:")[2].partition(b"\n")[0]
    try:
        head = msgspec.json.decode(line, type=_Head)
    except (ValueError, RecursionError):
        # The model's name may be invalid UTF-8, for example.
        return None
    return head if head.id else None
