"""Memory of the process: kept at hand while calls are in progress, given back when idle. IO.

Only where the C library is glibc; elsewhere nothing is done.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3
_AT_HAND: Final = 64 * 1024 * 1024
_LARGEST: Final = 32 * 1024 * 1024
"""glibc takes no larger one."""
_LOOK_EVERY: Final = 5.0
_WORTH_IT: Final = 8 * 1024 * 1024
_STATM: Final = Path("/proc/self/statm")


def keep_at_hand() -> None:
    """Keep freed memory for the next large body, instead of mapping it anew for each.

    Else the kernel hands out every body's pages one by one, zeroed: a fifth of the cost of
    relaying a picture of 5 MB.
    """
    with contextlib.suppress(ImportError, OSError, AttributeError, MemoryError):
        import ctypes

        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        mallopt(_M_TRIM_THRESHOLD, _AT_HAND)


def give_back() -> None:
    """Return what is free to the system."""
    with contextlib.suppress(ImportError, OSError, AttributeError, MemoryError):
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)


def resident() -> int:
    """Return how many bytes of memory the process holds, 0 where that cannot be known."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


async def give_back_when_idle(is_idle: Callable[[], bool], every: float = _LOOK_EVERY) -> None:
    """Give memory back whenever much has been taken and *is_idle* says so, until cancelled."""
    give_back()  # what the start took
    least = resident()
    while True:
        await asyncio.sleep(every)
        if resident() - least >= _WORTH_IT and is_idle():
            give_back()
            least = resident()
