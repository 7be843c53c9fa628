"""Sixty sessions at a time: each end is known at the other side, and nothing stays."""

import random

import pytest

from tests.realtime_soak import KINDS, soak

pytestmark = pytest.mark.slow


@pytest.mark.timeout(120)
async def test_every_end_is_known_at_the_other_side_and_nothing_stays() -> None:
    """``python -m tests.realtime_soak --seed N`` plays the same sessions again, for longer."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")

    report = await soak(60, 4, seed, limit=3)

    print(report)
    assert report.wrong == []
    assert set(report.kinds) == set(KINDS)
    assert report.sessions > 2 * len(KINDS)
    assert report.unavailable == 0
    assert report.errors == 0
    assert max(report.files, report.tasks) <= 0
    assert report.growth < 16 * 2**20
