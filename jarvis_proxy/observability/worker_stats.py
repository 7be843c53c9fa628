"""Statistics of all workers of this machine, merged by the worker that is asked. IO.

Each worker writes its sums to its own slot once a second; a reader merges all slots. The sums of a
worker that has ended stay, so that counters never decrease.
"""

import asyncio
import contextlib
import logging
import mmap
import os
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final

from jarvis_proxy.observability.file_limit import max_files
from jarvis_proxy.observability.live_merge import decode_part, encode_part
from jarvis_proxy.observability.live_stats import LiveStats, WorkerSnapshot
from jarvis_proxy.observability.metrics import MetricFamily, gauge
from jarvis_proxy.observability.metrics_merge import decode, encode, merge_families, without_gauges
from jarvis_proxy.observability.shared_memory import SharedMemorySlot

_METRICS_SIZE: Final = 4 * 1024 * 1024
_LIVE_SIZE: Final = 1024 * 1024
_EVERY: Final = 1.0
_SHARE: Final = 0.02
"""Most of a worker's time for publishing: with thousands of series it publishes less often."""
_VIEWER_TIMEOUT: Final = 5.0
_MOMENT: Final = struct.Struct("=d")
_LOG: Final = logging.getLogger(__name__)


class WorkerSlot:
    """The shared memory in which one worker publishes its statistics."""

    __slots__ = ("live", "metrics")

    def __init__(self) -> None:
        self.metrics = SharedMemorySlot(_METRICS_SIZE)
        self.live = SharedMemorySlot(_LIVE_SIZE)

    def clear(self) -> None:
        """Keep only the counters, because the worker has ended."""
        self.metrics.write(encode(without_gauges(_families(self.metrics) or ())))
        self.live.write(b"")


class WorkerStats:
    """All slots; *own* is this worker's index. *viewer_flag* holds the time of the last view."""

    def __init__(
        self, slots: Sequence[WorkerSlot], own: int, viewer_flag: SharedMemorySlot
    ) -> None:
        self._own = slots[own]
        self._others = [slot for slot in slots if slot is not self._own]
        self._viewer_flag = viewer_flag
        self._base = without_gauges(_families(self._own.metrics) or ())
        self._read: dict[WorkerSlot, list[MetricFamily]] = {}
        self._snapshots: dict[WorkerSlot, tuple[bytes, WorkerSnapshot]] = {}
        self._started_at = time.time()
        self._is_too_large = False

    # -- metrics -------------------------------------------------------------------------------

    def write(self, families: Sequence[MetricFamily]) -> None:
        """Publish this worker's metrics."""
        fits = self._own.metrics.write(
            encode(merge_families([[*families, *self._process()], self._base]))
        )
        if not fits and not self._is_too_large:
            _LOG.warning(
                "the metrics of a worker are too large to be merged with those of the others"
            )
        self._is_too_large = not fits

    def merged_families(self, families: Sequence[MetricFamily]) -> list[MetricFamily]:
        """Return the metrics of all workers; *families* are this worker's."""
        parts = [[*families, *self._process()], self._base]
        for slot in self._others:
            found = _families(slot.metrics)
            if found is not None:
                self._read[slot] = found
            parts.append(self._read.get(slot, []))
        return merge_families(parts)

    async def run(self, families: Callable[[], Sequence[MetricFamily]], live: LiveStats) -> None:
        """Publish *families*, and *live* while there is a viewer, until cancelled."""
        next_write = 0.0
        while True:
            began = time.perf_counter()
            if began >= next_write:
                self.write(families())
                next_write = began + (time.perf_counter() - began) / _SHARE
            self._write_live(live)
            await asyncio.sleep(_EVERY)

    def _process(self) -> list[MetricFamily]:
        """Return this process's resource use under the names of prometheus-client."""
        used = os.times()
        with open("/proc/self/statm", "rb") as file:
            virtual, resident = (int(pages) for pages in file.read().split()[:2])
        most, page = max_files(), mmap.PAGESIZE
        return [
            gauge("jarvis_workers", "Processes that serve.", {(): 1}),
            MetricFamily(
                "process_cpu_seconds",
                "counter",
                "Total user and system CPU time of all workers.",
                samples={(): used.user + used.system},
            ),
            gauge(
                "process_resident_memory_bytes",
                "Resident memory of all workers; what they share is counted in each.",
                {(): resident * page},
            ),
            gauge(
                "process_virtual_memory_bytes",
                "Virtual memory of all workers.",
                {(): virtual * page},
            ),
            gauge(
                "process_open_fds",
                "Open files of all workers.",
                {(): len(os.listdir("/proc/self/fd"))},
            ),
            gauge("process_max_fds", "Files that all workers may open.", {(): most}),
            gauge(
                "process_start_time_seconds",
                "When the youngest worker was started, in epoch seconds.",
                {(): self._started_at},
                merge="max",
            ),
        ]

    # -- the dashboard -------------------------------------------------------------------------

    def mark_viewer(self, now: float) -> None:
        """Note a dashboard viewer, so that the other workers publish live statistics."""
        self._viewer_flag.write(_MOMENT.pack(now))

    def has_viewer(self, now: float) -> bool:
        """Return whether the dashboard has a viewer, on any worker."""
        moment = self._viewer_flag.read()
        return bool(moment) and now - _MOMENT.unpack(moment or b"")[0] < _VIEWER_TIMEOUT

    async def wait_for_workers(self) -> None:
        """Wait until the other workers have published for a new viewer, at most 1.5 seconds."""
        self.mark_viewer(time.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EVERY * 1.5):
                used = [slot for slot in self._others if _is_used(slot)]
                while not all(slot.live.read() for slot in used):  # noqa: ASYNC110 - others write it
                    await asyncio.sleep(_EVERY / 20)

    def _write_live(self, live: LiveStats) -> None:
        """Publish this worker's live statistics while there is a viewer."""
        now = time.monotonic()
        if self.has_viewer(now):
            self._own.live.write(encode_part(live.worker_snapshot(str(os.getpid()), now)))
        elif self._own.live.read():
            self._own.live.write(b"")

    def snapshots(self) -> list[WorkerSnapshot]:
        """Return the other workers' live statistics."""
        for slot in self._others:
            data = slot.live.read()
            if data == b"":
                self._snapshots.pop(slot, None)
            elif data is not None and (
                slot not in self._snapshots or self._snapshots[slot][0] != data
            ):
                self._snapshots[slot] = (data, decode_part(data))
        return [part for _, part in self._snapshots.values()]


def _is_used(slot: WorkerSlot) -> bool:
    """Return whether a running worker writes to *slot*."""
    return any(family.kind == "gauge" for family in _families(slot.metrics) or ())


def _families(slot: SharedMemorySlot) -> list[MetricFamily] | None:
    data = slot.read()
    return None if data is None else decode(data)
