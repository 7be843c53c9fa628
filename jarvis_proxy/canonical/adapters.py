"""What a client API and an upstream API implement to be translated into each other. Pure.

A *dialect* is a client API: it reads calls and writes answers. An *adapter* is an upstream API: it
writes requests and reads answers. ``translation.py`` joins any dialect to any adapter.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from jarvis_proxy.canonical.answer import Answer, AnswerReader
from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.exchange import Exchange, Media, Prerequisites, UpstreamRequest
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.response_events import SequenceNumbers


class ModelFeatures(NamedTuple):
    """What a dialect has to know of a model before it reads a request for it."""

    draws: bool = False
    """It makes pictures by itself: no tool has to be declared for that."""
    speaks: bool = False
    """It answers in speech."""


class AnswerFactory(Protocol):
    """Makes the empty answer of a call."""

    def __call__(self, *, stream: bool, numbers: SequenceNumbers | None = None) -> Answer:
        """Return a new answer, as a stream of events or as one body.

        *numbers* count the events that the client has had already (Responses).
        """


class DialectCall(NamedTuple):
    """A call in a client's API: what it asks, and how its answer is written.

    *headers* are those of the answer, such as the ``content-type`` of one that is not JSON.
    """

    request: CanonicalRequest
    new_answer: AnswerFactory
    headers: tuple[tuple[str, str], ...] = ()


class Dialect(Protocol):
    """A client API."""

    def read(self, call: Call, features: ModelFeatures, /) -> DialectCall:
        """Return what *call* asks of a model with *features*.

        Raises:
            ProxyError: 400 with the client's own param, the request is not valid.
        """


class UpstreamCall(Protocol):
    """One canonical request as an upstream's, and the way back."""

    @property
    def requests(self) -> tuple[UpstreamRequest, ...]:
        """What to send: one request, or one for each choice if a request gives one choice only."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """Params of the canonical request that have no equivalent (``IgnoredParams.names``)."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Response headers besides ``x-jarvis-ignored``."""

    def begin(self) -> None:
        """Begin an attempt: forget what the readers of an earlier one have left."""

    def reader(self, answer: Answer, index: int, /) -> AnswerReader:
        """Return a fresh reader for the body that answers ``requests[index]``."""

    def translate_error(
        self, status: int, headers: Mapping[str, str], body: bytes
    ) -> ProxyError | None:
        """Return the error for a status ≥ 400; None: the shell makes one of the body."""

    def recover(self, status: int, body: bytes) -> "UpstreamCall | None":
        """Return a changed call worth one more try after this refusal, or None."""


class UpstreamAdapter(Protocol):
    """An upstream API. What no dialect translates for it, it serves by itself."""

    name: str

    def features(self, call: Call, /) -> ModelFeatures:
        """Return what dialects must know of the call's model.

        Raises:
            ProxyError: 404 `model_not_found`, there can be no such model.
        """

    def canonical_needs(self, call: Call, request: CanonicalRequest, /) -> Prerequisites:
        """Return what must be looked up before ``translate``.

        With ``decoded`` set, ``translate`` gets it, and *request* without its body.

        Raises:
            ProxyError: 400 with a param of the canonical request.
        """

    def translate(
        self,
        call: Call,
        read: Callable[[], CanonicalRequest],
        media: Mapping[str, Media | ProxyError],
        decoded: Decoded | None = None,
    ) -> UpstreamCall:
        """Return the upstream's call for what *read* gives.

        *read* is cheap the first time. For a recovery, it reads the client's request again:
        so nobody keeps a second body. *media* and *decoded* are what ``canonical_needs`` asked for.

        Raises:
            ProxyError: 400 with a param of the canonical request.
        """

    def needs(self, call: Call) -> Prerequisites:
        """Return what must be looked up before ``exchange``."""

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> Exchange:
        """Return the exchange for a call that no dialect translates.

        Raises:
            ProxyError: 400 `unsupported_endpoint`, or the call cannot be expressed.
        """
