"""Measures the largest memory that calls of every shape take: ``python -m bench.memory``. IO.

    python -m bench.memory                       16 at once of each shape, of 4 and of 60 MB
    python -m bench.memory --megabytes 16 --calls 64 --only picture,text

Each shape gets a process of its own, with the settings' defaults. The table shows the largest
resident size next to what the proxy promises: four times MAX_INFLIGHT_MB, and 150 MB.
"""

import argparse
import asyncio
import collections
import re
import sys
from collections.abc import Iterable
from typing import Final

from bench.greedy_upstream import GreedyUpstream
from bench.process import Process
from bench.rounds import environment, free_port
from bench.shapes import ANSWERS, REQUESTS, Shape, links

_INFLIGHT: Final = 256
_PROMISED: Final = 4 * _INFLIGHT + 150
_PATIENCE: Final = 8.0
_STATUS: Final = re.compile(rb"HTTP/1.1 (\d+)")
_CODE: Final = re.compile(rb'"code": ?"(\w+)"')


def main() -> None:
    """Measure as the arguments say; print a table; exit 1 where the promise is broken."""
    arguments = _arguments()
    broken = asyncio.run(_measure(arguments))
    sys.exit(1 if broken else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--calls", type=int, default=16)
    parser.add_argument("--megabytes", type=int, action="append", help="of a request (4 and 60)")
    parser.add_argument("--only", default="", help="words of the shapes' names, with commas")
    return parser.parse_args()


async def _measure(arguments: argparse.Namespace) -> bool:
    upstream = GreedyUpstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, limit=2**26)
    port = server.sockets[0].getsockname()[1]
    broken = False
    print("| shape | MB a request | at the start, MB | peak, MB | promised | answers |")
    print("|---|---:|---:|---:|---:|---|")
    async with server:
        for shape, size in _rows(arguments, port):
            upstream.answer = shape.answer
            start, peak, seen = await _one(shape, size * 1_000_000, arguments.calls, port)
            broken |= peak > _PROMISED
            mark = "" if peak <= _PROMISED else " **broken**"
            row = f"| {shape.name} | {size or ''} | {start} | {peak}{mark} | {_PROMISED} | {seen} |"
            print(row, flush=True)
    return broken


def _rows(arguments: argparse.Namespace, port: int) -> Iterable[tuple[Shape, int]]:
    wanted = [word for word in arguments.only.split(",") if word]
    link = links(f"http://127.0.0.1:{port}/a.png")
    rows = [(shape, size) for size in arguments.megabytes or (4, 60) for shape in REQUESTS]
    for row in [*rows, (link, 0), *((shape, 0) for shape in ANSWERS)]:
        if not wanted or any(word in row[0].name for word in wanted):
            yield row


async def _one(shape: Shape, size: int, calls: int, upstream: int) -> tuple[int, int, str]:
    """Return the resident size at the start, the largest, and how the calls ended."""
    port = free_port()
    body = shape.body(size)
    command = f"{sys.executable} -m bench.linked_server"
    env = {**environment(port, upstream), "MAX_INFLIGHT_MB": str(_INFLIGHT), "LOG_LEVEL": "error"}
    with Process(command, env, port, None) as process:
        start = process.peak_mb()
        ends = await asyncio.gather(*(call(port, shape, body) for _ in range(calls)))
        peak = process.peak_mb()
    counted = collections.Counter(ends).most_common()
    return start, peak, ", ".join(f"{count} × {end}" for end, count in counted)


async def call(port: int, shape: Shape, body: bytes) -> str:
    """Send one request, keep its connection as long as the others; return how it ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seen = b""
    try:
        async with asyncio.timeout(_PATIENCE):
            await _send(writer, shape, body)
            if not shape.reads:
                await asyncio.sleep(_PATIENCE)
            while data := await reader.read(2**16):
                seen = (seen + data)[:4096]
    except TimeoutError:
        pass
    except ConnectionError:
        seen = seen or b"cut"
    finally:
        writer.transport.abort()
    return _end(seen)


async def _send(writer: asyncio.StreamWriter, shape: Shape, body: bytes) -> None:
    lines = [
        f"POST {shape.path} HTTP/1.1",
        "Host: bench",
        "Authorization: Bearer bench-key-0123456789abcdef",
        f"Content-Type: {shape.kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if shape.coding:
        lines.append(f"Content-Encoding: {shape.coding}")
    writer.write("\r\n".join((*lines, "", "")).encode())
    for at in range(0, len(body), 2**20):
        writer.write(body[at : at + 2**20])
        await writer.drain()


def _end(seen: bytes) -> str:
    status, code = _STATUS.search(seen), _CODE.search(seen)
    if status is None:
        return seen.decode() or "waiting"
    return status[1].decode() + (f" {code[1].decode()}" if code else "")


if __name__ == "__main__":
    main()
