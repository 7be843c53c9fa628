"""Jobs beside the event loop, and jobs that run at the same time and end together."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.concurrency import SMALL, Offload, gather_first_error

LARGE = SMALL + 1


@pytest.fixture
def offload() -> Iterator[Offload]:
    offload = Offload()
    yield offload
    offload.close()


async def test_small_jobs_run_at_once(offload: Offload) -> None:
    assert await offload.run(SMALL, "a", threading.current_thread) is threading.main_thread()


async def test_d2_large_jobs_leave_the_loop_free(offload: Offload) -> None:
    free = threading.Event()
    running = asyncio.create_task(offload.run(LARGE, "a", lambda: free.wait(60)))
    await asyncio.sleep(0.01)

    assert not running.done()
    free.set()
    assert await running is True


async def test_errors_come_back(offload: Offload) -> None:
    def fail() -> None:
        raise ProxyError(400, "no")

    with pytest.raises(ProxyError, match="no"):
        await offload.run(LARGE, "a", fail)


async def test_d2_clients_take_turns(offload: Offload) -> None:
    order: list[str] = []
    free = threading.Event()

    def job(name: str) -> Callable[[], None]:
        return lambda: order.append(name)

    first = asyncio.create_task(offload.run(LARGE, "a", lambda: free.wait(60)))
    await asyncio.sleep(0)
    others = [
        asyncio.create_task(offload.run(LARGE, name[0], job(name)))
        for name in ("a1", "a2", "a3", "b1", "b2", "c1")
    ]
    await asyncio.sleep(0)
    free.set()
    await asyncio.gather(first, *others)

    assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_one_that_is_cancelled_while_it_waits_is_passed_over(offload: Offload) -> None:
    free = threading.Event()
    first = asyncio.create_task(offload.run(LARGE, "a", lambda: free.wait(60)))
    await asyncio.sleep(0)
    second = asyncio.create_task(offload.run(LARGE, "b", lambda: 2))
    third = asyncio.create_task(offload.run(LARGE, "c", lambda: 3))
    await asyncio.sleep(0)
    second.cancel()
    free.set()

    assert await third == 3
    assert await first is True
    assert second.cancelled()


async def test_one_that_is_cancelled_when_its_turn_comes_passes_it_on(offload: Offload) -> None:
    free = threading.Event()
    first = asyncio.create_task(offload.run(LARGE, "a", lambda: free.wait(60)))
    await asyncio.sleep(0)
    second = asyncio.create_task(offload.run(LARGE, "b", lambda: 2))
    third = asyncio.create_task(offload.run(LARGE, "c", lambda: 3))
    first.add_done_callback(lambda _: second.cancel())
    await asyncio.sleep(0)
    free.set()

    assert await third == 3
    assert second.cancelled()


async def test_the_next_job_waits_for_one_whose_caller_has_gone(offload: Offload) -> None:
    free = threading.Event()
    first = asyncio.create_task(offload.run(LARGE, "a", lambda: free.wait(60)))
    await asyncio.sleep(0.01)
    first.cancel()
    second = asyncio.create_task(offload.run(LARGE, "b", lambda: 2))
    await asyncio.sleep(0.01)

    assert (first.cancelled(), second.done()) == (True, False)
    free.set()
    assert await second == 2


async def test_closing_leaves_no_thread(offload: Offload) -> None:
    thread = await offload.run(LARGE, "a", threading.current_thread)
    offload.close()
    await asyncio.to_thread(thread.join, 10)

    assert not thread.is_alive()


async def value(number: int, after: int = 0) -> int:
    for _ in range(after):
        await asyncio.sleep(0)
    return number


async def failing(after: int = 0) -> int:
    await value(0, after)
    raise ValueError("no")


async def for_ever(ended: list[str]) -> int:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("cancelled")
    return 0


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_results_come_in_the_order_of_the_jobs(count: int) -> None:
    jobs = [value(number, after=count - number) for number in range(count)]

    assert await gather_first_error(jobs) == list(range(count))


async def test_the_first_failure_cancels_the_others() -> None:
    ended: list[str] = []

    with pytest.raises(ValueError, match="no"):
        await gather_first_error([for_ever(ended), failing(3), for_ever(ended)])

    assert ended == ["cancelled"] * 2


@pytest.mark.parametrize("jobs", [1, 2])
async def test_a_cancellation_cancels_all(jobs: int) -> None:
    ended: list[str] = []
    waiting = [for_ever(ended) for _ in range(jobs)]

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(gather_first_error(waiting), 0.05)

    assert ended == ["cancelled"] * jobs
