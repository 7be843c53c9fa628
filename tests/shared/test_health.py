"""Resting keys and held-off upstreams: what one process learns, the others know."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis

from jarvis_proxy.attempts import Breaker, KeyPool
from jarvis_proxy.shared import health as module
from jarvis_proxy.shared.health import Event, SharedHealth, digest
from jarvis_proxy.shared.link import Link
from tests.eventually import eventually
from tests.redis_server import RedisServer, needs_redis

pytestmark = needs_redis

KEYS = ("sk-canary-one", "sk-canary-two")
MODEL = "gpt-4o"


class Process:
    """One process: a pool and a breaker for *upstream*, on a clock that the test moves."""

    def __init__(self, url: str, origin: str, keys: tuple[str, ...] = KEYS) -> None:
        self.link = Link(url)
        self.now = 1000.0 if origin == "a" else 9000.0  # no two processes' clocks agree
        self.health = SharedHealth(self.link, origin, clock=lambda: self.now)
        self.pool, self.breaker = KeyPool(keys), Breaker()
        self.health.watch("openai", self.pool, self.breaker)

    def fail(self, times: int = 5) -> None:
        for _ in range(times):
            self.breaker.failed(self.now)

    async def told(self) -> None:
        """Wait until what was told is in the store."""
        await eventually(lambda: not self.health._ops.pending and not self.link._flying)

    @property
    def rests(self) -> list[float]:
        return [round(rest) for rest in self.pool.rests(self.now)]


@pytest.fixture
async def two(server: RedisServer) -> AsyncIterator[tuple[Process, Process]]:
    """Return two processes that share *server*."""
    both = Process(server.url, "a"), Process(server.url, "b")
    for process in both:
        await process.link.start()
    yield both
    for process in both:
        await process.link.close()


async def test_a_refused_key_rests_everywhere(two: tuple[Process, Process]) -> None:
    one, other = two
    one.pool.refused(1, one.now)
    await one.told()
    await other.health.poll()

    assert one.rests == other.rests == [0, 900]


async def test_a_limited_key_rests_for_its_model_only(two: tuple[Process, Process]) -> None:
    one, other = two
    one.pool.limited(0, MODEL, one.now, 60.0)
    await one.told()
    await other.health.poll()
    picked = {model: {other.pool.pick(model, other.now) for _ in KEYS} for model in (MODEL, "o3")}

    assert picked == {MODEL: {1}, "o3": {0, 1}}


async def test_an_upstream_is_held_off_everywhere_until_one_has_an_answer(
    two: tuple[Process, Process],
) -> None:
    one, other = two
    one.fail()
    await one.told()
    await other.health.poll()
    held_off = other.breaker.admit(other.now)
    other.breaker.succeeded()
    await other.told()
    await one.health.poll()

    assert held_off is not None
    assert 9 < held_off <= 10
    assert one.breaker.admit(one.now) is None


async def test_ones_own_news_change_nothing(two: tuple[Process, Process]) -> None:
    one = two[0]
    one.pool.limited(0, MODEL, one.now, 60.0)
    await one.told()
    one.now += 59.5
    await one.health.poll()

    assert one.rests == [0, 0]


async def test_keys_are_told_by_half_a_digest(two: tuple[Process, Process], store: Redis) -> None:
    two[0].pool.refused(0, two[0].now)
    await two[0].told()
    told = str(await store.xrange("jarvis:health"))

    assert digest(KEYS[0]) in told
    assert "canary" not in told


async def test_a_key_of_other_settings_is_no_key_of_ours(server: RedisServer) -> None:
    one, other = Process(server.url, "a"), Process(server.url, "b", ("sk-another",))
    for process in (one, other):
        await process.link.start()
    one.pool.refused(0, one.now)
    one.health.watch("elsewhere", elsewhere := KeyPool(("k",)), Breaker())
    elsewhere.refused(0, one.now)
    await one.told()
    await other.health.poll()
    for process in (one, other):
        await process.link.close()

    assert other.rests == [0]


async def test_one_that_starts_later_knows_what_still_holds(
    server: RedisServer, two: tuple[Process, Process]
) -> None:
    one = two[0]
    one.pool.refused(0, one.now)
    one.pool.limited(1, MODEL, one.now, 0.05)
    await one.told()
    await asyncio.sleep(0.06)  # the store's clock cannot be moved
    late = Process(server.url, "c")
    await late.link.start()
    await late.health.poll()
    await late.link.close()

    assert late.rests == [900, 0]


async def test_new_settings_know_what_the_old_ones_heard(two: tuple[Process, Process]) -> None:
    one, other = two
    one.pool.refused(0, one.now)
    one.fail()
    await one.told()
    await other.health.poll()
    pool, breaker = KeyPool(tuple(reversed(KEYS))), Breaker()
    other.health.watch("openai", pool, breaker)

    assert [round(rest) for rest in pool.rests(other.now)] == [0, 900]
    assert breaker.is_open


async def test_a_hundred_calls_that_meet_one_limit_tell_it_once(
    two: tuple[Process, Process], store: Redis
) -> None:
    one = two[0]
    for _ in range(100):
        one.pool.limited(0, MODEL, one.now, 60.0)
        one.now += 0.001
    one.breaker.succeeded()  # it never was held off: nothing to tell
    await one.told()

    assert await store.xlen("jarvis:health") == 1


async def test_what_is_learnt_while_the_store_is_away_is_told_when_it_is_back(
    two: tuple[Process, Process], server: RedisServer
) -> None:
    one, other = two
    await server.kill()
    one.pool.refused(0, one.now)
    await eventually(lambda: not one.link.is_up)
    one.pool.refused(1, one.now)
    await other.health.poll()
    await server.start()
    await eventually(lambda: one.link.is_up and other.link.is_up)
    await one.told()
    await other.health.poll()

    assert other.rests == [900, 900]


async def test_what_is_not_ours_is_passed_over(two: tuple[Process, Process], store: Redis) -> None:
    one, other = two
    await store.xadd("jarvis:health", {"event": b"[1, 2"})
    one.pool.refused(0, one.now)
    await one.told()
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
        one.pool.limited(0, f"m{number}", one.now, 10.0)
        one.now += 20

    assert len(one.health._until) <= 3


async def test_run_reads_again_and_again(two: tuple[Process, Process]) -> None:
    one, other = two
    reading = asyncio.create_task(other.health.run())
    await asyncio.sleep(0)
    one.pool.refused(0, one.now)
    await eventually(lambda: other.rests[0] > 890)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


def test_an_event_is_a_short_list() -> None:
    assert msgspec.json.encode(Event("a", "openai", "k", "", 1.5)) == b'["a","openai","k","",1.5]'
