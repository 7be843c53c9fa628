"""The parent of several workers, with real forks of small workers that play what a test tells them.

The parent runs in this process, so it is the workers that drive a test, and end it by a signal.
"""

import os
import signal
import sys
import time
from dataclasses import replace

import pytest

from jarvis_proxy.runtime import supervisor as module
from jarvis_proxy.runtime import worker as messages
from jarvis_proxy.runtime.supervisor import LONGEST, STEADY_AFTER, Backoff
from tests.runtime.stage import HUP, KILL, SETTINGS, TERM, Player, Run, Stage, stop_when_all_serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes as Linux has them"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.timeout(20),
]


# The end


def test_all_are_told_to_drain_and_the_ports_are_closed(stage: Stage) -> None:
    run = Run(stage, stop_when_all_serve)

    assert run.code == 0
    assert stage.starts == 2
    assert [sock.fileno() for sock in run.sockets] == [-1, -1]
    assert "serving on http://127.0.0.1:" in run.log
    assert ", in 2 workers" in run.log
    assert "warning" not in run.log


def test_a_second_signal_hurries_and_then_kills(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FORCE_GRACE", 0.1)

    def play(player: Player) -> None:
        player.serve()
        player.stage.note(f"drains {player.number}")
        if player.number == 1:
            player.stage.until("drains 1", "drains 2")
            player.signals(signal.SIGINT)
        player.hears(messages.FORCE)
        time.sleep(30)

    def stopping(player: Player) -> None:
        if player.number == 2:
            player.stage.until("ready 1")
            player.signals(TERM)
        play(player)

    began = time.monotonic()
    assert Run(stage, stopping).code == 0
    assert time.monotonic() - began < 5


def test_who_drains_for_too_long_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DRAIN_GRACE", 0.1)

    def play(player: Player) -> None:
        stop_when_all_serve(player)
        time.sleep(30)

    began = time.monotonic()
    assert Run(stage, play, settings=replace(SETTINGS, drain_timeout=0.1)).code == 0
    assert time.monotonic() - began < 5


# Those that die


def test_a_dead_one_is_replaced_at_once_and_the_next_one_later(stage: Stage) -> None:
    def play(player: Player) -> int | None:
        if player.number == 1:
            return 3
        if player.number == 3:
            os.kill(os.getpid(), KILL)
        if player.number == 4:
            player.signals(TERM)
        player.says(messages.READY)
        player.hears(messages.DRAIN)
        return None

    run = Run(stage, play)
    received = [
        line.partition(" warning ")[2] for line in run.log.splitlines() if "worker " in line
    ]
    codes = {line.partition(") ")[2] for line in received}

    assert run.code == 0
    assert codes <= {
        "ended with code 3; a new one starts now",
        "was ended by signal 9; a new one starts now",
        "was ended by signal 9; the next one starts in 0.5 s",
    }
    assert len(received) == 2
    assert stage.starts == 4


def test_wrong_settings_that_a_worker_finds_at_the_start_end_all(stage: Stage) -> None:
    def play(player: Player) -> int | None:
        if player.number == 1:
            return 78
        player.says(messages.READY)
        player.hears(messages.DRAIN)
        return None

    assert Run(stage, play).code == 78


def test_wrong_settings_that_a_worker_finds_later_do_not(stage: Stage) -> None:
    def play(player: Player) -> int | None:
        player.says(messages.READY)
        player.stage.until_logged("serving on")
        if player.number == 1:
            return 78
        if player.number == 3:
            player.signals(TERM)
        player.hears(messages.DRAIN)
        return None

    run = Run(stage, play)
    assert run.code == 0
    assert "ended with code 78" in run.log


def test_a_worker_that_fails_ends_with_a_code_of_its_own(stage: Stage) -> None:
    def play(player: Player) -> None:
        if player.number == 1:
            raise RuntimeError
        stop_if_third(player)

    assert "ended with code 70" in Run(stage, play).log


def stop_if_third(player: Player) -> None:
    player.says(messages.READY)
    if player.number == 3:
        player.signals(TERM)
    player.hears(messages.DRAIN)


def test_a_process_that_is_not_to_be_had_is_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FORK_RETRY", 0.05)
    fork, refusals = os.fork, [OSError(11, "no more processes")]

    def fork_later() -> int:
        if refusals:
            raise refusals.pop()
        return fork()

    monkeypatch.setattr(os, "fork", fork_later)
    run = Run(stage, stop_when_all_serve)

    assert run.code == 0
    assert "worker 1 cannot be started: no more processes" in run.log


def test_one_that_drains_by_itself_goes_on_while_another_serves(stage: Stage) -> None:
    def play(player: Player) -> None:
        player.says(messages.READY)
        if player.number == 1:
            player.says(messages.DRAINING)
            player.stage.until("ready 3")
            player.stage.note("gone")
            return
        player.stage.note(f"ready {player.number}")
        if player.number == 3:
            player.stage.until("gone")
            player.signals(TERM)
        player.hears(messages.DRAIN)

    run = Run(stage, play)
    assert run.code == 0
    assert "warning" not in run.log


def test_only_as_many_drain_together_as_there_are_slots(stage: Stage) -> None:
    """Else each of them would need one more, without end."""

    def play(player: Player) -> None:
        if player.number <= 4:
            player.says(messages.READY + messages.DRAINING)
            player.stage.note(f"leaving {player.number}")
            player.stage.until(*(f"leaving {n}" for n in range(1, 5)))
            time.sleep(0.2)
            player.stage.note(f"{player.stage.starts} started")
            return
        stop_if(player, 5)

    def stop_if(player: Player, number: int) -> None:
        player.says(messages.READY)
        if player.number == number:
            player.signals(TERM)
        player.hears(messages.DRAIN)

    assert Run(stage, play).code == 0
    assert "4 started" in stage.lines  # the first to go saw no fifth


# What a worker is given


def test_workers_have_their_own_sockets_only(stage: Stage) -> None:
    def play(player: Player) -> None:
        player.stage.note(f"{len(player.setup.sockets)} sockets")
        stop_when_all_serve(player)

    Run(stage, play)

    assert stage.lines.count("2 sockets") == 2


def test_a_terminal_that_is_closed_ends_all(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def is_gone(self) -> bool:
            return True

    monkeypatch.setattr(module, "ControllingTerminal", Gone)

    def play(player: Player) -> None:
        player.says(messages.READY)
        if player.number == 2:
            player.signals(HUP)
        player.hears(messages.DRAIN)

    assert Run(stage, play).code == 0


def test_the_first_death_is_made_good_at_once_and_a_row_of_them_later_and_later() -> None:
    backoff = Backoff()

    assert [backoff.next_delay(0.1) for _ in range(8)] == [
        0.0,
        0.5,
        1.0,
        2.0,
        4.0,
        8.0,
        8.0,
        LONGEST,
    ]


def test_one_that_lived_for_long_begins_a_new_row() -> None:
    backoff = Backoff()
    for _ in range(4):
        backoff.next_delay(0.1)

    assert [backoff.next_delay(STEADY_AFTER), backoff.next_delay(STEADY_AFTER - 0.1)] == [0.0, 0.5]
