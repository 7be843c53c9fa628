"""Faults of the proxy itself, made by an upstream whose translation fails. No IO."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.exchange import Media, UpstreamRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.openai import OpenAIUpstream, PassthroughExchange
from jarvis_proxy.upstreams.openai_stream import PassthroughStream
from jarvis_proxy.wire.response_events import SequenceNumbers
from tests.faults.rows import Sight, broken, refused


class Bug(RuntimeError):
    """What must never reach a client, nor a log: its message may hold content."""


class BuggyStream(PassthroughStream):
    """Fails at the second event."""

    def __init__(self, fails_at: int) -> None:
        super().__init__("chat")
        self._left = fails_at

    def feed(self, data: bytes) -> bytes:
        """Pass on so many pieces, then fail."""
        self._left -= 1
        if self._left < 0:
            raise Bug("canary-content")
        return super().feed(data)


class BuggyExchange(PassthroughExchange):
    """Fails when it reads a whole answer, or after *fails_at* pieces of a stream."""

    fails_at = 0

    def translate_reply(self, body: bytes, index: int = 0) -> None:
        """Fail."""
        raise Bug("canary-content")

    def stream_translator(
        self, index: int = 0, numbers: SequenceNumbers | None = None
    ) -> PassthroughStream:
        """Return what fails."""
        return BuggyStream(self.fails_at)


class BuggyUpstream(OpenAIUpstream):
    """An upstream whose translation fails after *fails_at* pieces; at once where it is -1."""

    def __init__(self, name: str, fails_at: int) -> None:
        super().__init__(name)
        self._fails_at = fails_at

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> PassthroughExchange:
        """Return what fails, or fail."""
        if self._fails_at < 0:
            raise Bug("canary-content")
        headers = {"content-type": "application/json"}
        request = UpstreamRequest("POST", f"/{call.endpoint}", headers, call.body)
        exchange = BuggyExchange(self.name, call, call.body)
        exchange.requests = (request,)
        exchange.fails_at = self._fails_at
        return exchange


@dataclass(frozen=True)
class Inner:
    """One bug: where it strikes, and what the client sees of it."""

    name: str
    fault: str
    fails_at: int
    streamed: Sight
    whole: Sight | None = None
    beats: bool = False


_EARLY: Final = refused(500, "internal_error")
INNER: Final[tuple[Inner, ...]] = (
    Inner("bug-before", "The proxy fails before it asks the upstream.", -1, _EARLY, _EARLY),
    Inner("bug-at-first", "The proxy fails at the first piece of an answer.", 0, _EARLY, _EARLY),
    Inner("bug-in-the-middle", "The proxy fails in the middle.", 1, broken("internal_error")),
    Inner(
        "bug-after-heartbeats",
        "The proxy fails at the first piece, after heartbeats.",
        0,
        broken("internal_error", "", beats=True),
        beats=True,
    ),
)
