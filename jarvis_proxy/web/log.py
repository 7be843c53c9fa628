"""Log lines: written in batches, off the event loop, never with content. IO.

A log that cannot be written must not hold up a call: lines wait in a bounded queue for a thread of
their own, and what does not fit is counted and dropped.
"""

import contextlib
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

from jarvis_proxy.record import CallRecord, as_json, as_text, ascii_json

_MAX_LINES: Final = 10_000
_QUIET_ROUTES: Final = frozenset({"/health", "/ready"})
LogFormat = Literal["text", "json"]


class LineWriter:
    """Writes lines to a stream from a thread; ``write`` never blocks and never raises."""

    def __init__(self, stream: TextIO | None = None, max_lines: int = _MAX_LINES) -> None:
        self._stream = stream
        self._queue: queue.Queue[Callable[[], str] | None] = queue.Queue(max_lines)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: Callable[[], str]) -> None:
        """Queue a line; *line* is called, in the thread, to make it."""
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def close(self, timeout: float = 2.0) -> None:
        """Write what is queued and end the thread; give up after *timeout* seconds."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=timeout)
            self._thread.join(timeout)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            ending = False
            # Everything that waits goes out in one write.
            with contextlib.suppress(queue.Empty):
                while len(batch) < 1000:
                    following = self._queue.get_nowait()
                    if following is None:
                        ending = True
                        break
                    batch.append(following)
            self._write(batch)
            if ending:
                return

    def _write(self, batch: list[Callable[[], str]]) -> None:
        lines = [make() for make in batch]
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            lines.append(f"{_now()} warning {dropped} log lines were dropped: the log is too slow")
        stream = self._stream or sys.stderr
        # A full disk or a closed pipe costs lines, never a call.
        with contextlib.suppress(OSError, ValueError):
            stream.write("\n".join(lines) + "\n")
            stream.flush()


class AccessLog:
    """One line a call, if the level lets it through."""

    def __init__(self, writer: LineWriter, log_format: LogFormat, level: int) -> None:
        self._writer = writer
        self._format = as_json if log_format == "json" else as_text
        self._level = level

    def write(self, record: CallRecord) -> None:
        """Queue the line of a finished call; it is formatted only if it is written."""
        level = logging.DEBUG if record.route in _QUIET_ROUTES else logging.INFO
        if level >= self._level:
            self._writer.write(lambda: self._format(record, _iso(record.started_at)))


class QueuedHandler(logging.Handler):
    """Sends log records of every library through the LineWriter, without their arguments' secrets.

    aiohttp's own messages carry header values and body bytes of malformed requests, and a
    traceback shows values. So of a foreign record only its kind is written, and of an exception
    its class and the place where it was raised.
    """

    def __init__(self, writer: LineWriter, log_format: LogFormat) -> None:
        super().__init__()
        self._writer = writer
        self._json = log_format == "json"

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one line for *record*."""
        text = record.getMessage() if record.name.startswith("jarvis_proxy") else _foreign(record)
        if record.exc_info and record.exc_info[1] is not None:
            text += f" [{_where(record.exc_info[1])}]"
        level, moment = record.levelname.lower(), record.created
        if self._json:
            line = ascii_json({"time": _iso(moment), "event": level, "message": text})
        else:
            line = f"{_iso(moment)} {level} {text}"
        self._writer.write(lambda: line)


def configure_logging(
    log_format: LogFormat, level: str, stream: TextIO | None = None
) -> tuple[LineWriter, AccessLog]:
    """Send everything that is logged in this process through one LineWriter; return it."""
    writer = LineWriter(stream)
    root = logging.getLogger()
    root.handlers[:] = [QueuedHandler(writer, log_format)]
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(number, logging.INFO))
    logging.getLogger("jarvis_proxy").setLevel(number)
    # A failing handler must not print the record that it failed on.
    logging.raiseExceptions = False
    return writer, AccessLog(writer, log_format, number)


def _foreign(record: logging.LogRecord) -> str:
    return f"{record.name}: {record.levelname.lower()} at {record.module}:{record.lineno}"


def _where(exc: BaseException) -> str:
    place, trace = "", exc.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(exc).__name__} at {place}" if place else type(exc).__name__


def _now() -> str:
    return _iso(time.time())


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
