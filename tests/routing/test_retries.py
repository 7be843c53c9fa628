"""Attempts: which failure leads to which next step."""

import pytest

from jarvis_proxy.routing.retries import (
    FailureKind,
    NextAttempt,
    RetryBudget,
    RetryPlan,
    upstream_unavailable,
)


def step(
    plan: RetryPlan,
    failure: FailureKind,
    *,
    other_key: bool = False,
    retry_after: float | None = None,
    chance: float = 0.5,
) -> NextAttempt | None:
    return plan.next_attempt(failure, other_key=other_key, retry_after=retry_after, chance=chance)


@pytest.mark.parametrize("failure", [FailureKind.CLIENT_ERROR, FailureKind.LOCAL])
def test_a_request_at_fault_is_never_tried_again(failure: FailureKind) -> None:
    assert step(RetryPlan(3, retries_itself=False), failure) is None


def test_another_key_is_tried_at_once_up_to_three_in_all() -> None:
    plan = RetryPlan(1, retries_itself=False)
    steps = []
    for key in range(3):
        plan.tried_keys |= {key}
        steps.append(step(plan, FailureKind.KEY_REFUSED, other_key=True))

    assert steps == [NextAttempt(0), NextAttempt(0), None]


def test_a_refused_key_without_another_goes_to_the_fallback() -> None:
    plan = RetryPlan(2, retries_itself=False, tried_keys=frozenset({0}))

    assert step(plan, FailureKind.KEY_REFUSED) == NextAttempt(1)
    assert plan.tried_keys == frozenset()


@pytest.mark.parametrize(("chance", "delay"), [(0.0, 0.05), (0.5, 0.1), (0.99, 0.149)])
def test_what_was_not_sent_is_tried_once_more_after_a_jittered_moment(
    chance: float, delay: float
) -> None:
    plan = RetryPlan(1, retries_itself=True)

    first = step(plan, FailureKind.NOT_SENT, chance=chance)

    assert first is not None
    assert first.delay == pytest.approx(delay)
    assert step(plan, FailureKind.NOT_SENT) is None


def test_an_unusable_answer_is_asked_for_once_more_without_delay() -> None:
    plan = RetryPlan(1, retries_itself=True)

    assert step(plan, FailureKind.UNUSABLE) == NextAttempt(0, is_retry=True)
    assert step(plan, FailureKind.UNUSABLE) is None


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        (None, NextAttempt(0, 0.5, is_retry=True)),
        (2.0, NextAttempt(0, 2.0, is_retry=True)),
        (5.0, NextAttempt(0, 5.0, is_retry=True)),
        (6.0, None),
    ],
)
def test_an_overloaded_upstream_is_asked_again_if_it_says_soon(
    retry_after: float | None, expected: NextAttempt | None
) -> None:
    plan = RetryPlan(1, retries_itself=False)

    assert step(plan, FailureKind.OVERLOADED, retry_after=retry_after) == expected


def test_an_sdk_that_retries_by_itself_is_not_helped_twice() -> None:
    assert step(RetryPlan(1, retries_itself=True), FailureKind.OVERLOADED) is None
    assert step(RetryPlan(2, retries_itself=True), FailureKind.OVERLOADED) == NextAttempt(1)


@pytest.mark.parametrize(
    "failure",
    [FailureKind.INTERRUPTED, FailureKind.UNANSWERED, FailureKind.MODEL_MISSING],
    ids=lambda f: f.value,
)
def test_a_broken_answer_is_only_asked_for_elsewhere(failure: FailureKind) -> None:
    plan = RetryPlan(2, retries_itself=False)

    assert step(plan, failure, other_key=True) == NextAttempt(1)
    assert step(plan, failure, other_key=True) is None


def test_a_fallback_has_a_try_of_its_own() -> None:
    plan = RetryPlan(2, retries_itself=False)
    steps = [step(plan, FailureKind.NOT_SENT) for _ in range(4)]

    assert [s and s.route_index for s in steps] == [0, 1, 1, None]


def test_an_open_breaker_says_when_to_come_back_a_minute_at_most() -> None:
    assert upstream_unavailable(0.2).retry_after == 1.0
    assert upstream_unavailable(120.0).retry_after == 60.0
    assert upstream_unavailable(5.0).code == "upstream_unavailable"


def test_retries_of_one_client_leave_one_for_each_other() -> None:
    budget = RetryBudget()
    for _ in range(5):
        budget.acquire(1, "alice")

    assert [budget.acquire(1, name) for name in ("alice", "bob", "bob", "carol")] == [
        False,
        True,
        False,
        True,
    ]
    budget.release("bob")
    assert budget.acquire(1, "bob")


def test_retries_stay_a_fifth_of_the_calls_but_three_always_fit() -> None:
    budget = RetryBudget()

    assert [budget.acquire(1) for _ in range(4)] == [True, True, True, False]
    assert budget.acquire(20)
    assert not budget.acquire(20)
    budget.release()
    assert budget.acquire(20)
