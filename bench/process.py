"""A measured process: its start, its CPU clock, its memory. IO (reads /proc: Linux)."""

import contextlib
import os
import re
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")
_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


class Process:
    """One proxy under measurement, on a core of its own where the machine has two."""

    def __init__(self, command: str, env: Mapping[str, str], port: int, core: int | None) -> None:
        words = shlex.split(command)
        if core is not None:
            words = ["taskset", "-c", str(core), *words]
        self.port = port
        began = time.perf_counter()
        self._process = subprocess.Popen(
            words,
            env={**os.environ, **env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.start_seconds = self._wait(began)

    def _wait(self, began: float) -> float:
        """Return the seconds until the first answer of any status."""
        while time.perf_counter() - began < 60:
            with contextlib.suppress(OSError):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2)
                except urllib.error.HTTPError:
                    return time.perf_counter() - began
                return time.perf_counter() - began
            if self._process.poll() is not None:
                break
            time.sleep(0.005)
        raise RuntimeError("the proxy does not answer")

    def cpu_seconds(self) -> float:
        """Return the CPU time, user and system, of the process and its children."""
        return sum(_cpu(pid) for pid in self._pids())

    def memory_kib(self) -> float:
        """Return the proportional set size."""
        total = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        return total

    def peak_mb(self) -> int:
        """Return the largest resident size since the start, in megabytes, of all processes."""
        total = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
                total += int(found[1]) * 1024 if found else 0
        return round(total / 1e6)

    def _pids(self) -> list[int]:
        pids = [self._process.pid]
        for task in pids:
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{task}/task/{task}/children").read_text().split()
                pids += [int(child) for child in children]
        return pids

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _cpu(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
