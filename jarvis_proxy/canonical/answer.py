"""The canonical answer: events from an upstream's reader to a client's answer. Pure.

A reader sends the events of one choice in order, one item at a time: a tool call begins, gets its
pieces and ends before the next item begins. So no client API has to reorder events.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.canonical.sealed_state import SealedState
from jarvis_proxy.wire.chat_types import Annotation, ChatUsage, FinishReason, Image, TokenLogprob


class AnswerContext(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of an answer that do not come from the upstream.

    *call_id* is 24 letters and digits, unique to the call; *created* is in epoch seconds; *model*
    is the name that the client asked for. *new_id* returns 24 random letters and digits.
    """

    call_id: str
    created: int
    model: str
    new_id: Callable[[], str]


class CallStart(msgspec.Struct, frozen=True):
    """The head of a tool call.

    *id* is the id that the client sees and sends back. A *function* takes JSON, a *custom* tool
    free text. *name* is the client's own, within its *namespace* if it has one.
    """

    id: str
    name: str
    kind: Literal["function", "custom"] = "function"
    namespace: str | None = None


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """How a choice ended, with facts known only then.

    *reason* is OpenAI's finish reason; *native* is the upstream's own. *matched_stop* is the stop
    sequence that ended the text, if the upstream names it. *message* explains a refusal.
    *grounding* and *citations* are Google's, unchanged. *model_version* is the upstream's name of
    the model that answered.
    """

    reason: FinishReason
    native: str = ""
    matched_stop: str | None = None
    message: str | None = None
    annotations: tuple[Annotation, ...] = ()
    grounding: dict[str, object] | None = None
    citations: tuple[dict[str, object], ...] = ()
    model_version: str | None = None


class AnswerSink(Protocol):
    """Receives the events of one choice."""

    @property
    def emitted(self) -> bool:
        """Whether any of it was sent to the client, even if only a thought."""

    def begin(self, upstream_id: str | None, usage: ChatUsage | None, /) -> None:
        """Receive the upstream's id and the prompt's token counts, if these come first.

        Called at most once, before all other events. Nothing is written yet.
        """

    def text(self, text: str, /) -> None:
        """Receive a non-empty piece of the visible text."""

    def thought(self, text: str, /) -> None:
        """Receive a non-empty piece of the reasoning that may be shown."""

    def seal(self, state: SealedState, /) -> None:
        """Receive opaque state of the upstream for the client to send back.

        Gemini's signs the next call, or the message if no call follows. Anthropic's belongs to the
        thinking block that just ended. A chat service's is the whole reasoning, sent once.
        """

    def call_begin(self, call: CallStart, /) -> None:
        """Begin a tool call. Only one is open at a time."""

    def call_piece(self, piece: str, /) -> None:
        """Receive a piece of the open call's arguments, which form JSON or free text."""

    def call_end(self, /) -> None:
        """End the open call. Every call is ended; one without pieces has no arguments."""

    def sketch(self, image: Image, /) -> None:
        """Receive an intermediate image, drawn before the final one."""

    def image(self, image: Image, /) -> None:
        """Receive a complete image."""

    def speech(self, mime_type: str, data: str, /) -> None:
        """Receive a piece of audio as base64."""

    def logprobs(self, tokens: list[TokenLogprob], /) -> None:
        """Receive the log probabilities of the preceding tokens."""

    def server_tool(self, kind: Literal["web_search"], count: int, /) -> None:
        """Receive how often the upstream used one of its own tools."""

    def finish(self, finish: Finish, /) -> str | None:
        """End the choice. Called exactly once, after all other events.

        Returns the id by which the client's next request names this message, or None if it cannot
        name one. An upstream may store state under this id if the state has no other way back.
        """


class DiscardingSink:
    """Drops a choice that the client's API cannot represent. Implements ``AnswerSink``."""

    emitted: bool = False

    def begin(self, upstream_id: str | None, usage: ChatUsage | None, /) -> None:
        """Do nothing."""

    def text(self, text: str, /) -> None:
        """Do nothing."""

    thought = text
    call_piece = text

    def seal(self, state: SealedState, /) -> None:
        """Do nothing."""

    def call_begin(self, call: CallStart, /) -> None:
        """Do nothing."""

    def call_end(self, /) -> None:
        """Do nothing."""

    def sketch(self, image: Image, /) -> None:
        """Do nothing."""

    def image(self, image: Image, /) -> None:
        """Do nothing."""

    def speech(self, mime_type: str, data: str, /) -> None:
        """Do nothing."""

    def logprobs(self, tokens: list[TokenLogprob], /) -> None:
        """Do nothing."""

    def server_tool(self, kind: Literal["web_search"], count: int, /) -> None:
        """Do nothing."""

    def finish(self, finish: Finish, /) -> None:
        """Do nothing."""


class Answer(Protocol):
    """One answer in a client's API, as a stream of events or as one body."""

    @property
    def kept(self) -> int:
        """About how many bytes the answer keeps until its end."""

    def choice(self, index: int, /) -> AnswerSink:
        """Return the sink of choice *index*, always the same one.

        Most APIs have one choice only; they discard the events of further choices.
        """

    def end(self, usage: ChatUsage | None, service_tier: str | None = None, /) -> None:
        """End the answer, after the ``finish`` of every choice.

        *usage* counts all choices together; None means that the upstream did not report it.
        """

    def take(self) -> bytes:
        """Return the whole events written since the last call, or ``b""``. Only for streams."""

    def body(self) -> bytes:
        """Return the answer as one JSON body, after ``end``. Not for streams."""


class AnswerReader(Protocol):
    """Reads an upstream's body, split anywhere, into the ``Answer`` that it was created with.

    It gives each choice one ``finish``. It does not call ``Answer.end``: the exchange does.
    """

    @property
    def usage(self) -> ChatUsage | None:
        """The token counts that the upstream has reported so far."""

    @property
    def held(self) -> int:
        """About how many bytes the reader holds back."""

    @property
    def done(self) -> bool:
        """Whether the answer is complete, so that nothing more needs to be read."""

    @property
    def is_settled(self) -> bool:
        """Whether all of the answer has arrived except its end, which ``feed_eof`` supplies."""

    @property
    def service_tier(self) -> str | None:
        """The tier that served the call, in OpenAI's terms, once the upstream has named it."""

    @property
    def next_request(self) -> UpstreamRequest | None:
        """The request that continues the answer, known after ``feed_eof`` or ``read_whole``.

        The same reader reads its response.
        """

    def feed(self, data: bytes, /) -> None:
        """Read a piece of a streamed body.

        Raises:
            ProxyError: the upstream reported an error or broke its protocol. Do not feed again.
        """

    def feed_eof(self) -> None:
        """Handle the end of the streamed body.

        Raises:
            ProxyError: 502 `upstream_truncated`, the answer was not complete.
        """

    def read_whole(self, body: bytes, /) -> None:
        """Read a body that arrived whole.

        Raises:
            ProxyError: the body holds an error or nothing usable.
        """
