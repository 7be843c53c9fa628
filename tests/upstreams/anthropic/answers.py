"""Builders for answers of the Messages API, and a way to read them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.canonical.tools import CalledTool
from jarvis_proxy.upstreams.anthropic.blocks import BlockContext
from jarvis_proxy.upstreams.anthropic.reader import MessagesReader
from tests.support.recorded_answer import RecordedAnswer, RecordedChoice, ids_in_order

Json = dict[str, Any]

MODEL = "claude-opus-4-8"


def sse(*events: Json) -> bytes:
    """Return a stream as Anthropic pads it: blanks stand behind the last brace."""
    frames = [
        f"event: {event['type']}\ndata: {json.dumps(event)[:-1]}  }}\n\n".encode()
        for event in events
    ]
    return b"".join(frames)


def start(usage: Json | None = None, **fields: object) -> Json:
    """Return message_start."""
    message: Json = {"id": "msg_01", "type": "message", "role": "assistant", "model": MODEL}
    message |= {"content": [], "stop_reason": None, "stop_sequence": None}
    message["usage"] = {"input_tokens": 10, "output_tokens": 1} if usage is None else usage
    return {"type": "message_start", "message": message | fields}


def block(index: int, start_block: Json, *deltas: Json) -> list[Json]:
    """Return the events of one content block."""
    return [
        {"type": "content_block_start", "index": index, "content_block": start_block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(index: int, *pieces: str) -> list[Json]:
    """Return a text block."""
    deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
    return block(index, {"type": "text", "text": ""}, *deltas)


def thinking(index: int, said: str, signature: str = "") -> list[Json]:
    """Return a thinking block, signed if there is a signature."""
    deltas: list[Json] = [{"type": "thinking_delta", "thinking": said}] if said else []
    if signature:
        deltas.append({"type": "signature_delta", "signature": signature})
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *deltas)


def tool(index: int, name: str, *pieces: str, call_id: str = "toolu_1") -> list[Json]:
    """Return a tool_use block."""
    head = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    return block(index, head, *({"type": "input_json_delta", "partial_json": p} for p in pieces))


def end(reason: str | None = "end_turn", usage: Json | None = None, **fields: object) -> list[Json]:
    """Return message_delta and message_stop."""
    delta: Json = {"stop_reason": reason, "stop_sequence": None} | fields
    counts = {"output_tokens": 5} if usage is None else usage
    return [
        {"type": "message_delta", "delta": delta, "usage": counts},
        {"type": "message_stop"},
    ]


def new_reader(
    tools: dict[str, CalledTool] | None = None, *, keeps_content: bool = False
) -> tuple[MessagesReader, RecordedAnswer]:
    """Return a reader and the answer that it reads into."""
    answer = RecordedAnswer()
    known = tools or {}
    context = BlockContext(
        tool=lambda name: known.get(name, CalledTool(name)),
        new_id=ids_in_order(),
        keeps_content=keeps_content,
    )
    reader = MessagesReader(answer, context, model=MODEL, continue_with=_as_request)
    return reader, answer


def _as_request(blocks: Sequence[Mapping[str, object]]) -> UpstreamRequest:
    """Return a request whose body is what is sent back."""
    return UpstreamRequest("POST", "/", {}, json.dumps(blocks).encode())


def sent_back(reader: MessagesReader) -> Any:
    """Return what the reader wants sent back, None if it wants nothing."""
    request = reader.next_request
    return None if request is None else json.loads(request.body)


def read_stream(
    data: bytes, step: int | None = None, **options: Any
) -> tuple[MessagesReader, RecordedChoice]:
    """Read a stream, *step* bytes at a time."""
    reader, answer = new_reader(**options)
    size = step or max(1, len(data))
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
    reader.feed_eof()
    return reader, answer.choice(0)


def read_events(*events: Json, **options: Any) -> tuple[MessagesReader, RecordedChoice]:
    """Read a stream of these events."""
    return read_stream(sse(*events), **options)


def read_message(
    *content: Json, reason: str = "end_turn", usage: Json | None = None, **fields: object
) -> tuple[MessagesReader, RecordedChoice]:
    """Read a whole answer with these blocks."""
    body = start(usage)["message"] | {"content": list(content), "stop_reason": reason} | fields
    reader, answer = new_reader()
    reader.read_whole(json.dumps(body).encode())
    return reader, answer.choice(0)


def kinds(choice: RecordedChoice) -> list[str]:
    """Return the names of the events."""
    return [name for name, _ in choice.events]
