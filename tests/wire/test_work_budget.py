"""work: the budget of work for translating one request."""

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.work_budget import BASE_STEPS, MAX_STEPS, WorkBudget


def test_steps_are_counted_up_to_the_limit() -> None:
    work = WorkBudget(10)
    work.spend()
    work.spend(9)

    assert work.steps == 10


def test_past_the_budget_is_a_400_that_says_what_to_do() -> None:
    with pytest.raises(ProxyError, match="Send fewer or simpler tools") as caught:
        WorkBudget(10).spend(11, param="tools[0].function.parameters")

    error = caught.value
    assert (error.status, error.code, error.param, error.should_retry) == (
        400,
        "request_too_complex",
        "tools[0].function.parameters",
        False,
    )


def test_a_text_costs_a_step_for_each_64_characters() -> None:
    work = WorkBudget()
    work.spend_text(63)
    work.spend_text(640)

    assert work.steps == 10


@pytest.mark.parametrize(
    ("size", "limit"),
    [
        (0, BASE_STEPS),
        (100_000, BASE_STEPS + 25_000),
        (64 * 1024 * 1024, MAX_STEPS),
    ],
)
def test_the_budget_grows_with_the_body_and_has_an_end(size: int, limit: int) -> None:
    work = WorkBudget.for_body(size)
    work.spend(limit)
    with pytest.raises(ProxyError):
        work.spend()
