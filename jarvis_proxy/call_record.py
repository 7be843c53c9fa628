"""CallRecord: the facts about one call, for the log, the metrics and the dashboard. Pure.

It holds names, times, sizes and counts; never content, never a key.
"""

import json
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from jarvis_proxy.wire.text import printable

Outcome = Literal[
    "ok",
    "refused",  # the proxy refused it: key, form, limit
    "upstream_error",  # the upstream answered with an error, or broke off
    "client_closed",  # the client left before the end
    "internal_error",  # the proxy has a fault
]

_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


class AttemptRecord(msgspec.Struct):
    """One attempt of a traced call. Times are as in ``CallRecord``.

    *span_id* identifies it in a trace. *status* is the upstream's, 0 before it has answered. *code*
    says why it failed. *ended_at* is None if the attempt ended with the call.
    """

    upstream: str
    model: str
    started_at: float
    span_id: int
    status: int = 0
    code: str = ""
    ended_at: float | None = None


class CallRecord(msgspec.Struct):
    """One call. Times are in seconds on the monotonic clock; *timestamp* is in epoch seconds.

    *body_received_at*: the request's last byte arrived. *upstream_asked_at*: a request was first
    sent to an upstream. *upstream_first_byte_at*: the final answer (not a refusal) began to arrive,
    before *first_byte_sent_at*. *cost* is in billionths of a dollar. *cache_write_1h_tokens* is
    part of *cache_write_tokens*. *is_counted*: its usage was counted while it was in progress.
    *limit* names the proxy's limit that refused the call. *authenticated* is False for a caller
    without a valid key. *tried* are the attempts, None if calls are not traced.
    """

    request_id: str
    started_at: float
    timestamp: float
    method: str = ""
    route: str = ""
    key_name: str = "-"
    authenticated: bool = False
    model: str = "-"
    upstream_model: str = "-"
    upstream: str = "-"
    status: int = 0
    outcome: Outcome = "ok"
    code: str = ""
    limit: str = ""
    body_received_at: float | None = None
    upstream_asked_at: float | None = None
    upstream_first_byte_at: float | None = None
    first_byte_sent_at: float | None = None
    ended_at: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    cost: int | None = None
    attempts: int = 0
    streamed: bool = False
    is_counted: bool = False
    user_agent: str = ""
    client_ip: str = ""
    tried: list[AttemptRecord] | None = None

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
            "target": printable(self.upstream_model),
            "status": self.status,
            "outcome": self.outcome,
            # An upstream may have chosen the code.
            "code": printable(self.code),
            "attempts": self.attempts,
            "ttfb_ms": self._ms(self.first_byte_sent_at),
            "duration_ms": self._ms(self.ended_at),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cached_tokens": self.cached_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "agent": printable(self.user_agent),
        }

    def add_tokens(
        self,
        prompt: int,
        completion: int,
        cached: int,
        reasoning: int,
        written: int = 0,
        written_1h: int = 0,
        audio: int = 0,
        image: int = 0,
    ) -> None:
        """Add token counts of an upstream."""
        self.prompt_tokens = (self.prompt_tokens or 0) + prompt
        self.completion_tokens = (self.completion_tokens or 0) + completion
        self.cached_tokens = (self.cached_tokens or 0) + cached
        self.reasoning_tokens = (self.reasoning_tokens or 0) + reasoning
        # Few upstreams charge for cache writes.
        if written:
            self.cache_write_tokens = (self.cache_write_tokens or 0) + written
            self.cache_write_1h_tokens += written_1h
        self.audio_tokens += audio
        self.image_tokens += image

    def overhead(self) -> float | None:
        """Return the proxy's own share of the time to the first byte, in seconds.

        None if it is unknown: there was no answer, or an upload, or links had to be downloaded.
        """
        if self.body_received_at is None or self.upstream_asked_at is None:
            return None
        if self.upstream_first_byte_at is None or self.first_byte_sent_at is None:
            return None
        # The head of a stream may be sent before the upstream has answered anything.
        return (
            self.upstream_asked_at
            - self.body_received_at
            + max(0.0, self.first_byte_sent_at - self.upstream_first_byte_at)
        )

    def _ms(self, moment: float | None) -> float | None:
        return None if moment is None else round((moment - self.started_at) * 1000, 1)


def as_text(record: CallRecord, timestamp: str) -> str:
    """Return the log line ``<timestamp> call name=value ...``; unknown values are left out."""
    # Written out instead of using fields(): this takes a quarter of the time, on every call.
    r = record
    names = _names(
        r.key_name, r.client_ip, r.method, r.route, r.model, r.upstream, r.upstream_model
    )
    line = f"{timestamp} call id={r.request_id}{names} status={r.status} outcome={r.outcome}"
    if r.code:
        line += _pair("code", printable(r.code))
    line += f" attempts={r.attempts}"
    if r.first_byte_sent_at is not None:
        line += f" ttfb_ms={(r.first_byte_sent_at - r.started_at) * 1000:.1f}"
    line += f" duration_ms={(r.ended_at - r.started_at) * 1000:.1f}"
    line += f" bytes_in={r.bytes_in} bytes_out={r.bytes_out}"
    if r.prompt_tokens is not None:
        line += f" prompt_tokens={r.prompt_tokens}"
    if r.completion_tokens is not None:
        line += f" completion_tokens={r.completion_tokens}"
    if r.cached_tokens is not None:
        line += f" cached_tokens={r.cached_tokens}"
    if r.reasoning_tokens is not None:
        line += f" reasoning_tokens={r.reasoning_tokens}"
    if r.cache_write_tokens is not None:
        line += f" cache_write_tokens={r.cache_write_tokens}"
    return line + _agent(r.user_agent)


@lru_cache(maxsize=1024)
def _names(
    key: str, ip: str, method: str, route: str, model: str, upstream: str, target: str
) -> str:
    """Return the pairs that many calls share; cached, so they are formatted once."""
    return "".join(
        (
            _pair("key", key),
            _pair("ip", ip),
            _pair("method", method),
            _pair("route", route),
            _pair("model", printable(model)),
            _pair("upstream", upstream),
            _pair("target", printable(target)),
        )
    )


@lru_cache(maxsize=256)
def _agent(user_agent: str) -> str:
    return _pair("agent", printable(user_agent))


def _pair(name: str, value: str) -> str:
    return f" {name}={_quoted(value)}" if value not in ("", "-") else ""


def as_json(record: CallRecord, timestamp: str) -> str:
    """Return the log line as one JSON object in ASCII."""
    return ascii_json({"time": timestamp, "event": "call", **record.fields()})


def ascii_json(value: dict[str, Any]) -> str:
    """Return one line of ASCII JSON, which no Unicode line separator can split."""
    return _ENCODER.encode(value)


def _quoted(text: str) -> str:
    if " " in text or '"' in text or "=" in text:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text
