"""The proxy in a process of its own, which tells how much it takes: ``start`` from a test. IO."""

import asyncio
import contextlib
import gc
import json
import os
import re
import resource
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from jarvis_proxy.cli import run_event_loop
from tests.conftest import Proxy, running_proxy

ROOMY: Final = {
    "MAX_STREAMS": "100000",
    "MAX_STREAMS_PER_KEY": "100000",
    "MAX_CONNECTIONS": "100000",
    "MAX_CONNECTIONS_PER_IP": "100000",
    "LOG_LEVEL": "error",
}
"""Settings for a crowd from one address with one key: what limits crowds is tested elsewhere."""

_ROOT: Final = Path(__file__).resolve().parents[2]
_PATIENCE: Final = 30.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Measure:
    """What the process takes: memory in bytes, open files, tasks; its calls, and their buffers."""

    rss: int
    files: int
    tasks: int
    calls: int
    stalled: int
    """Calls that wait for their client to read; nothing is read upstream for them."""
    buffered: int
    """Bytes that wait in this process for clients to read."""
    errors: int
    """Lines of the proxy's own errors in the log."""


class MeasuredProxy:
    """A proxy in another process."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.port = port

    async def measure(self) -> Measure:
        """Return what it takes now."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        return Measure(**await _line(self._process))

    async def settled(self, calls: int = 0, seconds: float = _PATIENCE) -> Measure:
        """Wait until so many calls are in progress; return what it takes then."""
        async with asyncio.timeout(seconds):
            found = await self.measure()
            while found.calls != calls:
                await asyncio.sleep(0.02)
                found = await self.measure()
        return found

    async def unchanged(self, like: Measure, seconds: float = _PATIENCE) -> Measure:
        """Wait until no call is left, nor more files and tasks than in *like*; return what is.

        What is left when the time is over is returned too: the test will say so.
        """
        found = await self.measure()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while found.calls or found.files > like.files or found.tasks > like.tasks:
                    await asyncio.sleep(0.1)
                    found = await self.measure()
        return found


@contextlib.asynccontextmanager
async def start(**env: str) -> AsyncIterator[MeasuredProxy]:
    """Start a proxy with room for many; *env* are further settings."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.measured_proxy",
        cwd=_ROOT,
        stdin=PIPE,
        stdout=PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({**ROOMY, **env}).encode() + b"\n")
    try:
        yield MeasuredProxy(process, (await _line(process))["port"])
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _line(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), _PATIENCE)
    found = json.loads(line or b"null")
    assert isinstance(found, dict), "the proxy's process has ended"
    return found


def raise_file_limit() -> None:
    """Allow this process as many open files as it may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _measure(proxy: Proxy) -> Measure:
    gc.collect()
    calls = tuple(proxy.context.deadline_monitor)
    clients = [call.client_side for call in calls if call.client_side is not None]
    with open("/proc/self/statm", encoding="ascii") as statm:
        rss = int(statm.read().split()[1]) * _PAGE
    return Measure(
        rss=rss,
        files=len(os.listdir("/proc/self/fd")),
        tasks=len(asyncio.all_tasks()),
        calls=len(calls),
        stalled=sum(client.stalled for client in clients),
        buffered=sum(client.pending() for client in clients),
        errors=len(re.findall(r"^\S+ error ", proxy.log.getvalue(), re.MULTILINE)),
    )


async def _main() -> None:
    raise_file_limit()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with running_proxy(**json.loads(await reader.readline())) as proxy:
        _say({"port": proxy.port})
        while await reader.readline():
            _say(asdict(_measure(proxy)))


def _say(found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run_event_loop(_main())
