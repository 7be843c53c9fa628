"""Fuzzing, briefly, and what it found once; ``python -m tests.fuzz`` is the long form.

The targets' own docstrings say what must hold.
"""

import random
from pathlib import Path

import pytest

from tests.fuzz.corpus import inputs
from tests.fuzz.plain import Finding, fuzz, replay
from tests.fuzz.targets import NAMES, Target, load

pytestmark = pytest.mark.slow

RUNS = 400


@pytest.mark.parametrize("name", NAMES)
def test_what_it_starts_from_and_what_it_found_is_handled(name: str) -> None:
    found = replay(load(name), inputs(name).values())

    _raise(name, found)


@pytest.mark.parametrize("name", NAMES)
def test_changed_inputs_are_handled(name: str) -> None:
    seed = random.SystemRandom().randrange(2**31)
    print(f"seed {seed}")

    report = fuzz(load(name), inputs(name).values(), seed, runs=RUNS)

    _raise(name, report.finding)
    assert report.runs == RUNS


def _raise(name: str, found: Finding | None) -> None:
    if found is not None:
        raise AssertionError(f"{name}: {found.data!r}") from found.error


def test_a_broken_target_is_found_and_can_be_played_again(tmp_path: Path) -> None:
    def check(data: bytes) -> None:
        if b"[" in data:
            raise KeyError("[")

    target = Target("broken", check, (b"[",))
    report = fuzz(target, [b'{"a":1}'], seed=1, runs=10_000)

    assert report.finding is not None
    assert isinstance(report.finding.error, KeyError)
    assert replay(target, [b"{}", report.finding.data]) is not None
    assert replay(target, [b"{}"]) is None
