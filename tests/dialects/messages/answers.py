"""Messages answers in tests: events in, a stream or a body out, and a strict reader of streams."""

import itertools
import json
from collections.abc import Callable
from typing import Any

from jarvis_proxy.canonical.answer import AnswerContext, AnswerSink, CallStart, Finish
from jarvis_proxy.canonical.sealed_state import SealedState
from jarvis_proxy.dialects.messages.answer import MessagesAnswer
from jarvis_proxy.wire.chat_types import ChatUsage, CompletionTokensDetails, PromptTokensDetails

Json = dict[str, Any]
Event = Callable[[AnswerSink], object]

CALL_ID = "0123456789abcdefghijklmn"
USAGE = ChatUsage(
    100,
    20,
    120,
    PromptTokensDetails(cached_tokens=30, cache_write_tokens=10),
    CompletionTokensDetails(reasoning_tokens=5),
)
REPORTED_USAGE = {
    "input_tokens": 60,
    "cache_creation_input_tokens": 10,
    "cache_read_input_tokens": 30,
    "output_tokens": 20,
    "output_tokens_details": {"thinking_tokens": 5},
}


def context() -> AnswerContext:
    counter = itertools.count()
    return AnswerContext(
        call_id=CALL_ID, created=5, model="my-model", new_id=lambda: f"{next(counter):024}"
    )


def begin(usage: ChatUsage | None) -> Event:
    return lambda sink: sink.begin("upstream-id", usage)


def text(words: str) -> Event:
    return lambda sink: sink.text(words)


def thought(words: str) -> Event:
    return lambda sink: sink.thought(words)


def sealed(owner: str, payload: str) -> Event:
    return lambda sink: sink.seal(SealedState(owner, payload))


def call(*pieces: str, call_id: str = "call_1", name: str = "get_weather") -> Event:
    def send(sink: AnswerSink) -> None:
        sink.call_begin(CallStart(call_id, name))
        for piece in pieces:
            sink.call_piece(piece)
        sink.call_end()

    return send


def finish(reason: Any = "stop", **fields: Any) -> Event:
    return lambda sink: sink.finish(Finish(reason=reason, **fields))


def answer(*, streamed: bool, shows: bool = True, asked: bool = True) -> MessagesAnswer:
    return MessagesAnswer(context(), show_thoughts=shows, sealed=asked, streamed=streamed)


def stream(*events: Event, usage: ChatUsage | None = USAGE, **flags: bool) -> bytes:
    """Return the stream of *events*, which end with a finish."""
    made = answer(streamed=True, **flags)
    for event in events:
        event(made.choice(0))
    made.end(usage)
    return made.take()


def whole(*events: Event, usage: ChatUsage | None = USAGE, **flags: bool) -> Json:
    """Return the whole message that *events* make."""
    made = answer(streamed=False, **flags)
    for event in events:
        event(made.choice(0))
    made.end(usage)
    assert made.take() == b""
    found: Json = json.loads(made.body())
    return found


def both(*events: Event, **flags: Any) -> Json:
    """Return the whole message, which is also what a client puts together from the stream."""
    message = whole(*events, **flags)
    replayed = replay(stream(*events, **flags))
    replayed["usage"].pop("service_tier")
    assert replayed == {**message, "usage": without_tier(message["usage"])}
    return message


def without_tier(usage: Json) -> Json:
    return {name: count for name, count in usage.items() if name != "service_tier"}


def read(data: bytes) -> list[Json]:
    """Return the events of a stream; each has a name, which is its type, and one line of data."""
    assert data.endswith(b"\n\n")
    assert b"\r" not in data
    events = []
    for block in data[:-2].split(b"\n\n"):
        name, line = block.split(b"\n")
        event = json.loads(line.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        events.append(event)
    return events


def replay(data: bytes) -> Json:
    """Return the message that a client puts together, after rules S1 to S9 were checked."""
    first, *blocks, delta, last = read(data)
    assert (first["type"], delta["type"], last) == (
        "message_start",
        "message_delta",
        {"type": "message_stop"},
    )
    message: Json = first["message"]
    assert (message["content"], message["stop_reason"]) == ([], None)
    assert message["usage"].keys() >= {"input_tokens", "output_tokens"}
    while blocks:
        assert blocks[0]["type"] == "content_block_start"
        ended = [event["type"] for event in blocks].index("content_block_stop")
        assert {event["index"] for event in blocks[: ended + 1]} == {len(message["content"])}
        message["content"].append(_block(blocks[0]["content_block"], blocks[1:ended]))
        blocks = blocks[ended + 1 :]
    assert delta["delta"]["stop_reason"] is not None
    message |= delta["delta"]
    message["usage"] |= delta["usage"]
    return message


_FIELDS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("tool_use", "partial_json"),
    "signature_delta": ("thinking", "signature"),
}


def _block(block: Json, events: list[Json]) -> Json:
    """Return *block* with deltas of its own kind."""
    empty: Json = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}
    assert empty.get(block["type"], {}).items() <= block.items()
    pieces = {"text": "", "thinking": "", "partial_json": "", "signature": ""}
    for number, event in enumerate(events):
        assert event["type"] == "content_block_delta"
        delta = dict(event["delta"])
        kind, field = _FIELDS[delta.pop("type")]
        assert kind == block["type"]
        assert delta.keys() == {field}
        assert delta[field] != ""
        if field == "signature":
            assert number == len(events) - 1  # the one signature, and the last delta
        pieces[field] += delta[field]
    if block["type"] == "tool_use":
        assert block["input"] == {}
        return block | {"input": _input(pieces["partial_json"])}
    return {name: pieces.get(name) or value for name, value in block.items()}


def _input(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {"_raw_arguments": text}
