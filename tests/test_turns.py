"""Writes at the end of a turn of the event loop: in order, each its own, none lost."""

import asyncio
import logging
from typing import cast

import pytest

from jarvis_proxy.turns import LateWriter, Turn


class Transport:
    """Notes what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        assert not self.closing
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closing


class Writer(LateWriter):
    """A protocol as far as it is written to."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.unsent = b""
        self.sink = Transport()
        self.transport = cast(asyncio.Transport, self.sink)


async def end_of_turn() -> None:
    await asyncio.sleep(0)


async def test_everything_waits_for_what_is_ready_and_is_done_in_order() -> None:
    done: list[str] = []
    loop = asyncio.get_running_loop()
    turn = Turn(loop)
    loop.call_soon(done.append, "work")
    turn.add(lambda: done.append("first"))
    turn.add(lambda: done.append("second"))
    assert done == []

    await end_of_turn()
    assert done == ["work", "first", "second"]


async def test_one_that_fails_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []
    turn = Turn(asyncio.get_running_loop())

    def fail() -> None:
        raise RuntimeError("canary")

    turn.add(fail)
    turn.add(lambda: done.append("other"))
    with caplog.at_level(logging.ERROR):
        await end_of_turn()
    turn.add(lambda: done.append("later"))
    await end_of_turn()

    assert done == ["other", "later"]
    assert [record.message for record in caplog.records] == ["internal error at the end of a turn"]


async def test_what_one_adds_while_they_are_done_is_done_in_the_next_turn() -> None:
    done: list[str] = []
    turn = Turn(asyncio.get_running_loop())
    turn.add(lambda: turn.add(lambda: done.append("next")))
    await end_of_turn()
    assert done == []

    await end_of_turn()
    assert done == ["next"]


async def test_a_turn_writes_once_to_each_connection() -> None:
    turn = Turn(asyncio.get_running_loop())
    one, other = Writer(turn), Writer(turn)
    one.write_late(b"a")
    other.write_late(b"c")
    one.write_late(b"b")
    assert one.sink.written == []
    await end_of_turn()
    one.write_late(b"d")
    await end_of_turn()

    assert one.sink.written == [b"ab", b"d"]
    assert other.sink.written == [b"c"]


async def test_what_is_flushed_is_written_at_once_and_once() -> None:
    writer = Writer(Turn(asyncio.get_running_loop()))
    writer.write_late(b"a")
    writer.flush()
    assert writer.sink.written == [b"a"]

    await end_of_turn()
    writer.flush()
    assert writer.sink.written == [b"a"]


@pytest.mark.parametrize("end", ["closing", "gone"])
async def test_nothing_is_written_to_a_connection_that_is_gone(end: str) -> None:
    writer = Writer(Turn(asyncio.get_running_loop()))
    writer.write_late(b"a")
    if end == "closing":
        writer.sink.closing = True
    else:
        writer.transport = None
    await end_of_turn()

    assert writer.sink.written == []
    assert writer.unsent == b""
