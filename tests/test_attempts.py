"""Attempts: which failure leads to which next step."""

import pytest

from jarvis_proxy.attempts import (
    Breaker,
    Failure,
    KeyPool,
    Plan,
    RetryBudget,
    Step,
    unavailable,
)


def step(
    plan: Plan,
    failure: Failure,
    *,
    other_key: bool = False,
    retry_after: float | None = None,
    chance: float = 0.5,
) -> Step | None:
    return plan.after(failure, other_key=other_key, retry_after=retry_after, chance=chance)


def test_a_request_at_fault_is_never_tried_again() -> None:
    assert step(Plan(3, retries_itself=False), Failure.FINAL) is None


@pytest.mark.parametrize("failure", [Failure.KEY_REFUSED, Failure.RATE_LIMITED])
def test_another_key_is_tried_at_once_up_to_three_in_all(failure: Failure) -> None:
    plan = Plan(1, retries_itself=False)
    steps = []
    for key in range(3):
        plan.tried |= {key}
        steps.append(step(plan, failure, other_key=True))

    assert steps == [Step(0), Step(0), None]


def test_a_refused_key_without_another_goes_to_the_fallback() -> None:
    plan = Plan(2, retries_itself=False, tried=frozenset({0}))

    assert step(plan, Failure.RATE_LIMITED) == Step(1)
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


def test_a_broken_answer_is_only_asked_for_elsewhere() -> None:
    plan = Plan(2, retries_itself=False)

    assert step(plan, Failure.BROKEN) == Step(1)
    assert step(plan, Failure.BROKEN) is None


def test_a_fallback_has_a_try_of_its_own() -> None:
    plan = Plan(2, retries_itself=False)
    steps = [step(plan, Failure.UNSENT) for _ in range(4)]

    assert [s and s.place for s in steps] == [0, 1, 1, None]


def test_keys_are_taken_in_turn() -> None:
    pool = KeyPool(["a", "b", "c"])

    assert [pool.pick("m", 0.0) for _ in range(4)] == [0, 1, 2, 0]


def test_a_single_key_is_used_however_it_failed() -> None:
    pool = KeyPool(["a"])
    pool.refused(0, 0.0)

    assert pool.pick("m", 1.0) == 0
    assert pool.pick("m", 1.0, frozenset({0})) is None


def test_an_empty_pool_has_no_key() -> None:
    assert KeyPool([]).pick("m", 0.0) is None


def test_a_refused_key_rests_for_a_quarter_of_an_hour() -> None:
    pool = KeyPool(["a", "b"])
    pool.refused(0, 100.0)

    assert [pool.pick("m", 100.0 + at) for at in (1, 500, 899)] == [1, 1, 1]
    assert pool.resting(500.0) == 1
    assert {pool.pick("m", 1000.0), pool.pick("m", 1000.0)} == {0, 1}
    assert pool.resting(1000.0) == 0


@pytest.mark.parametrize(("told", "rest"), [(None, 30.0), (7.0, 7.0), (86_400.0, 3600.0)])
def test_a_limited_key_rests_for_that_model_as_long_as_told(
    told: float | None, rest: float
) -> None:
    pool = KeyPool(["a", "b"])
    pool.limited(0, "m", 0.0, told)

    assert [pool.pick("m", rest - 1), pool.pick("m", rest - 1)] == [1, 1]
    assert pool.resting(rest - 1) == 1
    assert {pool.pick("other", 1.0), pool.pick("other", 1.0)} == {0, 1}
    assert {pool.pick("m", rest), pool.pick("m", rest)} == {0, 1}


def test_when_all_rest_the_one_that_failed_longest_ago_is_used() -> None:
    pool = KeyPool(["a", "b", "c"])
    for index, moment in ((1, 1.0), (0, 2.0), (2, 3.0)):
        pool.refused(index, moment)

    assert pool.pick("m", 4.0) == 1
    assert pool.pick("m", 4.0, frozenset({1})) is None


def test_the_models_of_a_key_do_not_pile_up() -> None:
    pool = KeyPool(["a", "b"])
    for number in range(1500):
        pool.limited(0, f"m{number}", float(number), 1.0)

    assert pool.resting(1499.5) == 1
    assert len(pool._states[0].by_model) < 1001


def test_the_breaker_opens_after_five_failures_in_ten_seconds() -> None:
    breaker = Breaker()
    for moment in range(4):
        breaker.failed(float(moment))
    assert breaker.admit(4.0) is None
    breaker.failed(4.0)

    assert breaker.is_open
    assert breaker.admit(5.0) == 9.0


def test_slow_failures_and_good_answers_keep_it_closed() -> None:
    slow, mixed = Breaker(), Breaker()
    for moment in range(0, 100, 5):
        slow.failed(float(moment))
    for moment in range(20):
        mixed.failed(float(moment))
        if moment % 4 == 3:
            mixed.succeeded()

    assert not slow.is_open
    assert not mixed.is_open


def test_one_call_probes_an_open_breaker_and_each_failure_doubles_the_pause() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(0.0)
    pauses = []
    now = 10.0
    for _ in range(5):
        assert breaker.admit(now) is None
        assert breaker.admit(now) == 1.0
        breaker.failed(now, is_probe=True)
        pause = breaker.admit(now)
        assert pause is not None
        pauses.append(pause)
        now += pause

    assert pauses == [20.0, 40.0, 80.0, 120.0, 120.0]
    assert breaker.admit(now) is None
    breaker.succeeded()
    assert not breaker.is_open


def test_calls_from_before_do_not_lengthen_the_pause_nor_end_the_probe() -> None:
    breaker = Breaker()
    for _ in range(50):
        breaker.failed(0.0)
    assert breaker.admit(1.0) == 9.0
    assert breaker.admit(10.0) is None
    breaker.failed(10.5)

    assert breaker.admit(10.5) == 1.0


def test_a_probe_whose_client_left_leaves_room_for_the_next() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(0.0)
    assert breaker.admit(10.0) is None
    breaker.abandoned()

    assert breaker.admit(10.0) is None


def test_an_open_breaker_says_when_to_come_back_a_minute_at_most() -> None:
    assert unavailable(0.2).retry_after == 1.0
    assert unavailable(120.0).retry_after == 60.0
    assert unavailable(5.0).code == "upstream_unavailable"


def test_retries_stay_a_fifth_of_the_calls_but_three_always_fit() -> None:
    budget = RetryBudget()

    assert [budget.take(1) for _ in range(4)] == [True, True, True, False]
    assert budget.take(20)
    assert not budget.take(20)
    budget.give_back()
    assert budget.take(20)


def test_a_key_rests_of_which_another_process_says_so() -> None:
    pool = KeyPool(("a", "b", "c"))

    pool.hear(0, None, 50.0)
    pool.hear(0, None, 20.0)
    pool.hear(1, "m", 30.0)
    pool.hear(1, "m", 10.0)

    assert pool.rests(10.0) == [40.0, 20.0, 0.0]
    assert pool.resting(10.0) == 2
    assert pool.pick("m", 10.0) == 2


def test_a_breaker_opens_and_closes_when_another_process_says_so() -> None:
    breaker = Breaker()

    breaker.hear(50.0)
    breaker.hear(20.0)
    assert (breaker.is_open, breaker.admit(10.0)) == (True, 40.0)

    breaker.hear(60.0)
    assert breaker.admit(10.0) == 50.0
    breaker.hear(None)
    assert (breaker.is_open, breaker.admit(10.0)) == (False, None)


def test_a_good_answer_is_told_only_where_the_breaker_was_open() -> None:
    told: list[float | None] = []
    breaker = Breaker()
    breaker.told = told.append

    breaker.succeeded()
    breaker.failed(0.0)
    breaker.succeeded()
    assert told == []

    breaker.hear(10.0)
    breaker.succeeded()
    assert told == [None]
