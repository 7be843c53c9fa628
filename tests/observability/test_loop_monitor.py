"""Warnings that are said now and then, and never with content."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from jarvis_proxy.observability.loop_monitor import (
    LoopLagMonitor,
    RateLimitedLogger,
    exception_handler,
)


class Clock:
    """A clock that stands until the test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What was logged; grows as it is."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    logger = logging.getLogger("jarvis_proxy.observability.loop_monitor")
    handler = Keep()
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def test_a_kind_is_said_once_in_its_time_and_then_how_often_it_came(said: list[str]) -> None:
    clock = Clock()
    logger = RateLimitedLogger(10, clock)
    for _ in range(100):
        logger.warn("a", "it happened")
    logger.warn("b", "something else")
    clock.now += 10
    logger.warn("a", "it happened")
    clock.now += 10
    logger.warn("a", "it happened")

    assert said == [
        "it happened",
        "something else",
        "it happened (99 more since the last warning)",
        "it happened",
    ]


def test_endless_kinds_take_no_endless_memory(said: list[str]) -> None:
    logger = RateLimitedLogger(10, Clock())
    for number in range(65):
        logger.warn(f"kind {number}", "x")
    assert len(said) == 65
    logger.warn("kind 64", "x")
    assert len(said) == 65
    logger.warn("kind 0", "x")

    assert len(said) == 66  # it was forgotten


CONTEXTS: dict[str, tuple[dict[str, object], str]] = {
    "task": (
        {"message": "Task exception was never retrieved", "exception": ValueError("canary")},
        "event loop: Task exception was never retrieved",
    ),
    "callback": (
        {"message": "Exception in callback Foo.bar(b'canary')", "exception": OSError("canary")},
        "event loop: Exception in callback Foo.bar",
    ),
    "accept": (
        {"message": "socket.accept() out of system resource", "exception": OSError(24, "canary")},
        "event loop: socket.accept",
    ),
    "repr first": ({"message": "<Canary canary>"}, "event loop: error"),
    "nothing": ({}, "event loop: error"),
}


@pytest.mark.parametrize("case", CONTEXTS)
def test_an_error_of_the_loop_is_said_without_what_may_be_content(
    case: str, said: list[str]
) -> None:
    context, text = CONTEXTS[case]
    handle = exception_handler(RateLimitedLogger(10, Clock()))
    loop = asyncio.new_event_loop()
    for _ in range(72):
        handle(loop, context)
    loop.close()

    assert said == [text]


async def test_the_loop_itself_reports_to_the_handler(said: list[str]) -> None:
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(exception_handler(RateLimitedLogger(10, Clock())))
    came = asyncio.Event()

    def fail(secret: str) -> None:
        came.set()
        raise ValueError(secret)

    loop.call_soon(fail, "canary")
    await came.wait()
    await asyncio.sleep(0)
    loop.set_exception_handler(before)

    (line,) = said
    assert line.startswith("event loop: Exception in callback ")
    assert "canary" not in line


def test_a_lag_of_a_quarter_of_a_second_is_said_and_the_worst_is_kept(said: list[str]) -> None:
    clock = Clock()
    probe = LoopLagMonitor(RateLimitedLogger(10, clock))
    probe.record(0.001)
    probe.record(0.249)
    assert said == []
    probe.record(0.4)
    probe.record(0.3)

    assert said == ["the event loop stood still for 400 ms"]
    assert probe.worst == 0.4


async def test_the_probe_measures_how_late_the_loop_is() -> None:
    clock = Clock()
    lags: list[float] = []
    probe = LoopLagMonitor(RateLimitedLogger(10, clock), clock, lags.append)
    running = asyncio.create_task(probe.run())
    await asyncio.sleep(0)
    clock.now += 5.1  # while the probe sleeps for 0.1 s
    async with asyncio.timeout(2):
        while not probe.worst:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    running.cancel()

    assert probe.worst == pytest.approx(5.0)
    assert max(lags) == probe.worst
