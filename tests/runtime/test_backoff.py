"""How long the next worker waits: not at all, then longer and longer, and never too long."""

import pytest

from jarvis_proxy.runtime.backoff import LONGEST, STEADY_AFTER, Backoff

pytestmark = pytest.mark.slow


def test_the_first_death_is_made_good_at_once_and_a_row_of_them_later_and_later() -> None:
    backoff = Backoff()

    assert [backoff.died(0.1) for _ in range(8)] == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, LONGEST]


def test_one_that_lived_for_long_begins_a_new_row() -> None:
    backoff = Backoff()
    for _ in range(4):
        backoff.died(0.1)

    assert [backoff.died(STEADY_AFTER), backoff.died(STEADY_AFTER - 0.1)] == [0.0, 0.5]
