"""Callers without a key cannot fill the log."""

import asyncio
import contextlib
import io
import json
import logging
import re
import time
from collections import Counter

import pytest

from jarvis_proxy.observability.logging import (
    AccessLog,
    LogFormat,
    ThreadedLineWriter,
    install_handler,
)
from tests.conftest import BEARER, KEY, running_proxy
from tests.observability.log_lines import fail, logged, record, said
from tests.support.raw_client import connect, fetch

pytestmark = pytest.mark.slow

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
def test_calls_without_a_key_are_ten_lines_a_second_and_one(log_format: LogFormat) -> None:
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


def test_a_summary_comes_although_nothing_follows() -> None:
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


def test_lines_below_the_level_are_not_counted() -> None:
    def write(writer: ThreadedLineWriter) -> None:
        log = AccessLog(writer, "text", logging.WARNING)
        for _ in range(100):
            log.write(record(status=401))

    assert logged(write) == []


def test_lines_of_libraries_are_limited_too() -> None:
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
async def test_unauthenticated_callers_cannot_fill_the_log(kind: str) -> None:
    """Many clients send it, each on its own connection."""
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
