"""Runs long jobs outside the event loop, and jobs concurrently. IO.

Python switches threads every few milliseconds. So a long job in a thread slows other calls a
little, but never blocks them for its whole duration.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

SMALL: Final = 128 * 1024
"""A body up to this many bytes is translated faster in the event loop than in a thread."""


class Offload:
    """Runs jobs in one thread, one after the other, round-robin between clients.

    A second thread would take time from the first one and from the event loop. A client with many
    large requests delays another client by at most one of them.
    """

    __slots__ = ("_executor", "_is_busy", "_waiting")

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._is_busy = False
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def run(self, size: int, client: str, job: Callable[[], _T]) -> _T:
        """Return the result of *job* for *client*'s body of *size* bytes; small ones run inline.

        Raises whatever *job* raises. If the caller is cancelled, the job's result is dropped.
        """
        if size <= SMALL:
            return job()
        await self._acquire(client)
        try:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="translate")
            return await asyncio.get_running_loop().run_in_executor(self._executor, job)
        finally:
            self._release()

    def close(self) -> None:
        """End the thread after its current job."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    async def _acquire(self, client: str) -> None:
        if not self._is_busy:
            self._is_busy = True
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                # This call's turn has already come, so pass it on.
                self._release()
            raise

    def _release(self) -> None:
        """Start the next job: that of the client that has waited longest since its last turn."""
        while self._waiting:
            client, waiters = next(iter(self._waiting.items()))
            del self._waiting[client]
            waiter = waiters.popleft()
            if waiters:
                # The client goes to the end of the queue.
                self._waiting[client] = waiters
            if not waiter.done():
                waiter.set_result(None)
                return
        self._is_busy = False


async def gather_first_error(jobs: list[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Return the results of concurrent *jobs*; the first failure cancels the others.

    A cancellation of the caller always takes effect, even if it coincides with a failure. A
    TaskGroup would raise only the failure, and lose the cancellation.
    """
    if len(jobs) == 1:
        return [await jobs[0]]
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        failed = [task for task in tasks if task in done and task.exception() is not None]
        if rest:
            _cancel(tasks)
            await asyncio.wait(rest)
    finally:
        _cancel(tasks)
    return [task.result() for task in failed or tasks]


def _cancel(tasks: list[asyncio.Task[_T]]) -> None:
    """Cancel running *tasks*, and retrieve the exceptions of finished ones."""
    for task in tasks:
        if not task.cancel() and not task.cancelled():
            task.exception()
