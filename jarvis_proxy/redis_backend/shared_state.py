"""The state that processes share through one store, opened and closed together. IO.

redis-py is imported only if REDIS_URL is set.
"""

import asyncio
import contextlib
import secrets


class SharedState:
    """The state that processes share; each process continues alone while the store fails."""

    def __init__(self, url: str) -> None:
        # Imported here because these modules need redis-py, which may not be installed.
        from jarvis_proxy.redis_backend.client import RedisConnection
        from jarvis_proxy.redis_backend.rate_limiter import RedisRateLimiter
        from jarvis_proxy.redis_backend.signature_store import RedisSignatureStore
        from jarvis_proxy.redis_backend.upstream_health import RedisUpstreamHealth
        from jarvis_proxy.redis_backend.usage_store import RedisUsageStore

        self.connection = RedisConnection(url)
        self.signatures = RedisSignatureStore(self.connection)
        self.limiter = RedisRateLimiter(self.connection)
        self.health = RedisUpstreamHealth(self.connection, secrets.token_hex(4))
        self.usage = RedisUsageStore(self.connection)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect, or keep trying in the background; return within about a second."""
        await self.connection.start()
        self._tasks = [
            asyncio.create_task(self.limiter.run(), name="leases"),
            asyncio.create_task(self.health.run(), name="health"),
        ]

    async def close(self) -> None:
        """Send pending operations, then disconnect."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.connection.close()


def load_shared_state(url: str) -> SharedState | None:
    """Return the shared state in the store at *url*, not yet connected; None for ``""``."""
    return SharedState(url) if url else None
