"""Tunes the C heap: calls reuse freed memory, and idle processes return it. IO.

This works with glibc only; elsewhere these functions do nothing.
docs/decisions/heap-trimming.md explains why malloc's environment variables are not enough.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3
_TRIM_THRESHOLD: Final = 64 * 1024 * 1024
_MMAP_THRESHOLD: Final = 32 * 1024 * 1024
"""The largest value that glibc accepts."""
_CHECK_INTERVAL: Final = 5.0
_MIN_GAIN: Final = 8 * 1024 * 1024
_STATM: Final = Path("/proc/self/statm")


def tune_malloc() -> None:
    """Reuse freed memory for the next large body instead of mapping new pages for each.

    The kernel zeroes each new page at a page fault, which takes a fifth of the cost of relaying a
    picture of 5 MB.
    """
    with contextlib.suppress(ImportError, OSError, AttributeError, MemoryError):
        import ctypes

        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)


def trim_heap() -> None:
    """Return free memory to the system."""
    with contextlib.suppress(ImportError, OSError, AttributeError, MemoryError):
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)


def rss_bytes() -> int:
    """Return the resident memory of the process in bytes, 0 if it is unknown."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


async def trim_heap_when_idle(is_idle: Callable[[], bool], every: float = _CHECK_INTERVAL) -> None:
    """Trim the heap when it has grown and *is_idle* returns True, until cancelled."""
    # Free memory that only the start needed.
    trim_heap()
    least = rss_bytes()
    while True:
        await asyncio.sleep(every)
        if rss_bytes() - least >= _MIN_GAIN and is_idle():
            trim_heap()
            least = rss_bytes()
