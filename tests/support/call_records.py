"""CallRecords of calls that have ended, for tests of what reads them."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from jarvis_proxy.call_record import CallRecord

_ENDED = CallRecord(
    request_id="req_1",
    started=100.0,
    started_at=0.0,
    method="POST",
    route="/v1/chat/completions",
    key_name="laptop",
    model="gpt-4o",
    target="gpt-4o",
    upstream="openai",
    status=200,
    outcome="ok",
    received=100.001,
    asked=100.002,
    heard=100.25,
    first_byte=100.252,
    ended=101.0,
    prompt_tokens=10,
    completion_tokens=5,
    cached_tokens=4,
    reasoning_tokens=2,
    cost=1000,
    attempts=1,
)


def call(at: str = "2026-11-23T12:00:00", **changes: Any) -> CallRecord:
    """Return the record of a good call that began at *at* (UTC), with *changes*."""
    started_at = datetime.fromisoformat(f"{at}+00:00").timestamp()
    return replace(_ENDED, started_at=started_at, **changes)
