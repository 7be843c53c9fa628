"""Relays one call of Google's API to Google, and its answer back, unchanged. Pure.

Source: https://ai.google.dev/api/all-methods (read 2026-11).
"""

from collections.abc import Mapping
from typing import Final, cast

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import StreamTranslator, UpstreamRequest
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.relay.answer_observer import read_answer
from jarvis_proxy.upstreams.gemini.relay.array_stream import ArrayRelay
from jarvis_proxy.upstreams.gemini.relay.errors import relayed_error
from jarvis_proxy.upstreams.gemini.relay.event_stream import EventRelay
from jarvis_proxy.upstreams.gemini.relay.request import relayed_body, relayed_path
from jarvis_proxy.wire.google_verbs import asks_for_events
from jarvis_proxy.wire.response_events import SequenceNumbers

_HEADERS: Final = {"Content-Type": "application/json"}


class GeminiRelayExchange:
    """One relayed call. Thought signatures travel with the client; none is stored here.

    Implements ``Exchange``. A request that Google refuses is not repeated in another form.
    """

    __slots__ = ("_answer", "_call", "requests", "usage", "weight")

    raw: bool = False
    headers: tuple[tuple[str, str], ...] = ()

    def __init__(self, call: Call) -> None:
        body = relayed_body(call)
        self._call = call
        self._answer = b""
        self.weight = 0 if body is call.body else len(body)
        self.usage: TokenUsage | None = None
        self.requests = (UpstreamRequest("POST", relayed_path(call), _HEADERS, body),)

    @property
    def partial_usage(self) -> TokenUsage | None:
        """Return the same as ``usage``: a whole answer is complete or unknown."""
        return self.usage

    def translate_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProxyError:
        """Return the error for an upstream status ≥ 400, with Google's own body in it."""
        return relayed_error(status, body, model=self._call.model, headers=headers)

    def recover(self, status: int, body: bytes) -> None:
        """Return None: relayed requests are never changed after a refusal."""

    def translate_reply(self, body: bytes, index: int = 0) -> None:
        """Read a whole answer and note its usage.

        Raises:
            ProxyError: the body is an error despite its status, or no JSON object.
        """
        self._answer = body
        self.usage = read_answer(body, self._call.model)

    def answer(self) -> bytes:
        """Return the upstream's bytes unchanged."""
        return self._answer

    def stream_translator(
        self, index: int = 0, numbers: SequenceNumbers | None = None
    ) -> StreamTranslator:
        """Return an observer that passes frames on, as events or as a JSON array."""
        form = EventRelay if asks_for_events(self._call.query) else ArrayRelay
        # The protocol has plain attributes; here tokens are computed only on demand.
        return cast(StreamTranslator, form(self._call.model))
