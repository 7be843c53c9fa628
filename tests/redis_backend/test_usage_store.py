"""Usage that several processes add to: all or none, once, and readable by each."""

from collections.abc import AsyncIterator
from dataclasses import fields

import pytest
from redis.asyncio import Redis

from jarvis_proxy.accounting.usage import UsageRow, UsageTotals
from jarvis_proxy.redis_backend.client import RedisConnection
from jarvis_proxy.redis_backend.usage_store import RedisUsageStore
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, needs_redis

pytestmark = needs_redis

DAY, NEXT, SINCE = "2026-11-23", "2026-11-24", "2026-09-23"
ALL = UsageTotals(*range(1, len(fields(UsageTotals)) + 1))


def row(
    day: str = DAY, key: str = "laptop", model: str = "openai/gpt-4o", calls: int = 1
) -> UsageRow:
    return UsageRow(day, key, model, UsageTotals(calls=calls))


class Process:
    """One process's way to the sums."""

    def __init__(self, url: str) -> None:
        self.connection = RedisConnection(url)
        self.usage = RedisUsageStore(self.connection)

    async def loaded(self, since: str = SINCE) -> list[UsageRow]:
        rows = await self.usage.load(since)
        assert rows is not None
        return sorted(rows, key=lambda row: (row.day, row.key, row.model))


@pytest.fixture
async def two(server: RedisServer) -> AsyncIterator[tuple[Process, Process]]:
    """Return two processes that share *server*."""
    both = Process(server.url), Process(server.url)
    for process in both:
        await process.connection.start()
    yield both
    for process in both:
        await process.connection.close()


async def test_sums_of_two_processes_add_up(two: tuple[Process, Process]) -> None:
    for process in two:
        assert await process.usage.add([row(), UsageRow(NEXT, "phone", "gemini/a b c", ALL)])
    twice = UsageTotals()
    twice.add(ALL)
    twice.add(ALL)

    assert await two[0].loaded() == [row(calls=2), UsageRow(NEXT, "phone", "gemini/a b c", twice)]


async def test_large_sums_are_exact(two: tuple[Process, Process]) -> None:
    cost = 123_456_789_012_345
    await two[0].usage.add([UsageRow(DAY, "k", "m", UsageTotals(calls=1, cost=cost))])
    await two[1].usage.add([UsageRow(DAY, "k", "m", UsageTotals(cost=1))])

    assert [found.totals.cost for found in await two[0].loaded()] == [cost + 1]


async def test_days_before_the_first_are_not_read(two: tuple[Process, Process]) -> None:
    await two[0].usage.add([row(DAY), row(NEXT)])

    assert await two[1].loaded(NEXT) == [row(NEXT)]


async def test_a_day_long_over_is_read_once(two: tuple[Process, Process], store: Redis) -> None:
    await two[0].usage.add([row("2026-11-01"), row(DAY), row(NEXT)])
    await two[1].loaded()
    await store.config_resetstat()
    await two[0].usage.add([row(NEXT)])
    assert await two[1].loaded() == [row("2026-11-01"), row(DAY), row(NEXT, calls=2)]
    stats = await store.info("commandstats")

    # Yesterday, today and tomorrow, of more than sixty.
    assert stats["cmdstat_hgetall"]["calls"] == 3


async def test_fields_of_other_programs_are_left_out(
    two: tuple[Process, Process], store: Redis
) -> None:
    await two[0].usage.add([row()])
    await store.hset(f"jarvis:usage:{DAY}", mapping={"other": "x", "calls laptop": "x"})

    assert await two[1].loaded() == [row()]


@pytest.mark.parametrize("amount", ["many", b"\xff"])
async def test_what_cannot_be_read_is_no_answer(
    two: tuple[Process, Process], store: Redis, amount: str | bytes
) -> None:
    await store.hset(f"jarvis:usage:{DAY}", "calls k m", amount)

    assert await two[0].usage.load(SINCE) is None


async def test_a_day_is_kept_for_longer_than_anybody_asks(
    two: tuple[Process, Process], store: Redis
) -> None:
    await two[0].usage.add([row()])

    assert 69 * 86400 < await store.ttl(f"jarvis:usage:{DAY}") <= 70 * 86400


async def test_a_batch_whose_answer_was_lost_is_not_counted_twice(
    two: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = two[0]
    execute = process.connection.execute

    async def deaf(commands: object, limit: float = 1.0) -> None:
        await execute(commands, limit)  # type: ignore[arg-type]

    monkeypatch.setattr(process.connection, "execute", deaf)
    assert await process.usage.add([row()])  # taken over, and in doubt
    assert not await process.usage.add([row(calls=5)])
    monkeypatch.setattr(process.connection, "execute", execute)
    assert await process.usage.add([row(calls=5)])

    assert await two[1].loaded() == [row(calls=6)]


async def test_a_batch_in_doubt_is_settled_though_nothing_more_is_used(
    two: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = two[0]

    async def nothing(commands: object, limit: float = 1.0) -> None:
        return None

    with monkeypatch.context() as away:
        away.setattr(process.connection, "execute", nothing)
        assert await process.usage.add([row()])
        assert await process.usage.load(SINCE) is None  # what is known here is more than that

    assert await process.loaded() == [row()]
    assert await two[1].loaded() == [row()]


async def test_nothing_is_lost_while_the_store_is_away(
    two: tuple[Process, Process], server: RedisServer
) -> None:
    process = two[0]
    await server.kill()
    assert await process.usage.add([row()])  # it did not know yet
    await eventually(lambda: not process.connection.is_up)
    assert not await process.usage.add([row(calls=2)])
    assert await process.usage.load(SINCE) is None
    await server.start()
    await eventually(lambda: process.connection.is_up)
    assert await process.usage.add([row(calls=2)])

    assert await process.loaded() == [row(calls=3)]


HASH = f"jarvis:usage:{DAY}"
FIELD = "laptop openai/gpt-4o"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("prompt", "-5", 0),
        ("prompt", str(2**62), 2_000_000_000),
        ("completion", "9" * 19, 2_000_000_000),
        ("cost", "-1", 0),
        ("cost", str(2**62), 2**53),
        ("calls", "-7", 0),
        ("calls", str(2**62), 2**53),
    ],
)
async def test_what_a_store_says_of_usage_is_bounded_as_calls_would_be(
    two: tuple[Process, Process], store: Redis, name: str, value: str, expected: int
) -> None:
    assert await two[0].usage.add([row(calls=2), row(key="phone")])
    await store.hset(HASH, f"{name} {FIELD}", value)
    rows = {each.key: each.totals for each in await two[1].loaded()}

    assert getattr(rows["laptop"], name) == expected
    assert rows["phone"] == UsageTotals(calls=1)


@pytest.mark.parametrize("value", ["x", str(2**63 - 1), "1.5"])
async def test_sums_continue_if_the_store_holds_foreign_data(
    two: tuple[Process, Process], store: Redis, value: str
) -> None:
    await store.hset(HASH, f"calls {FIELD}", value)
    for _ in range(2):
        assert await two[0].usage.add([row(), row(key="phone")])

    assert await two[1].loaded() == [row(calls=2), row(key="phone", calls=2)]
