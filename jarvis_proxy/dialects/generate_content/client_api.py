"""Google's API for the shell: errors, and the proxy's own messages in a stream. Pure.

Google's SDKs fail at comments and at named events. They recognise an error in a stream only as JSON
without ``data:``, and some only if one read returns nothing else. Other clients read events, such
as the Vercel AI SDK: they skip what is none, and would take the answer for complete.

Source: https://ai.google.dev/api/generate-content (read 2026-11).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.client_api import ErrorAnswer, StreamForm
from jarvis_proxy.dialects.generate_content.errors import error_body, error_object
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.google_verbs import asks_for_events
from jarvis_proxy.wire.response_events import SequenceNumbers

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

_ERROR_PAUSE: Final = 0.05
"""Seconds between the last frame and an error, so that the client reads them separately."""
_NEWLINE: Final = b"\r\n"
_GOOGLES_SDK: Final = "x-goog-api-client"
"""The header that each of Google's SDKs sends."""


class GenerateContentApi:
    """Implements ``ClientApi``."""

    def error(self, error: ProxyError, call_id: str, /) -> ErrorAnswer:
        """Return *error* in Google's form."""
        return ErrorAnswer(error.status, (), error_body(error))

    def answer_headers(self, call_id: str, /) -> Mapping[str, str]:
        """Return nothing: Google's clients read no header."""
        return _NO_HEADERS

    def stream_form(self, call: Call, headers: Mapping[str, str], /) -> StreamForm:
        """Return the form of a stream: events with ``alt=sse``, otherwise a JSON array."""
        if not asks_for_events(call.query):
            return ArrayForm()
        return EventForm(is_googles=_GOOGLES_SDK in headers)


class EventForm:
    """Server-sent events (``alt=sse``). *is_googles*: one of Google's SDKs reads them."""

    __slots__ = ("_is_googles",)

    content_type = "text/event-stream"
    silent = False
    error_pause = _ERROR_PAUSE
    end_mark = b""

    def __init__(self, *, is_googles: bool) -> None:
        self._is_googles = is_googles

    def has_content(self, events: bytes, /) -> bool:
        """Return whether *events* contain a frame, not only empty lines."""
        return b"data:" in events

    def passed(self, events: bytes, /) -> None:
        """Do nothing: frames do not depend on each other."""

    def number_events(self, *, relayed: bool) -> SequenceNumbers | None:
        """Return None: frames have no numbers."""

    def heartbeat(self, *, is_long: bool, first_events_wait: bool) -> bytes:
        """Return an empty line, the only filler that all of Google's SDKs accept."""
        return _NEWLINE

    def failure(self, error: ProxyError, /) -> bytes:
        """Return the error object: alone for Google's SDKs, otherwise as an event."""
        if self._is_googles:
            return error_object(error) + b"\n"
        return b"data: %b\r\n\r\n" % msgspec.json.format(error_object(error), indent=-1)


class ArrayForm:
    """A JSON array of frames."""

    content_type = "application/json; charset=UTF-8"
    silent = False
    error_pause = _ERROR_PAUSE
    end_mark = b""

    __slots__ = ("_has_begun",)

    def __init__(self) -> None:
        self._has_begun = False

    def has_content(self, events: bytes, /) -> bool:
        """Return whether *events* contain an element, not only white space."""
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
