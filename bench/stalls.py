"""Measures what one request costs, and how long it holds up others: ``python -m bench.stalls``. IO.

    python -m bench.stalls                          every shape, from 64 kB to 60 MB
    python -m bench.stalls --sizes 1,4 --only schema,calls

Each cell is the proxy's CPU time for a megabyte of the request, and the longest answer to
``GET /health`` meanwhile. The cost is linear where the first figure does not grow along a row; a
request that is refused costs less. The second one shall stay below 250 ms: the exit code is 1 where
it does not. It is a time, so measure on a machine that does nothing else.
"""

import argparse
import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.memory import call
from bench.process import Process
from bench.rounds import environment, free_port
from bench.shapes import Shape
from bench.work_shapes import WORK

_SIZES: Final = "0.064,0.25,1,4,16,60"
_MOST_MS: Final = 250
_ENOUGH: Final = 1_000_000
_HEALTH: Final = b"GET /health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"


def main() -> None:
    """Measure as the arguments say; print a table; exit 1 where others were held up."""
    arguments = _arguments()
    if arguments.probe:
        _probe(arguments.probe)
        return
    sizes = [float(size) for size in arguments.sizes.split(",")]
    print(
        "| shape |"
        + "".join(f" {size:g} MB |" for size in sizes)
        + "\n|---|"
        + "---:|" * len(sizes)
    )
    upstream = free_port()
    server = subprocess.Popen([sys.executable, "-m", "bench.upstream", str(upstream)])
    try:
        time.sleep(0.5)
        wanted = [word for word in arguments.only.split(",") if word]
        rows = [_row(shape, sizes, upstream) for shape in WORK if _is_wanted(shape, wanted)]
    finally:
        server.terminate()
        server.wait()
    sys.exit(1 if any(rows) else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.stalls",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", default=_SIZES, help="of requests, in megabytes")
    parser.add_argument("--only", default="", help="words of the shapes' names, with commas")
    parser.add_argument("--probe", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _is_wanted(shape: Shape, words: list[str]) -> bool:
    return not words or any(word in shape.name for word in words)


def _row(shape: Shape, sizes: list[float], upstream: int) -> bool:
    """Print a row; return whether others were held up too long in it."""
    port = free_port()
    env = {**environment(port, upstream), "LOG_LEVEL": "error"}
    cells, is_slow = [], False
    with Process(f"{sys.executable} server.py", env, port, None) as process:
        for size in sizes:
            body = shape.body(int(size * 1e6))
            # The kernel counts in steps of 10 ms, so small requests are sent several times.
            times = max(1, round(_ENOUGH / len(body)))
            before = process.cpu_seconds()
            for _ in range(times):
                asyncio.run(call(port, shape, body))
            spent = (process.cpu_seconds() - before) * 1000 / times
            with probing(port) as probe:
                asyncio.run(call(port, shape, body))
                longest = probe()
            mark = " **slow**" if longest > _MOST_MS else ""
            is_slow |= longest > _MOST_MS
            cells.append(f"{spent / (len(body) / 1e6):.0f} ms, {longest:.0f} ms{mark}")
    print(f"| {shape.name} | " + " | ".join(cells) + " |", flush=True)
    return is_slow


@contextmanager
def probing(port: int) -> Iterator["Probe"]:
    """Run a probe of the server at *port*."""
    command = [sys.executable, "-m", "bench.stalls", "--probe", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        probe = Probe(process)
        probe()
        try:
            yield probe
        finally:
            process.terminate()


class Probe:
    """Another process that asks for /health all the time; called, it says the longest in ms."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def __call__(self) -> float:
        """Return the longest answer since the last call."""
        to, back = self._process.stdin, self._process.stdout
        assert to is not None  # noqa: S101 - both are pipes
        assert back is not None  # noqa: S101
        to.write(b"\n")
        to.flush()
        return float(back.readline())


def _probe(port: int) -> None:
    """Ask for /health every 5 ms; at each line of input, write the longest time and forget it."""
    longest, began = 0.0, time.perf_counter()

    def took() -> float:
        return (time.perf_counter() - began) * 1000

    async def ask() -> None:
        nonlocal longest, began
        while True:
            began = time.perf_counter()
            await asyncio.to_thread(_ask, port)
            longest = max(longest, took())
            await asyncio.sleep(0.005)

    async def run() -> None:
        nonlocal longest
        asking = asyncio.create_task(ask())
        while await asyncio.to_thread(sys.stdin.readline):
            await asyncio.sleep(0.05)
            print(max(longest, took()), flush=True)
            longest = 0.0
        asking.cancel()

    asyncio.run(run())


def _ask(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(_HEALTH)
        while connection.recv(4096):
            pass


if __name__ == "__main__":
    main()
