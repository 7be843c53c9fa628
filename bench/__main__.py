"""Measures this proxy, and any other given, in alternating rounds: ``python -m bench``. IO.

    python -m bench                                   this proxy, three rounds
    python -m bench --rounds 5 --only requests,frames
    python -m bench --other 'name=command with {port} and {upstream}' --other-path /v1/...

CPU time by request or frame is the figure to compare: it does not care how much of the core the
machine's other users took. Figures of one run compare with each other, and with nothing else.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.load import Load, Tally, run
from bench.process import Process

_KEY: Final = "bench-key-0123456789abcdef"
_ROOT: Final = Path(__file__).resolve().parent.parent
Row = dict[str, float]


@dataclass(frozen=True, slots=True)
class Contender:
    """A proxy to measure. *command* may hold {port} and {upstream}."""

    name: str
    command: str
    path: str = "/v1/chat/completions"
    translates: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is asked of every contender."""

    name: str
    connections: int
    frames: int = 0
    pause: float = 0.0
    body_bytes: int = 0
    model: str = "gpt-4o-mini"
    seconds: float = 3.0


SCENARIOS: Final = (
    Scenario("memory", 1000, frames=60, pause=1.0, seconds=2.0),
    Scenario("requests", 64),
    Scenario("burst", 32, frames=200),
    Scenario("frames", 200, frames=200, pause=0.02),
    Scenario("gemini", 50, frames=200, pause=0.02, model="gemini-2.5-flash"),
    Scenario("large", 4, body_bytes=5_000_000),
)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(port: int, upstream: int) -> dict[str, str]:
    """Return this proxy's settings for a round: everything on that is on by default."""
    return {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PROXY_API_KEYS": f"bench:{_KEY}",
        "OPENAI_API_KEY": "sk-bench-upstream",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}/v1",
        "GEMINI_API_KEY": "AIza-bench-upstream",
        "GEMINI_BASE_URL": f"http://127.0.0.1:{upstream}/v1beta",
        "MAX_STREAMS": "10000",
        "MAX_STREAMS_PER_KEY": "10000",
        "MAX_CONNECTIONS": "10000",
        "MAX_CONNECTIONS_PER_IP": "10000",
        "STATE_DIR": "",
    }


def measure(contender: Contender, scenario: Scenario, upstream: int) -> Row:
    """Run one scenario against a fresh process and return its figures."""
    port = free_port()
    command = contender.command.format(port=port, upstream=f"http://127.0.0.1:{upstream}")
    process = Process(command, environment(port, upstream), port, _proxy_core())
    try:
        time.sleep(0.3)
        idle = process.memory_kib()
        load = Load(
            port,
            contender.path,
            (f"Authorization: Bearer {_KEY}",),
            scenario.model,
            scenario.connections,
            scenario.frames,
            scenario.pause,
            scenario.body_bytes,
        )
        tally, marks = Tally(), [0.0, 0.0, 0.0]

        async def watched() -> None:
            task = asyncio.create_task(run(load, 1.0, scenario.seconds, tally))
            await tally.opened.wait()
            marks[0] = process.cpu_seconds()
            await tally.closed.wait()
            marks[1] = process.cpu_seconds()
            marks[2] = process.memory_kib()
            await task

        asyncio.run(watched())
    finally:
        process.stop()
    cpu = (marks[1] - marks[0]) * 1e6
    return {
        "start_ms": process.start_seconds * 1000,
        "idle_mib": idle / 1024,
        "requests_per_second": tally.requests / scenario.seconds,
        "frames_per_second": tally.frames / scenario.seconds,
        "cpu_us_per_request": cpu / tally.requests if tally.requests else 0.0,
        "cpu_us_per_frame": cpu / tally.frames if tally.frames else 0.0,
        "first_byte_ms": _median(tally.first_bytes) * 1000,
        "latency_ms": _median(tally.latencies) * 1000,
        "kib_per_stream": (marks[2] - idle) / scenario.connections if scenario.frames else 0.0,
        "errors": float(tally.errors),
    }


def _median(values: list[float]) -> float:
    return statistics.median(values) if values else 0.0


def _proxy_core() -> int | None:
    cores = sorted(os.sched_getaffinity(0))
    return cores[-1] if len(cores) > 1 else None


def table(results: dict[tuple[str, str], list[Row]]) -> str:
    """Return the medians as a Markdown table."""
    columns = [
        "start_ms",
        "idle_mib",
        "requests_per_second",
        "cpu_us_per_request",
        "cpu_us_per_frame",
        "first_byte_ms",
        "kib_per_stream",
        "errors",
    ]
    lines = [
        "| scenario | proxy | " + " | ".join(c.replace("_", " ") for c in columns) + " |",
        "|---|---|" + "---:|" * len(columns),
    ]
    for (scenario, name), rows in results.items():
        cells = [f"{statistics.median(row[column] for row in rows):.1f}" for column in columns]
        lines.append(f"| {scenario} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure as the arguments say, print the table, write the raw figures."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(s.name for s in SCENARIOS))
    parser.add_argument("--other", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--json", type=Path, help="write every round's figures there")
    arguments = parser.parse_args()
    contenders = [Contender("jarvis", f"{sys.executable} {_ROOT / 'server.py'}", translates=True)]
    for other in arguments.other:
        name, _, command = other.partition("=")
        contenders.append(Contender(name, command))
    upstream = free_port()
    server = subprocess.Popen([sys.executable, "-m", "bench.upstream", str(upstream)], cwd=_ROOT)
    results: dict[tuple[str, str], list[Row]] = defaultdict(list)
    try:
        time.sleep(0.5)
        wanted = arguments.only.split(",")
        for number in range(arguments.rounds):
            for scenario in (s for s in SCENARIOS if s.name in wanted):
                for contender in contenders:
                    if scenario.name == "gemini" and not contender.translates:
                        continue
                    sys.stderr.write(f"round {number + 1}: {scenario.name}, {contender.name}\n")
                    row = measure(contender, scenario, upstream)
                    results[scenario.name, contender.name].append(row)
    finally:
        server.terminate()
        server.wait()
    print(table(results))
    if arguments.json:
        rows = [{"scenario": s, "proxy": n, "rounds": r} for (s, n), r in results.items()]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
