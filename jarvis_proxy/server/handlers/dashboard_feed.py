"""The live page's news: made once a second for all who look on, and not at all for no one. IO."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Final

import msgspec

from jarvis_proxy import __version__
from jarvis_proxy.accounting.usage_days import overview
from jarvis_proxy.observability.live_merge import LiveSums
from jarvis_proxy.observability.live_stats import KEPT_CALLS, Call, Live, Second, Totals
from jarvis_proxy.observability.worker_stats import Crew
from jarvis_proxy.server.admission import busy
from jarvis_proxy.server.context import Shell

MAX_VIEWERS: Final = 8

_CALLS_AT_ONCE: Final = 24
"""Calls in one event; with longer names and all groups it stays below 20 KB."""
_USAGE_EVERY: Final = 10
"""Ticks from one look at the usage by day to the next: it takes longer and changes slowly."""
_ENCODE: Final = msgspec.json.Encoder().encode


class Upstream(msgspec.Struct):
    """How an upstream is. *keys* has the seconds that each of its keys still rests.

    *held_off*: calls are refused for a while, because it failed again and again;
    *models_held_off*: for how many of its models they are.
    *is_stale*: its list of models could not be had.
    """

    name: str
    keys: list[int]
    held_off: bool
    is_stale: bool
    models_held_off: int = 0


class History(msgspec.Struct):
    """What a viewer is told first; calls follow in events of their own. *clock* as in Snapshot."""

    version: str
    started_at: float
    keeps: int
    clock: tuple[float, float]
    seconds: list[Second]


class Snapshot(msgspec.Struct):
    """What is new, and how things stand.

    *clock* is the time on the monotonic clock and in epoch seconds. *seconds* and *calls* are those
    that no snapshot has had; seconds in which nothing ended are left out.
    """

    clock: tuple[float, float]
    seconds: list[Second]
    calls: list[Call]
    totals: Totals
    upstreams: list[Upstream]


class Board:
    """Shows one shell, the newest, to a few viewers; with a *crew*, all of its workers' calls."""

    def __init__(
        self,
        live: Live,
        crew: Crew | None = None,
        *,
        tick: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.viewers = 0
        self._live = live if crew is None else LiveSums(live, crew.parts)
        self._crew = crew
        self._tick = tick
        self._clock = clock
        self._wall = wall
        self._started_at = wall()
        self._shell: Shell | None = None
        self._wanted = asyncio.Event()
        self._turned = asyncio.Event()
        self._number = 0
        self._news = b""
        self._last_call = 0
        self._last_second = 0

    async def run(self, shell: Shell) -> None:
        """Show *shell* while someone looks, until cancelled or another is shown."""
        self._shell = shell
        self._turn()  # whoever looks at the one before goes, and comes back to this one
        try:
            while self._shell is shell:
                await self._wanted.wait()
                await asyncio.sleep(self._tick)
                if not self.viewers:
                    self._wanted.clear()
                elif self._shell is shell:
                    if self._crew is not None:
                        self._crew.look(self._clock())
                    self._news = self._snapshot(shell)
                    if self._number % _USAGE_EVERY == 0:
                        self._news += self._usage(shell)
                    self._turn()
        finally:
            if self._shell is shell:
                self._shell = None
                self._turn()

    async def view(self, shell: Shell) -> AsyncGenerator[bytes, None]:
        """Yield SSE events for one viewer, until *shell* drains or is no longer shown.

        A viewer who is too slow for the news is told the history anew.

        Raises:
            LimitReached: 503 `overloaded`, there are viewers enough.
        """
        if self.viewers >= MAX_VIEWERS:
            raise busy("as many as may look at the live page do")
        self.viewers += 1
        try:
            if self.viewers == 1:
                if self._crew is not None:
                    await self._crew.gathered()
                self._last_call, self._last_second = self._live.count, int(self._clock()) - 1
            self._wanted.set()
            seen = self._number
            yield self._history(shell)
            while self._shows(shell):
                if seen == self._number:
                    await self._turned.wait()
                    continue
                is_next = seen + 1 == self._number
                seen = self._number
                yield self._news if is_next else self._history(shell)
        finally:
            self.viewers -= 1

    def _shows(self, shell: Shell) -> bool:
        return self._shell is shell and not shell.draining

    def _turn(self) -> None:
        """Let every viewer look."""
        self._number += 1
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()

    def _history(self, shell: Shell) -> bytes:
        now = self._clock()
        calls = [call for call in self._live.calls(0) if call.n <= self._last_call]
        seconds = self._live.seconds(0, self._last_second + 1)
        clock = (now, self._wall())
        events = [
            _event("history", History(__version__, self._started_at, KEPT_CALLS, clock, seconds))
        ]
        for start in range(0, len(calls), _CALLS_AT_ONCE):
            events.append(_event("calls", calls[start : start + _CALLS_AT_ONCE]))
        events.append(self._usage(shell))
        return b"".join(events)

    def _usage(self, shell: Shell) -> bytes:
        return _event("usage", overview(shell.usage, self._wall()))

    def _snapshot(self, shell: Shell) -> bytes:
        now = self._clock()
        calls = self._live.calls(self._last_call, _CALLS_AT_ONCE)
        seconds = self._live.seconds(self._last_second, now)
        self._last_second = int(now) - 1
        if calls:
            self._last_call = calls[-1].n
        totals = self._live.totals(now)
        clock = (now, self._wall())
        return _event("snapshot", Snapshot(clock, seconds, calls, totals, upstreams(shell, now)))


def upstreams(shell: Shell, now: float) -> list[Upstream]:
    """Return how each upstream is."""
    stale = shell.catalog.failing()
    return [
        Upstream(
            name,
            [int(seconds + 0.999) for seconds in place.pool.rests(now)],
            place.breakers.holds_upstream(now),
            name in stale,
            place.breakers.models_held(now),
        )
        for name, place in shell.places.items()
    ]


def _event(name: str, data: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _ENCODE(data))
