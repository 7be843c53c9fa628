"""CallRecords of calls that have ended, for tests of what reads them."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from jarvis_proxy.call_record import CallRecord

_ENDED = CallRecord(
    request_id="req_1",
    started_at=100.0,
    timestamp=0.0,
    method="POST",
    route="/v1/chat/completions",
    key_name="laptop",
    model="gpt-4o",
    upstream_model="gpt-4o",
    upstream="openai",
    status=200,
    outcome="ok",
    body_received_at=100.001,
    upstream_asked_at=100.002,
    upstream_first_byte_at=100.25,
    first_byte_sent_at=100.252,
    ended_at=101.0,
    prompt_tokens=10,
    completion_tokens=5,
    cached_tokens=4,
    reasoning_tokens=2,
    cost=1000,
    attempts=1,
)


def call(at: str = "2026-11-23T12:00:00", **changes: Any) -> CallRecord:
    """Return the record of a good call that began at *at* (UTC), with *changes*."""
    timestamp = datetime.fromisoformat(f"{at}+00:00").timestamp()
    return replace(_ENDED, timestamp=timestamp, **changes)
