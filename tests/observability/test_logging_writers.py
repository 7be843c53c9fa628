"""A log that blocks, fails or is shared by processes delays nobody, and counts what it lost."""

import fcntl
import io
import json
import logging
import os
import re
import sys
import threading
import time
from pathlib import Path

import pytest

from jarvis_proxy.observability import logging as log_module
from jarvis_proxy.observability.logging import (
    DirectLineWriter,
    ThreadedLineWriter,
    configure_logging,
    install_handler,
    write_text,
)
from tests.observability.log_lines import logged

pytestmark = pytest.mark.slow


def test_lines_of_many_threads_all_arrive_once() -> None:
    def write(writer: ThreadedLineWriter) -> None:
        def some(name: int) -> None:
            for number in range(500):
                writer.write(lambda number=number: f"{name}-{number}")  # type: ignore[misc] # mypy's limit

        threads = [threading.Thread(target=some, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    lines = logged(write)

    assert sorted(lines) == sorted(f"{name}-{number}" for name in range(4) for number in range(500))


def test_blocked_pipe_does_not_block_callers() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(writing, "w") as stream:
        others = set(threading.enumerate())
        writer = ThreadedLineWriter(stream, max_lines=100)
        (thread,) = set(threading.enumerate()) - others
        started = time.monotonic()
        for number in range(20_000):
            writer.write(lambda number=number: f"{number} {'x' * 100}")  # type: ignore[misc] # mypy's limit
        writer.close(timeout=0.1)
        elapsed = time.monotonic() - started

        assert elapsed < 2
        assert thread.is_alive()
        os.close(reading)  # the thread, which still writes, then gets an error and ends
        thread.join(5)
        assert not thread.is_alive()


def test_dropped_lines_are_reported_once_the_pipe_is_read() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(writing, "w") as stream, os.fdopen(reading, "r") as reader:
        writer = ThreadedLineWriter(stream, max_lines=50)
        for number in range(2000):
            writer.write(lambda number=number: f"{number} {'x' * 100}")  # type: ignore[misc] # mypy's limit
        closing = threading.Thread(target=writer.close, args=(10,))
        closing.start()
        lines: list[str] = []
        while not lines or "were dropped" not in lines[-1]:
            lines.append(reader.readline())
        closing.join()

    (last,) = re.findall(r"warning (\d+) log lines were dropped: the log is too slow", lines[-1])
    assert len(lines) - 1 + int(last) == 2000


class Broken(io.StringIO):
    """A stream that fails until the test lets it work."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error
        self.has_failed = threading.Event()

    def write(self, text: str) -> int:
        if self.error is not None:
            self.has_failed.set()
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("error", [OSError(28, "No space left"), ValueError("closed")])
def test_stream_that_fails_loses_lines_and_says_so_when_it_works_again(error: Exception) -> None:
    stream = Broken(error)
    writer = ThreadedLineWriter(stream)
    writer.write(lambda: "lost")
    stream.has_failed.wait(20)
    stream.error = None
    writer.write(lambda: "kept")
    writer.close()

    kept, last = stream.getvalue().splitlines()
    assert kept == "kept"
    assert "1 log lines were dropped" in last


def test_dropped_lines_are_reported_in_json_with_log_format_json() -> None:
    stream = Broken(OSError(28, "No space left"))
    writer, _ = configure_logging("json", "info", stream)
    writer.write(lambda: "lost")
    stream.has_failed.wait(20)
    stream.error = None
    writer.write(lambda: '{"kept":1}')
    writer.close()

    kept, last = map(json.loads, stream.getvalue().splitlines())
    assert kept == {"kept": 1}
    assert last["event"] == "warning"
    assert last["message"].startswith("1 log lines were dropped")


def test_full_disk_raises_nothing() -> None:
    with Path("/dev/full").open("w") as stream:
        assert write_text(stream, "x" * 100_000) is False
        writer = ThreadedLineWriter(stream)
        writer.write(lambda: "lost")
        writer.close()


def test_pipe_that_does_not_block_gets_every_byte() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    text = "ü" * 50_000
    with os.fdopen(writing, "w") as stream, os.fdopen(reading, "rb") as reader:
        written: list[bool] = []
        thread = threading.Thread(target=lambda: written.append(write_text(stream, text)))
        thread.start()
        data = reader.read(len(text.encode()))
        thread.join()

    assert data.decode() == text
    assert written == [True]


def test_no_stream_at_all_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)  # as a service without one is started
    writer = ThreadedLineWriter()
    writer.write(lambda: "lost")
    writer.close()

    assert write_text(None, "x") is False


def test_without_a_stream_it_is_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    writer = ThreadedLineWriter()
    writer.write(lambda: "kept")
    writer.close()

    assert capfd.readouterr().err == "kept\n"


def test_line_that_cannot_be_made_is_left_out() -> None:
    def write(writer: ThreadedLineWriter) -> None:
        writer.write(lambda: str(1 / 0))
        writer.write(lambda: "kept")

    assert logged(write) == ["kept"]


def test_line_after_a_pause_is_written_without_another_one() -> None:
    stream = io.StringIO()
    writer = ThreadedLineWriter(stream)
    for number in range(3):
        writer.write(lambda number=number: str(number))  # type: ignore[misc] # mypy's limit
        deadline = time.monotonic() + 5
        while f"{number}\n" not in stream.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.005)
    writer.close()


# Several processes


def test_no_more_is_written_at_once_than_a_pipe_keeps_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[str] = []

    def note(stream: object, text: str) -> bool:
        written.append(text)
        return True

    monkeypatch.setattr(log_module, "write_text", note)
    writer = ThreadedLineWriter(io.StringIO(), at_once=10)
    for line in ("1234", "1234", "123456789012345", "1", "2"):
        writer.write(lambda line=line: line)  # type: ignore[misc]
    writer.close()

    assert "".join(written) == "1234\n1234\n123456789012345\n1\n2\n"
    assert all(len(text) <= 10 or text == "123456789012345\n" for text in written)
    assert len(written) <= 5


def test_a_plain_writer_writes_at_once_and_what_cannot_be_made_is_left_out() -> None:
    stream = io.StringIO()
    install_handler(DirectLineWriter(stream), "text", "info")
    logging.getLogger("jarvis_proxy.server.test").warning("loud")
    assert stream.getvalue().endswith(" warning loud\n")

    def broken() -> str:
        raise ValueError

    DirectLineWriter(stream).write(broken)
    assert stream.getvalue().count("\n") == 1
