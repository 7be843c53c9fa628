"""What strangers may write into a log: a few lines a second, and then counts."""

from collections import Counter

import pytest

from jarvis_proxy.observability.line_quota import LineQuota, summary


def test_ten_lines_a_second_pass_and_others_are_counted_by_kind() -> None:
    quota = LineQuota()
    kinds = ["401"] * 12 + ["400"] * 3
    taken = [quota.take(kind, 5.0 + n / 100) for n, kind in enumerate(kinds)]

    assert taken[:10] == [None] * 10
    assert taken[10] == Counter({"400": 3, "401": 2})
    assert all(counts is taken[10] for counts in taken[11:])


def test_the_first_line_left_out_is_alone_so_that_one_summary_is_written() -> None:
    quota = LineQuota(most=0)

    assert [dict(quota.take("a", n / 4) or {}) for n in range(6)] == [
        {"a": 1},
        {"a": 2},
        {"a": 3},
        {"a": 4},
        {"a": 1},
        {"a": 2},
    ]


def test_counts_of_a_second_are_complete_when_it_is_over() -> None:
    quota = LineQuota(most=1)
    quota.take("a", 1.0)
    first = quota.take("a", 1.9)
    for n in range(5):
        quota.take("b", 2.0 + n / 10)

    assert first == Counter({"a": 1})


def test_kinds_without_end_take_no_memory_without_end() -> None:
    quota = LineQuota(most=0)
    counts = [quota.take(f"kind {n}", 1.0) for n in range(1000)][-1]

    assert counts is not None
    assert counts.total() == 1000
    assert len(counts) == 33
    assert counts["others"] == 968


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        (
            {"400 bad_request": 2, "401 invalid_api_key": 30},
            "32 lines about callers without a valid key left out "
            "(401 invalid_api_key: 30, 400 bad_request: 2)",
        ),
        ({"tls": 1}, "1 line about callers without a valid key left out (tls: 1)"),
    ],
)
def test_a_summary_is_one_line_with_the_most_frequent_kind_first(
    counts: dict[str, int], line: str
) -> None:
    assert summary(Counter(counts)) == line
