"""A streamed body: its events, or the whole body if JSON arrives instead. Pure."""

from collections.abc import Callable, Sequence

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.answer_kinds import First, first_bytes
from jarvis_proxy.wire.pieces import ByteBuffer
from jarvis_proxy.wire.sse import MAX_EVENT_BYTES, SSEDecoder, SSEEvent, too_large


class StreamedBody:
    """Decodes the body of one answer. *bad_response* makes the error for any other kind of body."""

    __slots__ = ("_bad_response", "_events", "_first", "_head")

    def __init__(self, bad_response: Callable[[], ProxyError]) -> None:
        self._bad_response = bad_response
        self._events = SSEDecoder()
        self._head = ByteBuffer()
        """Bytes until the kind of body is known; all of a body that is no stream."""
        self._first: First | None = None

    @property
    def held(self) -> int:
        """About how many bytes are held back."""
        return self._head.size + self._events.held

    @property
    def whole(self) -> bytes | None:
        """The body so far if it is JSON, not a stream; otherwise None."""
        return self._head.join() if self._first == "json" else None

    def expect_events(self) -> None:
        """Read all data as events, whatever it looks like."""
        self._first = "events"

    def feed(self, data: bytes) -> Sequence[SSEEvent]:
        """Return the events that *data* completes.

        Raises:
            ProxyError: 502 `upstream_frame_too_large`; the body is neither a stream nor JSON.
        """
        if self._first != "events":
            data = self._looked_at(data)
        return self._events.feed(data) if data else ()

    def close(self) -> SSEEvent | None:
        """Return the event that the stream's end left without a blank line, if any."""
        return self._events.close()

    def clear(self) -> None:
        """Drop the kept bytes of a body that is no stream."""
        self._head = ByteBuffer()

    def _looked_at(self, data: bytes) -> bytes:
        """Keep data that is no stream, or may be none; return data that is known to be one."""
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
