"""Hundreds of streams at once; tests/support/load_scenarios.py has thousands, for minutes."""

import sys

import pytest

from tests.support.load_scenarios import MOST_PER_STREAM, hold, theil_sen

STREAMS = 400

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="measures as Linux tells them"),
]


@pytest.mark.timeout(300)
async def test_many_streams_at_once_complete_and_leave_nothing() -> None:
    held = await hold(STREAMS, 1.5, pause=0.3)

    print(held)
    assert held.wrong == []
    assert max(held.leftovers) <= 0
    # What the first ones load and never give back weighs more on few streams than on thousands.
    assert held.per_stream <= 1.5 * MOST_PER_STREAM


def test_slope_is_not_moved_by_outliers() -> None:
    points = [(minute, 50 + 0.25 * minute) for minute in range(20)]
    points[7] = (7, 500.0)

    assert abs(theil_sen(points) - 0.25) < 1e-9
    assert theil_sen([]) == 0.0
