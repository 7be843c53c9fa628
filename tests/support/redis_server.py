"""A real Redis on a port of its own: started, stopped, killed, frozen. Skips without one."""

import asyncio
import contextlib
import shutil
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from tests.support.server_process import free_port

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")
needs_redis = pytest.mark.redis


@dataclass
class RedisServer:
    """A Redis that keeps nothing on disk."""

    port: int = field(default_factory=free_port)
    options: Sequence[str] = ()
    process: Process | None = None

    @property
    def url(self) -> str:
        """What REDIS_URL is for it."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        assert PROGRAM is not None
        self.process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *("--port", str(self.port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", *self.options),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
        )
        async with asyncio.timeout(10):
            while not await self._answers():  # noqa: ASYNC110 - another process starts
                await asyncio.sleep(0.01)

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        with contextlib.closing(writer):
            writer.write(b"PING\r\n")
            return (await reader.readline())[:1] in (b"+", b"-")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP stops it, SIGCONT lets it run again."""
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        """End it at once, in whatever it does."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
            self.process = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["RedisServer"]:
        """Start it, and end it in the end."""
        await self.start()
        try:
            yield self
        finally:
            await self.kill()
