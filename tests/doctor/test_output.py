"""What is written where."""

import io
import json
import os

import pytest

from jarvis_proxy.doctor.output import Output, progress_on, style_for
from jarvis_proxy.doctor.report import Style
from tests.doctor.fixtures import ok

CLEAR = "\r\x1b[K"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_sections_are_written_at_once_and_kept() -> None:
    out = io.StringIO()
    output = Output(out, style=Style())
    output.section("Empty", [])
    output.section("Settings", [ok("port", "free")])

    assert out.getvalue() == "\nSettings\n  ok       port                  free\n"
    assert output.findings == [ok("port", "free")]


def test_json_output_has_no_text() -> None:
    out = io.StringIO()
    output = Output(out, style=Style(), as_json=True)
    output.text("a word\n")
    output.section("Settings", [ok("port", "free")])
    output.json({"ü": 1})

    assert json.loads(out.getvalue()) == {"ü": 1}
    assert "ü" in out.getvalue()


def test_progress_is_one_line_that_is_cleared() -> None:
    out, terminal = io.StringIO(), Terminal()
    output = Output(out, style=Style(width=30), progress=terminal)
    output.notice("a very long list of upstreams")
    output.notice("")
    output.text("found\n")

    assert terminal.getvalue() == f"{CLEAR}  checking a very long list o{CLEAR}"
    assert out.getvalue() == "found\n"


def test_without_a_terminal_there_is_no_progress() -> None:
    out = io.StringIO()
    Output(out, style=Style()).notice("openai")

    assert out.getvalue() == ""


def test_secrets_are_redacted_everywhere() -> None:
    out, terminal = io.StringIO(), Terminal()
    output = Output(out, style=Style(), progress=terminal)
    output.redact(["sk-canary-1"])
    output.redact(["another/canary-number-2", "short"])
    output.text("sk-canary-1, another/canary-number-2, another\\/canary-number-2, short\n")
    output.notice("sk-canary-1")

    assert out.getvalue() == "[redacted], [redacted], [redacted], short\n"
    assert "canary" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("environ", "colour"),
    [
        ({"TERM": "xterm"}, True),
        ({}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
    ],
)
def test_terminal_gets_colour_unless_turned_off(environ: dict[str, str], colour: bool) -> None:
    assert style_for(Terminal(), environ).colour == colour


def test_file_gets_plain_text() -> None:
    assert style_for(io.StringIO(), {"TERM": "xterm"}) == Style(colour=False, width=100)


@pytest.mark.skipif(os.name != "posix", reason="no such terminals here")
def test_progress_needs_a_terminal_that_can_clear_a_line() -> None:
    terminal = Terminal()

    assert progress_on(terminal, {"TERM": "xterm"}) is terminal
    assert progress_on(terminal, {}) is None
    assert progress_on(terminal, {"TERM": "dumb"}) is None
    assert progress_on(io.StringIO(), {"TERM": "xterm"}) is None
