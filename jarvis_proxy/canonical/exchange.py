"""The interface between the shell, which moves bytes, and the upstreams, which shape them. Pure.

An upstream *describes* what to send and never sends it. So the shell alone implements timeouts,
retries, limits and the relay, and every translator is tested without a socket.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.response_events import SequenceNumbers


class RetryableError(ProxyError):
    """The answer is empty or unusable; repeating the request once often gives a good one."""


class EmptyAnswerError(RetryableError):
    """A valid answer without content. If the second one is empty too, it is passed on."""


class UpstreamRequest(msgspec.Struct, frozen=True):
    """What to send: a value, not an action. *path* is relative to the upstream's base URL.

    The shell adds the base URL and the credentials, so no translator ever sees a key.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Media:
    """A downloaded ``http(s)`` attachment: its MIME type and its bytes."""

    mime_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Prerequisites:
    """What the shell must look up before ``exchange``: attachment URLs and tool call ids.

    *decoded* goes to ``exchange``, so that a body is decoded once.
    """

    urls: tuple[str, ...] = ()
    call_ids: tuple[str, ...] = ()
    decoded: Decoded | None = field(default=None, compare=False, repr=False)


NOTHING_NEEDED: Final = Prerequisites()


class StreamTranslator(Protocol):
    """Translates an upstream's bytes to complete SSE events for the client."""

    @property
    def usage(self) -> TokenUsage | None:
        """The tokens, once known."""

    @property
    def held(self) -> int:
        """About how many bytes it keeps: a partial event, or data for the answer's end."""

    @property
    def done(self) -> bool:
        """Whether the answer is complete and its end (such as ``[DONE]``) was returned."""

    @property
    def next_request(self) -> UpstreamRequest | None:
        """The request that continues the answer in this translator, known after ``feed_eof``."""

    @property
    def failure(self) -> ProxyError | None:
        """The error that the upstream reported in its own events, which pass unchanged."""

    def feed(self, data: bytes) -> bytes:
        """Return the whole events that *data* completes, or ``b""``.

        Raises:
            ProxyError: the upstream reported an error or broke its protocol. Its
                ``completed_events`` are the whole events that *data* completed before that.
                Do not feed again.
        """

    def feed_eof(self) -> bytes:
        """Return the events that the end of the upstream's body completes.

        Raises:
            ProxyError: 502 `upstream_truncated`, the answer was not complete.
        """


class Exchange(Protocol):
    """One call to one upstream and the way back."""

    raw: bool
    """Whether responses of any type pass unchanged; otherwise they are translated."""

    @property
    def weight(self) -> int:
        """Total bytes of the bodies of all *requests*; the call's own body counts as 0."""

    @property
    def requests(self) -> tuple[UpstreamRequest, ...]:
        """The requests: one, or one per choice if the API returns one choice per request."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Response headers that the translation adds, such as ``x-jarvis-ignored``."""

    @property
    def usage(self) -> TokenUsage | None:
        """The token counts of a whole answer, once it is translated."""

    @property
    def partial_usage(self) -> TokenUsage | None:
        """The known token counts of a whole answer that failed before its end."""

    def translate_error(
        self, status: int, headers: Mapping[str, str], body: bytes
    ) -> ProxyError | None:
        """Return the client's error for an upstream status ≥ 400; None passes it on unchanged."""

    def recover(self, status: int, body: bytes) -> "Exchange | None":
        """Return a changed exchange worth one more attempt after this refusal, or None."""

    def translate_reply(self, body: bytes, index: int = 0) -> UpstreamRequest | None:
        """Read a whole 200 body; return the request that continues it, None if it is complete.

        Raises:
            ProxyError: the body holds an error or nothing usable.
        """

    def answer(self) -> bytes:
        """Return the client's JSON body, after ``translate_reply`` for every request."""

    def stream_translator(
        self, index: int = 0, numbers: SequenceNumbers | None = None
    ) -> StreamTranslator:
        """Return a new translator for the stream that answers ``requests[index]``.

        The translator that ends last also ends the client's stream.

        *numbers* are the sequence numbers of the events that the client gets.
        """


class Upstream(Protocol):
    """A service that answers calls."""

    name: str

    def needs(self, call: Call) -> Prerequisites:
        """Return what must be looked up before ``exchange`` (for most calls nothing)."""

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> Exchange:
        """Return the exchange for *call*; *decoded* comes from what ``needs`` returned for it.

        Raises:
            ProxyError: 400, the call cannot be expressed, or this upstream has no such endpoint.
        """


def bad_frame() -> ProxyError:
    """Return the error for a frame that is not JSON of the expected shape."""
    return ProxyError(
        502, "The upstream sent a frame that is not valid JSON.", code="upstream_bad_frame"
    )


def bad_response() -> ProxyError:
    """Return the error for a body that is no answer of this protocol."""
    return ProxyError(
        502, "The upstream's response is not a valid answer.", code="upstream_bad_response"
    )


def truncated() -> ProxyError:
    """Return the error for an answer that ended before its end."""
    return ProxyError(
        502, "The upstream's answer ended before it was complete.", code="upstream_truncated"
    )


def empty_reply() -> RetryableError:
    """Return the error for a 200 response without an answer."""
    return RetryableError(502, "The upstream sent an empty answer.", code="empty_response")


def empty_answer() -> EmptyAnswerError:
    """Return the error for an answer that ends properly but has no content."""
    return EmptyAnswerError(502, "The model's answer is empty.", code="empty_response")
