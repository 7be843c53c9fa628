"""Sliding windows: sums and percentiles of the last minutes, by label, bounded in size. Pure.

Moments are seconds on the monotonic clock. A window is a row of slices: what is counted goes into
the newest slice and into the total, and a slice that grows too old is taken out of the total again.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, exp, log
from typing import Final, Literal

OTHER: Final = "other"
"""The label of what came when every label was taken."""

_GROWTH: Final = log(1.1)
"""A bucket ends 10 % above the one before, so a percentile is wrong by 5 % at most."""
_SHORTEST: Final = 0.0001
_FIRST: Final = ceil(log(_SHORTEST) / _GROWTH)


@dataclass(slots=True)
class DurationHistogram:
    """Durations as counts per bucket, exact enough for percentiles."""

    counts: dict[int, int] = field(default_factory=dict)

    def add(self, seconds: float) -> None:
        """Take one duration."""
        bucket = ceil(log(seconds) / _GROWTH) if seconds > _SHORTEST else _FIRST
        counts = self.counts
        counts[bucket] = counts.get(bucket, 0) + 1

    def merge(self, other: "DurationHistogram", sign: Literal[1, -1] = 1) -> None:
        """Add what *other* holds, or take it out again."""
        for bucket, count in other.counts.items():
            total = self.counts.get(bucket, 0) + sign * count
            if total:
                self.counts[bucket] = total
            else:
                del self.counts[bucket]

    def percentiles(self, shares: Sequence[float]) -> list[float | None]:
        """Return the duration below which each of the ascending *shares* lies; None if empty."""
        if not self.counts:
            return [None] * len(shares)
        buckets = sorted(self.counts.items())
        total = sum(count for _, count in buckets)
        found: list[float | None] = []
        reached, at = 0, iter(buckets)
        middle = 0.0
        for share in shares:
            while reached < share * total:
                bucket, count = next(at)
                reached += count
                middle = exp((bucket - 0.5) * _GROWTH)
            found.append(middle)
        return found


@dataclass(slots=True)
class CallStats:
    """Sums over calls. *cost* is in billionths of a dollar, and that of *priced* calls alone.

    *unpriced* calls are those whose tokens are known and whose price is not.
    """

    calls: int = 0
    errors: int = 0
    prompt: int = 0
    completion: int = 0
    cost: int = 0
    priced: int = 0
    unpriced: int = 0
    first_byte: DurationHistogram = field(default_factory=DurationHistogram)
    duration: DurationHistogram = field(default_factory=DurationHistogram)

    @property
    def known_cost(self) -> int | None:
        """The cost; None where it is unknown, as opposed to zero."""
        return None if not self.priced or (not self.cost and self.unpriced) else self.cost

    def merge(self, other: "CallStats", sign: Literal[1, -1] = 1) -> None:
        """Add the sums of *other*, or take them out again."""
        self.calls += sign * other.calls
        self.errors += sign * other.errors
        self.prompt += sign * other.prompt
        self.completion += sign * other.completion
        self.cost += sign * other.cost
        self.priced += sign * other.priced
        self.unpriced += sign * other.unpriced
        self.first_byte.merge(other.first_byte, sign)
        self.duration.merge(other.duration, sign)


class SlidingWindow:
    """CallStats of the last *slices* times *width* seconds, by label; *size* labels and OTHER."""

    __slots__ = ("_size", "_slices", "_width", "seconds", "totals")

    def __init__(self, *, width: int = 15, slices: int = 20, size: int = 50) -> None:
        self.seconds = width * slices
        self.totals: dict[str, CallStats] = {}
        self._width = width
        self._size = size
        self._slices: deque[tuple[int, dict[str, CallStats]]] = deque()

    def add(self, moment: float, label: str, stats: CallStats) -> None:
        """Count *tally*, which belongs to *moment*; moments come in their order, or nearly so."""
        if label not in self.totals and len(self.totals) >= self._size:
            label = OTHER
        number = int(moment) // self._width
        if not self._slices or self._slices[-1][0] < number:
            self._slices.append((number, {}))
        for place in (self._slices[-1][1], self.totals):
            if label not in place:
                place[label] = CallStats()
            place[label].merge(stats)

    def expire(self, now: float) -> None:
        """Forget what is older than the window."""
        oldest = (int(now) - self.seconds) // self._width
        while self._slices and self._slices[0][0] <= oldest:
            _, gone = self._slices.popleft()
            for label, stats in gone.items():
                total = self.totals[label]
                total.merge(stats, -1)
                if not total.calls:
                    del self.totals[label]
