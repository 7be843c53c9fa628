"""Windows: what is counted stays for five minutes, percentiles are near, labels are bounded."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.observability.sliding_window import (
    OTHER,
    CallStats,
    DurationHistogram,
    SlidingWindow,
)

DURATIONS = st.lists(st.floats(0.0002, 100_000), min_size=1, max_size=50)


def histogram(*durations: float) -> DurationHistogram:
    made = DurationHistogram()
    for seconds in durations:
        made.add(seconds)
    return made


@given(DURATIONS, st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_within_five_per_cent_of_the_true_one(
    durations: list[float], share: float
) -> None:
    true = sorted(durations)[math.ceil(share * len(durations)) - 1]
    (found,) = histogram(*durations).percentiles([share])

    assert found == pytest.approx(true, rel=0.051)


def test_several_percentiles_come_in_one_pass() -> None:
    found = histogram(*(number / 100 for number in range(1, 101))).percentiles([0.5, 0.9, 0.99])

    assert found == [pytest.approx(value, rel=0.051) for value in (0.5, 0.9, 0.99)]


def test_an_empty_sketch_knows_no_percentile() -> None:
    assert histogram().percentiles([0.5, 0.9]) == [None, None]


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9])
def test_what_took_no_time_counts_as_the_shortest_time(seconds: float) -> None:
    (found,) = histogram(seconds).percentiles([1.0])

    assert found == pytest.approx(0.0001, rel=0.051)


@given(DURATIONS, DURATIONS)
def test_what_is_taken_out_again_leaves_no_trace(some: list[float], more: list[float]) -> None:
    whole = histogram(*some)
    whole.merge(histogram(*more))
    both = whole.percentiles([0.5, 1.0])
    whole.merge(histogram(*more), -1)

    assert both == histogram(*some, *more).percentiles([0.5, 1.0])
    assert whole.percentiles([0.1, 0.5, 1.0]) == histogram(*some).percentiles([0.1, 0.5, 1.0])


def test_a_tally_is_the_sum_of_what_was_merged() -> None:
    stats = CallStats(1, 0, 2, 3, 4)
    stats.merge(CallStats(10, 10, 20, 30, 40))

    assert (stats.calls, stats.errors) == (11, 10)
    assert (stats.prompt, stats.completion, stats.cost) == (22, 33, 44)


def test_what_is_older_than_the_window_is_gone_and_nothing_else() -> None:
    window = SlidingWindow(width=15, slices=20)
    window.add(1000, "early", CallStats(1))
    window.add(1000, "both", CallStats(2))
    window.add(1200, "both", CallStats(4))

    window.expire(1000 + 285)
    calls = {label: stats.calls for label, stats in window.totals.items()}
    window.expire(1000 + 315)
    later = {label: stats.calls for label, stats in window.totals.items()}

    assert calls == {"early": 1, "both": 6}
    assert later == {"both": 4}


def test_window_without_reads_in_between_still_expires() -> None:
    random, window = Random(1), SlidingWindow()
    for second in range(0, 10_000, 7):
        stats = CallStats(1)
        stats.duration.add(random.random())
        window.add(second, str(second % 5), stats)
    window.expire(20_000)

    assert window.totals == {}


def test_a_moment_that_comes_a_little_late_is_counted() -> None:
    window = SlidingWindow()
    window.add(30, "a", CallStats(1))
    window.add(29.9, "a", CallStats(1))

    assert window.totals["a"].calls == 2


def test_labels_above_the_limit_are_counted_together_until_others_leave() -> None:
    window = SlidingWindow(width=1, slices=10, size=2)
    for label in ("a", "b", "c", "d", "a"):
        window.add(0, label, CallStats(1))
    crowded = {label: stats.calls for label, stats in window.totals.items()}
    window.expire(100)
    window.add(100, "c", CallStats(1))

    assert crowded == {"a": 2, "b": 1, OTHER: 2}
    assert set(window.totals) == {"c"}


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        (CallStats(), None),
        (CallStats(calls=2, unpriced=2), None),
        (CallStats(calls=2, priced=1, unpriced=1), None),
        (CallStats(calls=2, priced=2), 0),
        (CallStats(calls=2, priced=1, unpriced=1, cost=7), 7),
    ],
)
def test_unknown_cost_is_none(stats: CallStats, expected: int | None) -> None:
    assert stats.known_cost == expected


def test_what_is_known_of_a_cost_leaves_with_its_calls() -> None:
    stats = CallStats(calls=1, priced=1, cost=5)
    stats.merge(CallStats(calls=1, unpriced=1))
    stats.merge(CallStats(calls=1, priced=1, cost=5), -1)

    assert stats.known_cost is None
