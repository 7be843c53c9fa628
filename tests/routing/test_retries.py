"""Attempts: which failure leads to which next step."""

import pytest

from jarvis_proxy.routing.retries import Failure, Plan, RetryBudget, Step, unavailable


def step(
    plan: Plan,
    failure: Failure,
    *,
    other_key: bool = False,
    retry_after: float | None = None,
    chance: float = 0.5,
) -> Step | None:
    return plan.after(failure, other_key=other_key, retry_after=retry_after, chance=chance)


@pytest.mark.parametrize("failure", [Failure.FINAL, Failure.OURS])
def test_a_request_at_fault_is_never_tried_again(failure: Failure) -> None:
    assert step(Plan(3, retries_itself=False), failure) is None


def test_another_key_is_tried_at_once_up_to_three_in_all() -> None:
    plan = Plan(1, retries_itself=False)
    steps = []
    for key in range(3):
        plan.tried |= {key}
        steps.append(step(plan, Failure.KEY_REFUSED, other_key=True))

    assert steps == [Step(0), Step(0), None]


def test_a_refused_key_without_another_goes_to_the_fallback() -> None:
    plan = Plan(2, retries_itself=False, tried=frozenset({0}))

    assert step(plan, Failure.KEY_REFUSED) == Step(1)
    assert plan.tried == frozenset()


@pytest.mark.parametrize(("chance", "delay"), [(0.0, 0.05), (0.5, 0.1), (0.99, 0.149)])
def test_what_was_not_sent_is_tried_once_more_after_a_jittered_moment(
    chance: float, delay: float
) -> None:
    plan = Plan(1, retries_itself=True)

    first = step(plan, Failure.UNSENT, chance=chance)

    assert first is not None
    assert first.delay == pytest.approx(delay)
    assert step(plan, Failure.UNSENT) is None


def test_an_unusable_answer_is_asked_for_once_more_without_delay() -> None:
    plan = Plan(1, retries_itself=True)

    assert step(plan, Failure.UNUSABLE) == Step(0, is_retry=True)
    assert step(plan, Failure.UNUSABLE) is None


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        (None, Step(0, 0.5, is_retry=True)),
        (2.0, Step(0, 2.0, is_retry=True)),
        (5.0, Step(0, 5.0, is_retry=True)),
        (6.0, None),
    ],
)
def test_an_overloaded_upstream_is_asked_again_if_it_says_soon(
    retry_after: float | None, expected: Step | None
) -> None:
    plan = Plan(1, retries_itself=False)

    assert step(plan, Failure.OVERLOADED, retry_after=retry_after) == expected


def test_an_sdk_that_retries_by_itself_is_not_helped_twice() -> None:
    assert step(Plan(1, retries_itself=True), Failure.OVERLOADED) is None
    assert step(Plan(2, retries_itself=True), Failure.OVERLOADED) == Step(1)


@pytest.mark.parametrize(
    "failure", [Failure.BROKEN, Failure.UNANSWERED, Failure.MODEL_MISSING], ids=lambda f: f.value
)
def test_a_broken_answer_is_only_asked_for_elsewhere(failure: Failure) -> None:
    plan = Plan(2, retries_itself=False)

    assert step(plan, failure, other_key=True) == Step(1)
    assert step(plan, failure, other_key=True) is None


def test_a_fallback_has_a_try_of_its_own() -> None:
    plan = Plan(2, retries_itself=False)
    steps = [step(plan, Failure.UNSENT) for _ in range(4)]

    assert [s and s.place for s in steps] == [0, 1, 1, None]


def test_an_open_breaker_says_when_to_come_back_a_minute_at_most() -> None:
    assert unavailable(0.2).retry_after == 1.0
    assert unavailable(120.0).retry_after == 60.0
    assert unavailable(5.0).code == "upstream_unavailable"


def test_d6_retries_of_one_client_leave_one_for_each_other() -> None:
    budget = RetryBudget()
    for _ in range(5):
        budget.take(1, "alice")

    assert [budget.take(1, name) for name in ("alice", "bob", "bob", "carol")] == [
        False,
        True,
        False,
        True,
    ]
    budget.give_back("bob")
    assert budget.take(1, "bob")


def test_retries_stay_a_fifth_of_the_calls_but_three_always_fit() -> None:
    budget = RetryBudget()

    assert [budget.take(1) for _ in range(4)] == [True, True, True, False]
    assert budget.take(20)
    assert not budget.take(20)
    budget.give_back()
    assert budget.take(20)
