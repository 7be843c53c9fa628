"""A driver without instruments: changes known inputs at random, for so long or so often. IO (time).

It needs nothing but Python. atheris, where it is installed, knows which changes lead somewhere new.
"""

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass

from tests.fuzz.mutate import mutate
from tests.fuzz.targets import Target

_KEPT = 2000


@dataclass
class Finding:
    """An input that breaks a target's oracle, and how."""

    data: bytes
    error: BaseException


@dataclass
class Report:
    """How it went."""

    runs: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    finding: Finding | None = None


def replay(target: Target, inputs: Iterable[bytes]) -> Finding | None:
    """Look at the given inputs as they are; return the first that is a finding."""
    for data in inputs:
        if (error := _error(target, data)) is not None:
            return Finding(data, error)
    return None


def fuzz(
    target: Target, seeds: Iterable[bytes], seed: int, *, seconds: float = 1e9, runs: int = 10**12
) -> Report:
    """Look at changed inputs until the time or the number is used up, or one is a finding."""
    rng = random.Random(seed)
    pool = [*seeds, b""]
    report = Report()
    began = time.monotonic()
    while report.runs < runs and (now := time.monotonic()) - began < seconds:
        data = mutate(rng.choice(pool), rng, target.tokens, pool)
        if (error := _error(target, data)) is not None:
            report.finding = Finding(data, error)
            break
        report.slowest = max(report.slowest, time.monotonic() - now)
        report.runs += 1
        if rng.random() < 0.05 and len(data) < 10_000:
            # Changes of changes: without instruments nobody can tell which are worth keeping.
            if len(pool) < _KEPT:
                pool.append(data)
            else:
                pool[rng.randrange(len(pool) // 2, len(pool))] = data
    report.seconds = time.monotonic() - began
    return report


def _error(target: Target, data: bytes) -> BaseException | None:
    try:
        target.check(data)
    except Exception as exc:
        return exc
    return None
