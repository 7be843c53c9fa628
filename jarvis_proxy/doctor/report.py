"""How findings and client settings look: as text with or without colour, and as JSON. Pure."""

import dataclasses
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Final

from jarvis_proxy.doctor.client_guides.context import GuideContext
from jarvis_proxy.doctor.client_guides.registry import Guide
from jarvis_proxy.doctor.findings import Finding, Status, summary

_COLOURS: Final = {
    Status.OK: "32",
    Status.WARNING: "33",
    Status.PROBLEM: "1;31",
    Status.SKIPPED: "2",
}
_BOLD: Final = "1"
_CHECK_WIDTH: Final = 22
_STATUS_WIDTH: Final = 9
_INDENT: Final = 2 + _STATUS_WIDTH + _CHECK_WIDTH
_NARROWEST: Final = 30


@dataclasses.dataclass(frozen=True, slots=True)
class Style:
    """How text is laid out: *colour* by ANSI sequences, sentences wrapped at *width* columns."""

    colour: bool = False
    width: int = 100

    def paint(self, text: str, code: str) -> str:
        """Return *text* in a colour, or as it is."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    title: str
    findings: tuple[Finding, ...]


def title_text(title: str, style: Style) -> str:
    """Return the line above a section, an empty line before it."""
    return f"\n{style.paint(title, _BOLD)}\n"


def paragraph(text: str, style: Style) -> str:
    """Return a sentence or more, indented."""
    return "".join(f"  {line}\n" for line in _wrapped(text, style.width - 2))


def finding_text(finding: Finding, style: Style) -> str:
    """Return the lines of one finding: what was found, then behind an arrow what to do."""
    status = style.paint(f"{finding.status:<{_STATUS_WIDTH}}", _COLOURS[finding.status])
    check = f"{finding.check:<{_CHECK_WIDTH - 1}} "
    room = max(_NARROWEST, style.width - _INDENT)
    first, *rest = _wrapped(finding.detail, room)
    lines = [f"  {status}{check}{first}", *(" " * _INDENT + line for line in rest)]
    if finding.advice:
        arrow = _wrapped(finding.advice, room - 3)
        lines += [
            f"{' ' * _INDENT}{'-> ' if number == 0 else '   '}{line}"
            for number, line in enumerate(arrow)
        ]
    # An example is there to be copied: never wrapped, and not far to the right.
    lines += [f"      {line}".rstrip() for line in finding.example.splitlines()]
    return "\n".join(lines) + "\n"


def summary_text(findings: Sequence[Finding], style: Style) -> str:
    """Return the last words: how many of each kind, and which ones need somebody."""
    lines = [style.paint(summary(findings), _BOLD)]
    for status in (Status.PROBLEM, Status.WARNING):
        checks = dict.fromkeys(f.check for f in findings if f.status is status)
        if checks:
            lines.append(f"  {style.paint(f'{status}:', _COLOURS[status])} {', '.join(checks)}")
    return "\n" + "\n".join(lines) + "\n"


def guide_text(guide: Guide, style: Style) -> str:
    """Return how to set up one client."""
    lines = ["", f"  {style.paint(guide.name, _BOLD)}"]
    for step in guide.steps:
        width = max(map(len, step.fields), default=0) + 2
        fields = [f"{label + ':':<{width}}{value}" for label, value in step.fields.items()]
        lines += [f"    {line}" for line in _wrapped(_plain(step.say), style.width - 4)]
        lines += [f"      {line}".rstrip() for line in (*fields, *step.text.splitlines())]
    for note in guide.notes:
        first, *rest = _wrapped(_plain(note), style.width - 6)
        lines += [f"    - {first}", *(f"      {line}" for line in rest)]
    return "\n".join(lines) + "\n"


def as_json(
    version: str,
    sections: Iterable[Section],
    guides: Iterable[Guide],
    *,
    context: GuideContext,
    code: int,
) -> dict[str, Any]:
    """Return the whole report as an object for machines; its keys are a promise."""
    checks = [
        {"section": section.title, **dataclasses.asdict(finding)}
        for section in sections
        for finding in section.findings
    ]
    return {
        "version": version,
        "exit_code": code,
        "summary": {status: sum(c["status"] == status for c in checks) for status in Status},
        "checks": checks,
        "base_url": context.base_url,
        "models": list(context.models),
        "clients": [dataclasses.asdict(guide) for guide in guides],
    }


def _wrapped(text: str, width: int) -> list[str]:
    """Return *text* in lines; addresses, commands and names with hyphens stay whole."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _plain(text: str) -> str:
    """Return a sentence of the guide without its Markdown."""
    return text.replace("`", "")
