"""The Messages API for the shell: errors, heartbeats and failures. Pure.

Source: https://docs.claude.com/en/api/errors and /en/api/messages-streaming (read 2026-11).
"""

from collections.abc import Mapping

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.client_api import ErrorAnswer, StreamForm
from jarvis_proxy.dialects.messages.errors import encode_error, encode_error_event, request_id
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.messages_types import PING, STOP
from jarvis_proxy.wire.response_events import SequenceNumbers


class MessagesApi:
    """Implements ``ClientApi``."""

    def error(self, error: ProxyError, call_id: str, /) -> ErrorAnswer:
        """Return *error* in Anthropic's form."""
        return encode_error(error, call_id)

    def answer_headers(self, call_id: str, /) -> Mapping[str, str]:
        """Return the id that Anthropic's SDKs log for a response."""
        return {"request-id": request_id(call_id)}

    def stream_form(self, call: Call, headers: Mapping[str, str], /) -> StreamForm:
        """Return the form of a stream of message events."""
        return MessageForm(call)


class MessageForm:
    """The proxy's own messages between the events of a message."""

    content_type = "text/event-stream; charset=utf-8"
    silent = False
    error_pause = 0.0
    end_mark = STOP

    __slots__ = ("_call_id",)

    def __init__(self, call: Call) -> None:
        self._call_id = call.id

    def has_content(self, events: bytes, /) -> bool:
        """Return whether *events* contain an event; the upstream's pings count, as they pass."""
        return b"data:" in events

    def passed(self, events: bytes, /) -> None:
        """Do nothing: neither pings nor errors repeat parts of the answer."""

    def number_events(self, *, relayed: bool) -> SequenceNumbers | None:
        """Return None: events of this API have no numbers."""

    def heartbeat(self, *, is_long: bool, first_events_wait: bool) -> bytes:
        """Return a ping: clients accept it anywhere, and their watchdogs count it."""
        return PING

    def failure(self, error: ProxyError, /) -> bytes:
        """Return the ``error`` event, which both official SDKs raise."""
        return encode_error_event(error, self._call_id)
