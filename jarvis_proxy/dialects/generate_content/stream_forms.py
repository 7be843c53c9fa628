"""What the proxy itself says in a stream of Google's: signs of life, and errors. Pure.

Google's SDKs fail at comments, and at events with a name. They know an error in a stream only by
JSON without ``data:``, and some only if it is all that one read gives.
"""

from typing import Final

from jarvis_proxy.dialects.generate_content.errors import error_object
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.response_events import SequenceNumbers

_ERROR_PAUSE: Final = 0.05
"""Seconds between the last frame and an error, so that the client reads each by itself."""
_NEWLINE: Final = b"\r\n"


class EventForm:
    """Server-sent events (``alt=sse``)."""

    content_type = "text/event-stream"
    error_pause = _ERROR_PAUSE
    end_mark = b""

    def has_content(self, events: bytes, /) -> bool:
        """Return whether there is a frame, and not only empty lines."""
        return b"data:" in events

    def passed(self, events: bytes, /) -> None:
        """Do nothing: events stand for themselves."""

    def number_events(self, *, relayed: bool) -> SequenceNumbers | None:
        """Return None: frames have no numbers."""

    def heartbeat(self, *, is_long: bool, first_events_wait: bool) -> bytes:
        """Return an empty line: the only sign that all of Google's SDKs bear."""
        return _NEWLINE

    def failure(self, error: ProxyError, /) -> bytes:
        """Return the error object without ``data:``, as Google breaks off."""
        return error_object(error) + b"\n"


class ArrayForm:
    """A JSON array of frames."""

    content_type = "application/json; charset=UTF-8"
    error_pause = _ERROR_PAUSE
    end_mark = b""

    __slots__ = ("_has_begun",)

    def __init__(self) -> None:
        self._has_begun = False

    def has_content(self, events: bytes, /) -> bool:
        """Return whether there is an element, and not only white space."""
        return b"{" in events

    def passed(self, events: bytes, /) -> None:
        """Note whether the array has begun."""
        self._has_begun = self._has_begun or b"[" in events

    def number_events(self, *, relayed: bool) -> SequenceNumbers | None:
        """Return None: frames have no numbers."""

    def heartbeat(self, *, is_long: bool, first_events_wait: bool) -> bytes:
        """Return white space, which JSON allows between values."""
        return _NEWLINE

    def failure(self, error: ProxyError, /) -> bytes:
        """Return the error object as the last element."""
        return (b",\r\n" if self._has_begun else b"[") + error_object(error) + b"]"
