"""What the shell needs of a client API besides its dialect: errors, heartbeats, failures. Pure.

These are written in the client's API, whichever upstream answers, and if none does.
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
    """An error as an HTTP answer: *headers* are those that only this API asks for."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class StreamForm(Protocol):
    """What the proxy itself says in one stream."""

    content_type: str
    """The value of ``Content-Type``."""
    silent: bool
    """Nothing but the answer can stand in it: its headers wait for the first content, and a failure
    closes the connection without an end."""
    error_pause: float
    """Seconds to wait between the last frame and an error, so that it arrives by itself."""
    end_mark: bytes
    """What ends an answer that lacks its end only; ``b""``: nothing has to."""

    def has_content(self, events: bytes, /) -> bool:
        """Return whether whole *events* hold some of the answer, and not only signs of life."""

    def passed(self, events: bytes, /) -> None:
        """Note whole events of the answer, which go out."""

    def number_events(self, *, relayed: bool) -> SequenceNumbers | None:
        """Return the numbers for the events of an answer that is to begin; None: they have none.

        *relayed*: they come with the upstream's numbers.
        """

    def heartbeat(self, *, is_long: bool, first_events_wait: bool) -> bytes:
        """Return what shows, between events, that the answer is still being waited for.

        *is_long*: the silence has lasted for more than one heartbeat. *first_events_wait*: the
        answer's first events have passed, and go out as soon as the head has.
        """

    def failure(self, error: ProxyError, /) -> bytes:
        """Return what ends the stream with *error*, so that the API's SDKs raise it."""


class ClientApi(Protocol):
    """A client API as the shell sees it."""

    def error(self, error: ProxyError, call_id: str, /) -> ErrorAnswer:
        """Return *error* as a whole answer; *call_id* is the call's 24 letters and digits."""

    def answer_headers(self, call_id: str, /) -> Mapping[str, str]:
        """Return headers that every answer of this API has."""

    def stream_form(self, call: Call, headers: Mapping[str, str], /) -> StreamForm:
        """Return the form of the stream that answers *call*; *headers* are the request's."""
