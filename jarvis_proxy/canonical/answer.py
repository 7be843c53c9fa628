"""The canonical answer: events that an upstream's reader sends and a client's answer takes. Pure.

A reader sends the events of one choice in order, one thing at a time: a tool call begins, gets its
pieces and ends before anything else comes. So no client API has to reorder anything.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.canonical.sealed_state import SealedState
from jarvis_proxy.wire.chat_types import Annotation, ChatUsage, FinishReason, Image, TokenLogprob


class AnswerContext(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says besides what the upstream says.

    *call_id* is 24 letters and digits, unique to the call; *created* is in epoch seconds; *model*
    is the name that the client asked for. *new_id* gives 24 random letters and digits.
    """

    call_id: str
    created: int
    model: str
    new_id: Callable[[], str]


class CallStart(msgspec.Struct, frozen=True):
    """The head of a tool call.

    *id* is the one that the client sees and sends back. A *function* takes JSON, a *custom* tool
    free text. *name* is the client's own name for it, within its *namespace* if it has one.
    """

    id: str
    name: str
    kind: Literal["function", "custom"] = "function"
    namespace: str | None = None


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """How a choice ended, and what is known only then.

    *reason* is OpenAI's; *native* is the upstream's own word. *matched_stop* is the stop sequence
    that ended the text, if the upstream names it. *message* explains a refusal. *grounding* and
    *citations* are Google's, in its own form. *model_version* is the model that answered, by the
    upstream's name.
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
    """Takes the events of one choice."""

    @property
    def emitted(self) -> bool:
        """Whether the client has been sent something of it, even if only a thought."""

    def begin(self, upstream_id: str | None, usage: ChatUsage | None, /) -> None:
        """Take the upstream's id and the prompt's tokens, where it tells them first.

        Comes at most once and before all else. Nothing is written yet.
        """

    def text(self, text: str, /) -> None:
        """Take a piece of the visible text, never empty."""

    def thought(self, text: str, /) -> None:
        """Take a piece of the reasoning that may be shown, never empty."""

    def seal(self, state: SealedState, /) -> None:
        """Take opaque state of the upstream for the client to send back.

        Gemini: it signs the next call, or the message if no call follows. Anthropic: it belongs
        to the thinking block that just ended. Chat: it is all of the reasoning, sent once.
        """

    def call_begin(self, call: CallStart, /) -> None:
        """Begin a tool call. Only one is open at a time."""

    def call_piece(self, piece: str, /) -> None:
        """Take a piece of the open call's arguments: together they are JSON, or free text."""

    def call_end(self, /) -> None:
        """End the open call. It always comes; a call without pieces has no arguments."""

    def sketch(self, image: Image, /) -> None:
        """Take a picture that the model drew on its way to the one that it gives."""

    def image(self, image: Image, /) -> None:
        """Take a whole picture."""

    def speech(self, mime_type: str, data: str, /) -> None:
        """Take a piece of sound, as base64."""

    def logprobs(self, tokens: list[TokenLogprob], /) -> None:
        """Take the log probabilities of the tokens just given."""

    def server_tool(self, kind: Literal["web_search"], count: int, /) -> None:
        """Take how often the upstream used one of its own tools."""

    def finish(self, finish: Finish, /) -> str | None:
        """End the choice: exactly once, and last.

        Return the id by which the client's next request names this message, or None if it cannot
        name one. An upstream may keep state under it that has no other way back.
        """


class DiscardingSink:
    """Takes a choice that the client's API has no place for. Implements ``AnswerSink``."""

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
    """One answer in a client's API, as a stream of its events or as one body."""

    @property
    def kept(self) -> int:
        """About how many bytes it keeps until its end."""

    def choice(self, index: int, /) -> AnswerSink:
        """Return the sink of a choice, the same one for the same *index*.

        Most APIs have one choice only; there the events of any further one go nowhere.
        """

    def end(self, usage: ChatUsage | None, service_tier: str | None = None, /) -> None:
        """End the answer, behind the ``finish`` of every choice.

        *usage* counts all choices together; None: the upstream did not tell it.
        """

    def take(self) -> bytes:
        """Return the whole events that were written since the last call, or ``b""``. Streams."""

    def body(self) -> bytes:
        """Return the whole answer as one JSON body, after ``end``. Not for streams."""


class AnswerReader(Protocol):
    """Reads an upstream's body, cut anywhere, into the ``Answer`` that it was made with.

    It gives each choice one ``finish``. It does not call ``Answer.end``: the exchange does.
    """

    @property
    def usage(self) -> ChatUsage | None:
        """The tokens as far as the upstream has counted them."""

    @property
    def held(self) -> int:
        """About how many bytes it holds back."""

    @property
    def done(self) -> bool:
        """The answer is complete: read no further."""

    @property
    def is_settled(self) -> bool:
        """All of the answer has come, though its end has not: ``feed_eof`` completes it."""

    @property
    def service_tier(self) -> str | None:
        """The tier that served the call, in OpenAI's words, once the upstream has named it."""

    @property
    def next_request(self) -> UpstreamRequest | None:
        """Behind ``feed_eof`` or ``read_whole``: the answer goes on with this request.

        Its body comes to the same reader.
        """

    def feed(self, data: bytes, /) -> None:
        """Read a piece of a streamed body.

        Raises:
            ProxyError: the upstream reported an error or broke its protocol. Do not feed again.
        """

    def feed_eof(self) -> None:
        """Take it that the streamed body has ended.

        Raises:
            ProxyError: 502 `upstream_truncated`, the answer was not complete.
        """

    def read_whole(self, body: bytes, /) -> None:
        """Read a body that came whole.

        Raises:
            ProxyError: the body holds an error or nothing usable.
        """
