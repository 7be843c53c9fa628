"""Writes an answer, in pieces, as a response's items and their events. Pure.

Items follow one another: the next one begins when the previous one is done. So every event concerns
the last item, and clients that track a single item lose nothing.

Source: https://platform.openai.com/docs/api-reference/responses-streaming (read 2026-11) and
recorded streams.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.dialects.responses.call_items import CallItem, fill_action, is_json, open_item
from jarvis_proxy.wire.chat_types import ChatUsage, TokenLogprob
from jarvis_proxy.wire.response_events import SequenceNumbers
from jarvis_proxy.wire.responses_types import (
    CustomCallItem,
    FunctionCallItem,
    ImageItem,
    IncompleteDetails,
    InputTokensDetails,
    MessageItem,
    OutputItem,
    OutputText,
    OutputTokensDetails,
    ReasoningItem,
    ResponseObject,
    ResponseURLCitation,
    ResponseUsage,
    Status,
    SummaryText,
)

_PIECE_BYTES: Final = 64
_TOKEN_BYTES: Final = 512
_ITEM_BYTES: Final = 1024
_FUNCTION: Final = "response.function_call_arguments"
_CUSTOM: Final = "response.custom_tool_call_input"
_encode: Final = msgspec.json.Encoder().encode


class _DeltaTemplate(NamedTuple):
    """The encoded parts of a delta event that are the same in every delta of one item."""

    head: bytes
    middle: bytes
    tail: bytes


class ResponseWriter:
    """Writes one answer to *response*, and its events to *out*, unless that is None.

    *new_id* returns the unique part of an item's id. *merges*: each text is one piece, for a stream
    that is sent when it is complete. *numbers* continues the sequence numbers of events already
    sent. Nothing is written before there is content: until then, the proxy can still repeat the
    request elsewhere.
    """

    __slots__ = (
        "_arguments",
        "_begun",
        "_call",
        "_citations",
        "_first",
        "_logprobs",
        "_merges",
        "_message",
        "_new_id",
        "_numbers",
        "_out",
        "_pieces",
        "_reasoning",
        "_template",
        "emitted",
        "kept",
        "response",
    )

    def __init__(
        self,
        response: ResponseObject,
        new_id: Callable[[], str],
        out: list[bytes] | None = None,
        numbers: SequenceNumbers | None = None,
        *,
        merges: bool = False,
    ) -> None:
        self.response = response
        # The first events show this state, even if they are written after the end of the answer.
        self._first = None if out is None else msgspec.structs.replace(response)
        self.emitted = False
        """Whether events were written."""
        self.kept = 0
        """About how many bytes *response* takes so far."""
        self._new_id = new_id
        self._merges = merges
        self._out = out
        self._numbers = SequenceNumbers() if numbers is None else numbers
        self._begun = False
        self._message: MessageItem | None = None
        """The open item, if it is a message."""
        self._reasoning: ReasoningItem | None = None
        self._call: CallItem | None = None
        self._arguments: list[str] = []
        """Pieces of the open call's arguments."""
        self._pieces: list[str] = []
        """Pieces of the open item's text."""
        self._logprobs: list[TokenLogprob] = []
        self._citations: list[ResponseURLCitation] = []
        """Citations for the open message, written when it is closed."""
        self._template = _DeltaTemplate(b"", b"", b"")

    # -- pieces of the answer ----------------------------------------------------------------

    def text(self, text: str) -> None:
        """Receive a piece of the text."""
        if self._message is None:
            self._open_message()
        self._delta(text)

    def thought(self, text: str) -> None:
        """Receive a piece of the visible thoughts."""
        item = self._reasoning or self._open_reasoning()
        if not item.summary:
            self._open_summary(item)
        self._delta(text)

    def logprobs(self, tokens: list[TokenLogprob]) -> None:
        """Receive the log probabilities of the preceding text."""
        self._logprobs += tokens
        self.kept += _TOKEN_BYTES * len(tokens)

    def sealed(self, secret: str) -> None:
        """Write opaque state that the client returns together with the next call."""
        if self._reasoning is None:
            self._open_reasoning()
        self._close(secret=secret)

    def call_begin(self, call: CallStart, client_type: str | None = None) -> None:
        """Begin a call; *client_type* is OpenAI's type of a tool that the client runs."""
        item = open_item(call, self._new_id(), client_type)
        self._add(item)
        self._call = item
        self.kept += _ITEM_BYTES

    def call_piece(self, piece: str) -> None:
        """Receive a piece of the open call's arguments."""
        self._arguments.append(piece)
        self.kept += len(piece) + _PIECE_BYTES
        if isinstance(self._call, FunctionCallItem):
            self._emit(f"{_FUNCTION}.delta", **self._last_place(), delta=piece)
        elif isinstance(self._call, CustomCallItem):
            self._emit(f"{_CUSTOM}.delta", **self._last_place(), delta=piece)

    def call_end(self) -> None:
        """End the open call.

        A call that may have been cut off is reported as done only when something follows: an answer
        that runs out of tokens leaves it incomplete.
        """
        call = self._call
        is_custom = isinstance(call, CustomCallItem)
        if not self._arguments:
            self.call_piece("" if is_custom else "{}")
        if call is not None and not is_custom and is_json("".join(self._arguments)):
            self._close_call(call, "completed")

    def image(self, data: str, form: str) -> None:
        """Write a picture: base64, and its format (``png``)."""
        item = ImageItem(id=f"ig_{self._new_id()}", status="in_progress", result=None)
        place = self._add(item)
        kind = "response.image_generation_call"
        self._emit(f"{kind}.in_progress", **place)
        self._emit(f"{kind}.generating", **place)
        item.result, item.status, item.output_format = data, "completed", form
        self.kept += len(data) + _ITEM_BYTES
        self._emit(f"{kind}.completed", **place)
        self._done(item)

    # -- its end -----------------------------------------------------------------------------

    def finish(
        self, incomplete: IncompleteDetails | None, citations: list[ResponseURLCitation]
    ) -> str | None:
        """End the answer; return the id of its last message, if there is one.

        *citations* refer to the text of all messages joined. An empty answer gets an empty message,
        because clients expect one.
        """
        response = self.response
        if incomplete is None and all(isinstance(i, ReasoningItem) for i in response.output):
            self._open_message()
        self._place(citations)
        self._close(status="completed" if incomplete is None else "incomplete")
        response.incomplete_details = incomplete
        response.status = "completed" if incomplete is None else "incomplete"
        messages = [item for item in response.output if isinstance(item, MessageItem)]
        return messages[-1].id if messages else None

    def end(self, usage: ChatUsage, tier: str | None) -> None:
        """Set the token counts and write the last event. Call this after ``finish``."""
        response = self.response
        response.usage = to_response_usage(usage)
        response.service_tier = tier or response.service_tier
        self._emit(f"response.{response.status}", response=response)

    # -- items -------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        if self._numbers.next == 0:
            for kind in ("response.created", "response.in_progress"):
                self._write(kind, {"response": self._first})
            self._first = None

    def _add(self, item: OutputItem) -> dict[str, object]:
        """Begin an item after the last one; return the fields that name it in events."""
        self._close()
        self._begin()
        index = len(self.response.output)
        self._emit("response.output_item.added", output_index=index, item=item)
        self.response.output.append(item)
        return {"item_id": item.id, "output_index": index}

    def _done(self, item: OutputItem) -> None:
        index = len(self.response.output) - 1
        self._emit("response.output_item.done", output_index=index, item=item)

    def _open_message(self) -> None:
        message = MessageItem(id=f"msg_{self._new_id()}", status="in_progress", content=[])
        place = self._add(message)
        self._message = message
        self._emit("response.content_part.added", **place, content_index=0, part=OutputText())
        message.content.append(OutputText())
        self._set_template(
            "response.output_text.delta", {**place, "content_index": 0}, {"logprobs": []}
        )

    def _open_reasoning(self) -> ReasoningItem:
        item = ReasoningItem(id=f"rs_{self._new_id()}")
        self._add(item)
        self._reasoning = item
        return item

    def _open_summary(self, item: ReasoningItem) -> None:
        place = {**self._last_place(), "summary_index": 0}
        part = SummaryText("")
        self._emit("response.reasoning_summary_part.added", **place, part=part)
        item.summary.append(part)
        self._set_template("response.reasoning_summary_text.delta", place, {})

    def _last_place(self) -> dict[str, object]:
        output = self.response.output
        return {"item_id": output[-1].id, "output_index": len(output) - 1}

    def _close(self, *, status: Status = "completed", secret: str | None = None) -> None:
        """End the last item if it is still open."""
        if self._call is not None:
            self._close_call(self._call, status)
        message, reasoning = self._message, self._reasoning
        self._message = self._reasoning = None
        text = "".join(self._pieces)
        self._pieces.clear()
        if self._merges and text:
            self._write_delta(text)
        if message is not None:
            self._close_message(message, text, status)
        elif reasoning is not None:
            self._close_reasoning(reasoning, text, secret)

    def _close_call(self, item: CallItem, status: Status) -> None:
        """End a call; a call that was cut off is never reported as complete."""
        self._call = None
        arguments = "".join(self._arguments)
        self._arguments.clear()
        place = self._last_place()
        if isinstance(item, FunctionCallItem):
            item.arguments = arguments
            if status == "completed":
                self._emit(f"{_FUNCTION}.done", **place, arguments=arguments, name=item.name)
        elif isinstance(item, CustomCallItem):
            item.input = arguments
            if status == "completed":
                self._emit(f"{_CUSTOM}.done", **place, input=arguments)
        else:
            fill_action(item, arguments)
        item.status = status
        self._done(item)

    def _close_message(self, message: MessageItem, text: str, status: Status) -> None:
        place = {**self._last_place(), "content_index": 0}
        part = message.content[0]
        part.text, part.logprobs = text, self._logprobs
        self._logprobs = []
        for number, citation in enumerate(self._citations):
            kind = "response.output_text.annotation.added"
            self._emit(kind, **place, annotation_index=number, annotation=citation)
            part.annotations.append(citation)
        self._citations = []
        self._emit("response.output_text.done", **place, text=text, logprobs=part.logprobs)
        self._emit("response.content_part.done", **place, part=part)
        message.status = status
        self._done(message)

    def _close_reasoning(self, item: ReasoningItem, text: str, secret: str | None) -> None:
        if item.summary:
            place = {**self._last_place(), "summary_index": 0}
            item.summary[0].text = text
            self._emit("response.reasoning_summary_text.done", **place, text=text)
            self._emit("response.reasoning_summary_part.done", **place, part=item.summary[0])
        if secret is not None:
            item.encrypted_content = secret
        self._done(item)

    def _place(self, citations: list[ResponseURLCitation]) -> None:
        """Assign each citation to its message, with positions from the message's start."""
        start = 0
        for item in self.response.output:
            if not isinstance(item, MessageItem):
                continue
            is_open = item is self._message
            size = sum(map(len, self._pieces)) if is_open else len(item.content[0].text)
            mine = [
                ResponseURLCitation(c.end_index - start, c.start_index - start, c.title, c.url)
                for c in citations
                if start <= c.start_index and c.end_index <= start + size
            ]
            # No event can carry citations of a closed message; only the final response can.
            (self._citations if is_open else item.content[0].annotations).extend(mine)
            start += size

    # -- events ------------------------------------------------------------------------------

    def _delta(self, text: str) -> None:
        self._pieces.append(text)
        self.kept += len(text) + _PIECE_BYTES
        if not self._merges:
            self._write_delta(text)

    def _write_delta(self, text: str) -> None:
        out = self._out
        if out is not None:
            head, middle, tail = self._template
            number = self._numbers.take()
            out.append(b"%b%d%b%b%b" % (head, number, middle, _encode(text), tail))

    def _set_template(self, kind: str, place: dict[str, object], rest: dict[str, object]) -> None:
        """Encode once the parts that all deltas of an item share."""
        before = _encode({"type": kind, "sequence_number": 0})[:-2]
        middle = b"," + _encode({**place, "delta": ""})[1:-3]
        tail = (b"," + _encode(rest)[1:] if rest else b"}") + b"\n\n"
        self._template = _DeltaTemplate(
            b"event: %b\ndata: %b" % (kind.encode(), before), middle, tail
        )

    def _emit(self, kind: str, **fields: object) -> None:
        self._begin()
        self._write(kind, fields)

    def _write(self, kind: str, fields: dict[str, object]) -> None:
        if self._out is not None:
            event = {"type": kind, "sequence_number": self._numbers.take(), **fields}
            self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode(event)))
            self.emitted = True


def write_message(
    response: ResponseObject, words: list[str], usage: ChatUsage
) -> tuple[bytes, tuple[bytes, ...]]:
    """Complete *response* with one message of *words*; return its JSON, and its events."""
    events: list[bytes] = []
    unique = response.id.rpartition("_")[2]
    writer = ResponseWriter(response, lambda: unique, events)
    for word in words:
        writer.text(word)
    writer.finish(None, [])
    writer.end(usage, None)
    return _encode(response), tuple(events)


def to_response_usage(usage: ChatUsage) -> ResponseUsage:
    """Return chat's token counts in the Responses API's form."""
    return ResponseUsage(
        usage.prompt_tokens,
        InputTokensDetails(
            usage.prompt_tokens_details.cached_tokens,
            usage.prompt_tokens_details.cache_write_tokens,
        ),
        usage.completion_tokens,
        OutputTokensDetails(usage.completion_tokens_details.reasoning_tokens),
        usage.total_tokens,
    )
