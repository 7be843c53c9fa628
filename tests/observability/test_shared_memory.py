"""Sheets: what one process writes, those that were forked from it read."""

import os

import pytest

from jarvis_proxy.observability.shared_memory import SharedMemorySlot


def test_a_new_sheet_is_empty() -> None:
    assert SharedMemorySlot(10).read() == b""


@pytest.mark.parametrize("data", [b"", b"a", b"0123456789"])
def test_what_is_written_is_read(data: bytes) -> None:
    sheet = SharedMemorySlot(10)
    sheet.write(b"before")

    assert sheet.write(data)
    assert sheet.read() == data


def test_what_is_too_long_changes_nothing() -> None:
    sheet = SharedMemorySlot(10)
    sheet.write(b"before")

    assert not sheet.write(b"01234567890")
    assert sheet.read() == b"before"


def test_while_something_is_written_what_was_there_before_is_read() -> None:
    sheet = SharedMemorySlot(10)
    for number in range(5):
        sheet.write(b"%d" % number)
        before = sheet._memory[:]
        sheet.write(b"next")
        spoil(sheet, before)
        assert sheet.read() == b"%d" % number
        sheet._memory[:] = before


def test_what_is_half_written_on_both_sides_is_not_read() -> None:
    sheet = SharedMemorySlot(10)
    before = sheet._memory[:]
    sheet.write(b"0123456789")
    spoil(sheet, before)
    sheet.write(b"0123456789")  # the side that is whole is older
    assert sheet.read() == b"0123456789"
    spoil(sheet, before)
    sheet._memory[4] ^= 1
    sheet._memory[sheet._buffer_size + 4] ^= 1

    assert sheet.read() is None


def spoil(sheet: SharedMemorySlot, before: bytes) -> None:
    """Change the last byte of what differs from *before*."""
    changed = [at for at, byte in enumerate(sheet._memory[:]) if byte != before[at]]
    sheet._memory[changed[-1]] ^= 1


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
