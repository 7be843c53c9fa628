"""Any course of events: every stream is complete or in plain error, and nothing is left over.

``HYPOTHESIS_PROFILE=thorough ./start.sh test tests/test_state_machine.py`` tries far more.
"""

import asyncio
import gc
import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.faults.dialects import Surface
from tests.support.simulation import End, Stream, Way, World, open_files

pytestmark = pytest.mark.slow

SURFACES = st.sampled_from(("chat", "responses", "gemini"))
PICKS = st.integers(min_value=0, max_value=11)
MOST = 12


class Streams(RuleBasedStateMachine):
    """Streams through one proxy, in any order."""

    def __init__(self) -> None:
        super().__init__()
        gc.collect()
        self.files = open_files()
        self.runner = asyncio.Runner()
        self.world = World()
        self.runner.run(self.world.open())

    def stream(self, pick: int) -> Stream:
        return self.world.live[pick % len(self.world.live)]

    @property
    def is_busy(self) -> bool:
        return bool(self.world.live)

    @initialize(surfaces=st.lists(SURFACES, min_size=1, max_size=4))
    def begin(self, surfaces: list[Surface]) -> None:
        self.open(surfaces)

    @precondition(lambda self: not self.world.is_draining and len(self.world.live) < MOST)
    @rule(surfaces=st.lists(SURFACES, min_size=1, max_size=3))
    def open(self, surfaces: list[Surface]) -> None:
        for surface in surfaces:
            self.runner.run(self.world.begin(surface))

    @precondition(lambda self: self.is_busy)
    @rule(pick=PICKS, text=st.text(max_size=20))
    def emit(self, pick: int, text: str) -> None:
        self.runner.run(self.world.emit(self.stream(pick), text))

    @precondition(lambda self: self.is_busy)
    @rule(pick=PICKS)
    def read_nothing_of_a_flood(self, pick: int) -> None:
        stream = self.stream(pick)
        self.runner.run(self.on_the_loop(lambda: self.world.stop_reading(stream)))
        self.runner.run(self.world.flood(stream))

    @precondition(lambda self: self.is_busy)
    @rule(pick=PICKS)
    def go_on_reading(self, pick: int) -> None:
        stream = self.stream(pick)
        self.runner.run(self.on_the_loop(lambda: self.world.go_on_reading(stream)))

    @precondition(lambda self: self.is_busy)
    @rule(pick=PICKS)
    def finish(self, pick: int) -> None:
        seen = self.runner.run(self.world.finish(self.stream(pick)))
        assert seen.kind == "complete", seen

    @precondition(lambda self: self.is_busy)
    @rule(pick=PICKS, end=st.sampled_from(("fin", "rst", "eof", "bad frame", "error event")))
    def break_off(self, pick: int, end: End) -> None:
        seen = self.runner.run(self.world.break_off(self.stream(pick), end))
        assert seen.is_explicit, seen

    @precondition(lambda self: self.is_busy)
    @rule(pick=PICKS, way=st.sampled_from(("FIN", "RST", "half-close")))
    def leave(self, pick: int, way: Way) -> None:
        self.runner.run(self.world.leave(self.stream(pick), way))

    @precondition(lambda self: self.is_busy and self.world.may_beat)
    @rule()
    def beat(self) -> None:
        self.runner.run(self.world.beat())

    @precondition(lambda self: self.is_busy)
    @rule()
    def fall_silent(self) -> None:
        paused = [stream.is_paused for stream in self.world.live]
        ends = self.runner.run(self.world.fall_silent())
        for was_paused, seen in zip(paused, ends, strict=True):
            # One that does not read its answer is cut off: it could not be sent anything.
            assert seen.is_explicit or (was_paused and seen.kind == "cut"), seen

    @precondition(lambda self: self.is_busy and not self.world.is_draining)
    @rule()
    def reload(self) -> None:
        self.runner.run(self.world.reload())

    @precondition(lambda self: self.is_busy and not self.world.is_draining)
    @rule()
    def drain(self) -> None:
        paused = [stream.is_paused for stream in self.world.live]
        ends = self.runner.run(self.world.drain())
        for was_paused, seen in zip(paused, ends, strict=True):
            # One that does not read in time is cut off, as above.
            assert seen.is_explicit or (was_paused and seen.kind == "cut"), seen

    @precondition(lambda self: self.world.is_draining)
    @rule(surfaces=st.lists(SURFACES, min_size=1, max_size=4))
    def start_again(self, surfaces: list[Surface]) -> None:
        self.runner.run(self.world.close())
        self.world = World()
        self.runner.run(self.world.open())
        self.open(surfaces)

    @invariant()
    def upstream_connections_are_those_of_live_streams(self) -> None:
        self.runner.run(self.world.settled())

    def teardown(self) -> None:
        """Nothing may be left: no task, no open file."""
        try:
            self.runner.run(self.world.close())
        finally:
            self.runner.close()
        gc.collect()
        assert open_files() <= self.files

    async def on_the_loop(self, act: Callable[[], None]) -> None:
        act()


# In the suite a failure is reported as it was found: making it smaller takes minutes.
_NO_SHRINKING = [phase for phase in Phase if phase is not Phase.shrink]
PROFILES = {
    "few": settings(max_examples=30, stateful_step_count=25, phases=_NO_SHRINKING),
    "thorough": settings(max_examples=2000, stateful_step_count=100),
}
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "few")


@pytest.mark.timeout(120 if PROFILE == "few" else 0)
def test_any_course_of_events() -> None:
    # Time is no measure here: a step waits for what happens elsewhere.
    chosen = settings(PROFILES[PROFILE], deadline=None, suppress_health_check=list(HealthCheck))
    # What the tests before have left is looked through once, not for each example.
    gc.collect()
    gc.freeze()
    try:
        run_state_machine_as_test(Streams, settings=chosen)
    finally:
        gc.unfreeze()
