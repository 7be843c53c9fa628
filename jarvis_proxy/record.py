"""CallRecord: what happened in one call, for the log, the metrics and the live page. Pure.

It holds names, times, sizes and counts; never content, never a key.
"""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

Outcome = Literal[
    "ok",
    "refused",  # we said no: key, form, limit
    "upstream_error",  # the upstream answered with an error, or broke
    "client_closed",  # the client left before the end
    "internal_error",  # our fault
]

_MAX_FIELD: Final = 64
_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


@dataclass(slots=True)
class CallRecord:
    """One call. Times are in seconds on the monotonic clock, but *started_at*: epoch seconds.

    *received* is when the request's last byte was here, *asked* when an upstream was first asked,
    *heard* when an answer, not a refusal, last came in before *first_byte* went out. *cost* is in
    billionths of a dollar. *limit* names the limit of ours that refused the call.
    """

    request_id: str
    started: float
    started_at: float
    method: str = ""
    route: str = ""
    key_name: str = "-"
    model: str = "-"
    target: str = "-"
    upstream: str = "-"
    status: int = 0
    outcome: Outcome = "ok"
    code: str = ""
    limit: str = ""
    received: float | None = None
    asked: float | None = None
    heard: float | None = None
    first_byte: float | None = None
    ended: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: int | None = None
    attempts: int = 0
    streamed: bool = False
    user_agent: str = ""
    client_ip: str = ""

    def fields(self) -> dict[str, Any]:
        """Return the record as names and plain values, in the order of the log line."""
        return {
            "id": self.request_id,
            "key": self.key_name,
            "ip": self.client_ip,
            "method": self.method,
            "route": self.route,
            "model": printable(self.model),
            "upstream": self.upstream,
            "target": printable(self.target),
            "status": self.status,
            "outcome": self.outcome,
            "code": printable(self.code),  # an upstream may have chosen it
            "attempts": self.attempts,
            "ttfb_ms": self._ms(self.first_byte),
            "duration_ms": self._ms(self.ended),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cached_tokens": self.cached_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "agent": printable(self.user_agent),
        }

    def overhead(self) -> float | None:
        """Return how much of the time to the first byte was the proxy's own work.

        None where that is not known: no answer, an upload, links that were downloaded first.
        """
        if self.received is None or self.asked is None:
            return None
        if self.heard is None or self.first_byte is None:
            return None
        # The head of a stream may have gone out before the upstream said anything.
        return self.asked - self.received + max(0.0, self.first_byte - self.heard)

    def _ms(self, moment: float | None) -> float | None:
        return None if moment is None else round((moment - self.started) * 1000, 1)


def as_text(record: CallRecord, timestamp: str) -> str:
    """Return the log line ``<timestamp> call name=value ...``; unknown values are left out."""
    pairs = " ".join(
        f"{name}={_quoted(value)}"
        for name, value in record.fields().items()
        if value is not None and value not in ("", "-")
    )
    return f"{timestamp} call {pairs}"


def as_json(record: CallRecord, timestamp: str) -> str:
    """Return the log line as one JSON object in ASCII."""
    return ascii_json({"time": timestamp, "event": "call", **record.fields()})


def ascii_json(value: dict[str, Any]) -> str:
    """Return one line of ASCII JSON: no line separator of any alphabet can split it."""
    return _ENCODER.encode(value)


def printable(text: str) -> str:
    """Return *text* cut to 64 characters, everything but printable ASCII replaced by ``?``.

    A name in a log line can then neither break the line nor write to a terminal.
    """
    cut = text[:_MAX_FIELD]
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in cut)


def _quoted(value: object) -> str:
    text = str(value)
    if " " in text or '"' in text or "=" in text:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text
