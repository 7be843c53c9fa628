"""A supervisor whose workers are played by the test, each in a process of its own."""

import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.observability.logging import DirectLineWriter, install_handler
from jarvis_proxy.runtime import worker as messages
from jarvis_proxy.runtime.supervisor import Supervisor
from jarvis_proxy.runtime.worker import WorkerSetup

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
