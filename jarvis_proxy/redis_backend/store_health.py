"""Tracks whether the shared store is usable, and how long to wait before a reconnect. Pure.

Times are in seconds on the monotonic clock.
"""

from typing import Final

_FIRST_PAUSE: Final = 0.25
_MAX_PAUSE: Final = 2.0
_MAX_PAUSE_UNSTEADY: Final = 30.0
STEADY_AFTER: Final = 10.0
"""Seconds of operation after which the next outage counts as a new one."""
_LATE_IN_A_ROW: Final = 3


class StoreHealth:
    """The store's state, from observed events. Initially it is not usable."""

    __slots__ = ("_late", "_pause", "_since", "usable")

    def __init__(self) -> None:
        self.usable = False
        self._since = 0.0
        self._late = 0
        self._pause = _FIRST_PAUSE

    def came_up(self, now: float) -> None:
        """Note that the store works."""
        self.usable = True
        self._since = now
        self._late = 0

    def went_down(self, now: float) -> None:
        """Note that the store failed."""
        if self.usable and now - self._since >= STEADY_AFTER:
            self._pause = _FIRST_PAUSE
        self.usable = False

    def answered(self, *, late: bool) -> bool:
        """Note an answer; return False if so many were late that the store counts as down."""
        self._late = self._late + 1 if late else 0
        return self._late < _LATE_IN_A_ROW

    def next_pause(self, *, reachable: bool) -> float:
        """Return how many seconds to wait before the next attempt.

        *reachable*: the store accepted a connection and then failed. Such retries cost calls time,
        so their pauses grow longer than for an unreachable store.
        """
        pause = self._pause
        longest = _MAX_PAUSE_UNSTEADY if reachable else _MAX_PAUSE
        self._pause = min(pause * 2, longest)
        return pause
