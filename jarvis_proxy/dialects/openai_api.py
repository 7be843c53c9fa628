"""OpenAI's APIs for the shell: their errors, heartbeats and failures. Pure.

Source: https://platform.openai.com/docs/guides/error-codes (read 2026-11).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.client_api import ErrorAnswer, StreamForm
from jarvis_proxy.dialects.speech.request import CONTENT_TYPES, SPEECH, decode_speech, streams
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.heartbeats import heartbeat_event, heartbeat_format
from jarvis_proxy.wire.request_head import wants_usage
from jarvis_proxy.wire.response_events import ProxyResponseEvents, SequenceNumbers
from jarvis_proxy.wire.sse import DONE, KEEPALIVE

_EVENTS: Final = "text/event-stream; charset=utf-8"
_SAMPLE: Final = 1024
_DATA: Final = b"data:"
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class OpenAIApi:
    """Chat completions, Responses and the others; implements ``ClientApi``."""

    def error(self, error: ProxyError, call_id: str, /) -> ErrorAnswer:
        """Return *error* in OpenAI's form."""
        return ErrorAnswer(error.status, (), error.body())

    def answer_headers(self, call_id: str, /) -> Mapping[str, str]:
        """Return nothing: the shell already sends OpenAI's headers."""
        return _NO_HEADERS

    def stream_form(self, call: Call, headers: Mapping[str, str], /) -> StreamForm:
        """Return the form of a stream of response events, of audio, or of chunks."""
        if call.endpoint == "responses":
            return ResponseForm(call, headers)
        if call.endpoint == SPEECH and streams(call.body) == "audio":
            return SoundForm(call)
        return ChunkForm(call, headers)


class ChunkForm:
    """The proxy's messages between chunks: comments and, if a client needs them, empty chunks."""

    content_type = _EVENTS
    silent = False
    error_pause = 0.0
    end_mark = DONE

    __slots__ = ("_call", "_sample", "_shape")

    def __init__(self, call: Call, headers: Mapping[str, str]) -> None:
        self._call = call
        self._shape = heartbeat_format(
            headers, endpoint=call.endpoint, asks_usage=wants_usage(call.body)
        )
        self._sample = b""
        """The first events, which heartbeats imitate."""

    def has_content(self, events: bytes, /) -> bool:
        """Return whether *events* contain an event, not only comments."""
        return _DATA in events

    def passed(self, events: bytes, /) -> None:
        """Keep the first events for heartbeats."""
        if not self._sample:
            self._sample = events[:_SAMPLE]

    def number_events(self, *, relayed: bool) -> SequenceNumbers | None:
        """Return None: chunks have no numbers."""

    def heartbeat(self, *, is_long: bool, first_events_wait: bool) -> bytes:
        """Return a comment, or after a long silence the form that this client needs."""
        if not is_long:
            return KEEPALIVE
        call = self._call
        return heartbeat_event(
            self._shape, self._sample, call_id=call.id, created=call.created, model=call.model
        )

    def failure(self, error: ProxyError, /) -> bytes:
        """Return the error as an event, which both official SDKs raise."""
        return error.event()


class SoundForm:
    """A stream of raw audio: it cannot carry messages, so a failure ends the connection."""

    silent = True
    error_pause = 0.0
    end_mark = b""

    __slots__ = ("content_type",)

    def __init__(self, call: Call) -> None:
        self.content_type = CONTENT_TYPES[decode_speech(call.body).format]

    def has_content(self, events: bytes, /) -> bool:
        """Return whether there is any audio."""
        return bool(events)

    def passed(self, events: bytes, /) -> None:
        """Do nothing."""

    def number_events(self, *, relayed: bool) -> SequenceNumbers | None:
        """Return None: there are no events."""

    def heartbeat(self, *, is_long: bool, first_events_wait: bool) -> bytes:
        """Return nothing."""
        return b""

    def failure(self, error: ProxyError, /) -> bytes:
        """Return nothing: the end of the connection shows the failure."""
        return b""


class ResponseForm:
    """The proxy's own events and comments between the events of a response."""

    content_type = _EVENTS
    silent = False
    error_pause = 0.0
    end_mark = b""

    __slots__ = ("_events", "_has_begun", "_needs_events")

    def __init__(self, call: Call, headers: Mapping[str, str]) -> None:
        shape = heartbeat_format(headers, endpoint=call.endpoint, asks_usage=False)
        self._needs_events = shape == "in_progress"
        self._has_begun = False
        self._events = ProxyResponseEvents(call.id, call.created, call.model, call.body)

    def has_content(self, events: bytes, /) -> bool:
        """Return whether *events* contain an event, not only comments."""
        return _DATA in events

    def passed(self, events: bytes, /) -> None:
        """Note *events*, because a failure depends on the last one."""
        self._has_begun = True
        self._events.record_sent(events)

    def number_events(self, *, relayed: bool) -> SequenceNumbers | None:
        """Return the sequence numbers for a new answer."""
        return self._events.start_attempt(relayed=relayed)

    def heartbeat(self, *, is_long: bool, first_events_wait: bool) -> bytes:
        """Return a comment, or an event for clients that count only events.

        Before a response has begun, such clients need an event even for a short silence.
        """
        if self._needs_events and not first_events_wait and (is_long or not self._has_begun):
            return self._events.heartbeat()
        return KEEPALIVE

    def failure(self, error: ProxyError, /) -> bytes:
        """Return ``error`` and ``response.failed``: some clients recognise only one of them."""
        return self._events.failure(error)
