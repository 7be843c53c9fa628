"""Metrics: what each call adds to which numbers, and that labels stay few."""

from typing import Any

import pytest

from jarvis_proxy.observability.metrics import (
    OTHER,
    Histogram,
    Labels,
    MetricFamily,
    Metrics,
    gauge,
)
from tests.support.call_records import call


def after(*records: Any) -> dict[str, MetricFamily]:
    """Return the families after *records*, by name."""
    metrics = Metrics()
    for record in records:
        metrics.observe(record)
    return {family.name: family for family in metrics.families()}


def samples(name: str, *records: Any) -> dict[Labels, float]:
    return dict(after(*records)[name].samples)


def test_every_call_is_a_request_by_address_key_status_and_outcome() -> None:
    refused = call(status=401, outcome="refused", key_name="-", attempts=0)
    unknown = call(status=404, outcome="refused", route="", attempts=0)

    assert samples("jarvis_requests", call(), call(), refused, unknown) == {
        ("/v1/chat/completions", "laptop", "200", "ok"): 2,
        ("/v1/chat/completions", "-", "401", "refused"): 1,
        ("-", "laptop", "404", "refused"): 1,
    }


def test_only_calls_for_which_an_upstream_was_asked_are_upstream_calls() -> None:
    assert samples("jarvis_upstream_calls", call(), call(attempts=0)) == {
        ("openai", "gpt-4o", "ok"): 1
    }


def test_attempts_after_the_first_are_retries() -> None:
    assert samples("jarvis_retries", call(), call(attempts=3), call(attempts=2)) == {("openai",): 3}


def test_a_limit_of_the_proxy_is_counted_by_its_name_and_key() -> None:
    hit = call(status=429, outcome="refused", attempts=0, limit="tokens")

    assert samples("jarvis_limits_hit", hit, hit, call()) == {("tokens", "laptop"): 2}


def test_tokens_are_counted_by_kind_and_none_is_no_sample() -> None:
    owner = ("laptop", "openai", "gpt-4o")

    other = call(cached_tokens=0, reasoning_tokens=None, cache_write_tokens=3)
    assert samples("jarvis_tokens", call(), other) == {
        (*owner, "prompt"): 20,
        (*owner, "completion"): 10,
        (*owner, "cached"): 4,
        (*owner, "reasoning"): 2,
        (*owner, "cache_write"): 3,
    }


def test_money_is_in_dollars_and_a_call_without_a_price_is_counted_apart() -> None:
    found = after(call(cost=1_500_000_000), call(cost=0), call(cost=None))

    assert found["jarvis_cost_usd"].samples == {("laptop", "openai", "gpt-4o"): 1.5}
    assert found["jarvis_unpriced_calls"].samples == {("openai", "gpt-4o"): 1}


def test_a_call_without_tokens_has_no_price_to_miss() -> None:
    found = after(call(prompt_tokens=None, cost=None))

    assert found["jarvis_tokens"].samples == {}
    assert found["jarvis_unpriced_calls"].samples == {}


def observed(name: str, *records: Any) -> dict[Labels, tuple[int, float]]:
    """Return how many observations a histogram has and their sum, by labels."""
    found = after(*records)[name].histograms
    return {labels: (sum(h.counts), round(h.sum, 9)) for labels, h in found.items()}


def test_times_are_measured_from_the_requests_arrival() -> None:
    assert observed("jarvis_time_to_first_byte_seconds", call()) == {
        ("openai", "gpt-4o"): (1, 0.252)
    }
    assert observed("jarvis_request_duration_seconds", call(), call()) == {
        ("/v1/chat/completions",): (2, 2.0)
    }


def test_an_answer_that_never_began_has_no_time_to_its_first_byte() -> None:
    assert observed("jarvis_time_to_first_byte_seconds", call(first_byte_sent_at=None)) == {}


def test_overhead_is_taken_where_it_is_known() -> None:
    assert observed("jarvis_overhead_seconds", call(), call(upstream_first_byte_at=None)) == {
        (): (1, 0.003)
    }


def test_lag_is_never_less_than_nothing() -> None:
    metrics = Metrics()
    metrics.observe_lag(0.3)
    metrics.observe_lag(-0.001)
    lag = next(f for f in metrics.families() if f.name == "jarvis_event_loop_lag_seconds")

    assert lag.histograms[()].sum == 0.3
    assert dict(lag.histograms[()].buckets())["0.001"] == 1


# -- labels of bounded size ------------------------------------------------------------------


@pytest.mark.parametrize(
    "failed",
    [
        {"status": 404, "first_byte_sent_at": None},
        {"status": 200},  # a stream's head went out, and then came a refusal
    ],
)
def test_a_model_gets_a_label_only_when_an_upstream_has_answered_for_it(
    failed: dict[str, Any],
) -> None:
    bad = call(
        upstream_model="made-up", outcome="upstream_error", upstream_first_byte_at=None, **failed
    )

    assert samples("jarvis_upstream_calls", bad) == {("openai", OTHER, "upstream_error"): 1}
    assert samples("jarvis_upstream_calls", call(upstream_model="made-up"), bad) == {
        ("openai", "made-up", "ok"): 1,
        ("openai", "made-up", "upstream_error"): 1,
    }


def test_at_most_a_hundred_models_have_a_label() -> None:
    calls = [call(upstream_model=f"model-{number}") for number in range(150)]
    found = samples("jarvis_upstream_calls", *calls)

    assert len(found) == 101
    assert found["openai", OTHER, "ok"] == 50


@pytest.mark.parametrize(("target", "label"), [("", "-"), ("a\nb" + "x" * 99, "a?b" + "x" * 61)])
def test_a_label_is_short_and_printable(target: str, label: str) -> None:
    assert samples("jarvis_upstream_calls", call(upstream_model=target)) == {
        ("openai", label, "ok"): 1
    }


# -- histograms ------------------------------------------------------------------------------


def test_an_observation_at_a_bound_lies_below_it() -> None:
    histogram = Histogram((0.5, 1.0))
    histogram.observe((0.1, 0.5, 0.6))
    histogram.observe((1.0, 7.0))

    assert list(histogram.buckets()) == [("0.5", 2), ("1.0", 4), ("+Inf", 5)]
    assert histogram.sum == pytest.approx(9.2)


def test_what_was_read_does_not_change_any_more() -> None:
    metrics = Metrics()
    metrics.observe(call())
    before = {family.name: family for family in metrics.families()}
    metrics.observe(call())
    metrics.observe_lag(1.0)

    assert sum(before["jarvis_requests"].samples.values()) == 1
    assert sum(before["jarvis_request_duration_seconds"].histograms[labels_of()].counts) == 1
    assert sum(before["jarvis_event_loop_lag_seconds"].histograms[()].counts) == 0


def labels_of() -> Labels:
    return ("/v1/chat/completions",)


def test_a_gauge_is_a_family_too() -> None:
    family = gauge("jarvis_streams_open", "Streams.", {("a",): 1.0}, ["upstream"])

    assert family == MetricFamily(
        "jarvis_streams_open", "gauge", "Streams.", ("upstream",), {("a",): 1}
    )


def test_calls_are_summed_up_in_batches_and_none_is_lost() -> None:
    records = [call(upstream_model="a" if number % 3 else "b") for number in range(600)]

    tokens = samples("jarvis_tokens", *records)

    assert sum(samples("jarvis_requests", *records).values()) == 600
    assert tokens["laptop", "openai", "a", "prompt"] == 4000
    assert tokens["laptop", "openai", "b", "prompt"] == 2000
