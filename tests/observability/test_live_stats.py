"""Live: the last calls, the seconds and the sums, and that nothing else of a call is kept."""

from typing import Any

import msgspec
import pytest

from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.observability.live_stats import KEPT_CALLS, LiveStats, SecondStats

NOW = 1000.0


def call(ended: float = NOW, **more: Any) -> CallRecord:
    """Return a call of two seconds that went well, unless *more* says otherwise."""
    fields: dict[str, Any] = {
        "route": "/v1/chat/completions",
        "key_name": "laptop",
        "model": "fast",
        "upstream_model": "gpt-4o",
        "upstream": "openai",
        "status": 200,
        "first_byte_sent_at": ended - 1.5,
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "cost": 5,
        "attempts": 1,
        **more,
    }
    return CallRecord("req_1", ended - 2, 1.7e9 + ended - 2, ended_at=ended, **fields)


def live(*records: CallRecord) -> LiveStats:
    made = LiveStats()
    for record in records:
        made.add(record)
    return made


def failed(**more: Any) -> CallRecord:
    fields: dict[str, Any] = {
        "outcome": "upstream_error",
        "status": 504,
        "code": "upstream_timeout",
        "first_byte_sent_at": None,
        "prompt_tokens": None,
        "completion_tokens": None,
        "cost": None,
        **more,
    }
    return call(**fields)


# The last calls


def test_a_call_is_shown_with_its_names_times_and_numbers() -> None:
    (shown,) = live(call(streamed=True)).calls(0)

    assert msgspec.to_builtins(shown) == {
        "n": 1,
        "at": 1.7e9 + NOW,
        "key": "laptop",
        "route": "/v1/chat/completions",
        "model": "fast",
        "target": "gpt-4o",
        "upstream": "openai",
        "status": 200,
        "outcome": "ok",
        "code": "",
        "attempts": 1,
        "ttfb": 500.0,
        "ms": 2000.0,
        "prompt": 10,
        "completion": 20,
        "cost": 5,
        "streamed": True,
    }


def test_the_last_calls_are_kept_under_their_numbers() -> None:
    many = live(*(call(NOW + number) for number in range(KEPT_CALLS + 50)))

    assert many.count == KEPT_CALLS + 50
    assert [shown.n for shown in many.calls(0)] == list(range(51, KEPT_CALLS + 51))


@pytest.mark.parametrize(
    ("after", "limit", "expected"),
    [(0, 2, [1, 2]), (2, 10, [3, 4]), (4, 10, []), (9, 10, [])],
)
def test_calls_behind_a_number_come_in_their_order(
    after: int, limit: int, expected: list[int]
) -> None:
    four = live(*(call(NOW + number) for number in range(4)))

    assert [shown.n for shown in four.calls(after, limit)] == expected


def test_calls_that_fell_out_are_passed_over() -> None:
    many = live(*(call() for _ in range(KEPT_CALLS + 10)))

    assert [shown.n for shown in many.calls(3, 2)] == [11, 12]


@pytest.mark.parametrize("route", ["/health", "/ready", "/metrics", "/dashboard/events"])
def test_monitors_and_the_page_itself_are_no_traffic_but_a_wrong_key_there_is(route: str) -> None:
    quiet = call(route=route, outcome="client_closed")
    refused = call(route=route, outcome="refused", status=401, code="invalid_api_key")

    assert [shown.status for shown in live(quiet, refused).calls(0)] == [401]


def test_names_are_cut_and_made_printable() -> None:
    (shown,) = live(call(model="x" * 5000, upstream_model="a\u202eb\n", code="<script>")).calls(0)

    assert shown.model == "x" * 47 + "…"
    assert shown.target == "a?b?"
    assert shown.code == "<script>"


def test_address_agent_and_request_id_are_not_shown() -> None:
    record = call(user_agent="agent-canary", client_ip="203.0.113.9")
    made = live(record)
    made.open["id-canary"] = record

    everything = repr((made.calls(0), made.totals(NOW), made.seconds(0, NOW + 1)))
    assert not [canary for canary in ("canary", "203.0.113.9", "req_1") if canary in everything]


# Seconds


def test_seconds_are_counted_and_those_without_calls_left_out() -> None:
    made = live(call(NOW), call(NOW + 0.9), failed(ended=NOW + 3))

    assert made.seconds(0, NOW + 4) == [
        SecondStats(1000, calls=2, errors=0, prompt=20, completion=40),
        SecondStats(1003, calls=1, errors=1, prompt=0, completion=0),
    ]


def test_second_is_returned_once_after_it_is_over() -> None:
    made = live(call(NOW), call(NOW + 1))

    assert [second.t for second in made.seconds(0, NOW + 1.9)] == [1000]
    assert [second.t for second in made.seconds(1000, NOW + 2)] == [1001]


def test_seconds_older_than_five_minutes_are_not_returned() -> None:
    made = live(call(NOW), call(NOW + 1))

    assert [second.t for second in made.seconds(0, NOW + 300)] == [1000, 1001]
    assert [second.t for second in made.seconds(0, NOW + 301)] == [1001]
    for later in range(1000):
        made.add(call(NOW + 2 + later))
    assert len(made.seconds(0, NOW + 1002)) == 300


# Sums


def test_everything_is_summed_up_by_key_model_and_upstream() -> None:
    totals = live(call(), call(key_name="phone", model="slow"), failed(upstream="gemini")).totals(
        NOW + 1
    )
    sums = totals.all

    assert (sums.calls, sums.errors, sums.prompt, sums.completion, sums.cost) == (3, 1, 20, 40, 10)
    assert {(row.name, row.calls, row.errors) for row in totals.keys} == {
        ("laptop", 2, 1),
        ("phone", 1, 0),
    }
    assert {(row.name, row.calls) for row in totals.models} == {("fast", 2), ("slow", 1)}
    assert {(row.name, row.calls) for row in totals.upstreams} == {("openai", 2), ("gemini", 1)}


def test_percentiles_are_of_answers_that_an_upstream_gave() -> None:
    own_refusal = call(NOW, first_byte_sent_at=NOW, attempts=0, outcome="refused", status=400)
    totals = live(call(), own_refusal, failed()).totals(NOW + 1)

    assert totals.all.ttfb == [pytest.approx(500, rel=0.06)] * 3
    assert totals.all.ms == [pytest.approx(2000, rel=0.06)] * 3


def test_where_nothing_was_answered_there_is_no_percentile() -> None:
    totals = live(failed()).totals(NOW + 1)

    assert totals.all.ttfb == totals.all.ms == [None, None, None]


def test_a_client_that_left_is_a_cause_but_no_error() -> None:
    totals = live(call(outcome="client_closed", status=499)).totals(NOW + 1)

    assert totals.all.errors == 0
    assert [(c.code, c.outcome, c.calls) for c in totals.causes] == [("499", "client_closed", 1)]


def test_causes_come_with_the_most_frequent_first() -> None:
    totals = live(
        failed(),
        failed(code="a b"),
        failed(code="a b"),
        call(outcome="refused", code="invalid_api_key", status=401),
        failed(code="a b"),
        failed(),
    ).totals(NOW + 1)

    assert [(c.code, c.outcome, c.calls) for c in totals.causes] == [
        ("a b", "upstream_error", 3),
        ("upstream_timeout", "upstream_error", 2),
        ("invalid_api_key", "refused", 1),
    ]


def test_sums_are_of_the_last_five_minutes() -> None:
    made = live(call(NOW), failed(ended=NOW + 200))

    assert made.totals(NOW + 250).all.calls == 2
    later = made.totals(NOW + 320)
    assert (later.all.calls, later.all.errors) == (1, 1)
    assert made.totals(NOW + 1000).all.calls == 0
    assert made.totals(NOW + 1000).causes == []


def test_open_calls_are_counted_by_their_names_even_before_any_has_ended() -> None:
    made = LiveStats()
    made.open["1"] = call()
    made.open["2"] = call(model="-", upstream="-")
    totals = made.totals(NOW)

    assert totals.all.open == 2
    assert [(row.name, row.calls, row.open) for row in totals.keys] == [("laptop", 0, 2)]
    assert {(row.name, row.open) for row in totals.models} == {("fast", 1), ("-", 1)}
    assert {(row.name, row.open) for row in totals.upstreams} == {("openai", 1), ("-", 1)}


def test_the_busiest_groups_come_first_and_only_as_many_as_asked_for() -> None:
    made = live(*(call(model=f"m{number % 20}") for number in range(210)))
    models = made.totals(NOW + 1, most=5).models

    assert [row.name for row in models] == ["m0", "m1", "m2", "m3", "m4"]
    assert [row.calls for row in models] == [11] * 5


def test_names_from_clients_cannot_fill_the_memory() -> None:
    made = live(*(call(model=f"m{number}", code=f"c{number}") for number in range(2000)))
    for number in range(2000):
        made.add(failed(code=f"c{number}"))
    totals = made.totals(NOW + 1, most=1000)

    assert len(totals.models) == 51
    assert sum(row.calls for row in totals.models) == 4000
    assert len(totals.causes) == 13


def test_calls_are_summed_up_in_batches_without_reads() -> None:
    """Else calls would pile up in the memory of a proxy whose page nobody opens."""
    made = LiveStats()
    for _ in range(1000):
        made.add(call())

    assert len(made._pending) < 256
    assert made.totals(NOW).all.calls == 1000
