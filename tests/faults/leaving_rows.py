"""Clients that leave, row by row: when, and how. No IO."""

from dataclasses import dataclass
from typing import Final, Literal

from tests.faults.dialects import Surface

When = Literal["before the answer", "after heartbeats", "in the middle", "during the upload"]
How = Literal["FIN", "RST", "half-close"]


@dataclass(frozen=True)
class Leaving:
    """A client that goes: the proxy must end its call and the upstream's, and write one line."""

    when: When
    how: How
    surfaces: tuple[Surface, ...]

    @property
    def name(self) -> str:
        """The row's name."""
        return f"leaves-{self.when}-{self.how}".replace(" ", "-").lower()

    @property
    def fault(self) -> str:
        """The fault in words."""
        ways = {
            "FIN": "closes the connection",
            "RST": "resets the connection",
            "half-close": "closes its half of the connection",
        }
        return f"The client {ways[self.how]} {self.when}."


_STREAMS: Final[tuple[Surface, ...]] = ("chat", "responses", "gemini")
_WAYS: Final[tuple[How, ...]] = ("FIN", "RST", "half-close")
_MOMENTS: Final[tuple[tuple[When, tuple[Surface, ...]], ...]] = (
    ("before the answer", (*_STREAMS, "whole")),
    ("after heartbeats", _STREAMS),
    ("in the middle", _STREAMS),
    ("during the upload", ("whole",)),
)
LEAVINGS: Final[tuple[Leaving, ...]] = tuple(
    Leaving(when, how, surfaces) for when, surfaces in _MOMENTS for how in _WAYS
)
