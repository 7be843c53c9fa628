"""The dashboard's events, built once a second for all viewers, only while there are any. IO."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Final

import msgspec

from jarvis_proxy import __version__
from jarvis_proxy.accounting.usage_days import overview
from jarvis_proxy.observability.live_merge import MergedLiveStats
from jarvis_proxy.observability.live_stats import (
    KEPT_CALLS,
    CallSummary,
    LiveStats,
    LiveTotals,
    SecondStats,
)
from jarvis_proxy.observability.worker_stats import WorkerStats
from jarvis_proxy.server.admission import overloaded_error
from jarvis_proxy.server.context import AppContext

MAX_VIEWERS: Final = 8

_CALLS_AT_ONCE: Final = 24
"""Most calls in one event: even with long names it stays below 20 KB."""
_USAGE_EVERY: Final = 10
"""Ticks between two events of daily usage, which is slow to build and changes slowly."""
_ENCODE: Final = msgspec.json.Encoder().encode


class UpstreamStatus(msgspec.Struct):
    """An upstream's state. *keys* are the remaining seconds of each key's quarantine.

    *circuit_open* is about the upstream's own circuit; *models_with_open_circuit* is a number.
    *is_stale*: the last refresh of its model list failed.
    """

    name: str
    keys: list[int]
    circuit_open: bool
    is_stale: bool
    models_with_open_circuit: int = 0


class History(msgspec.Struct):
    """A viewer's first event; calls follow in later events. *clock* as in ``Snapshot``."""

    version: str
    started_at: float
    keeps: int
    clock: tuple[float, float]
    seconds: list[SecondStats]


class Snapshot(msgspec.Struct):
    """Recent changes and the current state.

    *clock* is the time on the monotonic clock and in epoch seconds. *seconds* and *calls* are new
    since the last snapshot; seconds without an ended call are omitted.
    """

    clock: tuple[float, float]
    seconds: list[SecondStats]
    calls: list[CallSummary]
    totals: LiveTotals
    upstreams: list[UpstreamStatus]


class DashboardFeed:
    """Sends the newest context's state to a few viewers; *worker_stats* adds all workers' calls."""

    def __init__(
        self,
        live: LiveStats,
        worker_stats: WorkerStats | None = None,
        *,
        tick: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.viewers = 0
        self._live = live if worker_stats is None else MergedLiveStats(live, worker_stats.snapshots)
        self._worker_stats = worker_stats
        self._tick = tick
        self._clock = clock
        self._wall = wall
        self._started_at = wall()
        self._context: AppContext | None = None
        self._viewer_arrived = asyncio.Event()
        self._published = asyncio.Event()
        self._published_count = 0
        self._latest = b""
        self._last_call = 0
        self._last_second = 0

    async def run(self, context: AppContext) -> None:
        """Publish *context* while there are viewers, until cancelled or replaced."""
        self._context = context
        # Viewers of the previous context reconnect to this one.
        self._publish()
        try:
            while self._context is context:
                await self._viewer_arrived.wait()
                await asyncio.sleep(self._tick)
                if not self.viewers:
                    self._viewer_arrived.clear()
                elif self._context is context:
                    if self._worker_stats is not None:
                        self._worker_stats.mark_viewer(self._clock())
                    self._latest = self._snapshot(context)
                    if self._published_count % _USAGE_EVERY == 0:
                        self._latest += self._usage(context)
                    self._publish()
        finally:
            if self._context is context:
                self._context = None
                self._publish()

    async def view(self, context: AppContext) -> AsyncGenerator[bytes, None]:
        """Yield SSE events for one viewer, until *context* drains or is replaced.

        A viewer that misses a snapshot gets the history again.

        Raises:
            LimitExceeded: 503 `overloaded`, too many viewers.
        """
        if self.viewers >= MAX_VIEWERS:
            raise overloaded_error("too many viewers have the dashboard open")
        self.viewers += 1
        try:
            if self.viewers == 1:
                if self._worker_stats is not None:
                    await self._worker_stats.wait_for_workers()
                self._last_call, self._last_second = self._live.count, int(self._clock()) - 1
            self._viewer_arrived.set()
            seen = self._published_count
            yield self._history(context)
            while self._is_current(context):
                if seen == self._published_count:
                    await self._published.wait()
                    continue
                is_next = seen + 1 == self._published_count
                seen = self._published_count
                yield self._latest if is_next else self._history(context)
        finally:
            self.viewers -= 1

    def _is_current(self, context: AppContext) -> bool:
        return self._context is context and not context.draining

    def _publish(self) -> None:
        """Wake every viewer."""
        self._published_count += 1
        published, self._published = self._published, asyncio.Event()
        published.set()

    def _history(self, context: AppContext) -> bytes:
        now = self._clock()
        calls = [call for call in self._live.calls(0) if call.n <= self._last_call]
        seconds = self._live.seconds(0, self._last_second + 1)
        clock = (now, self._wall())
        events = [
            _event("history", History(__version__, self._started_at, KEPT_CALLS, clock, seconds))
        ]
        for start in range(0, len(calls), _CALLS_AT_ONCE):
            events.append(_event("calls", calls[start : start + _CALLS_AT_ONCE]))
        events.append(self._usage(context))
        return b"".join(events)

    def _usage(self, context: AppContext) -> bytes:
        return _event("usage", overview(context.usage, self._wall()))

    def _snapshot(self, context: AppContext) -> bytes:
        now = self._clock()
        calls = self._live.calls(self._last_call, _CALLS_AT_ONCE)
        seconds = self._live.seconds(self._last_second, now)
        self._last_second = int(now) - 1
        if calls:
            self._last_call = calls[-1].n
        totals = self._live.totals(now)
        clock = (now, self._wall())
        return _event(
            "snapshot", Snapshot(clock, seconds, calls, totals, upstream_statuses(context, now))
        )


def upstream_statuses(context: AppContext, now: float) -> list[UpstreamStatus]:
    """Return the state of each upstream."""
    stale = context.model_list.failing()
    return [
        UpstreamStatus(
            name,
            [int(seconds + 0.999) for seconds in endpoint.key_pool.quarantined_for(now)],
            endpoint.breakers.is_upstream_open(now),
            name in stale,
            endpoint.breakers.open_models(now),
        )
        for name, endpoint in context.endpoints.items()
    ]


def _event(name: str, data: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _ENCODE(data))
