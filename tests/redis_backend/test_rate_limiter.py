"""Limits that two processes share, and what is left of them without the store."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from jarvis_proxy.access.rate_limits import KeyQuota, LimitDecision
from jarvis_proxy.redis_backend import rate_limiter as limiter_module
from jarvis_proxy.redis_backend.client import RedisConnection
from jarvis_proxy.redis_backend.rate_limiter import LEASE, RedisRateLimiter
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, needs_redis

pytestmark = needs_redis


class Process:
    """One process's limiter."""

    def __init__(self, url: str) -> None:
        self.connection = RedisConnection(url)
        self.limiter = RedisRateLimiter(self.connection)
        self._number = 0

    async def admit(
        self, quota: KeyQuota, tokens: int = 0, *, key: str = "laptop", call: str | None = None
    ) -> LimitDecision:
        """Ask for a call; each has an id of its own unless *call* says which."""
        self._number += 1
        return await self.limiter.admit(
            key,
            quota,
            call_id=call or f"{id(self):x}-{self._number}",
            tokens=tokens,
            now=time.monotonic(),
        )

    def settle(self, tokens: int) -> None:
        self.limiter.adjust_tokens("laptop", tokens, time.monotonic())

    def release(self, call: str) -> None:
        self.limiter.release("laptop", call)


@pytest.fixture
async def two(server: RedisServer) -> AsyncIterator[tuple[Process, Process]]:
    """Return two processes that share *server*."""
    both = Process(server.url), Process(server.url)
    for process in both:
        await process.connection.start()
    yield both
    for process in both:
        await process.connection.close()


async def test_requests_a_minute_are_counted_together(two: tuple[Process, Process]) -> None:
    quota = KeyQuota(rpm=10)
    verdicts = await asyncio.gather(*(two[n % 2].admit(quota) for n in range(30)))
    refused = [decision for decision in verdicts if decision.refused]

    assert len(refused) == 20
    assert {decision.refused for decision in refused} == {"requests"}
    assert all(5 < decision.wait <= 6 for decision in refused)


async def test_a_verdict_says_how_the_limits_stand(two: tuple[Process, Process]) -> None:
    quota = KeyQuota(rpm=60, tpm=6000)
    await two[0].admit(quota, 600)
    decision = await two[1].admit(quota, 1200)

    assert decision.refused is None
    assert decision.requests is not None
    assert decision.tokens is not None
    assert (decision.requests.limit, decision.requests.remaining) == (60, 58)
    assert 1.5 < decision.requests.seconds_to_full <= 2.0
    assert (decision.tokens.limit, decision.tokens.remaining // 10) == (6000, 420)
    assert 17 < decision.tokens.seconds_to_full <= 18


async def test_tokens_a_minute_are_counted_together(two: tuple[Process, Process]) -> None:
    quota = KeyQuota(tpm=1000)
    first = await two[0].admit(quota, 900)
    second = await two[1].admit(quota, 900)

    assert (first.refused, second.refused) == (None, "tokens")
    assert second.requests is None


async def test_one_process_settles_what_the_other_then_misses(
    two: tuple[Process, Process],
) -> None:
    quota = KeyQuota(tpm=1000)
    await two[0].admit(quota, 100)
    two[0].settle(800)
    # Its answer comes after what was sent before.
    await two[0].admit(KeyQuota(rpm=1), key="other")
    refused = await two[1].admit(quota, 200)
    two[0].settle(-800)
    await two[0].admit(KeyQuota(rpm=1), key="other")
    admitted = await two[1].admit(quota, 200)

    assert (refused.refused, admitted.refused) == ("tokens", None)


async def test_more_than_all_tokens_goes_when_the_bucket_is_full(
    two: tuple[Process, Process],
) -> None:
    quota = KeyQuota(tpm=1000)
    first = await two[0].admit(quota, 5000)
    second = await two[1].admit(quota, 0)

    assert (first.refused, second.refused) == (None, "tokens")
    assert 230 < second.wait <= 241


async def test_calls_at_once_are_counted_together(two: tuple[Process, Process]) -> None:
    quota = KeyQuota(concurrency=2)
    verdicts = [
        await two[0].admit(quota, call="a"),
        await two[1].admit(quota, call="b"),
        await two[1].admit(quota, call="c"),
    ]
    two[0].release("a")
    await two[0].admit(KeyQuota(rpm=1), key="other")
    verdicts.append(await two[1].admit(quota, call="d"))

    assert [v.refused for v in verdicts] == [None, None, "concurrency", None]
    assert verdicts[2].wait == 1.0


async def test_a_call_that_ends_makes_room_for_the_next_at_once(
    two: tuple[Process, Process],
) -> None:
    """With one call at a time, the next one follows in the same moment."""
    quota = KeyQuota(concurrency=1)
    verdicts = []
    for number in range(50):
        verdicts.append(await two[0].admit(quota, call=str(number)))
        two[0].release(str(number))

    assert [v.refused for v in verdicts] == [None] * 50


async def test_a_refused_call_counts_nothing(two: tuple[Process, Process]) -> None:
    quota = KeyQuota(rpm=5, tpm=1000, concurrency=1)
    await two[0].admit(quota, 100, call="a")
    for _ in range(10):
        await two[1].admit(quota, 100)
    two[0].release("a")
    await two[0].admit(KeyQuota(rpm=1), key="other")
    decision = await two[1].admit(quota, 100)

    assert decision.requests is not None
    assert decision.tokens is not None
    assert (decision.requests.remaining, decision.tokens.remaining // 10) == (3, 80)


async def test_a_released_call_that_is_not_known_is_no_matter(
    two: tuple[Process, Process],
) -> None:
    two[0].release("nobody")
    two[0].settle(100)
    await two[0].admit(KeyQuota(concurrency=1), call="a")
    two[0].release("b")

    assert (await two[0].admit(KeyQuota(concurrency=1))).refused == "concurrency"


async def test_another_quota_keeps_what_was_used(two: tuple[Process, Process]) -> None:
    """Two servers may read new settings at different moments: neither may refill the bucket."""
    for _ in range(8):
        await two[0].admit(KeyQuota(rpm=10))
    smaller = await two[1].admit(KeyQuota(rpm=5))
    larger = await two[0].admit(KeyQuota(rpm=10))

    assert smaller.requests is not None
    assert larger.requests is not None
    assert (smaller.requests.remaining, larger.requests.remaining) == (1, 0)


async def test_a_dead_process_gives_its_places_back(
    server: RedisServer, two: tuple[Process, Process], store: Redis
) -> None:
    quota = KeyQuota(concurrency=1)
    await two[0].admit(quota, call="a")
    score = await store.zscore("jarvis:calls:laptop", "a")
    assert isinstance(score, float)
    now, _ = await store.time()
    # As it will be when nobody has renewed it.
    await store.zadd("jarvis:calls:laptop", {"a": (now - 1) * 1000})
    decision = await two[1].admit(quota)

    assert now * 1000 < score <= (now + LEASE + 1) * 1000
    assert decision.refused is None


async def test_a_living_process_keeps_its_places(
    two: tuple[Process, Process], store: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = KeyQuota(concurrency=1)
    await two[0].admit(quota, call="a")
    await store.zadd("jarvis:calls:laptop", {"a": 1})
    two[0].limiter.renew()
    await two[0].admit(KeyQuota(rpm=1), key="other")

    assert (await two[1].admit(quota)).refused == "concurrency"


async def test_leases_are_renewed_again_and_again(
    two: tuple[Process, Process], store: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter_module, "_RENEW_EVERY", 0.01)
    await two[0].admit(KeyQuota(concurrency=1), call="a")
    running = asyncio.create_task(two[0].limiter.run())
    for _ in range(2):
        await store.zadd("jarvis:calls:laptop", {"a": 1})
        async with asyncio.timeout(5):
            while await store.zscore("jarvis:calls:laptop", "a") == 1:
                pass
    running.cancel()


async def test_without_the_store_each_process_continues_with_its_own_counts(
    server: RedisServer, two: tuple[Process, Process]
) -> None:
    quota = KeyQuota(rpm=10)
    before = [await two[0].admit(quota) for _ in range(6)]
    await server.kill()
    after = [await two[0].admit(quota) for _ in range(8)]
    other = [await two[1].admit(quota) for _ in range(12)]

    assert [v.refused for v in before + after] == [None] * 10 + ["requests"] * 4
    assert [v.refused for v in other] == [None] * 10 + ["requests"] * 2


async def test_calls_at_once_hold_without_the_store(
    server: RedisServer, two: tuple[Process, Process]
) -> None:
    quota = KeyQuota(concurrency=2)
    await two[0].admit(quota, call="before")
    await server.kill()
    verdicts = [await two[0].admit(quota, call=call) for call in "ab"]
    two[0].release("before")
    verdicts.append(await two[0].admit(quota, call="c"))

    assert [v.refused for v in verdicts] == [None, "concurrency", None]


async def test_a_store_that_comes_back_empty_learns_which_calls_run(
    server: RedisServer, two: tuple[Process, Process]
) -> None:
    quota = KeyQuota(concurrency=1)
    await two[0].admit(quota, call="a")
    await server.kill()
    await eventually_down(two)
    await server.start()
    await eventually(lambda: all(process.connection.is_up for process in two))
    await two[0].admit(KeyQuota(rpm=1), key="other")

    assert (await two[1].admit(quota)).refused == "concurrency"


async def eventually_down(two: tuple[Process, Process]) -> None:
    """Let both notice that the store is gone."""
    for process in two:
        await process.admit(KeyQuota(rpm=1), key="other")
    await eventually(lambda: not any(process.connection.is_up for process in two))


async def test_buckets_that_are_full_again_are_forgotten(
    two: tuple[Process, Process], store: Redis
) -> None:
    await two[0].admit(KeyQuota(rpm=60), key="full again in a second")
    await two[0].admit(KeyQuota(tpm=60), 600, key="overdrawn by nine minutes")
    soon = await store.pttl("jarvis:limit:full again in a second")
    late = await store.pttl("jarvis:limit:overdrawn by nine minutes")

    assert 55_000 < soon <= 61_000
    assert 650_000 < late <= 660_000


async def test_the_store_holds_names_and_numbers_alone(
    two: tuple[Process, Process], store: Redis
) -> None:
    await two[0].admit(KeyQuota(rpm=5, tpm=50, concurrency=1), 7, call="req_1")
    keys = sorted(await store.keys())
    fields = await store.hkeys("jarvis:limit:laptop")

    assert keys == [b"jarvis:alive", b"jarvis:calls:laptop", b"jarvis:limit:laptop"]
    assert sorted(fields) == [b"requests", b"requests_at", b"tokens", b"tokens_at"]


DAY = 24 * 3600
FAR = "99999999999999999"


@pytest.mark.parametrize("field", ["requests", "tokens"])
@pytest.mark.parametrize("level", ["-1e300", "-inf", "nan", "1e300", "x", ""])
@pytest.mark.parametrize("at", [FAR, "nan", "-1e300", "0", "x"])
async def test_no_bucket_of_a_store_shuts_a_key_out_for_ever(
    two: tuple[Process, Process], store: Redis, field: str, level: str, at: str
) -> None:
    await store.hset("jarvis:limit:laptop", mapping={field: level, f"{field}_at": at})
    first = await two[0].admit(KeyQuota(rpm=10, tpm=100), 1)
    await asyncio.sleep(0.05)  # the store's clock cannot be moved
    decision = await two[0].admit(KeyQuota(rpm=10, tpm=100), 1)
    statuses = [status for status in (decision.requests, decision.tokens) if status is not None]

    assert first.wait <= DAY + 60
    assert decision.wait < first.wait or first.refused is None
    assert all(
        status.remaining <= status.limit and status.seconds_to_full <= DAY + 120
        for status in statuses
    )
    assert 0 < await store.pttl("jarvis:limit:laptop") <= (DAY + 600) * 1000


async def test_calls_that_a_store_says_will_last_for_ever_are_forgotten(
    two: tuple[Process, Process], store: Redis
) -> None:
    await store.zadd("jarvis:calls:laptop", {f"ghost{number}": float(FAR) for number in range(5)})
    decision = await two[0].admit(KeyQuota(concurrency=1))

    assert decision.refused is None
