"""Log lines: written in batches, off the event loop, never with content. IO.

A slow log must not delay a call. So lines wait in a bounded queue for a thread of their own, and
lines that do not fit are counted and dropped.
"""

import logging
import os
import select
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Final, Literal, TextIO

from jarvis_proxy.call_record import CallRecord, as_json, as_text, ascii_json
from jarvis_proxy.observability.line_quota import ANONYMOUS, LineQuota, summary

_MAX_LINES: Final = 10_000
_BATCH: Final = 1000
_GATHER: Final = 0.05
"""Seconds that the first line of a batch waits for more lines."""
_TOO_SLOW: Final = "the log is too slow, or cannot be written"
_QUIET_ROUTES: Final = frozenset({"/health", "/ready"})
LogFormat = Literal["text", "json"]


class ThreadedLineWriter:
    """Writes lines to a stream in a thread; ``write`` never blocks and never raises.

    Without *stream*, it writes to the current stderr. One write takes at most *at_once* characters,
    unless a line is longer: so processes that share a pipe never mix their lines.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        max_lines: int = _MAX_LINES,
        *,
        at_once: int | None = None,
    ) -> None:
        self._stream = stream
        self._at_once = at_once
        self._max_lines = max_lines
        self._lines: deque[Callable[[], str]] = deque()
        self._later: deque[tuple[float, Callable[[], str]]] = deque()
        self._idle = False
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._dropped = 0
        """Lines dropped by the callers of ``write``."""
        self._lost = 0
        """Lines lost in the thread."""
        self._reported = 0
        """How many of both the log has reported."""
        self.note: Callable[[str], str] = _text_note
        """Formats the log's messages about itself."""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: Callable[[], str]) -> None:
        """Queue a line; the thread calls *line* to make its text."""
        if len(self._lines) >= self._max_lines:
            self._dropped += 1
            return
        self._lines.append(line)
        # Waking the thread costs more than a line, so only the first line of a batch wakes it.
        if self._idle:
            self._idle = False
            self._wake.set()

    def write_later(self, line: Callable[[], str], seconds: float) -> None:
        """Queue a line that is made and written after *seconds*, or at the end if that is sooner.

        *seconds* must be the same for all lines.
        """
        self._later.append((time.monotonic() + seconds, line))
        self._wake.set()

    def close(self, timeout: float = 2.0) -> None:
        """Write queued lines and end the thread; give up after *timeout* seconds."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._closing.is_set():
            # Set the flag before the check: so a line that arrives in between is never missed.
            self._idle = True
            if not self._lines:
                self._wake.wait(self._pause())
            self._wake.clear()
            self._closing.wait(_GATHER)
            self._take_due(time.monotonic())
            self._write_all()
        self._take_due(float("inf"))
        self._write_all()

    def _pause(self) -> float | None:
        """Return the seconds until the next delayed line, None if there is none."""
        return max(0.0, self._later[0][0] - time.monotonic()) if self._later else None

    def _take_due(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            self._lines.append(self._later.popleft()[1])

    def _write_all(self) -> None:
        while self._lines:
            batch = [self._lines.popleft() for _ in range(min(len(self._lines), _BATCH))]
            lines = [line for make in batch if (line := _made(make)) is not None]
            dropped = self._dropped + self._lost - self._reported
            if dropped:
                lines.append(self.note(f"{dropped} log lines were dropped: {_TOO_SLOW}"))
            texts = self._texts(f"{line}\n" for line in lines)
            if all(write_text(self._stream or sys.stderr, text) for text in texts):
                self._reported += dropped
            else:
                self._lost += len(batch)

    def _texts(self, lines: Iterable[str]) -> list[str]:
        """Return the lines joined into texts that are written at once."""
        if self._at_once is None:
            return ["".join(lines)]
        texts = [""]
        for line in lines:
            if texts[-1] and len(texts[-1]) + len(line) > self._at_once:
                texts.append("")
            texts[-1] += line
        return texts


class DirectLineWriter:
    """Writes each line at once, for a process without calls or threads."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self.note: Callable[[str], str] = _text_note

    def write(self, line: Callable[[], str]) -> None:
        """Write the line that *line* makes."""
        made = _made(line)
        if made is not None:
            write_text(self._stream or sys.stderr, f"{made}\n")

    def write_later(self, line: Callable[[], str], seconds: float) -> None:
        """Write the line now: no thread could wait."""
        self.write(line)


def write_text(stream: TextIO | None, text: str) -> bool:
    """Write *text* past Python's buffers if the stream is a file; return whether it succeeded.

    A thread that blocks in a buffered write holds the buffer's lock, and Python aborts if that lock
    is held at exit. Also, data that a full disk leaves in a buffer fails again at exit.
    """
    if stream is None:
        # The process was started without stderr.
        return False
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        # The stream is no file, but text in memory.
        number = -1
    try:
        if number >= 0:
            _write_bytes(number, text.encode("utf-8", "backslashreplace"))
        else:
            stream.write(text)
            stream.flush()
    except (OSError, ValueError):
        return False
    return True


def _write_bytes(number: int, data: bytes) -> None:
    """Write all of *data*; wait for room if the file is in non-blocking mode."""
    while data:
        try:
            data = data[os.write(number, data) :]
        except BlockingIOError:
            select.select((), (number,), ())


def _made(make: Callable[[], str]) -> str | None:
    try:
        return make()
    except Exception:
        # A line that cannot be formatted must not end the log.
        return None


Writer = ThreadedLineWriter | DirectLineWriter


class AnonymousLines:
    """Limits lines that callers without a key cause to a few per second, plus one summary."""

    def __init__(self, writer: Writer, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer = writer
        self._clock = clock
        self._quota = LineQuota()

    def may_write(self, kind: str) -> bool:
        """Return whether a line of *kind* may be written now; otherwise count it."""
        counts = self._quota.take(kind, self._clock())
        if counts is None:
            return True
        if counts.total() == 1:
            self._writer.write_later(partial(self._summary_line, counts), 1.0)
        return False

    def _summary_line(self, counts: Counter[str]) -> str:
        # Copy the counts, because the event loop's thread may still increase them.
        return self._writer.note(summary(Counter(dict(counts))))


class AccessLog:
    """Writes one line per call, if the level allows it."""

    def __init__(
        self,
        writer: Writer,
        log_format: LogFormat,
        level: int,
        anonymous_lines: AnonymousLines | None = None,
    ) -> None:
        self.writer = writer
        self._anonymous_lines = anonymous_lines or AnonymousLines(writer)
        self._format = as_json if log_format == "json" else as_text
        self._level = level

    def write(self, record: CallRecord) -> None:
        """Queue the line of a finished call; the thread formats it."""
        level = logging.DEBUG if record.route in _QUIET_ROUTES else logging.INFO
        if level < self._level:
            return
        if record.authenticated or self._anonymous_lines.may_write(
            f"{record.status} {record.code}".rstrip()
        ):
            self.writer.write(lambda: self._format(record, _iso(record.timestamp)))


class RedactingHandler(logging.Handler):
    """Sends log records of every library to a line writer, without secrets or content.

    aiohttp's own messages contain header values and body bytes of malformed requests, and
    tracebacks show values. So of a foreign record only its kind is written, and of an exception its
    class and where it was raised. Libraries log about connections, which anybody may open: their
    lines count as anonymous.
    """

    def __init__(
        self, writer: Writer, log_format: LogFormat, anonymous_lines: AnonymousLines
    ) -> None:
        super().__init__()
        self._writer = writer
        self._anonymous_lines = anonymous_lines
        self._json = log_format == "json"

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one line for *record*."""
        try:
            self._emit(record)
        except Exception:
            # Arguments that do not fit their message must not fail a call.
            self.handleError(record)

    def _emit(self, record: logging.LogRecord) -> None:
        is_ours = record.name.startswith("jarvis_proxy")
        kind = getattr(record, ANONYMOUS, None if is_ours else _third_party(record))
        if kind is not None and not self._anonymous_lines.may_write(kind):
            return
        text = record.getMessage() if is_ours else _third_party(record)
        if record.exc_info and record.exc_info[1] is not None:
            text += f" [{_where(record.exc_info[1])}]"
        make = _json_line if self._json else _text_line
        line = make(record.created, record.levelname.lower(), text)
        self._writer.write(lambda: line)


def configure_logging(
    log_format: LogFormat, level: str, stream: TextIO | None = None
) -> tuple[ThreadedLineWriter, AccessLog]:
    """Send all log records of this process to a new writer; return it and the access log."""
    writer = ThreadedLineWriter(stream)
    return writer, install_handler(writer, log_format, level)


def install_handler(writer: Writer, log_format: LogFormat, level: str) -> AccessLog:
    """Send all log records of this process to *writer*; return the access log."""
    writer.note = _json_note if log_format == "json" else _text_note
    root = logging.getLogger()
    anonymous_lines = AnonymousLines(writer)
    root.handlers[:] = [RedactingHandler(writer, log_format, anonymous_lines)]
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(number, logging.INFO))
    logging.getLogger("jarvis_proxy").setLevel(number)
    # A failing handler must not print the record on which it failed.
    logging.raiseExceptions = False
    return AccessLog(writer, log_format, number, anonymous_lines)


def _third_party(record: logging.LogRecord) -> str:
    return f"{record.name}: {record.levelname.lower()} at {record.module}:{record.lineno}"


def _where(exc: BaseException) -> str:
    place, trace = "", exc.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(exc).__name__} at {place}" if place else type(exc).__name__


def _text_line(moment: float, level: str, text: str) -> str:
    return f"{_iso(moment)} {level} {text}"


def _json_line(moment: float, level: str, text: str) -> str:
    return ascii_json({"time": _iso(moment), "event": level, "message": text})


def _text_note(text: str) -> str:
    return _text_line(time.time(), "warning", text)


def _json_note(text: str) -> str:
    return _json_line(time.time(), "warning", text)


def _iso(moment: float) -> str:
    seconds, micros = divmod(round(moment * 1e6), 1_000_000)
    return f"{_iso_second(seconds)}.{micros // 1000:03d}+00:00"


@lru_cache(maxsize=8)
def _iso_second(seconds: int) -> str:
    """Return a second's date and time in ISO format."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
