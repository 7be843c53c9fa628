"""Thousands of calls with random faults: none ends in silence, no good one fails."""

import random

import pytest

from tests.soak import soak
from tests.soak_visits import KINDS

pytestmark = pytest.mark.slow

STREAMS = 2000


@pytest.mark.timeout(180)
async def test_no_stream_ends_in_silence_and_no_good_one_fails() -> None:
    """``python -m tests.soak --seed N --only M`` plays a stream that went wrong again."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")

    report = await soak(STREAMS, seed)

    print(report)
    assert report.wrong == []
    assert report.streams == STREAMS
    assert report.faultless > STREAMS / 4
    assert all(any(seen.startswith(f"{kind}:") for seen in report.outcomes) for kind in KINDS)
    assert report.errors == 0
    assert report.files <= 0
