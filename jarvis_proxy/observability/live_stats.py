"""Live statistics for the dashboard: the last minutes and the latest calls. Pure.

A finished call costs an append; sums are updated in batches, or on a read. Of a call only names,
times and numbers are kept: never content, never a key. Times are seconds on the monotonic clock.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.observability.sliding_window import CallStats, SlidingWindow
from jarvis_proxy.wire.text import printable

KEPT_CALLS: Final = 200

_BATCH: Final = 256
_SECONDS: Final = 300
_SHARES: Final = (0.5, 0.9, 0.99)
_MAX_NAME: Final = 48
_MAX_CAUSES: Final = 12
_QUIET: Final = frozenset(
    ("/health", "/ready", "/metrics", "/dashboard", "/dashboard/events", "/dashboard/clients")
)
"""Routes of monitors and of the dashboard itself, which do not count as traffic."""


class SecondStats(msgspec.Struct):
    """Sums over the calls that ended in second *t* of the monotonic clock."""

    t: int
    calls: int = 0
    errors: int = 0
    prompt: int = 0
    completion: int = 0


class CallSummary(msgspec.Struct):
    """A finished call for the dashboard. *n* is its number; *at* is epoch seconds, times are in ms.

    *cost* is in billionths of a dollar. Unknown values are null.
    """

    n: int
    at: float
    key: str
    route: str
    model: str
    target: str
    upstream: str
    status: int
    outcome: str
    code: str
    attempts: int
    ttfb: float | None
    ms: float
    prompt: int | None
    completion: int | None
    cost: int | None
    streamed: bool


class GroupStats(msgspec.Struct):
    """Sums over the last minutes, and the number of open calls.

    *ttfb* and *ms* are the 50th, 90th and 99th percentiles of the times to the first byte and to
    the end, in ms, over answered calls; null if there were none. *cost* is as in ``CallSummary``.
    """

    name: str
    calls: int
    errors: int
    open: int
    prompt: int
    completion: int
    cost: int | None
    ttfb: list[float | None]
    ms: list[float | None]


class ErrorCount(msgspec.Struct):
    """The number of failed calls with one error code or status, and outcome."""

    code: str
    outcome: str
    calls: int


class LiveTotals(msgspec.Struct):
    """All sums; *keys*, *models* and *upstreams* list the busiest ones."""

    all: GroupStats
    keys: list[GroupStats]
    models: list[GroupStats]
    upstreams: list[GroupStats]
    causes: list[ErrorCount]


class LiveSnapshot(msgspec.Struct):
    """Sums over the last minutes and numbers of open calls, both by name."""

    all: dict[str, CallStats]
    keys: dict[str, CallStats]
    models: dict[str, CallStats]
    upstreams: dict[str, CallStats]
    causes: dict[str, CallStats]
    open: int
    open_keys: dict[str, int]
    open_models: dict[str, int]
    open_upstreams: dict[str, int]


class WorkerSnapshot(msgspec.Struct):
    """The statistics of the process *origin*; *count* is the number of its latest call."""

    origin: str
    count: int
    calls: list[CallSummary]
    seconds: list[SecondStats]
    snapshot: LiveSnapshot


_GroupKey = tuple[int, str, str, str]
"""Calls are grouped by second, key, model and upstream."""


class LiveStats:
    """Recent calls, and calls in progress."""

    def __init__(self) -> None:
        self.open: dict[str, CallRecord] = {}
        """The calls in progress, by id."""
        self._pending: list[CallRecord] = []
        self._last: deque[CallRecord] = deque(maxlen=KEPT_CALLS)
        self._count = 0
        self._seconds: deque[SecondStats] = deque(maxlen=_SECONDS)
        self._all = SlidingWindow(size=1)
        self._keys, self._models, self._upstreams = (
            SlidingWindow(),
            SlidingWindow(),
            SlidingWindow(),
        )
        self._causes = SlidingWindow(size=_MAX_CAUSES)

    def add(self, record: CallRecord) -> None:
        """Add a finished call; its record must not change afterwards."""
        self._pending.append(record)
        if len(self._pending) >= _BATCH:
            self._sum_up()

    @property
    def count(self) -> int:
        """The number of the latest call."""
        self._sum_up()
        return self._count

    def calls(self, after: int, limit: int = KEPT_CALLS) -> list[CallSummary]:
        """Return up to *limit* of the kept calls with numbers above *after*, oldest first."""
        self._sum_up()
        oldest = self._count - len(self._last) + 1
        start = max(after + 1, oldest)
        stop = min(start + limit, self._count + 1)
        return [_call(number, self._last[number - oldest]) for number in range(start, stop)]

    def seconds(self, after: int, now: float) -> list[SecondStats]:
        """Return the completed seconds after *after* in which calls ended."""
        self._sum_up()
        start = max(after, int(now) - _SECONDS - 1)
        return [second for second in self._seconds if start < second.t < int(now)]

    def totals(self, now: float, most: int = 12) -> LiveTotals:
        """Return the sums of the last minutes, with up to *most* groups of each kind."""
        return totals([self.snapshot(now)], most)

    def snapshot(self, now: float) -> LiveSnapshot:
        """Return the current sums. They change later, so use them at once."""
        self._sum_up()
        for window in (self._all, self._keys, self._models, self._upstreams, self._causes):
            window.expire(now)
        keys: Counter[str] = Counter()
        models: Counter[str] = Counter()
        upstreams: Counter[str] = Counter()
        for record in self.open.values():
            keys[_name(record.key_name)] += 1
            models[_name(record.model)] += 1
            upstreams[_name(record.upstream)] += 1
        return LiveSnapshot(
            self._all.totals,
            self._keys.totals,
            self._models.totals,
            self._upstreams.totals,
            self._causes.totals,
            len(self.open),
            keys,
            models,
            upstreams,
        )

    def worker_snapshot(self, origin: str, now: float) -> WorkerSnapshot:
        """Return this process's snapshot for the dashboard."""
        return WorkerSnapshot(
            origin, self.count, self.calls(0), self.seconds(0, now), self.snapshot(now)
        )

    def _sum_up(self) -> None:
        """Sum up the pending calls: first by group, as there are few groups, then by name."""
        fresh, self._pending = self._pending, []
        places: dict[_GroupKey, list[CallRecord]] = {}
        for record in fresh:
            if record.route in _QUIET and record.outcome != "refused":
                continue
            self._last.append(record)
            self._count += 1
            place = (int(record.ended_at), record.key_name, record.model, record.upstream)
            places.setdefault(place, []).append(record)
            if record.outcome != "ok":
                label = f"{record.outcome} {_name(record.code) or record.status}"
                self._causes.add(record.ended_at, label, CallStats(calls=1))
        for (second, key, model, upstream), records in places.items():
            stats = _call_stats(records)
            self._count_second(second, stats)
            self._all.add(second, "", stats)
            self._keys.add(second, _name(key), stats)
            self._models.add(second, _name(model), stats)
            self._upstreams.add(second, _name(upstream), stats)

    def _count_second(self, t: int, stats: CallStats) -> None:
        if not self._seconds or self._seconds[-1].t < t:
            self._seconds.append(SecondStats(t))
        second = self._seconds[-1]
        second.calls += stats.calls
        second.errors += stats.errors
        second.prompt += stats.prompt
        second.completion += stats.completion


def totals(snapshots: Sequence[LiveSnapshot], most: int) -> LiveTotals:
    """Return the sums of several *snapshots*, with up to *most* groups of each kind."""
    return LiveTotals(
        _group_stats(
            "",
            _merge_stats(s.all for s in snapshots).get("", CallStats()),
            sum(s.open for s in snapshots),
        ),
        _busiest(
            _merge_stats(s.keys for s in snapshots),
            _add_counts(s.open_keys for s in snapshots),
            most,
        ),
        _busiest(
            _merge_stats(s.models for s in snapshots),
            _add_counts(s.open_models for s in snapshots),
            most,
        ),
        _busiest(
            _merge_stats(s.upstreams for s in snapshots),
            _add_counts(s.open_upstreams for s in snapshots),
            most,
        ),
        _by_cause(_merge_stats(s.causes for s in snapshots)),
    )


def _merge_stats(parts: Iterable[Mapping[str, CallStats]]) -> Mapping[str, CallStats]:
    """Return the merged sums of all *parts*; a single part is returned without a copy."""
    first, *others = parts
    if not others:
        return first
    found: dict[str, CallStats] = {}
    for part in (first, *others):
        for label, stats in part.items():
            found.setdefault(label, CallStats()).merge(stats)
    return found


def _add_counts(parts: Iterable[Mapping[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for part in parts:
        found.update(part)
    return found


def _call_stats(records: Sequence[CallRecord]) -> CallStats:
    stats = CallStats(len(records))
    first_byte, duration = stats.first_byte.add, stats.duration.add
    for record in records:
        if record.outcome not in ("ok", "client_closed"):
            stats.errors += 1
        if record.prompt_tokens is not None:
            stats.prompt += record.prompt_tokens
            stats.completion += record.completion_tokens or 0
            stats.cost += record.cost or 0
            stats.priced += record.cost is not None
            stats.unpriced += record.cost is None
        if record.first_byte_sent_at is not None and record.attempts:
            # Without this, the proxy's own answers, such as refusals, would make upstreams look
            # fast.
            first_byte(record.first_byte_sent_at - record.started_at)
            duration(record.ended_at - record.started_at)
    return stats


def _name(text: str) -> str:
    name = printable(text)
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"


def _call(number: int, record: CallRecord) -> CallSummary:
    lasted = record.ended_at - record.started_at
    ttfb = (
        None if record.first_byte_sent_at is None else record.first_byte_sent_at - record.started_at
    )
    return CallSummary(
        number,
        round(record.timestamp + lasted, 1),
        _name(record.key_name),
        record.route,
        _name(record.model),
        _name(record.upstream_model),
        record.upstream,
        record.status,
        record.outcome,
        _name(record.code),
        record.attempts,
        _ms(ttfb),
        _ms(lasted) or 0.0,
        record.prompt_tokens,
        record.completion_tokens,
        record.cost,
        record.streamed,
    )


def _ms(seconds: float | None) -> float | None:
    """Return *seconds* in ms, rounded to three significant digits."""
    return None if seconds is None else float(f"{seconds * 1000:.3g}")


def _group_stats(name: str, stats: CallStats, open_calls: int) -> GroupStats:
    return GroupStats(
        name,
        stats.calls,
        stats.errors,
        open_calls,
        stats.prompt,
        stats.completion,
        stats.known_cost,
        [_ms(seconds) for seconds in stats.first_byte.percentiles(_SHARES)],
        [_ms(seconds) for seconds in stats.duration.percentiles(_SHARES)],
    )


def _busiest(totals: Mapping[str, CallStats], running: Counter[str], most: int) -> list[GroupStats]:
    """Return the names with the most calls, open ones included."""
    size = Counter({name: stats.calls for name, stats in totals.items()}) + running
    return [
        _group_stats(name, totals.get(name, CallStats()), running[name])
        for name, _ in size.most_common(most)
    ]


def _by_cause(totals: Mapping[str, CallStats]) -> list[ErrorCount]:
    counted = sorted(totals.items(), key=lambda item: -item[1].calls)
    found = []
    for label, stats in counted:
        outcome, _, code = label.partition(" ")
        found.append(ErrorCount(code, outcome, stats.calls))
    return found
