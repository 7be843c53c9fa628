"""The board: one set of news a second for all viewers, none for no one, and never too large."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.errors import LimitExceeded
from jarvis_proxy.observability.live_stats import KEPT_CALLS, LiveStats
from jarvis_proxy.observability.metrics import gauge
from jarvis_proxy.observability.shared_memory import SharedMemorySlot
from jarvis_proxy.observability.worker_stats import WorkerSlot, WorkerStats
from jarvis_proxy.routing.key_pool import Quarantine
from jarvis_proxy.server.context import AppContext
from jarvis_proxy.server.handlers.dashboard_feed import (
    MAX_VIEWERS,
    DashboardFeed,
    upstream_statuses,
)
from tests.conftest import running_proxy
from tests.support.eventually import eventually

pytestmark = pytest.mark.slow

TICK = 0.01
Event = tuple[str, Any]


def call(number: int, **more: Any) -> CallRecord:
    now = time.monotonic()
    fields: dict[str, Any] = {"route": "/v1/chat/completions", "status": 200, "attempts": 1, **more}
    return CallRecord(
        f"req_{number}", now - 2, time.time() - 2, first_byte_sent_at=now, ended_at=now, **fields
    )


def parsed(data: bytes) -> list[Event]:
    """Return the events of one piece of news; each must be whole."""
    assert data.endswith(b"\n\n")
    found = []
    for block in data.decode().removesuffix("\n\n").split("\n\n"):
        name, content = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(content.removeprefix("data: "))))
    return found


@contextlib.asynccontextmanager
async def shown(
    tick: float = TICK, **env: str
) -> AsyncIterator[tuple[DashboardFeed, LiveStats, AppContext]]:
    """Run a separate feed over a proxy's context."""
    live = LiveStats()
    async with running_proxy(**env) as proxy:
        board = DashboardFeed(live, tick=tick)
        task = asyncio.create_task(board.run(proxy.context))
        await asyncio.sleep(0)
        try:
            yield board, live, proxy.context
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def next_events(news: AsyncGenerator[bytes, None]) -> list[Event]:
    async with asyncio.timeout(5):
        return parsed(await anext(news))


async def snapshot(news: AsyncGenerator[bytes, None]) -> dict[str, Any]:
    name, content = (await next_events(news))[0]
    assert name == "snapshot"
    assert isinstance(content, dict)
    return content


async def test_a_viewer_gets_the_history_then_the_changes() -> None:
    async with shown() as (board, live, context):
        for number in range(3):
            live.add(call(number))
        async with contextlib.aclosing(board.view(context)) as news:
            history = await next_events(news)
            live.add(call(3))
            first = await snapshot(news)
            second = await snapshot(news)

    assert [name for name, _ in history] == ["history", "calls", "usage"]
    assert history[0][1]["keeps"] == KEPT_CALLS
    assert [shown["n"] for shown in history[1][1]] == [1, 2, 3]
    assert [shown["n"] for shown in first["calls"]] == [4]
    assert second["calls"] == []
    assert first["totals"]["all"]["calls"] == 4


async def test_seconds_are_in_the_history_or_in_one_snapshot() -> None:
    now = 1000.0
    async with running_proxy() as proxy:
        live = LiveStats()
        board = DashboardFeed(live, tick=TICK, clock=lambda: now, wall=lambda: 1.7e9)
        task = asyncio.create_task(board.run(proxy.context))
        live.add(CallRecord("a", 990, 0, ended_at=998.5, status=200))
        live.add(CallRecord("b", 990, 0, ended_at=1000.5, status=200))
        await asyncio.sleep(0)
        async with contextlib.aclosing(board.view(proxy.context)) as news:
            history = (await next_events(news))[0][1]
            now = 1001.0
            first = await snapshot(news)
            second = await snapshot(news)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert [s["t"] for s in history["seconds"]] == [998]
    assert history["clock"] == [1000.0, 1.7e9]
    assert [s["t"] for s in first["seconds"]] == [1000]
    assert second["seconds"] == []


async def test_all_viewers_get_the_same_bytes_made_once() -> None:
    async with shown() as (board, live, context):
        one, other = board.view(context), board.view(context)
        async with contextlib.aclosing(one), contextlib.aclosing(other):
            await anext(one)
            await anext(other)
            live.add(call(1))
            pieces = await asyncio.gather(anext(one), anext(other))

    assert pieces[0] is pieces[1]


async def test_a_viewer_who_is_too_slow_gets_the_history_again() -> None:
    async with shown() as (board, live, context):
        slow, quick = board.view(context), board.view(context)
        async with contextlib.aclosing(slow), contextlib.aclosing(quick):
            await anext(slow)
            await anext(quick)
            live.add(call(1))
            for _ in range(3):
                await snapshot(quick)
            events = await next_events(slow)

    assert [name for name, _ in events] == ["history", "calls", "usage"]
    assert [shown["n"] for shown in events[1][1]] == [1]


async def test_more_calls_than_one_event_holds_come_in_the_next_ones() -> None:
    async with shown() as (board, live, context), contextlib.aclosing(board.view(context)) as news:
        await anext(news)
        for number in range(100):
            live.add(call(number))
        numbers = [[c["n"] for c in (await snapshot(news))["calls"]] for _ in range(5)]

    assert [len(some) for some in numbers] == [24, 24, 24, 24, 4]
    assert [n for some in numbers for n in some] == list(range(1, 101))


async def test_no_event_is_larger_than_20_kb_whatever_names_are_used() -> None:
    long = {
        "key_name": "k" * 64,
        "model": "m" * 5000,
        "upstream_model": "t" * 5000,
        "upstream": "u" * 24,
    }
    async with shown() as (board, live, context):
        for number in range(400):
            name = f"{number:02}"[-2:]
            live.add(
                call(
                    number,
                    outcome="upstream_error",
                    code=name + "c" * 900,
                    prompt_tokens=123_456_789,
                    completion_tokens=123_456_789,
                    cost=123_456_789_000,
                    **{key: name + value for key, value in long.items()},
                )
            )
        async with contextlib.aclosing(board.view(context)) as news:
            history = await anext(news)
            for number in range(400):
                live.add(call(number, **long))
            first = await anext(news)
    sizes = [len(event) for event in (history + first).split(b"\n\n")]

    assert max(sizes) < 20_000


async def test_there_are_so_many_viewers_and_one_who_leaves_makes_room() -> None:
    async with shown() as (board, _, context), contextlib.AsyncExitStack() as stack:
        viewers = [board.view(context) for _ in range(MAX_VIEWERS)]
        for news in viewers:
            await stack.enter_async_context(contextlib.aclosing(news))
            await anext(news)
        with pytest.raises(LimitExceeded) as caught:
            await anext(board.view(context))
        await viewers[0].aclose()
        again = await stack.enter_async_context(contextlib.aclosing(board.view(context)))

        assert (caught.value.status, caught.value.code) == (503, "overloaded")
        assert board.viewers == MAX_VIEWERS - 1
        assert parsed(await anext(again))[0][0] == "history"
    assert board.viewers == 0


async def test_no_snapshot_is_made_without_viewers() -> None:
    async with shown() as (board, live, context):
        async with contextlib.aclosing(board.view(context)) as news:
            await anext(news)
            await snapshot(news)
        await eventually(lambda: not board._viewer_arrived.is_set())
        made = board._published_count
        live.add(call(1))

        assert made == 2  # one when it began, one for the viewer
        # A later viewer finds the call in the history.
        async with contextlib.aclosing(board.view(context)) as news:
            assert [name for name, _ in await next_events(news)] == ["history", "calls", "usage"]


async def test_viewers_go_when_the_server_drains() -> None:
    async with shown() as (board, _, context), contextlib.aclosing(board.view(context)) as news:
        await anext(news)
        context.draining = True
        async with asyncio.timeout(5):
            rest = [piece async for piece in news]

    assert rest == []
    assert board.viewers == 0


async def test_viewers_of_old_settings_go_when_new_ones_are_in_force() -> None:
    async with shown(tick=60) as (board, _, context), running_proxy() as newer:
        async with contextlib.aclosing(board.view(context)) as news:
            await anext(news)
            task = asyncio.create_task(board.run(newer.context))
            async with asyncio.timeout(5):
                rest = [piece async for piece in news]
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert rest == []


async def test_a_board_that_was_replaced_says_nothing_more() -> None:
    async with shown() as (board, live, context), running_proxy() as newer:
        task = asyncio.create_task(board.run(newer.context))
        await asyncio.sleep(0)
        live.add(call(1))
        async with contextlib.aclosing(board.view(newer.context)) as news:
            await anext(news)
            first = await snapshot(news)
            second = await snapshot(news)
            with pytest.raises(StopAsyncIteration):
                await _second(board.view(context))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert first["clock"] < second["clock"]


async def _second(news: AsyncGenerator[bytes, None]) -> bytes:
    async with contextlib.aclosing(news):
        await anext(news)
        return await anext(news)


async def test_viewers_go_when_the_board_ends() -> None:
    async with running_proxy() as proxy:
        board = DashboardFeed(LiveStats(), tick=60)
        task = asyncio.create_task(board.run(proxy.context))
        await asyncio.sleep(0)
        async with contextlib.aclosing(board.view(proxy.context)) as news:
            await anext(news)
            waiting = asyncio.create_task(_rest(news))
            await asyncio.sleep(0)
            task.cancel()
            async with asyncio.timeout(5):
                assert await waiting == []


async def _rest(news: AsyncGenerator[bytes, None]) -> list[bytes]:
    return [piece async for piece in news]


async def test_usage_comes_at_first_and_now_and_then() -> None:
    async with shown() as (board, _, context), contextlib.aclosing(board.view(context)) as news:
        names = [[name for name, _ in await next_events(news)] for _ in range(25)]

    assert names[0] == ["history", "usage"]
    assert 2 <= sum("usage" in some for some in names[1:]) <= 3


async def test_health_shows_breakers_quarantined_keys_and_old_lists_but_never_a_key() -> None:
    async with running_proxy(OPENAI_API_KEY="sk-canary-1,sk-canary-2,sk-canary-3") as proxy:
        context = proxy.context
        await eventually(lambda: set(context.model_list.failing()) == {"openai", "gemini"})
        context.model_list.update("gemini", [])
        context.endpoints["openai"].key_pool.quarantine(1, "gpt-4o", 100.0, Quarantine(41.5))
        context.endpoints["gemini"].breakers.apply_remote("", "tester", 101.0)
        for model in ("gpt-4o", "o3"):
            context.endpoints["openai"].breakers.apply_remote(model, "tester", 101.0)
        found = {upstream.name: upstream for upstream in upstream_statuses(context, 100.0)}

    assert found["openai"].keys == [0, 42, 0]
    assert (found["openai"].circuit_open, found["openai"].is_stale) == (False, True)
    assert (found["gemini"].circuit_open, found["gemini"].is_stale) == (True, False)
    assert (found["openai"].models_with_open_circuit, found["gemini"].models_with_open_circuit) == (
        2,
        0,
    )
    assert found["jarvis"].keys == []
    assert "canary" not in repr(found)


# Several workers


async def test_a_page_shows_the_calls_of_the_other_workers_too() -> None:
    desks, looks = [WorkerSlot(), WorkerSlot()], SharedMemorySlot(64)
    crew, other = WorkerStats(desks, 0, looks), WorkerStats(desks, 1, looks)
    own, others = LiveStats(), LiveStats()
    own.add(call(1))
    for number in range(3):
        others.add(call(number, model="theirs"))
    async with running_proxy() as proxy:
        board = DashboardFeed(own, crew, tick=TICK)
        showing = asyncio.create_task(board.run(proxy.context))
        writing = asyncio.create_task(other.run(lambda: [gauge("here", "", {(): 1})], others))
        await asyncio.sleep(0)
        async with contextlib.aclosing(board.view(proxy.context)) as news:
            first = await next_events(news)
            later = await next_events(news)
        for task in (showing, writing):
            task.cancel()

    (calls,) = [data for name, data in first if name == "calls"]
    (snapshot,) = [data for name, data in later if name == "snapshot"]
    assert [shown["n"] for shown in calls] == [1, 2, 3, 4]
    assert snapshot["totals"]["all"]["calls"] == 4
    assert "theirs" in [sums["name"] for sums in snapshot["totals"]["models"]]
