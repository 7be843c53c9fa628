"""One proxy, one scenario: a fresh process under load, and its figures. IO."""

import asyncio
import os
import socket
import time
from dataclasses import dataclass, replace
from typing import Final

from bench.figures import NO_PROXY, Row, percentile
from bench.load import Load, Tally, run
from bench.process import Process

CHAT: Final = "/v1/chat/completions"
_KEY: Final = "bench-key-0123456789abcdef"
_MIN_CONNECTIONS: Final = 2


@dataclass(frozen=True, slots=True)
class Contender:
    """A proxy to measure. *command* may hold {port} and {upstream}; without one it is no proxy."""

    name: str
    command: str
    path: str = CHAT
    headers: tuple[str, ...] = ()
    model: str = ""
    translates: bool = False


DIRECT: Final = Contender(NO_PROXY, "", translates=True)


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
    measures_memory: bool = False

    def scaled(self, scale: float) -> "Scenario":
        """Return a scenario of so much less, or more, load."""
        connections = max(_MIN_CONNECTIONS, round(self.connections * scale))
        return replace(self, connections=connections, seconds=self.seconds * scale)


SCENARIOS: Final = (
    Scenario("memory", 1000, frames=60, pause=1.0, seconds=2.0, measures_memory=True),
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
    if not contender.command:
        tally = Tally()
        asyncio.run(run(_load(contender, scenario, upstream), 0.3, scenario.seconds, tally))
        return _figures(tally, scenario)
    port = free_port()
    command = contender.command.format(port=port, upstream=f"http://127.0.0.1:{upstream}")
    with Process(command, environment(port, upstream), port, _proxy_core()) as process:
        time.sleep(0.3)
        idle = process.memory_kib()
        tally, marks = Tally(), [0.0, 0.0, 0.0]

        async def watched() -> None:
            task = asyncio.create_task(
                run(_load(contender, scenario, port), 1.0, scenario.seconds, tally)
            )
            await tally.opened.wait()
            marks[0] = process.cpu_seconds()
            await tally.closed.wait()
            marks[1] = process.cpu_seconds()
            marks[2] = process.memory_kib()
            await task

        asyncio.run(watched())
    row = _figures(tally, scenario)
    cpu = (marks[1] - marks[0]) * 1e6
    row |= {
        "start_ms": process.start_seconds * 1000,
        "idle_mib": idle / 1024,
        "cpu_us_per_request": cpu / tally.requests if tally.requests else 0.0,
        "cpu_us_per_frame": cpu / tally.frames if tally.frames else 0.0,
    }
    if scenario.measures_memory:
        row["kib_per_stream"] = (marks[2] - idle) / scenario.connections
    return row


def _load(contender: Contender, scenario: Scenario, port: int) -> Load:
    path = contender.path
    if not contender.command and scenario.name == "gemini":
        path = f"/v1beta/models/{scenario.model}:streamGenerateContent?alt=sse"
    return Load(
        port,
        path,
        contender.headers or (f"Authorization: Bearer {_KEY}",),
        contender.model or scenario.model,
        scenario.connections,
        scenario.frames,
        scenario.pause,
        scenario.body_bytes,
    )


def _figures(tally: Tally, scenario: Scenario) -> Row:
    return {
        "requests_per_second": tally.requests / scenario.seconds,
        "frames_per_second": tally.frames / scenario.seconds,
        "first_token_ms": percentile(tally.first_tokens, 0.5) * 1000,
        "delay_ms": percentile(tally.delays, 0.5) * 1000,
        "delay_p99_ms": percentile(tally.delays, 0.99) * 1000,
        "start_ms": 0.0,
        "idle_mib": 0.0,
        "cpu_us_per_request": 0.0,
        "cpu_us_per_frame": 0.0,
        "kib_per_stream": 0.0,
        "errors": float(tally.errors),
    }


def _proxy_core() -> int | None:
    cores = sorted(os.sched_getaffinity(0))
    return cores[-1] if len(cores) > 1 else None
