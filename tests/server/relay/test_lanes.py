"""What runs at the same time ends together: with all results, or with the first failure."""

import asyncio

import pytest

from jarvis_proxy.server.relay.lanes import together


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
async def test_results_come_in_the_order_of_the_lanes(count: int) -> None:
    lanes = [value(number, after=count - number) for number in range(count)]

    assert await together(lanes) == list(range(count))


async def test_the_first_failure_cancels_the_others() -> None:
    ended: list[str] = []

    with pytest.raises(ValueError, match="no"):
        await together([for_ever(ended), failing(3), for_ever(ended)])

    assert ended == ["cancelled"] * 2


@pytest.mark.parametrize("lanes", [1, 2])
async def test_a_cancellation_cancels_all(lanes: int) -> None:
    ended: list[str] = []
    waiting = [for_ever(ended) for _ in range(lanes)]

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(together(waiting), 0.05)

    assert ended == ["cancelled"] * lanes
