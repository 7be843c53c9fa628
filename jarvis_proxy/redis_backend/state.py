"""Everything that processes share through one store, opened and closed together. IO."""

import asyncio
import contextlib
import secrets

from jarvis_proxy.redis_backend.client import Link
from jarvis_proxy.redis_backend.rate_limiter import SharedLimiter
from jarvis_proxy.redis_backend.signature_store import SharedVault
from jarvis_proxy.redis_backend.upstream_health import SharedHealth
from jarvis_proxy.redis_backend.usage_store import RedisUsageStore


class SharedState:
    """What several processes know together; each goes on by itself where the store cannot."""

    def __init__(self, url: str) -> None:
        self.link = Link(url)
        self.vault = SharedVault(self.link)
        self.limiter = SharedLimiter(self.link)
        self.health = SharedHealth(self.link, secrets.token_hex(4))
        self.usage = RedisUsageStore(self.link)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect, or go on trying to; in any case return within about a second."""
        await self.link.start()
        self._tasks = [
            asyncio.create_task(self.limiter.run(), name="leases"),
            asyncio.create_task(self.health.run(), name="health"),
        ]

    async def close(self) -> None:
        """Send what is left to tell, and hang up."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.link.close()
