"""Everything that processes share through one store, opened and closed together. IO."""

import asyncio
import contextlib
import secrets

from jarvis_proxy.redis_backend.client import RedisConnection
from jarvis_proxy.redis_backend.rate_limiter import RedisRateLimiter
from jarvis_proxy.redis_backend.signature_store import RedisSignatureStore
from jarvis_proxy.redis_backend.upstream_health import RedisUpstreamHealth
from jarvis_proxy.redis_backend.usage_store import RedisUsageStore


class SharedState:
    """What several processes know together; each goes on by itself where the store cannot."""

    def __init__(self, url: str) -> None:
        self.connection = RedisConnection(url)
        self.signatures = RedisSignatureStore(self.connection)
        self.limiter = RedisRateLimiter(self.connection)
        self.health = RedisUpstreamHealth(self.connection, secrets.token_hex(4))
        self.usage = RedisUsageStore(self.connection)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect, or go on trying to; in any case return within about a second."""
        await self.connection.start()
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
        await self.connection.close()
