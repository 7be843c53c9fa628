"""The protocols that let any client API be translated to any upstream API. Pure.

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
    """The features of a model that a dialect must know before it reads a request."""

    draws: bool = False
    """The model generates images by itself, so no tool needs to be declared."""
    speaks: bool = False
    """The model answers in speech."""
    most_stops: int | None = None
    """Most stop sequences of a request; None if no limit is known."""


class AnswerFactory(Protocol):
    """Creates the empty answer of a call."""

    def __call__(self, *, stream: bool, numbers: SequenceNumbers | None = None) -> Answer:
        """Return a new answer, as a stream of events or as one body.

        *numbers* continues the sequence numbers of events already sent (Responses).
        """


class DialectCall(NamedTuple):
    """A call in a client's API: its request, and how to write its answer.

    *headers* are the answer's, such as the ``content-type`` of one that is not JSON.
    """

    request: CanonicalRequest
    new_answer: AnswerFactory
    headers: tuple[tuple[str, str], ...] = ()


class Dialect(Protocol):
    """A client API."""

    def read(self, call: Call, features: ModelFeatures, /) -> DialectCall:
        """Return the canonical form of *call* to a model with *features*.

        Raises:
            ProxyError: 400 with the client's own param, the request is not valid.
        """


class UpstreamCall(Protocol):
    """One canonical request in an upstream's API, and the way back."""

    @property
    def requests(self) -> tuple[UpstreamRequest, ...]:
        """The requests to send: one, or one per choice if the API gives one choice per request."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """Params of the canonical request without an equivalent (``IgnoredParams.names``)."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Response headers besides ``x-jarvis-ignored``."""

    def begin(self) -> None:
        """Begin an attempt: forget the state that readers of an earlier attempt left."""

    def reader(self, answer: Answer, index: int, /) -> AnswerReader:
        """Return a fresh reader for the body that answers ``requests[index]``."""

    def translate_error(
        self, status: int, headers: Mapping[str, str], body: bytes
    ) -> ProxyError | None:
        """Return the error for a status ≥ 400; None lets the shell make one from the body."""

    def recover(self, status: int, body: bytes) -> "UpstreamCall | None":
        """Return a changed call worth one more attempt after this refusal, or None."""


class UpstreamAdapter(Protocol):
    """An upstream API. It also serves the endpoints that no dialect translates."""

    name: str

    def features(self, call: Call, /) -> ModelFeatures:
        """Return the features of the call's model.

        Raises:
            ProxyError: 404 `model_not_found`, no such model can exist.
        """

    def canonical_needs(self, call: Call, request: CanonicalRequest, /) -> Prerequisites:
        """Return what must be looked up before ``translate``.

        If ``decoded`` is set in the result, ``translate`` gets it, and *request* without its body.

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
        """Return the upstream's call for the request that *read* returns.

        *read* is cheap the first time. For a recovery it parses the client's request again, so that
        no second body is kept. *media* and *decoded* are the results for ``canonical_needs``.

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
