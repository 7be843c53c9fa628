"""The proxy's own events in a Responses stream: beginning, heartbeats, failure. Pure.

Some clients of the Responses API count only events: comments do not keep them waiting. Some
recognise a failure only by ``response.failed``, while SDKs raise at ``error``: so a failure has
both.

Source: https://platform.openai.com/docs/api-reference/responses-streaming (read 2026-11).
"""

import re
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.responses_types import ResponseError, ResponseObject, echo_of
from jarvis_proxy.wire.sse import SSEDecoder

_ID: Final = re.compile(rb'"id"\s*:\s*"(resp[A-Za-z0-9_-]{1,128})"')
_SAMPLE: Final = 1024
_LARGE: Final = 64 * 1024
_KEEPALIVE: Final = b'event: keepalive\ndata: {"type":"keepalive","sequence_number":%d}\n\n'
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

# Codes that clients act on. Other codes appear in `error`, and as one of these in the response.
_KNOWN_CODES: Final = frozenset(
    (
        "context_length_exceeded",
        "insufficient_quota",
        "invalid_prompt",
        "rate_limit_exceeded",
        "server_error",
    )
)
_REFUSED: Final = frozenset((400, 413, 415, 422))


class SequenceNumbers:
    """Numbers the events of one response, both relayed ones and the proxy's own."""

    __slots__ = ("next",)

    def __init__(self) -> None:
        self.next = 0

    def take(self) -> int:
        """Return the number of the next event."""
        number = self.next
        self.next = number + 1
        return number


class _SentEvent(msgspec.Struct):
    """The relevant fields of a sent event."""

    type: str | None = None
    sequence_number: int | None = None
    code: Any = None
    message: Any = None
    error: Any = None


class ProxyResponseEvents:
    """The proxy's own events of one response.

    *body* is the request's; the response repeats parts of it. A relayed answer has its upstream's
    sequence numbers, so an event of the proxy repeats the previous number.
    """

    __slots__ = ("_began", "_body", "_head", "_last", "_own", "numbers", "relayed")

    def __init__(self, call_id: str, created: int, model: str, body: bytes) -> None:
        self._head = ResponseObject(
            id=f"resp_{call_id}", created_at=created, status="in_progress", model=model, output=[]
        )
        self._body = body
        self._began = False
        self._own = 0
        """Number of the proxy's events before the answer."""
        self._last = b""
        """The answer's events that were sent last."""
        self.numbers = SequenceNumbers()
        self.relayed = False

    def start_attempt(self, *, relayed: bool) -> SequenceNumbers:
        """Return the sequence numbers for a new answer."""
        self.relayed = relayed
        self._forget_attempts()
        return self.numbers

    def record_sent(self, events: bytes) -> None:
        """Note *events* of the answer, which are about to be sent."""
        if b"data:" not in events:
            return
        if not self._last and (found := _ID.search(events[:_SAMPLE])):
            self._head = replace(self._head, id=found[1].decode())
        self._began = True
        self._last = events if len(events) <= _LARGE else _shortened(events)

    def heartbeat(self) -> bytes:
        """Return a heartbeat: first the response's beginning, then ``response.in_progress``.

        Within an answer it is OpenAI's own ``keepalive``: its SDK for JavaScript takes a response
        in progress for all that there is so far, and one without output makes it forget the items.
        """
        self._forget_attempts()
        if self._last:
            if self.relayed:
                return _KEEPALIVE % (self._last_sent().sequence_number or 0)
            return _KEEPALIVE % self.numbers.take()
        if self._began:
            events = _event("response.in_progress", self.numbers.take(), self._head)
        else:
            events = self._beginning()
        self._own = self.numbers.next
        return events

    def failure(self, error: ProxyError) -> bytes:
        """Return the events that end the stream with *error*.

        If the last event sent was the upstream's own ``error``, it is not sent twice.
        """
        self._forget_attempts()
        sent = self._last_sent()
        if self.relayed and sent.sequence_number is not None:
            self.numbers.next = sent.sequence_number + 1
        events = b"" if self._began else self._beginning()
        if sent.type == "error":
            reason = _reason(sent)
        else:
            known = failed_code(error)
            reason = ResponseError(known, error.message)
            events += error.responses_event(self.numbers.take())
        failed = replace(self._head, status="failed", error=reason)
        return events + _event("response.failed", self.numbers.take(), failed)

    def _beginning(self) -> bytes:
        """Return the events that begin a response."""
        self._began = True
        created = replace(self._head, **_echo(self._body))
        self._body = b""
        return b"".join(
            _event(kind, self.numbers.take(), created)
            for kind in ("response.created", "response.in_progress")
        )

    def _forget_attempts(self) -> None:
        """Reset the sequence numbers of failed attempts that have sent nothing."""
        if not self._last:
            self.numbers.next = self._own

    def _last_sent(self) -> _SentEvent:
        """Return the fields of the answer's last event."""
        found = _SentEvent()
        for event in SSEDecoder().feed(self._last):
            try:
                found = msgspec.json.decode(event.data, type=_SentEvent)
            except (ValueError, RecursionError):
                continue
            if event.event == "error":
                found.type = "error"
        return found


def failed_code(error: ProxyError) -> str:
    """Return the code for *error* in a failed response: one that clients act on."""
    if error.code in _KNOWN_CODES:
        return str(error.code)
    if error.status == 402 or error.error_type == "insufficient_quota":
        return "insufficient_quota"
    if error.status == 429:
        return "rate_limit_exceeded"
    return "invalid_prompt" if error.status in _REFUSED else "server_error"


def _reason(sent: _SentEvent) -> ResponseError:
    """Return the error in an upstream's ``error`` event."""
    error = sent.error if isinstance(sent.error, dict) else {}
    said = sent.code or error.get("code") or error.get("type")
    known = said if isinstance(said, str) and said in _KNOWN_CODES else "server_error"
    message = sent.message or error.get("message")
    words = message if isinstance(message, str) else "The upstream reported an error."
    return ResponseError(known, words)


def _shortened(events: bytes) -> bytes:
    """Return the last of *events* without its potentially long fields."""
    last = SSEDecoder().feed(events)[-1:]
    try:
        sent = msgspec.json.decode(last[0].data, type=_SentEvent)
    except (IndexError, ValueError, RecursionError):
        sent = _SentEvent()
    return b"data: " + msgspec.json.encode(sent) + b"\n\n"


def _echo(body: bytes) -> dict[str, Any]:
    """Return the fields of the request that the response repeats; none if *body* is invalid."""
    try:
        fields = surrogates.decode(_FIELDS, body)
        return echo_of(fields)
    except (ValueError, RecursionError):
        return {}


def _event(kind: str, number: int, response: ResponseObject) -> bytes:
    event = {"type": kind, "sequence_number": number, "response": response}
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(event))
