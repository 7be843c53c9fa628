"""An answer as a response: as events, or whole. Pure."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET

from jarvis_proxy.canonical.answer import (
    AnswerContext,
    AnswerSink,
    CallStart,
    DiscardingSink,
    Finish,
)
from jarvis_proxy.canonical.sealed_conversation import UnansweredConversation
from jarvis_proxy.canonical.sealed_state import SealedState, seal
from jarvis_proxy.dialects.responses.conversation import answer_items, seal_item_ids
from jarvis_proxy.dialects.responses.writer import ResponseWriter
from jarvis_proxy.wire.chat_types import ChatUsage, Image, TokenLogprob
from jarvis_proxy.wire.response_events import SequenceNumbers
from jarvis_proxy.wire.responses_types import IncompleteDetails, ResponseObject, ResponseURLCitation


class ResponseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The form of response that a client wants.

    *echo* is the part of the request that the response repeats. *sealed*: sealed state is sent as
    ``encrypted_content``. *client_types* are OpenAI's types of tools that the client runs; each one
    is a function of the same name. *conversation* is the content of the response's id; with
    *waits*, a stream's events wait for that id.
    """

    echo: dict[str, Any]
    sealed: bool = False
    client_types: frozenset[str] = frozenset()
    conversation: UnansweredConversation | None = None
    waits: bool = False


class ResponseAnswer:
    """One response; implements ``Answer``. Its answer is the first choice that begins."""

    __slots__ = (
        "_context",
        "_index",
        "_numbers",
        "_options",
        "_out",
        "_sink",
        "_waits",
        "_writer",
    )

    def __init__(
        self,
        context: AnswerContext,
        options: ResponseOptions,
        *,
        stream: bool,
        numbers: SequenceNumbers | None = None,
    ) -> None:
        self._context = context
        self._options = options
        self._waits = options.waits
        self._numbers = numbers
        self._out: list[bytes] | None = [] if stream else None
        self._index: int | None = None
        self._writer: ResponseWriter
        self._sink: ResponseSink

    @property
    def kept(self) -> int:
        """How many bytes of the answer are kept for its last event, which repeats it."""
        if self._index is None:
            return 0
        # Waiting events hold the answer's pieces a second time.
        return self._writer.kept * (2 if self._waits else 1)

    def choice(self, index: int, /) -> AnswerSink:
        """Return the sink of a choice; all choices but the first are discarded."""
        if self._index is None:
            self._index = index
            self._writer = self._new_writer()
            self._sink = ResponseSink(self._writer, self._options)
        return self._sink if index == self._index else DiscardingSink()

    def end(self, usage: ChatUsage | None, service_tier: str | None = None, /) -> None:
        """End the response. Nothing follows its last event, not even ``[DONE]``."""
        renamed = self._seal_ids()
        self._writer.end(usage or ChatUsage(), service_tier)
        if self._waits:
            self._waits = False
            out = self._out or []
            for plain, sealed in renamed.items():
                old, new = b'"%b"' % plain.encode(), b'"%b"' % sealed.encode()
                out[:] = [event.replace(old, new) for event in out]

    def _seal_ids(self) -> dict[str, str]:
        """Give the response an id with its conversation; return its items' new ids by old ones.

        Items get ids that carry them, unless the client has already received other ids.
        """
        conversation, response = self._options.conversation, self._writer.response
        if conversation is None:
            return {}
        sealed = conversation.response_id(answer_items(response.output))
        renamed: dict[str, str] = {}
        if self._waits or self._out is None:
            renamed = seal_item_ids(response.output, conversation)
        if sealed is not None:
            renamed[response.id] = response.id = sealed
        return renamed

    def take(self) -> bytes:
        """Return the whole events written since the last call, or ``b""``."""
        out = self._out
        if not out or self._waits:
            return b""
        data = b"".join(out)
        out.clear()
        return data

    def body(self) -> bytes:
        """Return the whole response."""
        return msgspec.json.encode(self._writer.response)

    def _new_writer(self) -> ResponseWriter:
        context = self._context
        response = ResponseObject(
            id=f"resp_{context.call_id}",
            created_at=context.created,
            status="in_progress",
            model=context.model,
            output=[],
            **self._options.echo,
        )
        return ResponseWriter(
            response, context.new_id, self._out, self._numbers, merges=self._waits
        )


class ResponseSink:
    """Passes the events of a choice on to *writer*; implements ``AnswerSink``."""

    __slots__ = ("_options", "_signature", "_writer")

    def __init__(self, writer: ResponseWriter, options: ResponseOptions) -> None:
        self._writer = writer
        self._options = options
        self._signature: SealedState | None = None

    @property
    def emitted(self) -> bool:
        """Whether any of it was sent to the client."""
        return self._writer.emitted

    def begin(self, upstream_id: str | None, usage: ChatUsage | None, /) -> None:
        """Do nothing: a response has its own id, and reports tokens at the end."""

    def text(self, text: str, /) -> None:
        """Receive a piece of the text."""
        self._writer.text(text)

    def thought(self, text: str, /) -> None:
        """Receive a piece of the thoughts."""
        self._writer.thought(text)

    def seal(self, state: SealedState, /) -> None:
        """Receive state of the upstream, which is sent with the reasoning that it belongs to.

        A message has no field for its signature.
        """
        if state.signs_next:
            self._signature = state
        elif self._options.sealed:
            self._writer.sealed(seal(state))

    def call_begin(self, call: CallStart, /) -> None:
        """Begin a call, after its signature."""
        if self._signature is not None and self._options.sealed:
            self._writer.sealed(seal(self._signature))
        self._signature = None
        is_plain = call.kind == "function" and not call.namespace
        is_clients = is_plain and call.name in self._options.client_types
        self._writer.call_begin(call, call.name if is_clients else None)

    def call_piece(self, piece: str, /) -> None:
        """Receive a piece of the open call's arguments."""
        self._writer.call_piece(piece)

    def call_end(self, /) -> None:
        """End the open call."""
        self._writer.call_end()

    def sketch(self, image: Image, /) -> None:
        """Do nothing: items only hold finished pictures."""

    def image(self, image: Image, /) -> None:
        """Write a picture, which is a data URL, like the result of OpenAI's picture tool."""
        head, _, data = image.image_url.url.partition(";base64,")
        self._writer.image(data, head.rpartition("/")[2])

    def speech(self, mime_type: str, data: str, /) -> None:
        """Do nothing: models that speak are not served here."""

    def logprobs(self, tokens: list[TokenLogprob], /) -> None:
        """Receive the log probabilities of the preceding text."""
        self._writer.logprobs(tokens)

    def server_tool(self, kind: Literal["web_search"], count: int, /) -> None:
        """Do nothing: the text contains the search's findings."""

    def finish(self, finish: Finish, /) -> str | None:
        """End the answer; return the id of its last message."""
        response = self._writer.response
        response.native_finish_reason = finish.native or UNSET
        response.finish_message = finish.message or UNSET
        response.grounding_metadata = finish.grounding or UNSET
        response.citations = list(finish.citations) or UNSET
        spots = (annotation.url_citation for annotation in finish.annotations)
        citations = [ResponseURLCitation(c.end_index, c.start_index, c.title, c.url) for c in spots]
        return self._writer.finish(_incomplete(finish), citations)


def _incomplete(finish: Finish) -> IncompleteDetails | None:
    match finish.reason:
        case "length":
            return IncompleteDetails("max_output_tokens")
        case "content_filter":
            return IncompleteDetails("content_filter")
        case _:
            return None
