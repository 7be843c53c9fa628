"""What takes long for a large request runs beside the event loop. IO.

Python runs one thread at a time, but lets others on every few ms: so a job beside the loop slows
other calls down a little, and never holds them up for as long as it takes.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

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
        await self._turn(client)
        try:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="translate")
            return await asyncio.get_running_loop().run_in_executor(self._executor, job)
        finally:
            self._pass_on()

    def close(self) -> None:
        """End the thread when its job is done."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    async def _turn(self, client: str) -> None:
        if not self._is_busy:
            self._is_busy = True
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._pass_on()  # it has just come
            raise

    def _pass_on(self) -> None:
        """Let the next one run: of the client that has waited longest since its last turn."""
        while self._waiting:
            client, turns = next(iter(self._waiting.items()))
            del self._waiting[client]
            turn = turns.popleft()
            if turns:
                self._waiting[client] = turns  # behind the others
            if not turn.done():
                turn.set_result(None)
                return
        self._is_busy = False
