"""Many streams at once, read or not: ``python -m tests.support.load_scenarios slow``. IO.

``hold --streams 2000 --minutes 10``: all are open at the same time, each gets an event a second.
``slow --streams 512``: none is read; quick calls are timed meanwhile and without them.
The proxy runs in a process of its own, which tells what it takes.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import socket
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.conftest import BEARER
from tests.support.measured_proxy import Measure, MeasuredProxy, raise_file_limit, start
from tests.support.raw_client import RawConnection, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

CHAT: Final = "/v1/chat/completions"
MOST_PER_STREAM: Final = 32 * 1024
MOST_PER_SLOW_READER: Final = 512 * 1024
MOST_SLOPE: Final = 0.5
"""MiB a minute by which memory may grow while streams are held."""
_DONE: Final = b"data: [DONE]\n\n"
_FLOOD: Final = chat_chunk("x" * 16_000)
_OPENING_AT_ONCE: Final = 100
_SETTLING: Final = 0.2
"""The share of the time after which memory is looked at: buffers have found their size by then."""
_SAMPLES: Final = 200


class Crowd:
    """An upstream of streams that go on until ``over``, and what it sent in each."""

    def __init__(self, pause: float = 0.0, event: bytes | None = None) -> None:
        self.upstream = RawUpstream(self._play)
        self.over = asyncio.Event()
        self.sent: dict[int, hashlib._Hash] = {}
        self._pause = pause
        self._event = event

    async def _play(self, peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[]}')
            return
        number = int(json.loads(request.body)["messages"][0]["content"])
        if number < 0:
            await peer.reply(completion(), extra=["Connection: close"])
            peer.close()
            return
        # Else the proxy would keep the connection for the next call, for a quarter of a minute.
        await peer.head(extra=["Connection: close"])
        sent = self.sent[number] = hashlib.sha256()
        count = 0
        while not self.over.is_set():
            event = self._event or chat_chunk(f"{number}:{count}")
            count += 1
            sent.update(event)
            await peer.chunk(event)
            if self._pause:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.over.wait(), self._pause)
        end = chat_chunk(finish="stop") + _DONE
        sent.update(end)
        await peer.chunk(end)
        await peer.last_chunk()
        peer.close()


def request(number: int, *, stream: bool = True) -> bytes:
    """Return a call that carries its number."""
    messages = [{"role": "user", "content": str(number)}]
    return json.dumps({"model": "gpt-4o", "messages": messages, "stream": stream}).encode()


async def read_to_the_end(crowd: Crowd, connection: RawConnection, number: int) -> str:
    """Read a stream, head and all; return what is wrong with it, "" if nothing is."""
    try:
        status, _ = await connection.head()
    except (OSError, EOFError) as exc:
        return f"stream {number}: no answer: {exc!r}"
    if status != 200:
        return f"stream {number}: status {status}"
    got, tail = hashlib.sha256(), b""
    while data := await connection.chunk():
        got.update(data)
        tail = (tail + data)[-len(_DONE) :]
    if data is None:
        return f"stream {number}: cut"
    if tail != _DONE:
        return f"stream {number}: ends with {tail!r}"
    return "" if got.digest() == crowd.sent[number].digest() else f"stream {number}: other bytes"


@dataclass
class Held:
    """What came of streams that were held."""

    streams: int
    seconds: float
    before: Measure
    open: Measure
    after: Measure
    per_stream: float
    slope: float
    """MiB a minute."""
    wrong: list[str] = field(default_factory=list)

    @property
    def leftovers(self) -> tuple[int, int]:
        """Files and tasks more than before."""
        return self.after.files - self.before.files, self.after.tasks - self.before.tasks

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.streams} streams held for {self.seconds:.0f} s, {len(self.wrong)} wrong",
                f"memory: {self.before.rss >> 20} MiB before, {self.open.rss >> 20} with all open, "
                f"{self.after.rss >> 20} after; {self.per_stream / 1024:.1f} KiB a stream, "
                f"{self.slope:+.2f} MiB a minute",
                f"files and tasks more than before: {self.leftovers}",
                *self.wrong[:20],
            ]
        )


async def hold(streams: int, seconds: float, *, pause: float = 1.0) -> Held:
    """Hold streams open with an event every *pause* seconds, then end them."""
    crowd = Crowd(pause)
    async with (
        crowd.upstream.running(),
        start(openai=crowd.upstream.base_url) as proxy,
        contextlib.AsyncExitStack() as stack,
    ):
        await _warm(proxy)
        before = await proxy.settled()
        reading = []
        for first in range(0, streams, _OPENING_AT_ONCE):
            numbers = range(first, min(first + _OPENING_AT_ONCE, streams))
            for connection, number in zip(
                await _opened(stack, proxy.port, len(numbers)), numbers, strict=True
            ):
                await connection.post(CHAT, request(number), _HEADERS)
                reading.append(asyncio.create_task(read_to_the_end(crowd, connection, number)))
            await proxy.settled(calls=len(reading))
        samples = await _sampled(proxy, seconds)
        at_full = await proxy.measure()
        crowd.over.set()
        wrong = [fault for fault in await asyncio.gather(*reading) if fault]
        if at_full.calls != streams:
            wrong.append(f"{at_full.calls} calls in progress in place of {streams}")
        await stack.aclose()
        after = await proxy.unchanged(before)
    per_stream = (at_full.rss - before.rss) / streams
    settled = samples[int(len(samples) * _SETTLING) :]
    slope = theil_sen([(at / 60, rss / 2**20) for at, rss in settled])
    return Held(streams, seconds, before, at_full, after, per_stream, slope, wrong)


_HEADERS: Final = {**BEARER, "Content-Type": "application/json"}


async def _opened(stack: contextlib.AsyncExitStack, port: int, count: int) -> list[RawConnection]:
    return list(
        await asyncio.gather(*(stack.enter_async_context(connect(port)) for _ in range(count)))
    )


async def _warm(proxy: MeasuredProxy) -> None:
    """Let the proxy load what it loads at the first calls."""
    for _ in range(20):
        response = await fetch(proxy.port, CHAT, request(-1, stream=False), _HEADERS)
        assert response.status == 200


async def _sampled(proxy: MeasuredProxy, seconds: float) -> list[tuple[float, int]]:
    """Return moments and what memory the proxy took then."""
    began = time.monotonic()
    samples = []
    while (at := time.monotonic() - began) < seconds:
        samples.append((at, (await proxy.measure()).rss))
        await asyncio.sleep(max(seconds / _SAMPLES, 0.1))
    return samples


def theil_sen(points: Sequence[tuple[float, float]]) -> float:
    """Return the median of the slopes between all pairs of *points*: outliers do not move it."""
    slopes = [
        (y2 - y1) / (x2 - x1)
        for index, (x1, y1) in enumerate(points)
        for x2, y2 in points[index + 1 :]
        if x2 > x1
    ]
    return statistics.median(slopes) if slopes else 0.0


@dataclass
class Slow:
    """What came of clients that do not read."""

    readers: int
    before: Measure
    stalled: Measure
    settled: Measure
    """What is taken a while later: nothing in addition."""
    after: Measure
    alone: list[float]
    """Seconds that quick calls took without slow readers..."""
    meanwhile: list[float]
    """...and meanwhile."""
    wrong: list[str] = field(default_factory=list)

    @property
    def per_reader(self) -> float:
        """Bytes of memory that one costs."""
        return (max(self.stalled.rss, self.settled.rss) - self.before.rss) / self.readers

    @property
    def leftovers(self) -> tuple[int, int]:
        """Files and tasks more than before."""
        return self.after.files - self.before.files, self.after.tasks - self.before.tasks

    def __str__(self) -> str:
        alone, meanwhile = (percentiles(times) for times in (self.alone, self.meanwhile))
        return "\n".join(
            [
                f"{self.readers} slow readers, {self.stalled.stalled} found stalled, "
                f"{len(self.wrong)} wrong",
                f"memory: {self.before.rss >> 20} MiB before, {self.settled.rss >> 20} with all "
                f"stalled, {self.after.rss >> 20} after; {self.per_reader / 1024:.0f} KiB each, "
                f"of which {self.settled.buffered / self.readers / 1024:.0f} wait to be read",
                f"quick calls: p50 {alone[0]:.1f} ms and p99 {alone[1]:.1f} ms alone, "
                f"p50 {meanwhile[0]:.1f} ms and p99 {meanwhile[1]:.1f} ms meanwhile",
                f"files and tasks more than before: {self.leftovers}",
                *self.wrong[:20],
            ]
        )


def percentiles(times: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile of *times*, in milliseconds."""
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return cuts[49] * 1000, cuts[98] * 1000


async def slow(readers: int, *, calls: int = 1000) -> Slow:
    """Let so many clients ask for endless streams and not read; then half of them read on."""
    crowd = Crowd(event=_FLOOD)
    async with (
        crowd.upstream.running(),
        start(openai=crowd.upstream.base_url) as proxy,
    ):
        await _warm(proxy)
        before = await proxy.settled()
        alone = await timed(proxy.port, calls)
        connections = [_unread(proxy.port) for _ in range(readers)]
        try:
            for number, connection in enumerate(connections):
                body = request(number)
                head = f"POST {CHAT} HTTP/1.1\r\nHost: p\r\nContent-Length: {len(body)}\r\n"
                lines = "".join(f"{name}: {value}\r\n" for name, value in _HEADERS.items())
                connection.sendall(f"{head}{lines}\r\n".encode() + body)
            stalled = await _all_stalled(proxy, readers)
            meanwhile = await timed(proxy.port, calls)
            settled = await proxy.measure()
            crowd.over.set()
            wrong = await _read_on(crowd, connections[::2])
        finally:
            for connection in connections:
                connection.close()
        after = await proxy.unchanged(before)
    if settled.stalled != readers:
        wrong.append(f"{settled.stalled} stalled in place of {readers}")
    return Slow(readers, before, stalled, settled, after, alone, meanwhile, wrong)


def _unread(port: int) -> socket.socket:
    """Return a connection with little room for what is not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    return sock


async def _all_stalled(proxy: MeasuredProxy, readers: int) -> Measure:
    """Wait until every client is found not to read, and nothing more is read for it."""
    async with asyncio.timeout(60):
        found = await proxy.measure()
        while True:
            await asyncio.sleep(0.2)
            last, found = found, await proxy.measure()
            if found.stalled == readers and found.buffered == last.buffered:
                return found


async def _read_on(crowd: Crowd, connections: Sequence[socket.socket]) -> list[str]:
    async def one(connection: socket.socket, number: int) -> str:
        connection.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=connection)
        fault = await read_to_the_end(crowd, RawConnection(reader, writer), number)
        writer.close()
        return fault

    faults = await asyncio.gather(
        *(one(connection, 2 * index) for index, connection in enumerate(connections))
    )
    return [fault for fault in faults if fault]


async def timed(port: int, calls: int) -> list[float]:
    """Return how long so many quick calls took, one after the other."""
    times = []
    async with connect(port) as connection:
        for _ in range(calls):
            began = time.perf_counter()
            await connection.post(CHAT, request(-1, stream=False), _HEADERS)
            response = await connection.response()
            times.append(time.perf_counter() - began)
            assert response.status == 200
    return times


def main() -> int:
    """Run the command; 1 if something was wrong or above what is promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    held = kinds.add_parser("hold", help="streams that are read")
    held.add_argument("--streams", type=int, default=2000)
    held.add_argument("--minutes", type=float, default=10)
    unread = kinds.add_parser("slow", help="streams that are not read")
    unread.add_argument("--streams", type=int, default=512)
    unread.add_argument("--calls", type=int, default=1000)
    given = parser.parse_args()
    raise_file_limit()
    report: Held | Slow
    if given.kind == "hold":
        report = asyncio.run(hold(given.streams, given.minutes * 60))
        is_good = report.per_stream <= MOST_PER_STREAM and report.slope < MOST_SLOPE
    else:
        report = asyncio.run(slow(given.streams, calls=given.calls))
        is_good = (
            report.per_reader <= MOST_PER_SLOW_READER
            and percentiles(report.meanwhile)[1] < 2 * percentiles(report.alone)[1]
        )
    sys.stdout.write(f"{report}\n")
    return 0 if is_good and not report.wrong and max(report.leftovers) <= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
