"""What the shell needs of a client API besides its dialect: errors, heartbeats, failures. Pure.

These take the client API's form, whichever upstream answers, and also if none does.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.response_events import SequenceNumbers

ApiName = Literal["openai", "messages", "generate_content"]
"""OpenAI's APIs share their errors; Anthropic's Messages and Google's API have their own."""


class ErrorAnswer(msgspec.Struct, frozen=True):
    """An error as an HTTP response; *headers* are those that only this API adds."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class StreamForm(Protocol):
    """The proxy's own messages in one stream."""

    content_type: str
    """The value of ``Content-Type``."""
    silent: bool
    """The stream can carry nothing but the answer.

    So its headers wait for the first content, and a failure closes the connection without an end.
    """
    error_pause: float
    """Seconds to wait between the last frame and an error, so that the error arrives alone."""
    end_mark: bytes
    """The missing end of a settled answer; ``b""`` if there is none."""

    def has_content(self, events: bytes, /) -> bool:
        """Return whether *events* contain content, not only signs of life."""

    def passed(self, events: bytes, /) -> None:
        """Note whole events of the answer, which are about to be sent."""

    def number_events(self, *, relayed: bool) -> SequenceNumbers | None:
        """Return the sequence numbers for a new answer, None if its events have none.

        *relayed*: the events have the upstream's numbers.
        """

    def heartbeat(self, *, is_long: bool, first_events_wait: bool) -> bytes:
        """Return an event that shows that the answer is still awaited.

        *is_long*: the silence has lasted for more than one heartbeat interval. *first_events_wait*:
        the answer's first events have arrived, and are sent as soon as the head is.
        """

    def failure(self, error: ProxyError, /) -> bytes:
        """Return the events that end the stream with *error*, so that the API's SDKs raise it."""


class ClientApi(Protocol):
    """A client API as the shell sees it."""

    def error(self, error: ProxyError, call_id: str, /) -> ErrorAnswer:
        """Return *error* as a complete response; *call_id* is the call's 24 letters and digits."""

    def answer_headers(self, call_id: str, /) -> Mapping[str, str]:
        """Return the headers of every response of this API."""

    def stream_form(self, call: Call, headers: Mapping[str, str], /) -> StreamForm:
        """Return the form of the stream that answers *call*; *headers* are the request's."""
