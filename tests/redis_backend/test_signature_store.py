"""Signatures that one process puts and another finds, and what is kept while the store is away."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from jarvis_proxy.redis_backend import signature_store as module
from jarvis_proxy.redis_backend.client import RedisConnection
from jarvis_proxy.redis_backend.signature_store import TTL, RedisSignatureStore
from jarvis_proxy.upstreams.gemini.signature_store import MemorySignatureStore, StoredSignature
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, needs_redis

pytestmark = needs_redis

ONE = StoredSignature("EvsBCvgB", "dv8szvqe")


def an_id(number: int) -> str:
    return f"call_{number:024d}"


class Process:
    """One process's store."""

    def __init__(self, url: str, **bounds: int) -> None:
        self.connection = RedisConnection(url)
        self.wall: Callable[[], float] = time.time
        self.store = RedisSignatureStore(self.connection, wall=lambda: self.wall(), **bounds)  # type: ignore[arg-type]

    def put(self, call_id: str, value: StoredSignature = ONE) -> None:
        self.store.put(call_id, value, time.monotonic())

    async def fetched(self, *call_ids: str) -> list[StoredSignature | None]:
        """Fetch, and return what is known then."""
        await self.store.fetch(call_ids, time.monotonic())
        return [self.store.get(call_id, time.monotonic()) for call_id in call_ids]

    async def sent(self) -> None:
        """Wait until everything that was put is in the store."""
        await eventually(lambda: self.connection.is_idle)


@pytest.fixture
async def two(server: RedisServer) -> AsyncIterator[tuple[Process, Process]]:
    """Return two processes that share *server*."""
    both = Process(server.url), Process(server.url)
    for process in both:
        await process.connection.start()
    yield both
    for process in both:
        await process.connection.close()


async def test_another_process_finds_what_one_put(two: tuple[Process, Process]) -> None:
    one, other = two
    one.put(an_id(1))
    one.put(an_id(2), StoredSignature(None, "native"))
    await one.sent()

    assert await other.fetched(an_id(1), an_id(2), an_id(3)) == [
        ONE,
        StoredSignature(None, "native"),
        None,
    ]


async def test_an_id_that_a_client_mangled_is_found(two: tuple[Process, Process]) -> None:
    two[0].put(an_id(1))
    await two[0].sent()

    assert await two[1].fetched("call" + an_id(1)[5:]) == [ONE]
    assert await two[1].fetched(an_id(1) + "_toolu_more") == [ONE]


async def test_callers_at_the_same_time_get_their_own(two: tuple[Process, Process]) -> None:
    for number in range(20):
        two[0].put(an_id(number), StoredSignature(str(number), None))
    await two[0].sent()
    found = await asyncio.gather(*(two[1].fetched(an_id(n), an_id(n + 100)) for n in range(20)))

    assert found == [[StoredSignature(str(n), None), None] for n in range(20)]


async def test_what_is_known_here_is_not_asked_for(
    two: tuple[Process, Process], store: Redis
) -> None:
    two[0].put(an_id(1))
    await two[0].sent()
    await store.config_resetstat()
    await two[0].fetched(an_id(1), "--")

    assert "cmdstat_mget" not in await store.info("commandstats")


async def test_only_the_last_ids_of_a_long_history_are_asked_for(
    two: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_LOOKED_UP", 2)
    for number in range(3):
        two[0].put(an_id(number))
    await two[0].sent()

    assert await two[1].fetched(*map(an_id, range(3))) == [None, ONE, ONE]


async def test_an_entry_ends_a_day_after_it_was_put_wherever_it_is_read(
    two: tuple[Process, Process], store: Redis
) -> None:
    one, other = two
    one.wall = lambda: time.time() - TTL + 60
    one.put(an_id(1))
    await one.sent()
    await other.fetched(an_id(1))

    assert other.store.get(an_id(1), time.monotonic() + 50) == ONE
    assert other.store.get(an_id(1), time.monotonic() + 70) is None
    assert TTL - 5 < await store.ttl(f"jarvis:sig:{an_id(1).replace('_', '')}") <= TTL


async def test_what_another_program_stored_is_no_signature(
    two: tuple[Process, Process], store: Redis
) -> None:
    await store.set("jarvis:sig:call1", b"\xff not ours")

    assert await two[0].fetched("call1") == [None]


async def test_a_signature_beyond_measure_stays_here(
    two: tuple[Process, Process], store: Redis
) -> None:
    large = StoredSignature("s" * 65536, None)
    two[0].put(an_id(1), large)
    two[0].put("--", ONE)
    two[0].put(an_id(2), ONE)
    await two[0].sent()

    assert two[0].store.get(an_id(1), time.monotonic()) == large
    assert await store.zcard("jarvis:sig-index") == 1


async def test_the_oldest_go_when_there_are_too_many(server: RedisServer, store: Redis) -> None:
    process = Process(server.url, max_entries=3)
    await process.connection.start()
    for number in range(5):
        process.put(an_id(number))
        await process.sent()
    await process.connection.close()
    kept = [await store.exists(f"jarvis:sig:call{number:024d}") for number in range(5)]

    assert kept == [0, 0, 1, 1, 1]


async def test_the_oldest_go_when_they_are_too_large(server: RedisServer, store: Redis) -> None:
    process = Process(server.url, max_bytes=3000)
    await process.connection.start()
    for number in range(5):
        process.put(an_id(number), StoredSignature("s" * 1000, None))
        await process.sent()
    await process.connection.close()

    assert await store.zcard("jarvis:sig-index") == 2
    assert int(await store.get("jarvis:sig-bytes") or 0) in range(2000, 3001)


async def test_what_is_put_while_the_store_is_away_is_written_when_it_is_back(
    two: tuple[Process, Process], server: RedisServer
) -> None:
    one, other = two
    await server.kill()
    one.put(an_id(1))
    await eventually(lambda: not one.connection.is_up)
    one.put(an_id(2))

    assert await one.fetched(an_id(1), an_id(2)) == [ONE, ONE]
    await server.start()
    await eventually(lambda: one.connection.is_up and other.connection.is_up)
    await one.sent()
    assert await other.fetched(an_id(1), an_id(2)) == [ONE, ONE]


async def test_not_more_than_so_much_is_kept_for_later(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, store: Redis
) -> None:
    monkeypatch.setattr(module, "_MAX_UNSENT", 2)
    process = Process(server.url)
    for number in range(4):
        process.put(an_id(number))
    await process.connection.start()
    await process.sent()
    await process.connection.close()
    kept = [await store.exists(f"jarvis:sig:call{number:024d}") for number in range(4)]

    assert kept == [0, 0, 1, 1]


async def test_the_local_vault_can_be_given(server: RedisServer) -> None:
    local = MemorySignatureStore()
    store = RedisSignatureStore(RedisConnection(server.url), local=local)
    store.put(an_id(1), ONE, 0.0)

    assert local.get(an_id(1), 1.0) == ONE
