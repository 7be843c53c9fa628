"""Other settings reach all workers, and one that does not take them is replaced."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.runtime import supervisor as module
from jarvis_proxy.runtime import worker as messages
from tests.runtime.stage import HUP, KILL, SETTINGS, TERM, Player, Run, Stage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes as Linux has them"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.timeout(20),
]


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
def test_wrong_settings_are_sent_to_no_worker(
    stage: Stage, error: Exception, received: str
) -> None:
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
