"""What a call notes for its trace, and what its upstreams get of it."""

import asyncio

import pytest

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.relay.tracing import new_attempt, note_failure, with_trace
from tests.support.call_records import call

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
REQUEST = UpstreamRequest("POST", "/x", {"accept": "a"}, b"")


def test_attempts_have_ids_of_their_own() -> None:
    first, second = new_attempt(call()), new_attempt(call())

    assert 0 < first.span_id < 1 << 64
    assert first.span_id != second.span_id
    assert (first.upstream, first.model, first.ended_at) == ("openai", "gpt-4o", None)


@pytest.mark.parametrize(
    ("exc", "code"),
    [
        (ProxyError(502, "m", code="upstream_truncated"), "upstream_truncated"),
        (ProxyError(404, "m"), "404"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
def test_failures_have_a_code(exc: BaseException, code: str) -> None:
    attempt = new_attempt(call())
    note_failure(attempt, exc)

    assert attempt.code == code
    assert attempt.ended_at is not None
    assert attempt.ended_at >= attempt.started_at


def test_without_traces_the_clients_header_goes_on() -> None:
    assert with_trace(REQUEST, PARENT, None).headers == {"accept": "a", "traceparent": PARENT}


def test_with_traces_the_attempt_is_the_parent() -> None:
    attempt = new_attempt(call())
    sent = with_trace(REQUEST, PARENT, [attempt]).headers["traceparent"]

    assert sent == f"{PARENT[:36]}{attempt.span_id:016x}-01"


def test_a_header_that_is_not_valid_stays_behind() -> None:
    assert with_trace(REQUEST, "sk-canary", None) is REQUEST
