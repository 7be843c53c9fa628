"""Relays a Messages call to a Messages API, and its answer back, unchanged. Pure.

Source: https://docs.claude.com/en/api/messages, /en/api/messages-count-tokens, and
https://code.claude.com/docs/en/llm-gateway for the headers that a gateway forwards (read 2026-11).
"""

from collections.abc import Mapping
from typing import Final

from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.exchange import NOTHING_NEEDED, Media, Prerequisites, UpstreamRequest
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.errors import is_signature_fault, message_of
from jarvis_proxy.upstreams.anthropic.relay_errors import relayed_error
from jarvis_proxy.upstreams.anthropic.relay_request import relayed_body, without_thinking
from jarvis_proxy.upstreams.anthropic.relay_stream import MessagesRelayStream, read_whole
from jarvis_proxy.upstreams.anthropic.upstream import VERSION
from jarvis_proxy.upstreams.json_values import fields_of, loads
from jarvis_proxy.upstreams.whole_as_stream import message_stream
from jarvis_proxy.wire.headers import MESSAGES_HEADERS
from jarvis_proxy.wire.response_events import SequenceNumbers

RELAYED: Final = frozenset(("messages", "messages/count_tokens"))
"""The endpoints that are relayed, in the form of ``Call.endpoint``."""

_COUNTS: Final = "messages/count_tokens"
_ABSENT: Final = (404, 405, 501)
_BETA: Final = "beta"


class MessagesRelay:
    """A Messages API for clients of that API; implements ``Upstream``.

    *is_anthropic*: it is Anthropic itself, not a compatible service.
    """

    __slots__ = ("_is_anthropic", "name")

    def __init__(self, name: str, *, is_anthropic: bool) -> None:
        self.name = name
        self._is_anthropic = is_anthropic

    def needs(self, call: Call) -> Prerequisites:
        """Return that nothing is needed."""
        return NOTHING_NEEDED

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> "MessagesRelayExchange":
        """Return the exchange that passes *call* on."""
        model = call.target_model if call.target_model != call.model else None
        body = relayed_body(call.body, model, is_anthropic=self._is_anthropic)
        return MessagesRelayExchange(call, body, is_anthropic=self._is_anthropic)


class MessagesRelayExchange:
    """One relayed call with *body*; implements ``Exchange``.

    A request whose thinking is refused is sent once more without it. Nothing else changes.
    """

    __slots__ = ("_answer", "_body", "_call", "_is_anthropic", "_may_recover", "requests", "usage")

    raw: bool = True
    headers: tuple[tuple[str, str], ...] = ()

    def __init__(
        self, call: Call, body: bytes, *, is_anthropic: bool, may_recover: bool = True
    ) -> None:
        self._call = call
        self._body = body
        self._is_anthropic = is_anthropic
        self._may_recover = may_recover
        self._answer = b""
        self.usage: TokenUsage | None = None
        self.requests = (UpstreamRequest("POST", _path(call), _headers(call), body),)

    @property
    def weight(self) -> int:
        """Return the size of the body, unless it is the call's own."""
        return 0 if self._body is self._call.body else len(self._body)

    @property
    def partial_usage(self) -> TokenUsage | None:
        """Return the same as ``usage``: a whole answer is complete or unknown."""
        return self.usage

    def translate_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProxyError:
        """Return the error for an upstream status ≥ 400, with the upstream's own body in it.

        A compatible service without ``count_tokens`` causes 400 `unsupported_endpoint`.
        """
        if self._call.endpoint == _COUNTS and not self._is_anthropic and status in _ABSENT:
            message = "This service does not count tokens."
            return ProxyError(400, message, code="unsupported_endpoint")
        error = relayed_error(status, headers, body, model=self._call.model)
        wish = headers.get("x-should-retry")
        if error.native and error.should_retry is None and wish in ("true", "false"):
            error.should_retry = wish == "true"
        return error

    def recover(self, status: int, body: bytes) -> "MessagesRelayExchange | None":
        """Return the request without any thinking if thinking was refused, else None."""
        if not self._may_recover or status != 400 or not is_signature_fault(message_of(body)):
            return None
        changed = without_thinking(self._body)
        if changed is None:
            return None
        return MessagesRelayExchange(
            self._call, changed, is_anthropic=self._is_anthropic, may_recover=False
        )

    def translate_reply(self, body: bytes, index: int = 0) -> None:
        """Read a whole answer and note its usage.

        Raises:
            ProxyError: the body is an error despite its status, or no JSON object.
        """
        self._answer = body
        self.usage = read_whole(body, self._call.model)

    def answer(self) -> bytes:
        """Return the upstream's bytes unchanged."""
        return self._answer

    def as_stream(self, numbers: SequenceNumbers | None, *, asks_usage: bool) -> bytes | None:
        """Return the whole answer as the stream that was requested; None if it is not a message."""
        return message_stream(fields_of(loads(self._answer)))

    def stream_translator(
        self, index: int = 0, numbers: SequenceNumbers | None = None
    ) -> MessagesRelayStream:
        """Return a stream translator that passes events on unchanged."""
        return MessagesRelayStream(self._call.model)


def _headers(call: Call) -> dict[str, str]:
    """Return the headers for Anthropic's API: the version, and betas if any."""
    crossing = {name: call.headers[name] for name in MESSAGES_HEADERS if name in call.headers}
    return {"Content-Type": "application/json", "anthropic-version": VERSION, **crossing}


def _path(call: Call) -> str:
    """Return the path; of the query only ``beta`` crosses, which SDKs send with beta requests."""
    parts = [part for part in call.query.split("&") if part.partition("=")[0] == _BETA]
    return f"/v1/{call.endpoint}" + (f"?{'&'.join(parts)}" if parts else "")
