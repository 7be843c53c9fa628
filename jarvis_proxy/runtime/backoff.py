"""How long the next worker waits when one has died: not at all, unless they die in a row. Pure."""

from typing import Final

STEADY_AFTER: Final = 10.0
"""Seconds that a worker must have lived for its death to be no part of a row."""
_FIRST: Final = 0.5
LONGEST: Final = 8.0
"""Connections that the kernel has given to the missing worker's socket wait for the next one."""


class Backoff:
    """The deaths of one worker after the other."""

    __slots__ = ("_pause",)

    def __init__(self) -> None:
        self._pause = 0.0

    def died(self, lived: float) -> float:
        """Note the death of one that *lived* so long; return how many seconds the next waits."""
        pause = 0.0 if lived >= STEADY_AFTER else self._pause
        self._pause = min(LONGEST, max(_FIRST, pause * 2))
        return pause
