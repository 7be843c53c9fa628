"""Log lines: one for each call, never with content, never in a call's way."""

import asyncio
import contextlib
import fcntl
import io
import json
import logging
import os
import re
import shlex
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.observability import logging as log_module
from jarvis_proxy.observability.logging import (
    AccessLog,
    DirectLineWriter,
    LogFormat,
    ThreadedLineWriter,
    configure_logging,
    install_handler,
    write_text,
)
from tests.conftest import BEARER, KEY, running_proxy
from tests.support.raw_client import connect, fetch

pytestmark = pytest.mark.slow

CHAT = "/v1/chat/completions"


@pytest.fixture(autouse=True)
def _same_logging_afterwards() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.raiseExceptions)
    yield
    root.handlers[:], root.level, logging.raiseExceptions = before


def record(**fields: object) -> CallRecord:
    """Return the record of a call with some of its fields."""
    made = CallRecord("req_1", started_at=1.0, timestamp=0.0, route=CHAT, status=200, ended_at=1.5)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def logged(write: Callable[[ThreadedLineWriter], object]) -> list[str]:
    """Return the lines that *write* has written."""
    stream = io.StringIO()
    writer = ThreadedLineWriter(stream)
    write(writer)
    writer.close()
    return stream.getvalue().splitlines()


# One line a call


def test_call_is_one_line_of_names_and_values() -> None:
    (line,) = logged(lambda writer: AccessLog(writer, "text", 20).write(record(model="gpt 4")))

    moment, event, *pairs = shlex.split(line)
    assert (moment, event) == ("1970-01-01T00:00:00.000+00:00", "call")
    values = dict(pair.split("=", 1) for pair in pairs)
    assert values["id"] == "req_1"
    assert values["model"] == "gpt 4"
    assert values["duration_ms"] == "500.0"


def test_call_is_one_json_object() -> None:
    (line,) = logged(lambda writer: AccessLog(writer, "json", 20).write(record(model="gpt-4ü")))

    assert line.isascii()
    values = json.loads(line)
    assert (values["event"], values["id"], values["status"]) == ("call", "req_1", 200)


@pytest.mark.parametrize("route", ["/health", "/ready"])
@pytest.mark.parametrize(("level", "lines"), [(10, 1), (20, 0), (30, 0)])
def test_monitors_are_not_logged_unless_wanted(route: str, level: int, lines: int) -> None:
    found = logged(lambda writer: AccessLog(writer, "text", level).write(record(route=route)))

    assert len(found) == lines


@pytest.mark.parametrize(("level", "lines"), [(10, 1), (20, 1), (30, 0), (40, 0)])
def test_calls_are_logged_at_info(level: int, lines: int) -> None:
    found = logged(lambda writer: AccessLog(writer, "text", level).write(record()))

    assert len(found) == lines


ANYTHING = st.text(st.characters(codec=None), max_size=80)
PAIR = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|[^ "=]*)')


@given(model=ANYTHING, agent=ANYTHING, code=ANYTHING, log_format=st.sampled_from(["text", "json"]))
@settings(max_examples=300, deadline=None)
def test_whatever_a_client_says_a_call_is_one_line_that_can_be_read(
    model: str, agent: str, code: str, log_format: LogFormat
) -> None:
    stream = io.StringIO()
    writer = ThreadedLineWriter(stream)
    AccessLog(writer, log_format, 20).write(record(model=model, user_agent=agent, code=code))
    writer.close()
    text = stream.getvalue()

    assert text.isascii()
    assert text.isprintable() or text[:-1].isprintable()
    assert text.count("\n") == 1
    if log_format == "json":
        assert json.loads(text)["id"] == "req_1"
    else:
        rest = text.rstrip("\n").partition(" call")[2]
        assert PAIR.sub("", rest) == ""
        assert dict(PAIR.findall(rest))["id"] == "req_1"


AGENTS = [
    b'curl/8 "x" call id=req_forged status=200',
    b"\x1b[2J\x1b[31mred",
    b"a\tb",
    "\u2028line\u0085next".encode(),
    b"\xff\xfe",
    b"x" * 5000,
    b"",
    b"=",
    b'"',
    b"\\",
]


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_every_request_is_exactly_one_line(log_format: str) -> None:
    async with running_proxy(LOG_FORMAT=log_format, OPENAI_API_KEY="") as proxy:
        for agent in AGENTS:
            async with connect(proxy.port) as connection:
                await connection.send(request(agent))
                await connection.response()
        lines = proxy.logged().splitlines()

    assert len(lines) == len(AGENTS)
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 1024
        assert line.startswith('{"time":' if log_format == "json" else "20")


def request(agent: bytes) -> bytes:
    """Return a call whose agent and model are *agent*."""
    body = json.dumps({"model": agent.decode("latin-1"), "messages": []}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: {BEARER['Authorization']}\r\n"
    size = b"Content-Length: %d\r\n" % len(body)
    return head.encode() + size + b"User-Agent: " + agent + b"\r\n\r\n" + body


async def test_health_is_not_logged_at_info() -> None:
    async with running_proxy(LOG_LEVEL="info") as proxy:
        for path in ("/health", "/ready"):
            await fetch(proxy.port, path, method="GET")
        await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")
        lines = proxy.logged().splitlines()

    assert len(lines) == 1
    assert "route=/v1/models" in lines[0]


# A log that cannot be written


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


# Strangers

_LEFT_OUT = re.compile(r"(\d+) lines? about callers without a valid key left out \(([^)]*)\)")


def left_out(lines: list[str]) -> tuple[int, Counter[str]]:
    """Return how many summaries there are, and what they count."""
    found = [match for line in lines if (match := _LEFT_OUT.search(line)) is not None]
    counts: Counter[str] = Counter()
    for match in found:
        kinds = dict(part.rsplit(": ", 1) for part in match[2].split(", "))
        assert sum(map(int, kinds.values())) == int(match[1])
        counts.update({kind: int(count) for kind, count in kinds.items()})
    return len(found), counts


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_d11_calls_without_a_key_are_ten_lines_a_second_and_one(log_format: LogFormat) -> None:
    def write(writer: ThreadedLineWriter) -> None:
        log = install_handler(writer, log_format, "info")
        for _ in range(1000):
            log.write(record(status=401, code="invalid_api_key"))
            log.write(record(status=200, authenticated=True, key_name="laptop"))

    began = time.monotonic()
    lines = logged(write)
    seconds = int(time.monotonic() - began) + 1
    summaries, counts = left_out(lines)
    written = sum("invalid_api_key" in line and "left out" not in line for line in lines)

    assert sum("laptop" in line for line in lines) == 1000
    assert written <= 10 * seconds
    assert 1 <= summaries <= seconds
    assert counts == {"401 invalid_api_key": 1000 - written}
    if log_format == "json":
        assert all(json.loads(line) for line in lines)


def test_d11_a_summary_comes_although_nothing_follows() -> None:
    stream = io.StringIO()
    writer = ThreadedLineWriter(stream)
    log = AccessLog(writer, "text", 20)
    for _ in range(11):
        log.write(record(status=404))
    deadline = time.monotonic() + 10
    while "1 line about callers without a valid key left out (404: 1)" not in stream.getvalue():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    writer.close()

    assert stream.getvalue().count("\n") == 11


def test_d11_lines_below_the_level_are_not_counted() -> None:
    def write(writer: ThreadedLineWriter) -> None:
        log = AccessLog(writer, "text", logging.WARNING)
        for _ in range(100):
            log.write(record(status=401))

    assert logged(write) == []


def test_d11_lines_of_libraries_are_limited_too() -> None:
    def speak() -> None:
        for _ in range(100):
            fail()

    lines = said("text", speak)
    summaries, counts = left_out(lines)

    assert len(lines) - summaries <= 20
    assert counts.total() == 100 - (len(lines) - summaries)


STRANGERS = {
    "no key": b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n",
    "wrong key": b"GET /v1/models HTTP/1.1\r\nHost: h\r\nx-api-key: no\r\n\r\n",
    "unknown address": b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n",
    "key not valid any more": (
        b"GET /v1/models HTTP/1.1\r\nHost: h\r\nx-api-key: old-key-0123456789abcdef\r\n\r\n"
    ),
    "the start page": b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    "the dashboard": b"GET /dashboard HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    "events of the dashboard": b"GET /dashboard/events HTTP/1.1\r\nHost: h\r\n\r\n",
    "preflight": b"OPTIONS /v1/models HTTP/1.1\r\nHost: h\r\nOrigin: http://a\r\n\r\n",
    "no HTTP": b"canary\r\n\r\n",
    "too long a head": b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
    "two readings": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "another version": b"GET / HTTP/3.0\r\nHost: h\r\n\r\n",
    "chunks that break": b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
}


@pytest.mark.parametrize("kind", STRANGERS)
async def test_d11_unauthenticated_callers_cannot_fill_the_log(kind: str) -> None:
    """Whatever is sent, each time on a connection of its own."""
    env = {
        "ADMIN_KEY": "admin-key-0123456789",
        "CORS_ORIGINS": "http://a",
        "PROXY_API_KEYS": f"tester:{KEY},old:old-key-0123456789abcdef",
        "KEY_OLD_EXPIRES": "2020-01-01",
    }
    began = time.monotonic()
    async with running_proxy(**env) as proxy:

        async def visit() -> None:
            async with connect(proxy.port) as connection:
                await connection.send(STRANGERS[kind])
                with contextlib.suppress(ConnectionError):
                    await asyncio.wait_for(connection.reader.read(1), 10)

        await asyncio.gather(*(visit() for _ in range(60)))
        right = await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")
        lines = proxy.logged().splitlines()
    seconds = int(time.monotonic() - began) + 1
    summaries, counts = left_out(lines)
    others = ("left out", "key=tester", "the model list of")
    written = [line for line in lines if not any(other in line for other in others)]

    assert right.status == 200
    assert any("key=tester" in line for line in lines)
    assert len(written) <= 10 * seconds
    assert 1 <= summaries <= seconds
    assert len(written) + counts.total() in (60, 120)  # some kinds have two lines: of a call too


# What libraries say


def said(log_format: LogFormat, speak: Callable[[], object], level: str = "debug") -> list[str]:
    """Return the lines that come of what *speak* logs."""
    stream = io.StringIO()
    writer, _ = configure_logging(log_format, level, stream)
    speak()
    writer.close()
    return stream.getvalue().splitlines()


def fail() -> None:
    try:
        raise ValueError("canary in the message")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error from %s", "canary-address")


def malformed() -> None:
    logging.getLogger("aiohttp.server").error(
        "Bad header: %r", b"Authorization: Bearer canary", stack_info=True
    )


def unfit() -> None:
    logging.getLogger("jarvis_proxy.test").info("%d canary", "canary")


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("speak", [fail, malformed])
def test_library_records_are_logged_by_location_only(
    log_format: LogFormat, speak: Callable[[], None]
) -> None:
    (line,) = said(log_format, speak)

    assert "aiohttp.server: error at test_logging:" in line
    assert "canary" not in line
    assert ("[ValueError at test_logging.py:" in line) == (speak is fail)


def test_library_records_below_info_are_dropped() -> None:
    lines = said("text", lambda: logging.getLogger("asyncio").debug("canary"))

    assert lines == []


def test_what_we_say_is_written_as_it_is() -> None:
    def speak() -> None:
        log = logging.getLogger("jarvis_proxy.server.test")
        log.debug("debugging")
        log.warning("the upstream %s misbehaves", "openai")
        log.error("a class only", exc_info=KeyError("canary"))

    debug, warning, error = said("text", speak)

    assert debug.endswith(" debug debugging")
    assert warning.endswith(" warning the upstream openai misbehaves")
    assert error.endswith(" error a class only [KeyError]")


def test_level_is_that_of_the_settings() -> None:
    def speak() -> None:
        log = logging.getLogger("jarvis_proxy.server.test")
        log.info("quiet")
        log.warning("loud")

    assert [line.rpartition(" ")[2] for line in said("text", speak, "warning")] == ["loud"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_message_whose_values_do_not_fit_raises_nothing(
    log_format: LogFormat, capfd: pytest.CaptureFixture[str]
) -> None:
    assert said(log_format, unfit) == []
    assert "canary" not in capfd.readouterr().err


def test_other_form_and_level_keep_the_writer() -> None:
    stream = io.StringIO()
    writer, _ = configure_logging("text", "info", stream)
    log = install_handler(writer, "json", "error")
    logging.getLogger("jarvis_proxy.server.test").warning("quiet")
    logging.getLogger("jarvis_proxy.server.test").error("loud")
    log.write(record())
    writer.close()

    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "loud"


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
