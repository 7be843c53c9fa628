"""Merges the live statistics of several workers. Pure.

The worker that serves the dashboard merges its own statistics with the others' snapshots. It
renumbers calls in the order in which it learns of them. Times are on the monotonic clock, which all
processes of a machine share.
"""

from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from jarvis_proxy.observability.live_stats import (
    KEPT_CALLS,
    CallSummary,
    LiveStats,
    LiveTotals,
    SecondStats,
    WorkerSnapshot,
    totals,
)

LAG: Final = 3
"""Seconds until all workers' statistics of a second have been published and read."""

_OWN: Final = ""
encode_part: Final = msgspec.msgpack.Encoder().encode
decode_part: Final = msgspec.msgpack.Decoder(WorkerSnapshot).decode


class MergedLiveStats:
    """The statistics of *own* and *others*, with the interface of ``LiveStats``."""

    def __init__(self, own: LiveStats, others: Callable[[], Sequence[WorkerSnapshot]]) -> None:
        self._own = own
        self._others = others
        self._seen: dict[str, int] = {}
        """The number of each worker's last known call."""
        self._calls: deque[CallSummary] = deque(maxlen=KEPT_CALLS)
        self._count = 0

    @property
    def count(self) -> int:
        """The number of the latest call."""
        self._collect()
        return self._count

    def calls(self, after: int, limit: int = KEPT_CALLS) -> list[CallSummary]:
        """Return up to *limit* of the kept calls with numbers above *after*, oldest first."""
        self._collect()
        return [call for call in self._calls if call.n > after][:limit]

    def seconds(self, after: int, now: float) -> list[SecondStats]:
        """Return the seconds after *after* in which calls ended, with a delay of *LAG* seconds.

        Seconds that are still incomplete are left for the next call.
        """
        found: dict[int, SecondStats] = {}
        parts = [self._own.seconds(after - LAG, now - LAG)]
        parts += [part.seconds for part in self._others()]
        for second in (second for part in parts for second in part):
            if after - LAG < second.t < int(now) - LAG:
                total = found.setdefault(second.t, SecondStats(second.t))
                total.calls += second.calls
                total.errors += second.errors
                total.prompt += second.prompt
                total.completion += second.completion
        return sorted(found.values(), key=attrgetter("t"))

    def totals(self, now: float, most: int = 12) -> LiveTotals:
        """Return the sums of the last minutes, with up to *most* groups of each kind."""
        snapshots = [self._own.snapshot(now), *(part.snapshot for part in self._others())]
        return totals(snapshots, most)

    def _collect(self) -> None:
        """Collect the calls that have ended since the last time."""
        fresh = self._new_calls(_OWN, self._own.count, self._own.calls(self._seen.get(_OWN, 0)))
        for part in self._others():
            fresh += self._new_calls(part.origin, part.count, part.calls)
        for call in sorted(fresh, key=attrgetter("at")):
            self._count += 1
            self._calls.append(msgspec.structs.replace(call, n=self._count))

    def _new_calls(
        self, origin: str, count: int, calls: Sequence[CallSummary]
    ) -> list[CallSummary]:
        seen = self._seen.get(origin, 0)
        self._seen[origin] = count
        return [call for call in calls if call.n > seen]
