"""Sliding windows: sums and percentiles of the last minutes, by label, bounded in size. Pure.

Times are seconds on the monotonic clock. A window is a queue of slices: each count is added to the
newest slice and to the total, and a slice that expires is subtracted from the total.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, exp, log
from typing import Final, Literal

OTHER: Final = "other"
"""The label for everything after the limit on labels is reached."""

_GROWTH: Final = log(1.1)
"""A bucket's bound is 10 % above the previous one, so a percentile is off by at most 5 %."""
_SHORTEST: Final = 0.0001
_FIRST: Final = ceil(log(_SHORTEST) / _GROWTH)


@dataclass(slots=True)
class DurationHistogram:
    """Durations as counts per bucket, exact enough for percentiles."""

    counts: dict[int, int] = field(default_factory=dict)

    def add(self, seconds: float) -> None:
        """Count one duration."""
        bucket = ceil(log(seconds) / _GROWTH) if seconds > _SHORTEST else _FIRST
        counts = self.counts
        counts[bucket] = counts.get(bucket, 0) + 1

    def merge(self, other: "DurationHistogram", sign: Literal[1, -1] = 1) -> None:
        """Add the counts of *other*, or subtract them."""
        for bucket, count in other.counts.items():
            total = self.counts.get(bucket, 0) + sign * count
            if total:
                self.counts[bucket] = total
            else:
                del self.counts[bucket]

    def percentiles(self, shares: Sequence[float]) -> list[float | None]:
        """Return the duration at each of the ascending *shares*; None for each if empty."""
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
    """Sums over calls. *cost*, in billionths of a dollar, covers only the *priced* calls.

    *unpriced* calls have known tokens but no known price.
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
        """The cost; None if it is unknown, which differs from zero."""
        return None if not self.priced or (not self.cost and self.unpriced) else self.cost

    def merge(self, other: "CallStats", sign: Literal[1, -1] = 1) -> None:
        """Add the sums of *other*, or subtract them."""
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
    """CallStats of the last *slices* × *width* seconds, by up to *size* labels and OTHER."""

    __slots__ = ("_size", "_slices", "_width", "seconds", "totals")

    def __init__(self, *, width: int = 15, slices: int = 20, size: int = 50) -> None:
        self.seconds = width * slices
        self.totals: dict[str, CallStats] = {}
        self._width = width
        self._size = size
        self._slices: deque[tuple[int, dict[str, CallStats]]] = deque()

    def add(self, moment: float, label: str, stats: CallStats) -> None:
        """Add *stats* at *moment*; moments must be nearly in order."""
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
        """Drop slices older than the window."""
        oldest = (int(now) - self.seconds) // self._width
        while self._slices and self._slices[0][0] <= oldest:
            _, gone = self._slices.popleft()
            for label, stats in gone.items():
                total = self.totals[label]
                total.merge(stats, -1)
                if not total.calls:
                    del self.totals[label]
