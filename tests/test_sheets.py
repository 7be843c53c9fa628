"""Sheets: what one process writes, those that were forked from it read."""

import os

import pytest

from jarvis_proxy.sheets import Sheet


def test_a_new_sheet_is_empty() -> None:
    assert Sheet(10).read() == b""


@pytest.mark.parametrize("data", [b"", b"a", b"0123456789"])
def test_what_is_written_is_read(data: bytes) -> None:
    sheet = Sheet(10)
    sheet.write(b"before")

    assert sheet.write(data)
    assert sheet.read() == data


def test_what_is_too_long_changes_nothing() -> None:
    sheet = Sheet(10)
    sheet.write(b"before")

    assert not sheet.write(b"01234567890")
    assert sheet.read() == b"before"


def test_what_is_half_written_is_not_read() -> None:
    sheet = Sheet(10)
    sheet.write(b"0123456789")
    sheet._memory[10] ^= 1

    assert sheet.read() is None


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_another_process_reads_and_writes_it() -> None:
    mine, others = Sheet(10), Sheet(10)
    mine.write(b"ping")
    pid = os.fork()
    if not pid:
        others.write(b"pong" if mine.read() == b"ping" else b"?")
        os._exit(0)
    os.waitpid(pid, 0)

    assert others.read() == b"pong"
