"""Counts the calls of functions that a piece of work makes: its cost, without a clock."""

import gc
import sys
from collections.abc import Callable


def function_calls(job: Callable[[], object]) -> tuple[int, Exception | None]:
    """Return how many functions of Python and of C *job* calls, and what it raises.

    The collector of garbage is off meanwhile: it would run the finalizers of other tests' objects,
    and their calls would count as the job's.
    """
    count = 0
    raised: Exception | None = None

    def note(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    is_collecting = gc.isenabled()
    gc.disable()
    sys.setprofile(note)
    try:
        job()
    except Exception as error:
        raised = error
    finally:
        sys.setprofile(before)
        if is_collecting:
            gc.enable()
    return count, raised
