"""How the report looks."""

import json

import pytest

from jarvis_proxy.client_guides.context import GuideContext
from jarvis_proxy.client_guides.registry import read_guide
from jarvis_proxy.doctor.findings import Finding
from jarvis_proxy.doctor.report import (
    Section,
    Style,
    as_json,
    finding_text,
    guides_text,
    summary_text,
    title_text,
)
from tests.doctor.fixtures import ok, problem, skipped, warning

PLAIN = Style(width=60)
COLOUR = Style(colour=True, width=60)
FACTS = GuideContext("http://HOST:9000", ("gemini-3-flash",))
BROKEN = problem(
    "port", "9000 is taken", "Stop that program, or set PORT to another one.", "ss -ltnp\n\nkill"
)


def test_ok_finding_is_one_line() -> None:
    assert finding_text(ok("port", "9000 is free"), PLAIN) == (
        "  ok       port                  9000 is free\n"
    )


def test_advice_follows_an_arrow_and_examples_are_verbatim() -> None:
    assert finding_text(BROKEN, PLAIN) == (
        "  problem  port                  9000 is taken\n"
        "                                 -> Stop that program, or set\n"
        "                                    PORT to another one.\n"
        "      ss -ltnp\n"
        "\n"
        "      kill\n"
    )


def test_long_check_name_keeps_a_space() -> None:
    text = finding_text(skipped("a-long-upstream-name: connection", "not tried"), PLAIN)

    assert "connection not tried" in text


def test_addresses_are_never_wrapped() -> None:
    address = "https://generativelanguage.googleapis.com/v1beta/a-b-c"

    assert address in finding_text(warning("x", address, address), PLAIN)
    assert address in finding_text(warning("x", address), Style(width=10))


def test_terminal_without_width_gets_every_word() -> None:
    text = finding_text(BROKEN, Style(width=0))

    assert "another one." in text


@pytest.mark.parametrize(
    ("finding", "code"),
    [
        (ok("a", "b"), "32"),
        (warning("a", "b"), "33"),
        (problem("a", "b"), "1;31"),
        (skipped("a", "b"), "2"),
    ],
)
def test_colours_are_added_and_nothing_else_changes(finding: Finding, code: str) -> None:
    coloured = finding_text(finding, COLOUR)

    assert f"\x1b[{code}m" in coloured
    assert coloured.replace(f"\x1b[{code}m", "").replace("\x1b[0m", "") == finding_text(
        finding, PLAIN
    )


def test_titles_and_summaries() -> None:
    assert title_text("Settings", PLAIN) == "\nSettings\n"
    assert title_text("Settings", COLOUR) == "\n\x1b[1mSettings\x1b[0m\n"
    assert summary_text([ok("a", "b")], PLAIN) == "\nno problems, no warnings, 1 ok.\n"
    assert summary_text([BROKEN, BROKEN, warning("x", "y")], PLAIN) == (
        "\n2 problems, 1 warning, 0 ok.\n  problem: port\n  warning: x\n"
    )


def test_client_settings_are_plain_text() -> None:
    text = guides_text([read_guide("nextchat", FACTS)], Style(width=80))

    assert text.startswith("\nSettings for clients\n  The key of a client is one of PROXY_API_KEYS")
    assert "\n\n  NextChat\n    Settings → Custom Endpoint:\n" in text
    assert "      OpenAI Endpoint: http://HOST:9000\n" in text
    assert "    - The address has no /v1: NextChat adds it." in text
    assert "`" not in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_json_has_every_field() -> None:
    report = as_json(
        [Section("Settings", (BROKEN, ok("a", "b")))],
        [read_guide("openclaw", FACTS)],
        context=FACTS,
        code=1,
    )

    assert json.loads(json.dumps(report)) == report
    assert report["summary"] == {"ok": 1, "warning": 0, "problem": 1, "skipped": 0}
    assert report["exit_code"] == 1
    assert report["checks"][0] == {
        "section": "Settings",
        "check": "port",
        "status": "problem",
        "detail": BROKEN.detail,
        "advice": BROKEN.advice,
        "example": BROKEN.example,
    }
    assert (report["base_url"], report["models"]) == ("http://HOST:9000/v1", ["gemini-3-flash"])
    (client,) = report["clients"]
    assert (client["id"], client["name"]) == ("openclaw", "OpenClaw")
    assert "baseUrl" in client["steps"][0]["text"]
    assert client["notes"]
