"""Sheets: what one process writes, those that were forked from it read."""

import os

import pytest

from jarvis_proxy.observability.shared_memory import SharedMemorySlot


def test_new_slot_is_empty() -> None:
    assert SharedMemorySlot(10).read() == b""


@pytest.mark.parametrize("data", [b"", b"a", b"0123456789"])
def test_what_is_written_is_read(data: bytes) -> None:
    slot = SharedMemorySlot(10)
    slot.write(b"before")

    assert slot.write(data)
    assert slot.read() == data


def test_what_is_too_long_changes_nothing() -> None:
    slot = SharedMemorySlot(10)
    slot.write(b"before")

    assert not slot.write(b"01234567890")
    assert slot.read() == b"before"


def test_while_something_is_written_what_was_there_before_is_read() -> None:
    slot = SharedMemorySlot(10)
    for number in range(5):
        slot.write(b"%d" % number)
        before = slot.memory[:]
        slot.write(b"next")
        spoil(slot, before)
        assert slot.read() == b"%d" % number
        slot.memory[:] = before


def test_what_is_half_written_on_both_sides_is_not_read() -> None:
    slot = SharedMemorySlot(10)
    before = slot.memory[:]
    slot.write(b"0123456789")
    spoil(slot, before)
    slot.write(b"0123456789")  # the side that is whole is older
    assert slot.read() == b"0123456789"
    spoil(slot, before)
    slot.memory[4] ^= 1
    slot.memory[len(slot.memory) // 2 + 4] ^= 1

    assert slot.read() is None


def spoil(slot: SharedMemorySlot, before: bytes) -> None:
    """Change the last byte of what differs from *before*."""
    changed = [at for at, byte in enumerate(slot.memory[:]) if byte != before[at]]
    slot.memory[changed[-1]] ^= 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_another_process_reads_and_writes_it() -> None:
    mine, others = SharedMemorySlot(10), SharedMemorySlot(10)
    mine.write(b"ping")
    pid = os.fork()
    if not pid:
        others.write(b"pong" if mine.read() == b"ping" else b"?")
        os._exit(0)
    os.waitpid(pid, 0)

    assert others.read() == b"pong"
