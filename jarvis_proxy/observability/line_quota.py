"""Limits log lines about callers without a key: beyond a few a second they are counted. Pure.

Without a limit one connection could fill the disk.
"""

from collections import Counter
from typing import Final

ANONYMOUS: Final = "anonymous"
"""``extra=`` of a log record that callers without a key may cause: what kind of line it is."""
_MOST_KINDS: Final = 32
_OTHERS: Final = "others"


class LineQuota:
    """So many lines in each second; those past it are counted by their kind."""

    __slots__ = ("_left", "_left_out", "_most", "_since")

    def __init__(self, most: int = 10) -> None:
        self._most = most
        self._left = 0
        self._since = float("-inf")
        self._left_out: Counter[str] = Counter()

    def take(self, kind: str, now: float) -> Counter[str] | None:
        """Return None if a line of *kind* may be written at *now*, in monotonic seconds.

        Else return the counts of what is left out in this second, with this line among them. They
        are complete a second later; the first line that is left out is the only one in them.
        """
        if now - self._since >= 1.0:
            self._since, self._left, self._left_out = now, self._most, Counter()
        if self._left > 0:
            self._left -= 1
            return None
        counts = self._left_out
        counts[kind if kind in counts or len(counts) < _MOST_KINDS else _OTHERS] += 1
        return counts


def summary(counts: Counter[str]) -> str:
    """Return one line about the lines that were left out in a second."""
    kinds = ", ".join(f"{kind}: {count}" for kind, count in counts.most_common())
    lines = "line" if counts.total() == 1 else "lines"
    return f"{counts.total()} {lines} about callers without a valid key left out ({kinds})"
