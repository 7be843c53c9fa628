"""Reads answers of the Messages API, whole or as a stream that is split anywhere. Pure.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming and
/build-with-claude/handling-stop-reasons (read 2026-11), and recorded answers.
"""

from collections.abc import Callable
from functools import reduce
from typing import Final

import msgspec

from jarvis_proxy.canonical.answer import Answer, Finish
from jarvis_proxy.canonical.exchange import UpstreamRequest, truncated
from jarvis_proxy.canonical.usage import add_usage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.answer_kinds import first_bytes
from jarvis_proxy.upstreams.anthropic.blocks import (
    BlockContext,
    BlockReader,
    ChoiceState,
    new_block,
)
from jarvis_proxy.upstreams.anthropic.errors import (
    bad_frame,
    bad_response,
    error_in_stream,
    fault_in,
    read_fault,
)
from jarvis_proxy.upstreams.anthropic.usage import UsageCounter
from jarvis_proxy.upstreams.json_values import Fields, fields_of, is_swarm, items_of, loads
from jarvis_proxy.upstreams.streamed_body import StreamedBody
from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.chat_types import ChatUsage, FinishReason
from jarvis_proxy.wire.sse import SSEEvent

MAX_CONTINUATIONS: Final = 8
"""Most continuations of a paused answer; each request sends the whole answer again."""

_REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_BLANK: Final = b" \t\r\n"
_FIELDS: Final = msgspec.json.Decoder(dict[str, object])
_MAX_BLOCKS: Final = 10_000


class MessagesReader:
    """Reads into *answer*; implements ``AnswerReader``.

    *model* is the client's name of the model, for errors. *continue_with* returns the request that
    continues a paused answer, from all of its blocks so far. It is used only if *context* keeps
    these.
    """

    __slots__ = (
        "_answer",
        "_blocks",
        "_body",
        "_context",
        "_continuations",
        "_continue_with",
        "_counter",
        "_ended",
        "_ended_bytes",
        "_model",
        "_native",
        "_past_usage",
        "_searches",
        "_seen",
        "_sent_back",
        "_state",
        "_stop",
        "_waiting",
        "_waiting_bytes",
        "done",
        "next_request",
    )

    def __init__(
        self,
        answer: Answer,
        context: BlockContext,
        *,
        model: str,
        continue_with: Callable[[list[Fields]], UpstreamRequest],
    ) -> None:
        self._continue_with = continue_with
        self._answer = answer
        self._context = context
        self._model = model
        self._continuations = 0
        self._past_usage: ChatUsage | None = None
        self._searches = 0
        self._sent_back: list[Fields] = []
        """The blocks of all paused bodies."""
        self._ended_bytes = 0
        self._state: ChoiceState | None = None
        self.done = False
        self.next_request: UpstreamRequest | None = None
        self._restart()

    def _restart(self) -> None:
        """Prepare for reading the body of another request."""
        self._body = StreamedBody(bad_response)
        self._counter = UsageCounter()
        self._seen: set[int] = set()
        # Only the block that is being passed on, so at most one.
        self._blocks: dict[int, BlockReader] = {}
        self._ended: list[BlockReader] = []
        self._waiting: dict[int, list[Fields | None]] = {}
        self._waiting_bytes = 0
        self._native: str | None = None
        self._stop: Fields = {}

    @property
    def usage(self) -> ChatUsage | None:
        """The token counts that the upstream has reported so far, over all continuations."""
        found = [usage for usage in (self._past_usage, self._counter.usage) if usage is not None]
        return reduce(add_usage, found) if found else None

    @property
    def service_tier(self) -> str | None:
        """OpenAI's name of the service tier, once it is known."""
        return self._counter.service_tier

    @property
    def is_settled(self) -> bool:
        """Whether the message is complete, though its end event has not arrived."""
        return self._native is not None and self._state is not None and not self._may_continue()

    @property
    def held(self) -> int:
        """About how many bytes the reader holds back."""
        blocks = sum(block.kept for block in self._blocks.values()) + self._ended_bytes
        return self._body.held + self._waiting_bytes + blocks

    def feed(self, data: bytes) -> None:
        """Read a piece of a streamed body; a body that proves to be whole JSON is read as such.

        Raises:
            ProxyError: the upstream reported an error; 502 `upstream_bad_frame`,
                `upstream_bad_response`, `upstream_frame_too_large`.
        """
        if self.done or not data:
            return
        self.next_request = None
        for event in self._body.feed(data):
            try:
                self._take_event(event)
            except ProxyError:
                if not self.is_settled:
                    # A fault after a complete answer does no harm, and is ignored.
                    raise
            if self.done or self.next_request is not None:
                return

    def feed_eof(self) -> None:
        """Handle the end of the body.

        Raises:
            ProxyError: 502 `upstream_truncated`, there was no stop reason.
        """
        if self.done or self.next_request is not None:
            return
        if (whole := self._body.whole) is not None:
            self.read_whole(whole)
            return
        try:
            if (event := self._body.close()) is not None:
                self._take_event(event)
        except ProxyError as error:
            if error.code != "upstream_bad_frame":
                # A bad frame at the end is half an event, because the stream was cut.
                raise
        if not self.done and self.next_request is None:
            self._end()

    def read_whole(self, body: bytes) -> None:
        """Read a body that arrived whole; a body that proves to be a stream is read as such.

        Raises:
            ProxyError: the body holds an error or nothing usable.
        """
        self.next_request = None
        if first_bytes(body) == "events":
            self._body.expect_events()
            self.feed(body)
            self.feed_eof()
            return
        try:
            message = fields_of(loads(surrogates.replace_lone_surrogates(body)))
        except ValueError:
            raise bad_response() from None
        if not isinstance(message.get("content"), list):
            if (fault := fault_in(message)) is None:
                raise bad_response()
            raise error_in_stream(fault, model=self._model, body=body)
        self._begin(message)
        self._end()

    def _take_event(self, event: SSEEvent) -> None:
        data = event.data.strip(_BLANK)
        if not data or data == b"[DONE]":
            return
        fields = _decode(data)
        if self._waiting:
            self._waiting_bytes += len(data)
        kind = fields.get("type") or event.event
        match kind:
            case "content_block_delta":
                self._delta(_index(fields), fields_of(fields.get("delta")))
            case "content_block_start":
                self._start(_index(fields), fields_of(fields.get("content_block")))
            case "content_block_stop":
                self._delta(_index(fields), None)
            case "message_start":
                self._begin(fields_of(fields.get("message")))
            case "message_delta":
                self._counter.take(fields.get("usage"))
                self._take_stop(fields_of(fields.get("delta")))
            case "message_stop":
                self._native = self._native or "end_turn"
                self._end()
            case _ if kind == "error" or "error" in fields:
                raise error_in_stream(read_fault(fields), model=self._model, body=data)

    def _begin(self, message: Fields) -> None:
        """Begin the answer, or its continuation. It may already have content."""
        self._counter.take(message.get("usage"))
        if self._state is None:
            sink = self._answer.choice(0)
            upstream_id = message.get("id")
            sink.begin(upstream_id if isinstance(upstream_id, str) else None, self._counter.prompt)
            self._state = ChoiceState(sink)
        for index, block in enumerate(map(fields_of, items_of(message.get("content")))):
            self._start(index, block)
            self._delta(index, None)
        self._take_stop(message)

    def _take_stop(self, fields: Fields) -> None:
        if isinstance(native := fields.get("stop_reason"), str) and native:
            self._native, self._stop = native, fields

    def _start(self, index: int, start: Fields) -> None:
        """Begin a block; if another one is open, wait for its end.

        Raises:
            ProxyError: 502 `upstream_bad_frame`, the index is in use, or no message has begun.
        """
        if index in self._seen or len(self._seen) > _MAX_BLOCKS:
            raise bad_frame("begins a content block again")
        self._seen.add(index)
        self._open(index, start)

    def _open(self, index: int, start: Fields) -> None:
        if self._blocks:
            self._waiting[index] = [start]
        else:
            self._blocks[index] = new_block(start, self._choice(), self._context)

    def _delta(self, index: int, delta: Fields | None) -> None:
        """Pass a delta to its block; None ends the block.

        Raises:
            ProxyError: 502 `upstream_bad_frame`, there is no such block, or it has ended.
        """
        if (queue := self._waiting.get(index)) is not None and queue[-1] is not None:
            queue.append(delta)
            return
        if index in self._blocks:
            self._delta_of_open(index, delta)
            self._release()
        elif delta is not None or index not in self._seen:
            raise bad_frame("belongs to no open content block")

    def _close(self, index: int, block: BlockReader) -> None:
        block.stop()
        del self._blocks[index]
        if self._context.keeps_content:
            self._ended.append(block)
            self._ended_bytes += block.kept

    def _release(self) -> None:
        """Read the deltas that have arrived of the blocks that waited for the ended one."""
        while self._waiting and not self._blocks:
            index = next(iter(self._waiting))
            start, *deltas = self._waiting.pop(index)
            self._open(index, start or {})
            for delta in deltas:
                self._delta_of_open(index, delta)
        if not self._waiting:
            self._waiting_bytes = 0

    def _delta_of_open(self, index: int, delta: Fields | None) -> None:
        block = self._blocks[index]
        if delta is None:
            self._close(index, block)
        else:
            block.take(delta)

    def _choice(self) -> ChoiceState:
        if self._state is None:
            raise bad_frame("comes before the message begins")
        return self._state

    def _end(self) -> None:
        """End or pause the answer.

        Raises:
            ProxyError: 502 `upstream_truncated`, there was no stop reason.
        """
        if self._native is None or self._state is None:
            raise truncated()
        while self._blocks:
            self._delta(next(iter(self._blocks)), None)
        self._searches += self._counter.web_searches
        if self._may_continue():
            self._pause()
        else:
            self._finish(self._state)

    def _may_continue(self) -> bool:
        is_paused = self._native == "pause_turn" and bool(self._ended)
        return is_paused and self._continuations < MAX_CONTINUATIONS

    def _pause(self) -> None:
        self._continuations += 1
        self._sent_back += [block.as_sent() for block in self._ended]
        self._past_usage = self.usage
        self._restart()
        self.next_request = self._continue_with(list(self._sent_back))

    def _finish(self, state: ChoiceState) -> None:
        native = self._native or ""
        reason = _REASONS.get(native, "stop")
        if reason == "stop" and state.has_call:
            reason = "tool_calls"
        if self._searches:
            state.sink.server_tool("web_search", self._searches)
        matched = self._stop.get("stop_sequence")
        explained = fields_of(self._stop.get("stop_details")).get("explanation")
        state.sink.finish(
            Finish(
                reason=reason,
                native=native,
                matched_stop=matched if isinstance(matched, str) and matched else None,
                message=explained if isinstance(explained, str) and explained else None,
                annotations=tuple(state.annotations),
            )
        )
        self.done = True


def _decode(data: bytes) -> Fields:
    """Return an event's JSON object.

    Raises:
        ProxyError: 502 `upstream_bad_frame`, the data is no JSON object.
    """
    if is_swarm(data):
        raise bad_frame()
    try:
        return surrogates.decode(_FIELDS, data)
    except (ValueError, RecursionError):
        raise bad_frame() from None


def _index(fields: Fields) -> int:
    index = fields.get("index")
    return index if isinstance(index, int) else 0
