"""What the proxy itself says in the stream of a response."""

import json
from typing import Any

import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.response_events import ProxyResponseEvents, SequenceNumbers, failed_code

JSON = dict[str, Any]
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
BODY = b'{"model":"m","instructions":"Be brief.","tools":[],"stream":true}'
ERROR = ProxyError(502, "It broke.", code="upstream_truncated")


def own(body: bytes = BODY) -> ProxyResponseEvents:
    return ProxyResponseEvents("abc", 5, "m", body)


def read(data: bytes) -> list[JSON]:
    """Return events, which OpenAI's types take, each named by its type."""
    found = []
    for block in data.removesuffix(b"\n\n").split(b"\n\n"):
        name, _, line = block.partition(b"\n")
        event: JSON = json.loads(line.removeprefix(b"data: "))
        # The SDK's types do not know all codes of a failure, nor the keepalive that OpenAI sends.
        if event["type"] not in ("response.failed", "keepalive"):
            EVENT.validate_python(event)
        assert name == b"event: " + event["type"].encode()
        found.append(event)
    return found


def received(data: bytes) -> list[tuple[str, int]]:
    return [(event["type"], event["sequence_number"]) for event in read(data)]


def an_event(kind: str, number: int | None, **fields: Any) -> bytes:
    numbered = {} if number is None else {"sequence_number": number}
    payload = json.dumps({"type": kind, **numbered, **fields})
    return f"event: {kind}\ndata: {payload}\n\n".encode()


CREATED = an_event("response.created", 0, response={"id": "resp_7-a", "object": "response"})
DELTA = an_event("response.output_text.delta", 4, delta='say "sequence_number": 9')


def test_numbers_count_up() -> None:
    numbers = SequenceNumbers()

    assert [numbers.take(), numbers.take(), numbers.next] == [0, 1, 2]


def test_first_heartbeat_begins_the_response_and_the_next_reports_progress() -> None:
    events = own()

    first, second, third = events.heartbeat(), events.heartbeat(), events.heartbeat()

    assert received(first + second + third) == [
        ("response.created", 0),
        ("response.in_progress", 1),
        ("response.in_progress", 2),
        ("response.in_progress", 3),
    ]
    created = read(first)[0]["response"]
    assert (created["id"], created["created_at"], created["model"]) == ("resp_abc", 5, "m")
    assert (created["status"], created["instructions"]) == ("in_progress", "Be brief.")


def test_the_answer_continues_with_the_next_number() -> None:
    events = own()
    events.heartbeat()

    assert events.start_attempt(relayed=False).next == 2


def test_an_attempt_that_came_to_nothing_leaves_no_gap() -> None:
    events = own()
    events.heartbeat()
    events.start_attempt(relayed=False).next = 9  # events that were never sent

    assert received(events.heartbeat()) == [("response.in_progress", 2)]
    assert events.start_attempt(relayed=False).next == 3


def test_a_beat_in_the_answer_is_counted_too() -> None:
    events = own()
    numbers = events.start_attempt(relayed=False)
    numbers.next = 5
    events.record_sent(DELTA)

    assert received(events.heartbeat()) == [("keepalive", 5)]
    assert numbers.next == 6


def test_a_beat_in_a_relayed_answer_has_its_last_number() -> None:
    events = own()
    events.start_attempt(relayed=True)
    events.record_sent(CREATED)
    events.record_sent(DELTA)

    assert received(events.heartbeat()) == [("keepalive", 4)]
    assert received(events.heartbeat()) == [("keepalive", 4)]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"tools":5}', b'{"half', BODY + b"\xff"])
def test_a_request_that_cannot_be_repeated_is_not(body: bytes) -> None:
    assert read(own(body).heartbeat())[0]["response"]["instructions"] is None


def test_a_failure_is_both_events_with_the_next_numbers() -> None:
    events = own()
    numbers = events.start_attempt(relayed=False)
    numbers.next = 5
    events.record_sent(DELTA)

    error, failed = read(events.failure(ERROR))

    assert (error["type"], error["sequence_number"], error["code"]) == (
        "error",
        5,
        "upstream_truncated",
    )
    assert error["error"]["message"] == "It broke."
    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 6)
    response = failed["response"]
    assert (response["id"], response["status"]) == ("resp_abc", "failed")
    assert response["error"] == {"code": "server_error", "message": "It broke."}


def test_a_relayed_answer_fails_under_its_own_id_and_numbers() -> None:
    events = own()
    events.start_attempt(relayed=True)
    events.record_sent(CREATED)
    events.record_sent(DELTA + b": a comment\n\n")
    events.record_sent(b": another\n\n")

    assert received(events.failure(ERROR)) == [("error", 5), ("response.failed", 6)]


def test_a_large_event_is_not_kept_but_its_number_is() -> None:
    events = own()
    events.start_attempt(relayed=True)
    events.record_sent(CREATED)
    events.record_sent(an_event("response.completed.part", 7, text="x" * 100_000))

    assert received(events.failure(ERROR)) == [("error", 8), ("response.failed", 9)]


def test_events_without_numbers_are_counted_from_the_start() -> None:
    events = own()
    events.start_attempt(relayed=True)
    events.record_sent(an_event("response.created", None) + b"data: x\n\n")

    assert received(events.failure(ERROR)) == [("error", 0), ("response.failed", 1)]


def test_a_response_begins_before_it_fails() -> None:
    assert received(own().failure(ERROR)) == [
        ("response.created", 0),
        ("response.in_progress", 1),
        ("error", 2),
        ("response.failed", 3),
    ]


def test_after_a_sign_of_life_it_has_begun() -> None:
    events = own()
    events.heartbeat()

    assert received(events.failure(ERROR)) == [("error", 2), ("response.failed", 3)]


@pytest.mark.parametrize(
    ("event", "code", "message"),
    [
        (
            an_event("error", 5, code="insufficient_quota", message="No.", param=None),
            "insufficient_quota",
            "No.",
        ),
        (
            an_event("error", 5, error={"code": "rate_limit_exceeded", "message": "No."}),
            "rate_limit_exceeded",
            "No.",
        ),
        (an_event("error", 5, code="odd", message="No."), "server_error", "No."),
        (
            an_event("error", 5, code=5, message=5),
            "server_error",
            "The upstream reported an error.",
        ),
        (
            b'event: error\ndata: {"sequence_number":5,"message":"No."}\n\n',
            "server_error",
            "No.",
        ),
    ],
)
def test_upstream_error_is_not_repeated(event: bytes, code: str, message: str) -> None:
    events = own()
    events.start_attempt(relayed=True)
    events.record_sent(CREATED + event)

    (failed,) = read(events.failure(ERROR))

    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 6)
    assert failed["response"]["error"] == {"code": code, "message": message}


@pytest.mark.parametrize(
    ("status", "code", "kind", "expected"),
    [
        (400, "context_length_exceeded", None, "context_length_exceeded"),
        (429, "insufficient_quota", "insufficient_quota", "insufficient_quota"),
        (429, "budget_exceeded", "insufficient_quota", "insufficient_quota"),
        (402, None, None, "insufficient_quota"),
        (429, "rate_limit_exceeded", None, "rate_limit_exceeded"),
        (429, "busy", None, "rate_limit_exceeded"),
        (400, "invalid_value", None, "invalid_prompt"),
        (413, "request_too_large", None, "invalid_prompt"),
        (403, "blocked", None, "server_error"),
        (502, "upstream_truncated", None, "server_error"),
        (503, 503, None, "server_error"),
        (504, "upstream_timeout", None, "server_error"),
    ],
)
def test_the_code_is_one_that_clients_act_on(
    status: int, code: str | int | None, kind: str | None, expected: str
) -> None:
    assert failed_code(ProxyError(status, "x", code=code, error_type=kind)) == expected


def test_request_with_half_an_emoji_is_repeated_too() -> None:
    body = rb'{"input":"q","instructions":"cut \ud83d"}'

    beat = ProxyResponseEvents("req-1", 1, "my-model", body).heartbeat()

    assert b'"instructions":"cut \\ufffd"' in beat


@pytest.mark.parametrize("last", [b": no data: of its own\n\n", b"data: {no JSON\n\n"])
def test_a_long_event_that_cannot_be_read_leaves_the_number_as_it_was(last: bytes) -> None:
    events = own()
    events.start_attempt(relayed=True)
    events.record_sent(last.rjust(64 * 1024 + 1, b"\n"))

    assert received(events.heartbeat()) == [("keepalive", 0)]
