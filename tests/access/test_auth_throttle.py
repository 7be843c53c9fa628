"""Only clients that fail too often must wait."""

import pytest

from jarvis_proxy.access.auth_throttle import AuthThrottle, auth_throttled

NOW = 1000.0


def test_ten_failures_are_free_and_then_one_every_six_seconds() -> None:
    failures = AuthThrottle(NOW)
    waits = [failures.record_failure("a", NOW) for _ in range(12)]

    assert waits[:10] == [0.0] * 10
    assert waits[10:] == [pytest.approx(6), pytest.approx(6)]
    assert failures.record_failure("a", NOW + 5.9) == pytest.approx(0.1)
    assert failures.record_failure("a", NOW + 6.1) == 0
    assert failures.record_failure("a", NOW + 6.1) > 0


def test_sources_do_not_share() -> None:
    failures = AuthThrottle(NOW, burst=1)

    assert [failures.record_failure(source, NOW) for source in "abc"] == [0.0, 0.0, 0.0]
    assert failures.record_failure("b", NOW) > 0


def test_all_together_fail_fifty_times_a_second_at_most() -> None:
    failures = AuthThrottle(NOW)
    waits = [failures.record_failure(f"source {n}", NOW) for n in range(60)]

    assert waits[:50] == [0.0] * 50
    assert all(wait == pytest.approx(0.02) for wait in waits[50:])
    assert len(failures) == 50
    assert failures.record_failure("late", NOW + 0.03) == 0


def test_the_table_keeps_those_that_failed_last() -> None:
    failures = AuthThrottle(NOW, burst=1, per_second=0.001, all_per_second=1000, size=3)
    for source in ("a", "b", "c", "a", "d"):  # b is then the one that failed longest ago
        failures.record_failure(source, NOW)

    assert len(failures) == 3
    assert [failures.record_failure(source, NOW) > 0 for source in ("a", "c", "d")] == [True] * 3
    assert failures.record_failure("b", NOW) == 0


def test_each_guess_counts() -> None:
    failures = AuthThrottle(NOW)
    waits = [failures.record_failure("a", NOW, 4) for _ in range(3)]

    assert waits[:2] == [0.0, 0.0]
    assert waits[2] == pytest.approx(12)  # two are left, and four were made
    assert failures.record_failure("a", NOW, 2) == 0


def test_many_sources_cannot_push_one_out_that_fails() -> None:
    """A prefix of IPv6 has more networks than the table has places."""
    failures = AuthThrottle(NOW, burst=1, size=100)
    failures.record_failure("guesser", NOW)
    for n in range(10_000):
        failures.record_failure(f"2001:db8:0:{n:x}::/64", NOW)

    assert len(failures) == 50
    assert failures.record_failure("guesser", NOW + 1) > 0


def test_the_refusal_is_not_worth_a_retry() -> None:
    error = auth_throttled(5.5)

    assert (error.status, error.code) == (429, "rate_limit_exceeded")
    assert (error.retry_after, error.should_retry) == (5.5, False)
