"""Clients that do not read; tests/support/load_scenarios.py has hundreds, and times the others."""

import sys

import pytest

from tests.support.load_scenarios import MOST_PER_SLOW_READER, slow

READERS = 64

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="measures as Linux tells them"),
]


@pytest.mark.timeout(300)
async def test_slow_readers_cost_bounded_memory_and_no_other_stream() -> None:
    seen = await slow(READERS, calls=50)

    print(seen)
    assert seen.wrong == []  # those that read on in the end got all of it
    assert len(seen.meanwhile) == 50  # others were answered meanwhile
    assert seen.settled.buffered == seen.stalled.buffered  # nothing more was read upstream
    assert seen.per_reader <= MOST_PER_SLOW_READER
    assert max(seen.leftovers) <= 0
