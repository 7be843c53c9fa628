"""Bytes, cut as a network may cut them: the same answer must come out of every cut."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def split_everywhere(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """Yield *data* whole, cut in two at every byte, and one byte at a time."""
    yield (data,)
    for at in range(1, len(data)):
        yield data[:at], data[at:]
    yield tuple(data[at : at + 1] for at in range(len(data)))


def cut_at(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Return *data* cut at the given places, in any order and as often as they come."""
    return [data[start:end] for start, end in pairwise((0, *sorted(cuts), len(data)))]


def assert_same_for_every_split(make: Callable[[Sequence[bytes]], T], data: bytes) -> T:
    """Check that *make* returns the same for every cut of *data*; return what that is.

    *make* feeds pieces to a fresh object and returns all that came out of it.
    """
    pieces = split_everywhere(data)
    expected = make(next(pieces))
    for cut in pieces:
        assert make(cut) == expected, f"another outcome when cut after {len(cut[0])} bytes"
    return expected
