"""Limits log lines about callers without a key to a few per second, and counts the rest. Pure.

Without a limit, one connection could fill the disk.
"""

from collections import Counter
from typing import Final

ANONYMOUS: Final = "anonymous"
"""The key in ``extra=`` that holds the kind of a line that callers without a key may cause."""
_MAX_KINDS: Final = 32
_OTHERS: Final = "others"


class LineQuota:
    """A number of lines per second; lines beyond it are counted by kind."""

    __slots__ = ("_left", "_left_out", "_most", "_since")

    def __init__(self, most: int = 10) -> None:
        self._most = most
        self._left = 0
        self._since = float("-inf")
        self._left_out: Counter[str] = Counter()

    def take(self, kind: str, now: float) -> Counter[str] | None:
        """Return None if a line of *kind* may be written at *now*, in monotonic seconds.

        Otherwise return the counts of the lines left out in this second, including this one. The
        counts continue to grow for a second; for the first line left out, their total is 1.
        """
        if now - self._since >= 1.0:
            self._since, self._left, self._left_out = now, self._most, Counter()
        if self._left > 0:
            self._left -= 1
            return None
        counts = self._left_out
        counts[kind if kind in counts or len(counts) < _MAX_KINDS else _OTHERS] += 1
        return counts


def summary(counts: Counter[str]) -> str:
    """Return one line that reports the lines left out in a second."""
    kinds = ", ".join(f"{kind}: {count}" for kind, count in counts.most_common())
    lines = "line" if counts.total() == 1 else "lines"
    return f"{counts.total()} {lines} about callers without a valid key left out ({kinds})"
