"""The seam between the shell, which moves bytes, and the upstreams, which shape them. Pure.

An upstream *describes* what to send and never sends it, so timeouts, retries, limits and the
relay are written once, in the shell, and every translator is tested without a socket.
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
    """An answer of nothing: the same request, asked again once, often gives a good one."""


class EmptyAnswerError(RetryableError):
    """A valid answer without content. A second one is passed on as it is."""


class UpstreamRequest(msgspec.Struct, frozen=True):
    """What to send: a value, not an action. *path* stands below the upstream's base URL.

    The shell adds the base URL and the credentials, so no key ever passes through a translator.
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

    *decoded* is for ``exchange`` to go on with, so that a body is decoded once.
    """

    urls: tuple[str, ...] = ()
    call_ids: tuple[str, ...] = ()
    decoded: Decoded | None = field(default=None, compare=False, repr=False)


NOTHING_NEEDED: Final = Prerequisites()


class StreamTranslator(Protocol):
    """Upstream bytes in, whole downstream SSE events out."""

    @property
    def usage(self) -> TokenUsage | None:
        """The tokens, once known."""

    @property
    def held(self) -> int:
        """About how many bytes it keeps: of an event that is not whole, or for the answer's end."""

    @property
    def done(self) -> bool:
        """The answer is complete and ``[DONE]`` (or its equal) is out: read no further."""

    @property
    def next_request(self) -> UpstreamRequest | None:
        """After ``feed_eof``: the answer goes on with this request, to the same translator."""

    @property
    def failure(self) -> ProxyError | None:
        """What the upstream itself says, in events that pass as they came, about why it failed."""

    def feed(self, data: bytes) -> bytes:
        """Return the whole events that *data* completes, or ``b""``.

        Raises:
            ProxyError: the upstream reported an error or broke its protocol. Its
                ``completed_events`` are the whole events that *data* completed before that.
                Do not feed again.
        """

    def feed_eof(self) -> bytes:
        """Return what the end of the upstream's body completes.

        Raises:
            ProxyError: 502 `upstream_truncated`, the answer was not complete.
        """


class Exchange(Protocol):
    """One request to one upstream and the way back."""

    raw: bool
    """True: answers of any type pass on as they came; False: they are translated."""

    @property
    def weight(self) -> int:
        """Bytes of the bodies of all *requests* together; one that is the call's counts nothing."""

    @property
    def requests(self) -> tuple[UpstreamRequest, ...]:
        """One; or one for each choice if a request gives one choice only."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Response headers that the translation adds, such as ``x-jarvis-ignored``."""

    @property
    def usage(self) -> TokenUsage | None:
        """The tokens of a whole answer, once it is translated."""

    @property
    def partial_usage(self) -> TokenUsage | None:
        """The tokens that are known of a whole answer which failed before its end."""

    def translate_error(
        self, status: int, headers: Mapping[str, str], body: bytes
    ) -> ProxyError | None:
        """Return the downstream error for an upstream status ≥ 400; None: pass it on unchanged."""

    def recover(self, status: int, body: bytes) -> "Exchange | None":
        """Return a changed exchange worth one more try after this refusal, or None."""

    def translate_reply(self, body: bytes, index: int = 0) -> UpstreamRequest | None:
        """Take a whole 200 body; return the request that continues it, or None when complete.

        Raises:
            ProxyError: the body holds an error or nothing usable.
        """

    def answer(self) -> bytes:
        """Return the downstream JSON body after the reply to every request was taken."""

    def stream_translator(
        self, index: int = 0, numbers: SequenceNumbers | None = None
    ) -> StreamTranslator:
        """Return a fresh translator for the stream that answers ``requests[index]``.

        The last one to end ends the client's stream.

        *numbers* count the events of a response that the client has had or will have.
        """


class Upstream(Protocol):
    """A place that answers calls."""

    name: str

    def needs(self, call: Call) -> Prerequisites:
        """Return what must be looked up before ``exchange`` (nothing, for most)."""

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
    """Return the error for a body that is no answer of this protocol at all."""
    return ProxyError(
        502, "The upstream's response is not a valid answer.", code="upstream_bad_response"
    )


def truncated() -> ProxyError:
    """Return the error for an answer that ended before its end."""
    return ProxyError(
        502, "The upstream's answer ended before it was complete.", code="upstream_truncated"
    )


def empty_reply() -> RetryableError:
    """Return the error for a 200 that holds no answer."""
    return RetryableError(502, "The upstream sent an empty answer.", code="empty_response")


def empty_answer() -> EmptyAnswerError:
    """Return the error for an answer that ends well and holds nothing."""
    return EmptyAnswerError(502, "The model's answer is empty.", code="empty_response")
