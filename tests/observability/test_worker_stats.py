"""What workers count together, whichever of them answers, and after one has ended."""

import asyncio
import logging
import os
import time
from collections.abc import Sequence

import pytest

from jarvis_proxy.observability import worker_stats as module
from jarvis_proxy.observability.live_stats import LiveStats
from jarvis_proxy.observability.metrics import MetricFamily, gauge
from jarvis_proxy.observability.shared_memory import SharedMemorySlot
from jarvis_proxy.observability.worker_stats import WorkerSlot, WorkerStats
from tests.observability.test_live_stats import call
from tests.support.eventually import eventually

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")


def calls(number: float) -> list[MetricFamily]:
    return [
        MetricFamily("jarvis_calls", "counter", "Calls.", samples={(): number}),
        gauge("jarvis_open", "Open.", {(): 1}),
    ]


def value(families: Sequence[MetricFamily], name: str) -> float:
    (found,) = [family.samples[()] for family in families if family.name == name]
    return found


class Workers:
    """Slots of workers, and the statistics that each of them sees."""

    def __init__(self, number: int = 3) -> None:
        self.slots = [WorkerSlot() for _ in range(number)]
        self.viewer_flag = SharedMemorySlot(64)

    def workers(self, own: int) -> WorkerStats:
        return WorkerStats(self.slots, own, self.viewer_flag)


def test_any_worker_merges_the_metrics_of_all() -> None:
    workers_of = Workers()
    one, other = workers_of.workers(0), workers_of.workers(1)
    one.write(calls(3))
    other.write(calls(4))

    assert value(one.merged_families(calls(5)), "jarvis_calls") == 9  # its own as they are now
    assert value(other.merged_families(calls(4)), "jarvis_calls") == 7
    assert value(one.merged_families(calls(5)), "jarvis_open") == 2
    assert value(one.merged_families(calls(5)), "jarvis_workers") == 2


def test_counters_of_an_ended_worker_stay_and_continue_in_its_slot() -> None:
    workers_of = Workers()
    workers_of.workers(0).write(calls(3))
    workers_of.slots[0].clear()
    other = workers_of.workers(1)
    assert value(other.merged_families(calls(1)), "jarvis_calls") == 4
    assert value(other.merged_families(calls(1)), "jarvis_open") == 1

    next_one = workers_of.workers(0)
    next_one.write(calls(2))
    assert value(other.merged_families(calls(1)), "jarvis_calls") == 6
    assert (
        value(next_one.merged_families(calls(2)), "jarvis_calls") == 5
    )  # the other has written nothing yet


def test_what_is_half_written_counts_as_it_was_before() -> None:
    workers_of = Workers()
    one, other = workers_of.workers(0), workers_of.workers(1)
    other.write(calls(4))
    one.merged_families(calls(0))
    make_unreadable(workers_of.slots[1].metrics)

    assert value(one.merged_families(calls(0)), "jarvis_calls") == 4


def test_unreadable_slot_is_empty_after_clear() -> None:
    slot = WorkerSlot()
    make_unreadable(slot.metrics)
    assert slot.metrics.read() is None
    slot.clear()

    assert slot.metrics.read() is not None


def make_unreadable(slot: SharedMemorySlot) -> None:
    for side in (0, 1):
        slot.memory[side * len(slot.memory) // 2 + 8] ^= 1  # the checksum


def test_process_metrics_have_prometheus_names() -> None:
    sums = Workers().workers(0).merged_families([])
    page = os.sysconf("SC_PAGESIZE")

    assert value(sums, "process_resident_memory_bytes") % page == 0
    assert value(sums, "process_virtual_memory_bytes") > value(
        sums, "process_resident_memory_bytes"
    )
    assert 3 < value(sums, "process_open_fds") < value(sums, "process_max_fds")
    assert value(sums, "process_cpu_seconds") > 0
    assert value(sums, "process_start_time_seconds") == pytest.approx(time.time(), abs=60)


def test_metrics_that_do_not_fit_are_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_METRICS_SIZE", 10)
    workers = Workers().workers(0)
    with caplog.at_level(logging.WARNING):
        workers.write(calls(1))
        workers.write(calls(2))

    assert len(caplog.messages) == 1


async def test_a_worker_writes_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.005)
    workers_of = Workers()
    one, other = workers_of.workers(0), workers_of.workers(1)
    number = 0

    def counting() -> list[MetricFamily]:
        nonlocal number
        number += 1
        return calls(number)

    task = asyncio.create_task(one.run(counting, LiveStats()))
    await eventually(lambda: value(other.merged_families(calls(0)), "jarvis_calls") > 2)
    task.cancel()


# The dashboard


async def test_others_publish_while_there_is_a_viewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.01)
    workers_of = Workers()
    one, other = workers_of.workers(0), workers_of.workers(1)
    live = LiveStats()
    live.add(call(time.monotonic()))
    task = asyncio.create_task(other.run(lambda: calls(0), live))
    await asyncio.sleep(0.03)
    assert one.snapshots() == []

    await one.wait_for_workers()
    await eventually(one.snapshots)  # a machine under load may take longer than anybody waits
    (part,) = one.snapshots()
    assert part.count == 1

    monkeypatch.setattr(module, "_VIEWER_TIMEOUT", 0.0)
    await eventually(lambda: one.snapshots() == [])
    task.cancel()


async def test_a_worker_that_writes_nothing_is_waited_for_in_vain_but_not_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.02)
    workers_of = Workers()
    workers_of.workers(1).write(calls(0))
    await asyncio.wait_for(workers_of.workers(0).wait_for_workers(), 5)

    assert workers_of.workers(0).snapshots() == []


async def test_a_part_of_a_worker_that_is_gone_is_no_longer_shown() -> None:
    workers_of = Workers()
    one, other = workers_of.workers(0), workers_of.workers(1)
    one.mark_viewer(time.monotonic())
    other._write_live(LiveStats())
    assert len(one.snapshots()) == 1
    workers_of.slots[1].clear()

    assert one.snapshots() == []


def test_there_is_no_viewer_at_first() -> None:
    assert not Workers().workers(0).has_viewer(time.monotonic())
