"""Requests that never pause: whatever happens to a server meanwhile, none of them may fail."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable

from tests.conftest import BEARER
from tests.support.eventually import eventually
from tests.support.raw_client import RawConnection, RawResponse, connect, fetch

CHAT = "/v1/chat/completions"
ECHO: dict[str, object] = {"model": "jarvis-echo", "messages": [{"role": "user", "content": "a"}]}


class Load:
    """Requests at an even pace, some on connections of their own, some on one that is kept."""

    def __init__(self, port: int, per_second: float = 50) -> None:
        self._port = port
        self._pause = 1 / per_second
        self._calls: list[asyncio.Task[None]] = []
        self._kept: RawConnection | None = None
        self._stack = contextlib.AsyncExitStack()
        self.failures: list[str] = []
        self.done = 0

    async def run(self) -> None:
        """Ask until cancelled."""
        number = 0
        while True:
            call = self._on_kept() if number % 5 == 0 else self._on_own()
            self._calls.append(asyncio.create_task(self._counted(call)))
            number += 1
            await asyncio.sleep(self._pause)

    async def answered(self, number: int = 20) -> None:
        """Wait until *number* more requests are answered."""
        enough = self.done + number
        await eventually(lambda: self.done >= enough)

    async def finish(self) -> None:
        """Wait for the answers that are still to come."""
        await asyncio.gather(*self._calls)
        await self._stack.aclose()

    async def _counted(self, call: Awaitable[RawResponse]) -> None:
        try:
            async with asyncio.timeout(20):
                response = await call
        except (OSError, EOFError, TimeoutError) as exc:
            self.failures.append(f"{call.__name__}: {exc!r}")  # type: ignore[attr-defined]
            return
        self.done += 1
        if response.status != 200 or not response.whole:
            self.failures.append(f"{response.status} {response.body!r}")

    async def _on_own(self) -> RawResponse:
        return await fetch(self._port, CHAT, ECHO, {**BEARER, "Connection": "close"})

    async def _on_kept(self) -> RawResponse:
        """Ask on the one connection that is kept, as a client's pool does."""
        connection, self._kept = self._kept, None
        if connection is None or connection.reader.at_eof():
            connection = await self._stack.enter_async_context(connect(self._port))
        await connection.post("/v1/models", b"", BEARER, "GET")
        response = await connection.response()
        if response.headers.get("connection") != "close":
            self._kept = connection
        return response


@contextlib.asynccontextmanager
async def load(port: int) -> AsyncIterator[Load]:
    """Ask all the time; no request may fail."""
    asking = Load(port)
    running = asyncio.create_task(asking.run())
    yield asking
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asking.finish()
    assert not asking.failures, asking.failures[:5]
    assert asking.done > 20
