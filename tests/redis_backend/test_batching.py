"""Many callers, one command: who gets which answer, and who waits for nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from jarvis_proxy.redis_backend.batching import Command, CommandBatcher


class FakeTransport:
    """A way that counts how often it was woken."""

    def __init__(self) -> None:
        self.is_up = True
        self.is_responsive = True
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


def build(ops: Sequence[str]) -> Command:
    return ("DO", *ops)


def split(reply: Any, asked: Sequence[str]) -> list[str]:
    assert isinstance(reply, list)
    return [f"{op}={answer}" for op, answer in zip(asked, reply, strict=False)]


class Kit:
    """A gather with what it lost."""

    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.lost: list[str] = []
        self.batcher: CommandBatcher[str, str] = CommandBatcher(
            self.transport, build, split, self.lost.extend
        )

    async def asked(self, *ops: str) -> list[asyncio.Task[str | None]]:
        """Return tasks that wait for answers."""
        tasks = [asyncio.create_task(self.batcher.request(op)) for op in ops]
        await asyncio.sleep(0)
        return tasks


async def test_concurrent_requests_are_one_command() -> None:
    kit = Kit()
    tasks = await kit.asked("a", "b")
    batch = kit.batcher.next_batch()
    batch.deliver([1, 2])

    assert batch.command == ("DO", "a", "b")
    assert await asyncio.gather(*tasks) == ["a=1", "b=2"]
    assert kit.transport.woken == 2


async def test_answers_go_to_requests_and_skip_sends() -> None:
    kit = Kit()
    kit.batcher.send("sent")
    tasks = await kit.asked("a")
    kit.batcher.send("sent later")
    batch = kit.batcher.next_batch()
    batch.deliver([1])

    assert batch.command == ("DO", "sent", "a", "sent later")
    assert await tasks[0] == "a=1"
    assert kit.batcher.pending == 0


async def test_reply_to_sends_only_is_ignored() -> None:
    kit = Kit()
    kit.batcher.send("sent")

    kit.batcher.next_batch().deliver("no list")


async def test_a_reply_with_too_few_answers_is_an_error() -> None:
    kit = Kit()
    tasks = await kit.asked("a", "b")
    batch = kit.batcher.next_batch()
    with pytest.raises(ValueError, match="shorter"):
        batch.deliver([1])
    batch.fail()

    assert await asyncio.gather(*tasks) == ["a=1", None]


async def test_one_that_was_dismissed_does_not_notice_the_late_reply() -> None:
    kit = Kit()
    tasks = await kit.asked("a")
    batch = kit.batcher.next_batch()
    batch.release_waiters()
    batch.deliver([1])

    assert await tasks[0] is None


async def test_one_that_left_does_not_disturb_the_others() -> None:
    kit = Kit()
    gone, stays = await kit.asked("gone", "stays")
    gone.cancel()
    await asyncio.sleep(0)
    kit.batcher.next_batch().deliver([1, 2])

    assert await stays == "stays=2"


async def test_lost_sends_are_reported() -> None:
    kit = Kit()
    kit.batcher.send("sent")
    tasks = await kit.asked("asked")
    kit.batcher.next_batch().fail()

    assert kit.lost == ["sent"]
    assert await tasks[0] is None


async def test_clear_drops_pending_operations_and_releases_waiters() -> None:
    kit = Kit()
    kit.batcher.send("sent")
    tasks = await kit.asked("asked")
    kit.batcher.clear()

    assert kit.lost == ["sent"]
    assert kit.batcher.pending == 0
    assert await tasks[0] is None


async def test_released_operations_are_still_sent() -> None:
    kit = Kit()
    tasks = await kit.asked("asked")
    kit.batcher.release_waiters()

    assert await tasks[0] is None
    assert kit.batcher.next_batch().command == ("DO", "asked")


async def test_callers_do_not_wait_while_the_store_is_late() -> None:
    kit = Kit()
    kit.transport.is_responsive = False

    assert await kit.batcher.request("a") is None
    assert kit.batcher.send("b")


async def test_nothing_is_taken_while_the_store_is_away() -> None:
    kit = Kit()
    kit.transport.is_up = kit.transport.is_responsive = False

    assert await kit.batcher.request("a") is None
    assert not kit.batcher.send("b")
    assert kit.batcher.pending == 0


async def test_what_waits_is_bounded() -> None:
    kit = Kit()
    taken = [kit.batcher.send("x") for _ in range(10_001)]

    assert taken.count(False) == 1
    assert await kit.batcher.request("y") is None


async def test_a_command_holds_256_operations_at_most() -> None:
    kit = Kit()
    for number in range(300):
        kit.batcher.send(str(number))
    first, second = kit.batcher.next_batch(), kit.batcher.next_batch()

    assert len(first.command) == 257
    assert second.command == ("DO", *map(str, range(256, 300)))
