"""Resting keys and held-off upstreams: what one process learns, the others know."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import pytest
from redis.asyncio import Redis

from jarvis_proxy.redis_backend import upstream_health as module
from jarvis_proxy.redis_backend.client import RedisConnection
from jarvis_proxy.redis_backend.upstream_health import HealthEvent, RedisUpstreamHealth, digest
from jarvis_proxy.routing.circuit_breaker import CallPermit, CircuitBreakers
from jarvis_proxy.routing.key_pool import KeyPool, Quarantine
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, needs_redis

pytestmark = needs_redis

KEYS = ("sk-canary-one", "sk-canary-two")
MODEL = "gpt-4o"
CLIENT, OTHER_CLIENT = "alice", "bob"
REFUSED = Quarantine(900.0, for_all=True, proven=True)


class Process:
    """One process: a pool and a breaker for *upstream*, on a clock that the test moves."""

    def __init__(self, url: str, origin: str, keys: tuple[str, ...] = KEYS) -> None:
        self.connection = RedisConnection(url)
        self.now = 1000.0 if origin == "a" else 9000.0  # no two processes' clocks agree
        self.health = RedisUpstreamHealth(self.connection, origin, clock=lambda: self.now)
        self.pool, self.breakers = KeyPool(keys), CircuitBreakers()
        self.health.watch("openai", self.pool, self.breakers)

    def admit(self, model: str = MODEL, client: str = CLIENT) -> CallPermit | float:
        return self.breakers.allow(model, client, self.now)

    def fail(self, kind: str = "failed") -> None:
        for _ in range(5):
            ticket = self.admit()
            assert isinstance(ticket, CallPermit)
            getattr(ticket, kind)(self.now)

    def refused(self, index: int) -> None:
        self.pool.quarantine(index, MODEL, self.now, REFUSED)

    def limited(self, index: int, seconds: float, model: str = MODEL) -> None:
        self.pool.quarantine(index, model, self.now, Quarantine(seconds))

    async def published(self) -> None:
        """Wait until what was published is in the store."""
        await eventually(lambda: self.connection.is_idle)

    @property
    def rests(self) -> list[float]:
        return [round(rest) for rest in self.pool.quarantined_for(self.now)]


@pytest.fixture
async def two(server: RedisServer) -> AsyncIterator[tuple[Process, Process]]:
    """Return two processes that share *server*."""
    both = Process(server.url, "a"), Process(server.url, "b")
    for process in both:
        await process.connection.start()
    yield both
    for process in both:
        await process.connection.close()


async def test_refused_key_is_quarantined_in_all_processes(two: tuple[Process, Process]) -> None:
    one, other = two
    one.refused(1)
    await one.published()
    await other.health.poll()

    assert one.rests == other.rests == [0, 900]


async def test_limited_key_is_quarantined_for_its_model_only(two: tuple[Process, Process]) -> None:
    one, other = two
    one.limited(0, 60.0)
    await one.published()
    await other.health.poll()
    picked = {model: {other.pool.pick(model, other.now) for _ in KEYS} for model in (MODEL, "o3")}

    assert picked == {MODEL: {1}, "o3": {0, 1}}


@pytest.mark.parametrize("kind", ["failed", "unreachable"])
async def test_circuit_is_open_in_all_processes_until_one_gets_an_answer(
    two: tuple[Process, Process], kind: str
) -> None:
    one, other = two
    one.fail(kind)
    await one.published()
    await other.health.poll()
    held_off, unharmed = other.admit(), other.admit(client=OTHER_CLIENT)
    assert isinstance(unharmed, CallPermit)
    unharmed.answered()
    await other.published()
    await one.health.poll()

    assert isinstance(held_off, float)
    assert 9 < held_off <= 10
    assert isinstance(one.admit(), CallPermit)


async def test_circuit_of_one_model_is_open_in_all_processes(
    two: tuple[Process, Process],
) -> None:
    one, other = two
    one.fail()
    await one.published()
    await other.health.poll()

    assert isinstance(other.admit(), float)
    assert isinstance(other.admit("o3"), CallPermit)


async def test_key_quarantined_by_one_client_stays_usable_for_others_everywhere(
    two: tuple[Process, Process],
) -> None:
    one, other = two
    for index in range(2):
        one.pool.quarantine(index, MODEL, one.now, Quarantine(900.0), client=CLIENT)
    await one.published()
    await other.health.poll()
    picked = [
        other.pool.pick(MODEL, other.now, frozenset({0}), client=client)
        for client in (CLIENT, OTHER_CLIENT)
    ]

    assert picked == [None, 1]


FAR: Final = 1e300


@pytest.mark.parametrize("rest", [FAR, 1e9, -FAR, -1.0, 4000.0])
@pytest.mark.parametrize("model", ["", MODEL])
@pytest.mark.parametrize("key", [True, False], ids=["key", "breaker"])
@pytest.mark.parametrize("moment", ["*", "99999999999999-1"], ids=["now", "from-the-future"])
async def test_what_a_store_says_is_bounded_as_ones_own_would_be(
    two: tuple[Process, Process], store: Redis, rest: float, model: str, key: bool, moment: str
) -> None:
    process = two[0]
    name = digest(KEYS[0]) if key else ""
    event = HealthEvent("x", "openai", name, model, rest, CLIENT)
    await store.xadd("jarvis:health", {"event": msgspec.json.encode(event)}, id=moment)
    await process.health.poll()
    held = process.admit()

    assert process.pool.quarantined_for(process.now)[0] <= 3600
    assert isinstance(held, CallPermit) or held <= 120


async def test_a_store_cannot_fill_the_memory(
    two: tuple[Process, Process], store: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_EVENTS", 50)
    process = two[0]
    names = [f"m{number}" for number in range(200)]
    for name in (*names, "x" * 10_000):
        event = HealthEvent("x", "openai", "", name, 100.0, CLIENT)
        await store.xadd("jarvis:health", {"event": msgspec.json.encode(event)})
    for _ in range(5):
        await process.health.poll()

    assert len(process.health._until) <= 50
    assert isinstance(process.admit("x" * 10_000), CallPermit)
    assert isinstance(process.admit(names[-1]), float)


async def test_an_event_of_an_older_version_is_read(
    two: tuple[Process, Process], store: Redis
) -> None:
    text = msgspec.json.encode(["x", "openai", digest(KEYS[0]), MODEL, 60.0])
    await store.xadd("jarvis:health", {"event": text})
    await two[0].health.poll()

    assert two[0].rests == [60, 0]


async def test_own_events_change_nothing(two: tuple[Process, Process]) -> None:
    one = two[0]
    one.limited(0, 60.0)
    await one.published()
    one.now += 59.5
    await one.health.poll()

    assert one.rests == [0, 0]


async def test_events_name_keys_by_half_a_digest(
    two: tuple[Process, Process], store: Redis
) -> None:
    two[0].refused(0)
    await two[0].published()
    published = str(await store.xrange("jarvis:health"))

    assert digest(KEYS[0]) in published
    assert "canary" not in published


async def test_a_key_of_other_settings_is_no_key_of_the_proxy(server: RedisServer) -> None:
    one, other = Process(server.url, "a"), Process(server.url, "b", ("sk-another",))
    for process in (one, other):
        await process.connection.start()
    one.refused(0)
    one.health.watch("elsewhere", elsewhere := KeyPool(("k",)), CircuitBreakers())
    elsewhere.quarantine(0, MODEL, one.now, REFUSED)
    await one.published()
    await other.health.poll()
    for process in (one, other):
        await process.connection.close()

    assert other.rests == [0]


async def test_process_that_starts_later_reads_what_is_active(
    server: RedisServer, two: tuple[Process, Process]
) -> None:
    one = two[0]
    one.refused(0)
    one.limited(1, 0.05)
    await one.published()
    await asyncio.sleep(0.06)  # the store's clock cannot be moved
    late = Process(server.url, "c")
    await late.connection.start()
    await late.health.poll()
    await late.connection.close()

    assert late.rests == [900, 0]


async def test_new_configuration_keeps_received_events(two: tuple[Process, Process]) -> None:
    one, other = two
    one.refused(0)
    one.fail()
    await one.published()
    await other.health.poll()
    pool, breakers = KeyPool(tuple(reversed(KEYS))), CircuitBreakers()
    other.health.watch("openai", pool, breakers)

    assert [round(rest) for rest in pool.quarantined_for(other.now)] == [0, 900]
    assert isinstance(breakers.allow(MODEL, CLIENT, other.now), float)


async def test_a_hundred_calls_that_meet_one_limit_publish_it_once(
    two: tuple[Process, Process], store: Redis
) -> None:
    one = two[0]
    for _ in range(100):
        one.limited(0, 60.0)
        one.now += 0.001
    ticket = one.admit()
    assert isinstance(ticket, CallPermit)
    ticket.answered()  # no one was held off: nothing to tell
    await one.published()

    assert await store.xlen("jarvis:health") == 1


async def test_events_during_an_outage_are_published_after_it(
    two: tuple[Process, Process], server: RedisServer
) -> None:
    one, other = two
    await server.kill()
    one.refused(0)
    await eventually(lambda: not one.connection.is_up)
    one.refused(1)
    await other.health.poll()
    await server.start()
    await eventually(lambda: one.connection.is_up and other.connection.is_up)
    await one.published()
    await other.health.poll()

    assert other.rests == [900, 900]


async def test_what_another_program_stored_is_passed_over(
    two: tuple[Process, Process], store: Redis
) -> None:
    one, other = two
    await store.xadd("jarvis:health", {"event": b"[1, 2"})
    one.refused(0)
    await one.published()
    await other.health.poll()
    assert other.rests == [900, 0]
    await store.xadd("jarvis:health", {"event": b"\xff\xfe"})
    await other.health.poll()

    assert other.rests == [900, 0]


async def test_a_memory_full_of_what_is_over_is_cleared(
    two: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_EVENTS", 3)
    one = two[0]
    for number in range(5):
        one.limited(0, 10.0, f"m{number}")
        one.now += 20

    assert len(one.health._until) <= 3


async def test_run_reads_again_and_again(two: tuple[Process, Process]) -> None:
    one, other = two
    reading = asyncio.create_task(other.health.run())
    await asyncio.sleep(0)
    one.refused(0)
    await eventually(lambda: other.rests[0] > 890)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


def test_an_event_is_a_short_list() -> None:
    assert msgspec.json.encode(HealthEvent("a", "openai", "k", "", 1.5)) == (
        b'["a","openai","k","",1.5,""]'
    )
