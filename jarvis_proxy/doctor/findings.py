"""What a check found, and which exit code all findings together mean. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EX_OK: Final = 0
EX_PROBLEM: Final = 1
EX_CONFIG: Final = 78
"""The server itself would refuse to start with this code."""


class Status(StrEnum):
    """How it stands with one thing that was checked."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result: *detail* says what was found, *advice* what to do about it.

    *example* is text to be copied as it stands: a command, or lines for a configuration file.
    """

    check: str
    status: Status
    detail: str
    advice: str = ""
    example: str = ""


def ok(check: str, detail: str) -> Finding:
    """Return a finding of something that is as it should be."""
    return Finding(check, Status.OK, detail)


def skipped(check: str, detail: str) -> Finding:
    """Return a finding of something that was not checked, and why."""
    return Finding(check, Status.SKIPPED, detail)


def warning(check: str, detail: str, advice: str = "", example: str = "") -> Finding:
    """Return a finding of something that works but deserves a second look."""
    return Finding(check, Status.WARNING, detail, advice, example)


def problem(check: str, detail: str, advice: str = "", example: str = "") -> Finding:
    """Return a finding of something that does not work."""
    return Finding(check, Status.PROBLEM, detail, advice, example)


def exit_code(findings: Iterable[Finding], *, settings_refused: bool) -> int:
    """Return 78 when the server would refuse its settings, 1 with any problem, else 0.

    Warnings alone give 0: a script that asks "may I start it?" is answered yes.
    """
    if settings_refused:
        return EX_CONFIG
    broken = any(finding.status is Status.PROBLEM for finding in findings)
    return EX_PROBLEM if broken else EX_OK


def summary(findings: Iterable[Finding]) -> str:
    """Return how many findings there are of each kind, as one sentence."""
    counts = Counter(finding.status for finding in findings)
    words = [
        _counted(counts[Status.PROBLEM], "problem"),
        _counted(counts[Status.WARNING], "warning"),
        f"{counts[Status.OK]} ok",
    ]
    if counts[Status.SKIPPED]:
        words.append(f"{counts[Status.SKIPPED]} skipped")
    return ", ".join(words) + "."


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
