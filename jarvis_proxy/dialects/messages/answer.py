"""Writes the canonical answer as a message of the Messages API: as events, or as one body. Pure.

Source: https://docs.claude.com/en/api/messages-streaming (read 2026-11), recorded streams, and how
the official SDKs assemble a message.
"""

from typing import Final

import msgspec
from msgspec import Raw

from jarvis_proxy.canonical.answer import AnswerContext, AnswerSink, DiscardingSink, Finish
from jarvis_proxy.dialects.messages.sink import BlockSink, JsonObject
from jarvis_proxy.wire.chat_types import ChatUsage
from jarvis_proxy.wire.messages_types import STOP

_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_DELTAS: Final = {
    "text": b'"type":"text_delta","text":',
    "thinking": b'"type":"thinking_delta","thinking":',
    "tool_use": b'"type":"input_json_delta","partial_json":',
}
_UNKNOWN: Final = {"stop_reason": None, "stop_sequence": None}
_TIER: Final = {"service_tier": "standard"}
_TAIL: Final = b"}}\n\n"
_INPUT: Final = msgspec.json.Decoder(dict[str, Raw])
_PIECE_BYTES: Final = 64
_encode: Final = msgspec.json.Encoder().encode


class _EventSink(BlockSink):
    """Writes blocks as events to *out*.

    The message starts only with its first block: until then, the proxy can still repeat the request
    elsewhere.
    """

    __slots__ = ("_context", "_head", "_index", "_out")

    def __init__(
        self, context: AnswerContext, out: list[bytes], *, shows: bool, sealed: bool
    ) -> None:
        super().__init__(shows=shows, sealed=sealed)
        self._context = context
        self._out = out
        self._index = 0
        # Only the text differs between the deltas of a block, so the rest is encoded once.
        self._head = b""

    def start(self) -> None:
        """Start the message, unless it has started."""
        if not self.emitted:
            self.emitted = True
            message = _message(self._context, [], _UNKNOWN, _prompt_usage(self.prompt))
            self._event("message_start", message=message)

    def _start(self, block: JsonObject) -> None:
        self.start()
        self._event("content_block_start", index=self._index, content_block=block)
        if (delta := _DELTAS.get(block["type"])) is not None:
            self._head = (
                b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
                b'"delta":{%b' % (self._index, delta)
            )

    def _piece(self, text: str) -> None:
        self._out.append(self._head + _encode(text) + _TAIL)

    def _signature(self, signature: str) -> None:
        delta = {"type": "signature_delta", "signature": signature}
        self._event("content_block_delta", index=self._index, delta=delta)

    def _stop(self) -> None:
        self._event("content_block_stop", index=self._index)
        self._index += 1

    def _event(self, kind: str, **fields: object) -> None:
        data = _encode({"type": kind, **fields})
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))

    def end(self, ending: JsonObject, usage: JsonObject) -> None:
        """End the message."""
        self.start()
        self._event("message_delta", delta=ending, usage=usage)
        self._out.append(STOP)


class _BodySink(BlockSink):
    """Collects blocks in *content*; *kept* is about how many bytes they take."""

    __slots__ = ("_pieces", "content", "kept")

    def __init__(self, *, shows: bool, sealed: bool) -> None:
        super().__init__(shows=shows, sealed=sealed)
        self.content: list[JsonObject] = []
        self.kept = 0
        self._pieces: list[str] = []

    def _start(self, block: JsonObject) -> None:
        self.content.append(dict(block))
        self.kept += _PIECE_BYTES

    def _piece(self, text: str) -> None:
        self._pieces.append(text)
        self.kept += len(text) + _PIECE_BYTES

    def _signature(self, signature: str) -> None:
        self.content[-1]["signature"] = signature
        self.kept += len(signature)

    def _stop(self) -> None:
        block, text = self.content[-1], "".join(self._pieces)
        self._pieces.clear()
        if block["type"] == "tool_use":
            block["input"] = _input(text)
        elif block["type"] in _DELTAS:
            block[block["type"]] = text


class MessagesAnswer:
    """One answer in the Messages API; implements ``Answer``.

    *show_thoughts* and *sealed* are those of the canonical request. If *streamed*, ``take`` returns
    events; otherwise ``body`` returns the whole message. The first choice that begins is the
    answer.
    """

    __slots__ = ("_body", "_choices", "_context", "_events", "_out", "_usage")

    def __init__(
        self, context: AnswerContext, *, show_thoughts: bool, sealed: bool, streamed: bool
    ) -> None:
        self._context = context
        self._out: list[bytes] = []
        self._body = _BodySink(shows=show_thoughts, sealed=sealed)
        self._events = (
            _EventSink(context, self._out, shows=show_thoughts, sealed=sealed) if streamed else None
        )
        self._choices: dict[int, AnswerSink] = {}
        self._usage: JsonObject = {}

    @property
    def kept(self) -> int:
        """About how many bytes the answer keeps until its end."""
        return self._body.kept

    def choice(self, index: int, /) -> AnswerSink:
        """Return the sink of the answer, or a discarding one for any further choice."""
        sink = self._choices.get(index)
        if sink is None:
            sink = DiscardingSink() if self._choices else self._events or self._body
            self._choices[index] = sink
        return sink

    def end(self, usage: ChatUsage | None, service_tier: str | None = None, /) -> None:
        """End the message. Tiers have other names here, and clients expect ``standard``."""
        sink = self._events or self._body
        self._usage = _usage(usage or sink.prompt, sink.searches)
        if self._events is not None:
            self._events.end(_ending(sink.finished), self._usage)

    def take(self) -> bytes:
        """Return the events written since the last call."""
        events = b"".join(self._out)
        self._out.clear()
        return events

    def body(self) -> bytes:
        """Return the whole message."""
        ending, usage = _ending(self._body.finished), {**self._usage, **_TIER}
        return _encode(_message(self._context, self._body.content, ending, usage))


def warmed_cache(context: AnswerContext, *, streamed: bool) -> bytes:
    """Return an empty answer to ``max_tokens: 0``, which only fills Anthropic's cache."""
    ending = {**_UNKNOWN, "stop_reason": "max_tokens"}
    if not streamed:
        return _encode(_message(context, [], ending, _prompt_usage(None)))
    out: list[bytes] = []
    _EventSink(context, out, shows=False, sealed=False).end(ending, _counts(ChatUsage()))
    return b"".join(out)


def _message(
    context: AnswerContext, content: list[JsonObject], ending: JsonObject, usage: JsonObject
) -> JsonObject:
    head = {"id": f"msg_{context.call_id}", "type": "message", "role": "assistant"}
    return {**head, "model": context.model, "content": content, **ending, "usage": usage}


def _ending(finish: Finish) -> JsonObject:
    if finish.reason == "stop" and finish.matched_stop is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": finish.matched_stop}
    ending: JsonObject = {**_UNKNOWN, "stop_reason": _REASONS[finish.reason]}
    if finish.reason == "content_filter":
        why = {"type": "refusal", "category": None, "explanation": finish.message}
        ending["stop_details"] = why
    return ending


def _counts(usage: ChatUsage) -> JsonObject:
    """Return chat's token counts as Anthropic's, whose input excludes cached and written tokens."""
    details = usage.prompt_tokens_details
    cached, written = details.cached_tokens, details.cache_write_tokens
    return {
        "input_tokens": max(0, usage.prompt_tokens - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.completion_tokens,
    }


def _prompt_usage(usage: ChatUsage | None) -> JsonObject:
    return {**_counts(usage or ChatUsage()), **_TIER}


def _usage(usage: ChatUsage | None, searches: int) -> JsonObject:
    usage = usage or ChatUsage()
    reasoning = usage.completion_tokens_details.reasoning_tokens
    counts = {**_counts(usage), "output_tokens_details": {"thinking_tokens": reasoning}}
    if not searches:
        return counts
    # Both fields are always present.
    used = {"web_search_requests": searches, "web_fetch_requests": 0}
    return {**counts, "server_tool_use": used}


def _input(arguments: str) -> JsonObject | Raw:
    """Return a call's arguments as an object; they are empty or begin with a brace."""
    if not arguments:
        return {}
    try:
        _INPUT.decode(arguments)
    except (ValueError, RecursionError):
        return {"_raw_arguments": arguments}
    return Raw(arguments.encode())
