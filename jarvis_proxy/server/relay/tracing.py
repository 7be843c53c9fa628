"""Collects what a trace needs while a call runs: its attempts, and the client. IO (clock)."""

import time
from collections.abc import Sequence
from random import SystemRandom
from typing import Final

import msgspec

from jarvis_proxy.call_record import AttemptRecord, CallRecord
from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.trace_context import TRACEPARENT, parse_traceparent

_RANDOM: Final = SystemRandom()
_CANCELLED: Final = "cancelled"
"""A deadline has passed, or the client has left."""


def new_attempt(record: CallRecord) -> AttemptRecord:
    """Return the record of an attempt that begins now."""
    span_id = _RANDOM.getrandbits(64) or 1
    return AttemptRecord(record.upstream, record.upstream_model, time.monotonic(), span_id)


def note_failure(attempt: AttemptRecord, exc: BaseException) -> None:
    """Note that an attempt ends now, and why; one that answers ends with its call."""
    attempt.ended_at = time.monotonic()
    attempt.code = str(exc.code or exc.status) if isinstance(exc, ProxyError) else _CANCELLED


def with_trace(
    request: UpstreamRequest, parent: str, tried: Sequence[AttemptRecord] | None
) -> UpstreamRequest:
    """Return *request* in the client's trace; a header that is not valid is left out.

    Where calls are traced, the parent is the span of the latest attempt, else the client's own.
    """
    found = parse_traceparent(parent)
    if found is None:
        return request
    if tried:
        found = found.with_span(tried[-1].span_id)
    return msgspec.structs.replace(request, headers={**request.headers, TRACEPARENT: str(found)})
