"""Whether a stream's events came one by one, or were held back on the way. Pure.

`jarvis-echo` sends a word every 30 ms. Somebody who buffers on the way turns that into one burst
at the end, or into a few; a slow or shaky network only delays some events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

PACE: Final = 0.03
"""Seconds between two words of `jarvis-echo`."""

_SAME_BURST: Final = PACE / 3
"""Events nearer to each other than this left some buffer together."""

_BUNCHED: Final = 4.0
"""Events in a burst, on average, from which on it is no accident: 120 ms of waiting."""

_HELD_BURSTS: Final = 2
_HELD_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class StreamTiming:
    """How *events* arrived: in *bursts*, spread over *span* seconds.

    ``paced``: as they were sent. ``bunched``: in pieces of a buffer's size. ``held``: all at once.
    """

    kind: Literal["paced", "bunched", "held"]
    events: int
    bursts: int
    span: float


def evaluate(arrivals: Sequence[float]) -> StreamTiming:
    """Return how events came whose times of arrival, in seconds, are *arrivals* (at least two)."""
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    bursts = 1 + sum(gap >= _SAME_BURST for gap in gaps)
    span = arrivals[-1] - arrivals[0]
    kind: Literal["paced", "bunched", "held"] = "paced"
    if bursts <= _HELD_BURSTS or span < _HELD_SHARE * PACE * len(gaps):
        kind = "held"
    elif len(arrivals) / bursts >= _BUNCHED:
        kind = "bunched"
    return StreamTiming(kind, len(arrivals), bursts, span)
