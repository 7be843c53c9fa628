"""What to say in a stream while its upstream is silent. Pure.

A comment keeps connections open, and every client accepts it. But some clients have a watchdog
that sees events only: they abort a silent answer, and send (and pay for) the request again. They
get an empty chunk in a form that they are known to accept. A heartbeat is only sent while the
upstream is within its idle limit.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from jarvis_proxy.wire.sse import KEEPALIVE

HeartbeatFormat = Literal["comment", "empty_choices", "empty_delta", "in_progress"]

CHUNK_AFTER: Final = 4 / 3
"""Silence, in heartbeat intervals, after which a chunk takes the place of the comment."""


class _Head(msgspec.Struct):
    id: str = ""
    created: int = 0
    model: str = ""


class _Delta(msgspec.Struct):
    """An empty delta, and usage where a newer watchdog of OpenClaw looks for progress."""

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
    """Return the heartbeat format that a client accepts, judged by its request.

    OpenAI's SDK for JavaScript (OpenClaw is built on it) accepts an empty delta; a client that
    asked for a usage chunk must accept empty ``choices``. Others might raise on either. Responses
    streams have an event for this; Codex, too, counts events only.
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
    """Return whether the client is Codex, in any of its forms."""
    named = (headers.get("originator", ""), headers.get("user-agent", ""))
    return any(name.lower().startswith("codex") for name in named)


def heartbeat_event(
    shape: HeartbeatFormat, sample: bytes, *, call_id: str, created: int, model: str
) -> bytes:
    """Return one heartbeat; a response's event is not made here (``response_events``).

    *sample* is the first events of the answer, ``b""`` before it began: a beat carries the id,
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
    except (ValueError, RecursionError):  # such as a name that is no UTF-8
        return None
    return head if head.id else None
