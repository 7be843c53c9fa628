"""The connection to Redis or Valkey: pipelined, with short timeouts, reconnecting. IO.

Concurrent operations of many callers go out as a few commands in one round trip. A caller waits at
most 100 ms, then continues with the state of its own process. While the store is down or late,
callers do not wait. One warning reports an outage, one line its end.

Only this module imports redis-py, and it is imported only if REDIS_URL is set.

Sources: https://redis.io/docs/latest/develop/interact/programmability/eval-intro/,
https://redis.readthedocs.io/ (read 2026-11).
"""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from msgspec import MsgspecError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jarvis_proxy.redis_backend.batching import Batch, Command, CommandBatcher
from jarvis_proxy.redis_backend.store_health import STEADY_AFTER, StoreHealth
from jarvis_proxy.wire.text import printable

PREFIX: Final = "jarvis:"
"""The prefix of every key."""
CALL_BUDGET: Final = 0.1
_GRACE_PERIOD: Final = 0.02
"""Extra seconds after a timeout: if this process stalled, a reply may be waiting unread."""
_ROUND_TRIP_TIMEOUT: Final = 1.0
_FLUSH_TIMEOUT: Final = 1.0
_LOG: Final = logging.getLogger(__name__)

_FAILURES: Final = (RedisError, OSError, TimeoutError)

Op = TypeVar("Op")
Answer = TypeVar("Answer")


class Script:
    """A Lua script, *text*, which the store runs atomically."""

    __slots__ = ("digest", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def call(self, payload: bytes, *more: bytes | str | int) -> Command:
        """Return the command that runs the script with *payload* as its first argument."""
        return ("EVALSHA", self.digest, 0, payload, *more)


class RedisConnection:
    """One process's connection to the store."""

    def __init__(
        self,
        url: str,
        *,
        call_budget: float = CALL_BUDGET,
        limit: float = _ROUND_TRIP_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = _name(url)
        self._url = url
        self._call_budget = call_budget
        self._limit = limit
        self._clock = clock
        self._health = StoreHealth()
        self._scripts: list[Script] = []
        self._batchers: list[CommandBatcher[Any, Any]] = []
        self._reconnect_callbacks: list[Callable[[], None]] = []
        self._work_ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._first_attempt_done = asyncio.Event()
        self._in_flight: list[Batch[Any, Any]] = []
        self._is_late = False
        self._needs_check = False
        self._outage_logged = False
        self._failed_while_serving = False
        self._recovery_timer: asyncio.TimerHandle | None = None
        self._client: Redis | None = None
        self._task: asyncio.Task[None] | None = None

    # -- for users of the store ----------------------------------------------------------------

    def script(self, text: str) -> Script:
        """Register a script; it is loaded on every connect. Call this before ``start``."""
        script = Script(text)
        self._scripts.append(script)
        return script

    def batcher(
        self,
        build: Callable[[Sequence[Op]], Command],
        split: Callable[[Any, Sequence[Op]], Iterable[Answer]],
        on_lost: Callable[[Sequence[Op]], None] = lambda ops: None,
    ) -> CommandBatcher[Op, Answer]:
        """Return a ``CommandBatcher`` that sends operations of one kind on this connection."""
        batcher = CommandBatcher(self, build, split, on_lost)
        self._batchers.append(batcher)
        return batcher

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Call *callback* after each successful connect."""
        self._reconnect_callbacks.append(callback)

    @property
    def is_up(self) -> bool:
        """Whether the store works."""
        return self._health.usable

    @property
    def is_responsive(self) -> bool:
        """Whether it is worth waiting for an answer now."""
        return self._health.usable and not self._is_late

    @property
    def is_idle(self) -> bool:
        """Whether no operation is pending or in flight."""
        return not self._in_flight and not any(batcher.pending for batcher in self._batchers)

    def wake(self) -> None:
        """Send the pending operations once those in flight are answered."""
        self._work_ready.set()

    async def execute(
        self, commands: Sequence[Command], limit: float = _ROUND_TRIP_TIMEOUT
    ) -> list[Any] | None:
        """Return the replies to *commands*, sent on a connection of their own; None on failure.

        For background work. After a failure the commands may or may not have been executed.
        """
        if not self._health.usable:
            return None
        try:
            async with asyncio.timeout(limit):
                replies = await self._run(commands)
        except _FAILURES:
            self._needs_check = True
            # The main connection finds out what is wrong.
            self.wake()
            return None
        return None if any(isinstance(reply, Exception) for reply in replies) else replies

    # -- connecting ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect; return on success, failure, or after a second. Retries run in the background."""
        self._task = asyncio.create_task(self._run_forever(), name="redis")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limit):
                await self._first_attempt_done.wait()

    async def close(self) -> None:
        """Send pending operations, for at most a second, and disconnect."""
        if self._task is None:
            return
        if not self.is_idle:
            self._idle.clear()
            self.wake()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_TIMEOUT):
                    await self._idle.wait()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._health.usable = False
        self._release_all()
        await self._disconnect()

    async def _run_forever(self) -> None:
        while True:
            await self._connect()
            try:
                await self._serve()
            except (*_FAILURES, ValueError, MsgspecError) as exc:
                self._on_failure(exc)
                await self._disconnect()
                await asyncio.sleep(self._health.next_pause(reachable=True))

    async def _connect(self) -> None:
        """Try to connect until the store works."""
        while True:
            reachable = False
            try:
                async with asyncio.timeout(self._limit):
                    self._client = _client(self._url, self._limit)
                    await self._client.ping()
                    reachable = True
                    await self._prepare()
            except _FAILURES as exc:
                self._log_outage(exc)
                await self._disconnect()
                self._first_attempt_done.set()
                await asyncio.sleep(self._health.next_pause(reachable=reachable))
            else:
                self._on_connected()
                return

    async def _prepare(self) -> None:
        """Load the scripts; check that the store accepts writes and is fast enough."""
        began = self._clock()
        loads: list[Command] = [("SCRIPT", "LOAD", script.text) for script in self._scripts]
        replies = await self._run([*loads, ("SET", f"{PREFIX}alive", 1, "EX", 60)])
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        if self._clock() - began > self._call_budget:
            raise TimeoutError

    def _on_connected(self) -> None:
        self._health.came_up(self._clock())
        if self._outage_logged:
            # After a failure, the store must work for a while before its recovery is logged.
            loop = asyncio.get_running_loop()
            self._recovery_timer = loop.call_later(
                STEADY_AFTER if self._failed_while_serving else 0, self._log_recovery
            )
        self._first_attempt_done.set()
        for callback in self._reconnect_callbacks:
            callback()

    def _log_recovery(self) -> None:
        _LOG.info("Redis at %s works again", self.name)
        self._outage_logged = self._failed_while_serving = False

    def _on_failure(self, exc: Exception) -> None:
        self._health.went_down(self._clock())
        self._failed_while_serving = not isinstance(exc, RedisConnectionError | OSError)
        self._log_outage(exc)
        self._release_all()

    def _log_outage(self, exc: Exception) -> None:
        """Log an outage once."""
        if self._recovery_timer is not None:
            self._recovery_timer.cancel()
        if not self._outage_logged:
            _LOG.warning(
                "Redis at %s cannot be used (%s): each process continues with its own state",
                self.name,
                _reason(exc),
            )
            self._outage_logged = True

    def _release_all(self) -> None:
        self._is_late = False
        for batcher in self._batchers:
            batcher.clear()
        self._idle.set()

    async def _disconnect(self) -> None:
        if self._client is not None:
            with contextlib.suppress(*_FAILURES):
                await self._client.aclose()
            # Clear this last: aclose() may be cancelled, and must then run again.
            self._client = None

    # -- sending -------------------------------------------------------------------------------

    async def _serve(self) -> None:
        """Send operations as they arrive, until the store fails.

        Raises:
            RedisError, OSError, TimeoutError: the store failed.
        """
        while True:
            await self._work_ready.wait()
            self._work_ready.clear()
            if self._needs_check:
                self._needs_check = False
                async with asyncio.timeout(self._limit):
                    await self._run([("PING",)])
            while batches := [
                batcher.next_batch() for batcher in self._batchers if batcher.pending
            ]:
                await self._send(batches)
            self._idle.set()  # close() waits for this

    async def _send(self, batches: list[Batch[Any, Any]]) -> None:
        timer = asyncio.get_running_loop().call_later(self._call_budget, self._start_grace_period)
        self._in_flight = batches
        lost = list(batches)
        try:
            async with asyncio.timeout(self._limit):
                replies = await self._run_scripts([batch.command for batch in batches])
            for batch, reply in zip(batches, replies, strict=True):
                if isinstance(reply, Exception):
                    raise reply
                batch.deliver(reply)
                lost.remove(batch)
        finally:
            timer.cancel()
            self._in_flight = []
            for batch in lost:
                batch.fail()
        was_late, self._is_late = self._is_late, False
        if not self._health.answered(late=was_late):
            raise TimeoutError

    def _start_grace_period(self) -> None:
        overdue = self._in_flight
        asyncio.get_running_loop().call_later(_GRACE_PERIOD, self._on_timeout, overdue)

    def _on_timeout(self, overdue: list[Batch[Any, Any]]) -> None:
        """Release all callers: the reply is late."""
        if self._in_flight is not overdue or not overdue:
            # The reply has arrived.
            return
        self._is_late = True
        for batch in overdue:
            batch.release_waiters()
        for batcher in self._batchers:
            batcher.release_waiters()

    async def _run_scripts(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies to *commands*; reload scripts that the store has forgotten."""
        replies = await self._run(commands)
        forgotten = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if forgotten:
            loads: list[Command] = [("SCRIPT", "LOAD", script.text) for script in self._scripts]
            again = await self._run([*loads, *(commands[i] for i in forgotten)])
            for i, reply in zip(forgotten, again[len(loads) :], strict=True):
                replies[i] = reply
        return replies

    async def _run(self, commands: Sequence[Command]) -> list[Any]:
        """Send *commands* in one round trip; errors of the store are exceptions in the result."""
        assert self._client is not None  # noqa: S101 - callers connect first
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies


def _client(url: str, limit: float) -> Redis:
    return Redis.from_url(
        url,
        protocol=2,
        # Time limits are set here, around whole round trips. redis-py's own limits use
        # asyncio.wait_for, which before Python 3.12 may swallow a cancellation.
        socket_timeout=None,
        socket_connect_timeout=limit,
        # This class decides when to retry.
        retry=Retry(NoBackoff(), 0),
        client_name="jarvis-proxy",
    )


def _reason(exc: Exception) -> str:
    """Return the reason; redis-py's own messages may hold the address with its password."""
    if isinstance(exc, TimeoutError | RedisTimeoutError):
        return "too slow"
    # The store sent this message itself.
    if isinstance(exc, ResponseError):
        return printable(f"{type(exc).__name__}: {exc}")
    return type(exc).__name__


def _name(url: str) -> str:
    """Return the part of *url* that may be logged."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname}:{parts.port or 6379}"
