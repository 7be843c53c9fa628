"""Lanes: the requests of one call that run at the same time, and end together. IO."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def together(lanes: list[Coroutine[Any, Any, T]]) -> list[T]:
    """Await one, or all at the same time; the first failure cancels the others.

    A cancellation of the caller always comes through, also where it coincides with a failure: a
    TaskGroup would raise the failure alone, and the clock and the client would wait for nothing.
    """
    if len(lanes) == 1:
        return [await lanes[0]]
    tasks = [asyncio.create_task(lane) for lane in lanes]
    try:
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        failed = [task for task in tasks if task in done and task.exception() is not None]
        if rest:
            _cancel(tasks)
            await asyncio.wait(rest)
    finally:
        _cancel(tasks)
    return [task.result() for task in failed or tasks]


def _cancel(tasks: list[asyncio.Task[T]]) -> None:
    """Cancel those of *tasks* that still run, and take note of how the others failed."""
    for task in tasks:
        if not task.cancel() and not task.cancelled():
            task.exception()
