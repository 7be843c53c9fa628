"""The parent of several workers, with real forks of small workers that play what a test tells them.

The parent runs in this process, so it is the workers that drive a test, and end it by a signal.
"""

import logging
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.observability.logging import DirectLineWriter, install_handler
from jarvis_proxy.runtime import supervisor as module
from jarvis_proxy.runtime import worker as messages
from jarvis_proxy.runtime.supervisor import LONGEST, STEADY_AFTER, Backoff, Supervisor
from jarvis_proxy.runtime.worker import WorkerSetup

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes as Linux has them"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.timeout(20),
]

SETTINGS = replace(
    Settings.from_env(
        {"PROXY_API_KEYS": "k" * 20, "WORKERS": "2", "REDIS_URL": "redis://127.0.0.1:9/0"}
    ),
    drain_timeout=5.0,
)
TERM, HUP, KILL = signal.SIGTERM, signal.SIGHUP, signal.SIGKILL


@dataclass
class Stage:
    """What the processes of a test share: a file to which each appends lines."""

    path: Path

    def note(self, line: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{line}\n")

    @property
    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def until(self, *lines: str) -> None:
        """Wait until all of *lines* stand there."""
        deadline = time.monotonic() + 10
        while not set(lines) <= set(self.lines):
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.005)

    def until_logged(self, text: str) -> None:
        """Wait until *text* stands in the parent's log."""
        deadline = time.monotonic() + 10
        while text not in (self.path.parent / "log").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def start(self) -> int:
        """Note a start; return the how manieth it is: two may come at the same time."""
        mine = f"start {os.getpid()}"
        self.note(mine)
        return [line for line in self.lines if line.startswith("start ")].index(mine) + 1

    @property
    def starts(self) -> int:
        """How many workers were started."""
        return sum(line.startswith("start ") for line in self.lines)


@dataclass
class Player:
    """One worker, as a play sees it."""

    setup: WorkerSetup
    stage: Stage
    number: int
    """It is the so manieth that was started."""

    def says(self, message: bytes) -> None:
        self.setup.parent.sendall(message)

    def hears(self, message: bytes) -> bytes:
        """Wait for *word*; return what came with it."""
        heard = self.setup.parent.recv(1)
        assert heard == message, (heard, message)
        if heard != messages.RELOAD:
            return b""
        (length,) = struct.unpack("=I", self.setup.parent.recv(4, socket.MSG_WAITALL))
        return self.setup.parent.recv(length, socket.MSG_WAITALL)

    def signals(self, *numbers: int) -> None:
        """Send signals to the parent."""
        for number in numbers:
            os.kill(os.getppid(), number)

    def serve(self) -> None:
        """Be ready, and wait for the end."""
        self.says(messages.READY)
        self.stage.note(f"ready {self.number}")
        self.hears(messages.DRAIN)


Play = Callable[[Player], int | None]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "stage")
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.raiseExceptions)
    yield made
    root.handlers[:], root.level, logging.raiseExceptions = before


class Run:
    """A parent that has run to its end."""

    def __init__(
        self,
        stage: Stage,
        play: Play,
        *,
        read: Callable[[], tuple[Settings, Mapping[str, str]]] = lambda: (SETTINGS, {}),
        settings: Settings = SETTINGS,
    ) -> None:
        with (stage.path.parent / "log").open("w+") as log:
            logger = DirectLineWriter(log)
            install_handler(logger, "text", "info")
            self.sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]

            def work(settings: Settings, setup: WorkerSetup) -> int:
                return play(Player(setup, stage, stage.start())) or 0

            supervisor = Supervisor(settings, self.sockets, work, read, writer=logger)
            before = {n: signal.getsignal(n) for n in (TERM, HUP, signal.SIGINT, signal.SIGCHLD)}
            self.code = supervisor.run()
            assert before == {n: signal.getsignal(n) for n in before}
        for sock in self.sockets:
            sock.close()
        self.log = (stage.path.parent / "log").read_text()


def stop_when_all_serve(player: Player) -> None:
    player.says(messages.READY)
    if player.number == 1:
        player.stage.until_logged("serving on")
        player.signals(TERM)
    player.hears(messages.DRAIN)


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
    assert "no process for worker 1: no more processes" in run.log


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


# Other settings


def test_other_settings_are_sent_to_all_and_noted_once(stage: Stage) -> None:
    def play(player: Player) -> None:
        player.says(messages.READY)
        player.stage.note(f"ready {player.number}")
        player.stage.until("ready 1", "ready 2")
        if player.number == 1:
            player.signals(HUP)
        assert player.hears(messages.RELOAD) == b'{"A":"b"}'
        player.says(messages.RELOADED)
        player.stage.note(f"taken in {player.number}")
        player.stage.until("taken in 1", "taken in 2")
        if player.number == 2:
            time.sleep(0.1)
            player.signals(TERM)
        player.hears(messages.DRAIN)

    other = replace(SETTINGS, port=SETTINGS.port + 1)
    run = Run(stage, play, read=lambda: (other, {"A": "b"}))

    assert run.code == 0
    assert run.log.count("settings reloaded") == 1
    assert "a change of PORT takes effect at the next restart" in run.log


def test_one_that_cannot_take_them_in_is_replaced_by_one_that_has_them(stage: Stage) -> None:
    def play(player: Player) -> None:
        player.says(messages.READY)
        player.stage.note(f"ready {player.number}")
        if player.number == 3:
            player.stage.until("left")
            player.signals(TERM)
        else:
            player.stage.until("ready 1", "ready 2")
            if player.number == 1:
                player.signals(HUP)
            player.hears(messages.RELOAD)
            player.says(messages.RELOAD_FAILED if player.number == 1 else messages.RELOADED)
        player.hears(messages.DRAIN)
        player.stage.note("left")

    run = Run(stage, play)
    assert run.code == 0
    assert run.log.count("settings reloaded") == 1
    assert stage.starts == 3


def test_one_that_dies_meanwhile_is_not_waited_for(stage: Stage) -> None:
    def play(player: Player) -> None:
        player.says(messages.READY)
        player.stage.note(f"ready {player.number}")
        player.stage.until("ready 1", "ready 2")
        if player.number == 1:
            player.signals(HUP)
        if player.number == 3:
            player.signals(TERM)
        else:
            player.hears(messages.RELOAD)
            if player.number == 2:
                os.kill(os.getpid(), KILL)
            player.says(messages.RELOADED)
        player.hears(messages.DRAIN)

    assert Run(stage, play).log.count("settings reloaded") == 1


@pytest.mark.parametrize(
    ("error", "received"),
    [
        (SettingsError(("PORT: must be a number", "HOST: none")), "PORT: must be a number HOST"),
        (RuntimeError("canary"), "RuntimeError at"),
    ],
)
def test_wrong_settings_are_sent_to_nobody(stage: Stage, error: Exception, received: str) -> None:
    def read() -> tuple[Settings, Mapping[str, str]]:
        raise error

    def play(player: Player) -> None:
        player.says(messages.READY)
        player.stage.note(f"ready {player.number}")
        if player.number == 1:
            player.stage.until("ready 1", "ready 2")
            player.signals(HUP)
            time.sleep(0.1)
            player.signals(TERM)
            time.sleep(0.05)
            player.signals(HUP)  # no longer of interest
        player.hears(messages.DRAIN)

    run = Run(stage, play, read=read)
    assert run.code == 0
    assert "reload failed, the old settings stay active" in run.log
    assert received in run.log
    assert "canary" not in run.log


def test_one_that_does_not_listen_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SEND_TIMEOUT", 0.1)

    def play(player: Player) -> None:
        player.says(messages.READY)
        player.stage.note(f"ready {player.number}")
        player.stage.until("ready 1", "ready 2")
        if player.number == 1:
            player.signals(HUP)
            time.sleep(30)  # a megabyte does not fit between the two
        if player.number == 3:
            player.signals(TERM)
        else:
            player.hears(messages.RELOAD)
            player.says(messages.RELOADED)
        player.hears(messages.DRAIN)

    run = Run(stage, play, read=lambda: (SETTINGS, {"A": "x" * 1_000_000}))
    assert "was ended by signal 9" in run.log


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
