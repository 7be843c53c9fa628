"""The clock over open calls, with its hands moved by the tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.relay.deadlines import CallDeadlines, CallTimeouts, DeadlineMonitor

LIMITS = CallTimeouts(
    first_byte=600,
    idle=300,
    total=3600,
    headers_after=15,
    heartbeat=15,
    write_stall=60,
    body_idle=20,
    body_total=120,
)


class Clock:
    """A clock that changes only when it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Stream:
    """A client's side that records the calls that it gets."""

    headers_sent: bool = False
    stalled: bool = False
    waiting: int = 0
    done: list[str] = field(default_factory=list)

    def pending(self) -> int:
        return self.waiting

    def send_headers_in_background(self) -> None:
        self.done.append("commit")
        self.headers_sent = True

    def send_heartbeat(self, *, is_long: bool = False) -> None:
        self.done.append("long beat" if is_long else "send_heartbeat")

    def reset(self) -> None:
        self.done.append("reset")


class Scene:
    """One call under a clock that tests move."""

    def __init__(self, limits: CallTimeouts = LIMITS) -> None:
        self.clock = Clock()
        self.watch = DeadlineMonitor(limits, self.clock)
        self.task: asyncio.Task[object] = asyncio.create_task(asyncio.Event().wait())
        self.call = self.watch.register(self.task)

    def after(self, seconds: float) -> CallDeadlines:
        """Let *seconds* pass and the clock look."""
        self.clock.now += seconds
        self.watch.tick()
        return self.call

    def code(self) -> tuple[int, object] | None:
        """Return status and code of why the call was ended, None while it runs."""
        error = self.call.error
        assert (error is not None) == (self.task.cancelling() == 1)
        return None if error is None else (error.status, error.code)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    scene.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await scene.task


# The request's body


def test_body_may_pause_but_not_for_long(scene: Scene) -> None:
    scene.call.body_bytes = 64 * 1024
    scene.after(19)
    scene.call.saw_data = True
    scene.after(0)
    scene.after(19)
    assert scene.code() is None

    scene.after(1)
    assert scene.code() == (408, "request_timeout")


def test_body_may_not_drip(scene: Scene) -> None:
    """Ten seconds are given, and one more for each KiB."""
    for second in range(1, 40):
        scene.call.saw_data = True
        scene.call.body_bytes = (second // 2) * 1024
        scene.after(1)
        if second <= 19:
            assert scene.code() is None
    assert scene.code() == (408, "request_timeout")


def test_body_that_keeps_the_least_pace_still_has_an_end(scene: Scene) -> None:
    for second in range(10, 120, 10):
        scene.call.saw_data = True
        scene.call.body_bytes = second * 2048
        scene.after(10)
        assert scene.code() is None

    scene.call.saw_data = True
    scene.call.body_bytes = 10**9
    scene.after(10)
    assert scene.code() == (408, "request_timeout")


def test_upload_may_take_as_long_as_it_moves(scene: Scene) -> None:
    scene.call.is_upload = True
    for _ in range(100):
        scene.call.saw_data = True
        scene.after(10)
    assert scene.code() is None

    scene.after(20)
    assert scene.code() == (408, "request_timeout")


def test_upload_that_the_client_lets_drip_is_cut(scene: Scene) -> None:
    scene.call.is_upload = scene.call.waits_for_client = True
    for _ in range(10):
        scene.call.saw_data = True
        scene.after(1)
    assert scene.code() is None

    scene.call.saw_data = True
    scene.after(1)
    assert scene.code() == (408, "request_timeout")


def test_upload_that_the_upstream_takes_slowly_is_not(scene: Scene) -> None:
    scene.call.is_upload = True
    for number in range(100):
        scene.call.saw_data = True
        scene.call.waits_for_client = number % 20 == 0
        scene.after(1)
    assert scene.code() is None


def test_upload_at_the_least_rate_goes_on(scene: Scene) -> None:
    scene.call.is_upload = scene.call.waits_for_client = True
    for _ in range(100):
        scene.call.saw_data = True
        scene.call.body_bytes += 1024
        scene.after(1)
    assert scene.code() is None


def test_upload_may_not_take_longer_than_any_answer(scene: Scene) -> None:
    scene.call.is_upload = True
    for _ in range(359):
        scene.call.saw_data = True
        scene.after(10)
    assert scene.code() is None

    scene.call.saw_data = True
    scene.after(10)
    assert scene.code() == (408, "request_timeout")


# The upstream


def asked(scene: Scene) -> CallDeadlines:
    scene.call.request_received()
    return scene.after(0)


def test_upstream_has_its_time_from_when_it_was_asked(scene: Scene) -> None:
    scene.after(15)
    asked(scene)
    scene.after(599)
    assert scene.code() is None

    scene.after(1)
    assert scene.code() == (504, "upstream_timeout")
    assert scene.call.error is not None
    assert scene.call.error.should_retry is False  # the answer may have been billed


def test_silence_in_an_answer_has_a_limit_of_its_own(scene: Scene) -> None:
    asked(scene).upstream_answered = True
    for _ in range(3):
        scene.call.saw_data = True
        scene.after(299)
        assert scene.code() is None

    scene.after(300)
    assert scene.code() == (504, "upstream_idle_timeout")


def test_answer_that_never_ends_is_ended(scene: Scene) -> None:
    asked(scene).upstream_answered = True
    for _ in range(35):
        scene.call.saw_data = True
        scene.after(100)
    assert scene.code() is None

    scene.call.saw_data = True
    scene.after(100)
    assert scene.code() == (504, "upstream_timeout")


def test_whole_answer_is_not_waited_for_longer_than_the_client_waits(scene: Scene) -> None:
    asked(scene).response_timeout = 55
    scene.call.upstream_answered = True
    scene.call.saw_data = True
    scene.after(54)
    assert scene.code() is None

    scene.call.saw_data = True
    scene.after(1)
    assert scene.code() == (504, "upstream_timeout")


def test_next_upstream_has_its_own_time(scene: Scene) -> None:
    asked(scene).response_timeout = 55
    scene.call.upstream_answered = True
    scene.after(50)
    scene.call.next_attempt_started()
    assert not scene.call.upstream_answered
    scene.after(0)
    scene.after(54)
    assert scene.code() is None

    scene.after(1)
    assert scene.code() == (504, "upstream_timeout")


# The client


def test_stream_is_committed_when_the_upstream_is_slow_and_then_beats(scene: Scene) -> None:
    stream = scene.call.client_side = Stream()
    asked(scene)
    scene.after(14)
    assert stream.done == []

    scene.after(1)
    assert stream.done == ["commit"]
    scene.after(14)
    assert stream.done == ["commit"]
    scene.after(1)
    scene.after(15)
    assert stream.done == ["commit", "long beat", "long beat"]


def test_heartbeats_keep_their_interval_however_often_the_clock_looks(scene: Scene) -> None:
    stream = scene.call.client_side = Stream()
    asked(scene)
    beats: list[int] = []
    for second in range(1, 91):
        before = len(stream.done)
        scene.after(1)
        beats += [second] * (len(stream.done) - before)

    assert beats == [15, 30, 45, 60, 75, 90]
    assert stream.done[0] == "commit"


def test_what_is_written_between_moves_the_next_heartbeat(scene: Scene) -> None:
    stream = scene.call.client_side = Stream(headers_sent=True)
    asked(scene)
    beats: list[int] = []
    for second in range(1, 61):
        scene.call.wrote_to_client = second == 20
        before = len(stream.done)
        scene.after(1)
        beats += [second] * (len(stream.done) - before)

    assert beats == [15, 35, 50]


def test_heartbeats_come_in_silence_only(scene: Scene) -> None:
    stream = scene.call.client_side = Stream(headers_sent=True)
    asked(scene)
    for _ in range(5):
        scene.call.saw_data = scene.call.wrote_to_client = True
        scene.after(14)
    assert stream.done == []

    scene.after(15)
    assert stream.done == ["send_heartbeat"]
    scene.after(15)
    assert stream.done == ["send_heartbeat", "long beat"]


def test_upstream_that_sends_but_says_nothing_still_gets_beats(scene: Scene) -> None:
    stream = scene.call.client_side = Stream(headers_sent=True)
    asked(scene)
    scene.call.saw_data = True
    scene.after(15)

    assert stream.done == ["send_heartbeat"]


def test_beats_end_with_the_upstreams_time(scene: Scene) -> None:
    """A beat means that the answer is still being waited for."""
    stream = scene.call.client_side = Stream(headers_sent=True)
    asked(scene).upstream_answered = True
    for _ in range(20):
        scene.after(15)

    assert scene.code() == (504, "upstream_idle_timeout")
    assert len(stream.done) == 19
    scene.after(15)
    assert len(stream.done) == 19


def test_client_that_does_not_read_is_cut_off(scene: Scene) -> None:
    stream = scene.call.client_side = Stream(headers_sent=True, stalled=True)
    asked(scene).upstream_answered = True
    scene.after(59)
    assert scene.code() is None

    scene.after(1)
    assert scene.code() == (408, "write_stall")
    assert stream.done == ["reset"]


def test_client_that_reads_again_gets_its_full_time(scene: Scene) -> None:
    stream = scene.call.client_side = Stream(headers_sent=True, stalled=True)
    asked(scene)
    scene.after(59)
    stream.stalled = False
    scene.after(1)
    stream.stalled = True
    scene.after(1)
    scene.after(59)
    assert scene.code() is None

    scene.after(1)
    assert scene.code() == (408, "write_stall")


def test_slow_reader_is_no_stalled_one(scene: Scene) -> None:
    """It may be found waiting at every look, and take something between them."""
    stream = scene.call.client_side = Stream(headers_sent=True, stalled=True, waiting=1000)
    asked(scene)
    for _ in range(10):
        stream.waiting -= 1
        scene.after(59)
    assert scene.code() is None

    scene.after(60)
    assert scene.code() == (408, "write_stall")


def test_upstream_that_has_done_its_part_is_not_waited_for(scene: Scene) -> None:
    stream = scene.call.client_side = Stream()
    asked(scene).upstream_answered = True
    scene.call.upstream_done = True
    scene.after(5000)
    assert (scene.code(), stream.done) == (None, [])

    stream.stalled = True
    scene.after(1)
    scene.after(60)
    assert scene.code() == (408, "write_stall")


def test_silence_that_the_client_causes_is_not_the_upstreams() -> None:
    async def play() -> None:
        scene = Scene(replace(LIMITS, idle=30))
        stream = scene.call.client_side = Stream(headers_sent=True, stalled=True)
        asked(scene).upstream_answered = True
        scene.after(50)
        stream.stalled = False
        scene.after(29)
        assert scene.code() is None
        assert "reset" not in stream.done
        scene.task.cancel()

    asyncio.run(play())


# Ending a call


async def test_cancelled_call_finds_the_reason_once() -> None:
    async def work() -> list[ProxyError]:
        found = []
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                found.append(call.cancel_reason())
        return found

    watch = DeadlineMonitor(LIMITS, Clock())
    task: asyncio.Task[object] = asyncio.create_task(work())
    call = watch.register(task)
    await asyncio.sleep(0)
    first, second = (ProxyError(503, "x", code=code) for code in ("first", "second"))
    call.cancel_with(first)
    call.cancel_with(second)  # one reason is enough
    await asyncio.sleep(0)
    call.cancel_with(second)

    assert await task == [first, second]
    assert task.cancelling() == 0


async def test_client_that_left_is_no_cancel_reason_of_the_proxy() -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            call.cancel_reason()

    task: asyncio.Task[object] = asyncio.create_task(work())
    call = DeadlineMonitor(LIMITS, Clock()).register(task)
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_shutdown_ends_every_call_with_an_error_of_its_own() -> None:
    watch = DeadlineMonitor(LIMITS, Clock())
    tasks: list[asyncio.Task[object]] = [
        asyncio.create_task(asyncio.Event().wait()) for _ in range(3)
    ]
    calls = [watch.register(task) for task in tasks]
    assert len(watch) == 3
    watch.unregister(calls[0])
    watch.unregister(calls[0])
    assert len(watch) == 2

    watch.cancel_all(lambda: ProxyError(503, "x", code="server_shutdown"))

    assert [call.error and call.error.code for call in calls] == [
        None,
        "server_shutdown",
        "server_shutdown",
    ]
    assert calls[1].error is not calls[2].error
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_streams_that_have_begun_are_counted() -> None:
    watch = DeadlineMonitor(LIMITS, Clock())
    task: asyncio.Task[object] = asyncio.create_task(asyncio.Event().wait())
    for client_side in (None, Stream(), Stream(headers_sent=True), Stream(headers_sent=True)):
        watch.register(task).client_side = client_side

    assert (len(watch), watch.streams) == (4, 2)
    task.cancel()
    await asyncio.wait([task])


async def test_clock_goes_on_until_it_is_cancelled() -> None:
    clock = Clock()
    watch = DeadlineMonitor(replace(LIMITS, heartbeat=0.04), clock)
    stream = Stream(headers_sent=True)
    task: asyncio.Task[object] = asyncio.create_task(asyncio.Event().wait())
    call = watch.register(task)
    call.client_side = stream
    call.request_received()
    running = asyncio.create_task(watch.run())
    clock.now += LIMITS.total

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    ("limits", "tick"),
    [
        (LIMITS, 1.0),
        (replace(LIMITS, heartbeat=2), 0.5),
        (replace(LIMITS, body_idle=0.4), 0.1),
        (replace(LIMITS, total=0.1), 1.0),
    ],
)
def test_clock_looks_four_times_in_the_smallest_limit(limits: CallTimeouts, tick: float) -> None:
    assert limits.tick == pytest.approx(tick)


def test_a_call_that_cannot_be_looked_at_does_not_stop_the_clock_of_the_others(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Stream):
        def send_heartbeat(self, *, is_long: bool = False) -> None:
            raise ValueError("canary")

    asked(scene).client_side = Faulty(headers_sent=True)
    others = [scene.watch.register(scene.task) for _ in range(5)]
    downs = [Stream(headers_sent=True) for _ in others]
    for other, down in zip(others, downs, strict=True):
        other.request_received()
        other.client_side = down
    for _ in range(3):
        scene.after(15)

    assert scene.code() == (500, "internal_error")
    assert all(len(down.done) == 3 for down in downs)
    assert len(caplog.records) == 1
    assert "canary" not in caplog.records[0].getMessage()


def test_streams_are_counted_from_their_head_on(scene: Scene) -> None:
    assert scene.watch.streams == 0
    stream = scene.call.client_side = Stream()
    assert scene.watch.streams == 0
    stream.headers_sent = True

    assert scene.watch.streams == 1
