"""Fixtures: a Redis for this folder's tests, emptied for each, and what looks into it."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tests.support.redis_server import RedisServer


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    """Return a Redis of the test's own, which it may kill."""
    async with RedisServer().running() as running:
        yield running


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[Redis]:
    """Return a client that looks into *server*."""
    client = Redis.from_url(server.url, protocol=2)
    yield client
    await client.aclose()
