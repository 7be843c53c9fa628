"""Memory of the process: what a burst of large bodies took is given back."""

import asyncio
import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from jarvis_proxy.runtime import memory
from tests.support.eventually import eventually

ROOT = Path(__file__).resolve().parents[2]
_HAS_GLIBC = hasattr(ctypes.CDLL(None), "malloc_trim")


def test_resident_memory_is_that_of_the_process() -> None:
    assert 5e6 < memory.rss_bytes() < 5e9


def test_without_any_source_the_limit_is_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "_STATM", tmp_path / "none")

    assert memory.rss_bytes() == 0


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())

    memory.tune_malloc()
    memory.trim_heap()


async def burst() -> None:
    """Take memory and free it while busy, then be idle: in a process with a heap of its own."""
    memory.tune_malloc()
    busy = True
    asked = 0

    def is_idle() -> bool:
        nonlocal asked
        asked += 1
        return not busy

    task = asyncio.create_task(memory.trim_heap_when_idle(is_idle, every=0.01))
    await asyncio.sleep(0)
    # Small blocks come from the heap that is kept; the last one holds the rest of it in place.
    blocks = [bytes(1000) for _ in range(40_000)]
    pin = bytes(1000)
    grown = memory.rss_bytes()
    del blocks
    kept = memory.rss_bytes()
    await eventually(lambda: asked)
    busy = False
    await eventually(lambda: memory.rss_bytes() <= grown - 20e6)
    task.cancel()

    assert kept > grown - 20e6
    assert len(pin) == 1000


@pytest.mark.slow
@pytest.mark.skipif(not _HAS_GLIBC, reason="not glibc")
def test_memory_is_given_back_when_idle_and_not_before() -> None:
    code = "import asyncio; from tests.runtime.test_memory import burst; asyncio.run(burst())"
    seen = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert seen.returncode == 0, seen.stderr
