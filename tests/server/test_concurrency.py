"""Jobs outside of the event loop, and jobs that run at the same time and end together."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.concurrency import SMALL, Offload, gather_first_error
from tests.support.eventually import eventually

LARGE = SMALL + 1


class HeldJob:
    """A job that ends when the test lets it."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self) -> bool:
        self.has_begun.set()
        return self.may_end.wait(60)


@pytest.fixture
def offload() -> Iterator[Offload]:
    offload = Offload()
    yield offload
    offload.close()


async def test_small_jobs_run_at_once(offload: Offload) -> None:
    assert await offload.run(SMALL, "a", threading.current_thread) is threading.main_thread()


async def test_large_jobs_leave_the_loop_free(offload: Offload) -> None:
    job = HeldJob()
    running = asyncio.create_task(offload.run(LARGE, "a", job))
    await eventually(job.has_begun.is_set)

    assert not running.done()
    job.may_end.set()
    assert await running is True


async def test_errors_come_back(offload: Offload) -> None:
    def fail() -> None:
        raise ProxyError(400, "no")

    with pytest.raises(ProxyError, match="no"):
        await offload.run(LARGE, "a", fail)


async def test_clients_take_turns(offload: Offload) -> None:
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
    job = HeldJob()
    first = asyncio.create_task(offload.run(LARGE, "a", job))
    await eventually(job.has_begun.is_set)
    first.cancel()
    second = asyncio.create_task(offload.run(LARGE, "b", lambda: 2))
    await asyncio.sleep(0.01)

    assert (first.cancelled(), second.done()) == (True, False)
    job.may_end.set()
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


async def _fail(moment: asyncio.Future[None]) -> None:
    await moment
    raise ProxyError(503, "a job failed")


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancellation_that_coincides_with_a_failure_is_never_lost(
    turns: int,
) -> None:
    moment: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    left: list[asyncio.Task[object]] = []

    async def wait() -> None:
        left.append(asyncio.current_task())  # type: ignore[arg-type]  # a job is a task
        await asyncio.Event().wait()

    call = asyncio.create_task(gather_first_error([_fail(moment), wait()]))
    await eventually(lambda: len(left) == 1)
    moment.set_result(None)
    for _ in range(turns):
        await asyncio.sleep(0)
    asked = call.cancel()
    await asyncio.wait([call, *left])

    assert call.cancelled() == asked
    assert asked or isinstance(call.exception(), ProxyError)


async def test_jobs_that_fail_end_the_others_and_nothing_is_left_running() -> None:
    moment: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    before = asyncio.all_tasks()
    moment.set_result(None)
    with pytest.raises(ProxyError, match="a job failed"):
        await gather_first_error([asyncio.Event().wait(), _fail(moment), _fail(moment)])

    assert asyncio.all_tasks() == before


async def test_a_cancelled_call_leaves_no_job_behind() -> None:
    before = asyncio.all_tasks()
    calls = [asyncio.create_task(gather_first_error([asyncio.Event().wait() for _ in range(3)]))]
    await eventually(lambda: len(asyncio.all_tasks() - before) == 4)
    calls[0].cancel()
    await asyncio.wait(calls)
    await eventually(lambda: asyncio.all_tasks() == before)

    assert calls[0].cancelled()
