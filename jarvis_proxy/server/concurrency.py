"""What takes long for a large request runs beside the event loop. IO.

Python runs one thread at a time, but lets others on every few ms: so a job beside the loop slows
other calls down a little, and never holds them up for as long as it takes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

SMALL: Final = 128 * 1024
"""Bytes of a body whose translation takes less time than a thread's turn costs, or 150 ms."""


class Offload:
    """Runs jobs in one thread, one after the other, clients in turn.

    One thread: two would take each other's time and the loop's. In turn: a client that has sent
    many large requests delays another one by one of them.
    """

    __slots__ = ("_executor", "_is_busy", "_waiting")

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._is_busy = False
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def run(self, size: int, client: str, job: Callable[[], _T]) -> _T:
        """Return what *job* returns for *client*'s body of *size* bytes; a small one's at once.

        Raises:
            whatever *job* raises. When the caller is cancelled, the job is not awaited any more.
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
        """End the thread when its job is done."""
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
                self._release()  # it has just come
            raise

    def _release(self) -> None:
        """Let the next one run: of the client that has waited longest since its last turn."""
        while self._waiting:
            client, waiters = next(iter(self._waiting.items()))
            del self._waiting[client]
            waiter = waiters.popleft()
            if waiters:
                self._waiting[client] = waiters  # behind the others
            if not waiter.done():
                waiter.set_result(None)
                return
        self._is_busy = False


async def gather_first_error(jobs: list[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Await one, or all at the same time; the first failure cancels the others.

    A cancellation of the caller always comes through, also where it coincides with a failure: a
    TaskGroup would raise the failure alone, and the clock and the client would wait for nothing.
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
    """Cancel those of *tasks* that still run, and take note of how the others failed."""
    for task in tasks:
        if not task.cancel() and not task.cancelled():
            task.exception()
