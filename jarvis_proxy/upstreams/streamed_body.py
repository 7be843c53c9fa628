"""A streamed body: its events, or all of it where whole JSON came instead. Pure."""

from collections.abc import Callable, Sequence

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.answer_kinds import First, first_bytes
from jarvis_proxy.wire.pieces import ByteBuffer
from jarvis_proxy.wire.sse import MAX_EVENT_BYTES, SSEDecoder, SSEEvent, too_large


class StreamedBody:
    """Decodes the body of one answer. *bad_response* makes the error for one of another kind."""

    __slots__ = ("_bad_response", "_events", "_first", "_head")

    def __init__(self, bad_response: Callable[[], ProxyError]) -> None:
        self._bad_response = bad_response
        self._events = SSEDecoder()
        self._head = ByteBuffer()  # until it is known what comes; all of a body that is no stream
        self._first: First | None = None

    @property
    def held(self) -> int:
        """About how many bytes it holds back."""
        return self._head.size + self._events.held

    @property
    def whole(self) -> bytes | None:
        """The body so far if it is JSON and no stream, else None."""
        return self._head.join() if self._first == "json" else None

    def expect_events(self) -> None:
        """Read what comes as events, whatever it looks like."""
        self._first = "events"

    def feed(self, data: bytes) -> Sequence[SSEEvent]:
        """Return the events that *data* completes.

        Raises:
            ProxyError: 502 `upstream_frame_too_large`; the body is no stream and no JSON.
        """
        if self._first != "events":
            data = self._looked_at(data)
        return self._events.feed(data) if data else ()

    def close(self) -> SSEEvent | None:
        """Return the event that the end of the stream left without its blank line, if any."""
        return self._events.close()

    def clear(self) -> None:
        """Drop what is kept of a body that is no stream."""
        self._head = ByteBuffer()

    def _looked_at(self, data: bytes) -> bytes:
        """Keep what is no stream, or may not be one; return what is known to be one."""
        self._head.add(data)
        if self._head.size > MAX_EVENT_BYTES:
            raise too_large()
        if self._first is None:
            self._first = first_bytes(self._head.join())
        if self._first == "events":
            data, self._head = self._head.join(), ByteBuffer()
            return data
        if self._first in ("markup", "other"):
            raise self._bad_response()
        return b""
