"""Formats findings and client settings as text, with or without colour, and as JSON. Pure."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from jarvis_proxy import __version__
from jarvis_proxy.client_guides.context import GuideContext
from jarvis_proxy.client_guides.registry import Guide
from jarvis_proxy.doctor.findings import Finding, Status, summary

_SGR: Final = dict(zip(Status, ("32", "33", "1;31", "2"), strict=True))
"""The terminal colour of each status: green, yellow, bold red, dim."""

_BOLD: Final = "1"
_KEY_HINT: Final = (
    "The key of a client is one of PROXY_API_KEYS in .env. Put it in place of YOUR-PROXY-KEY, or"
    " into the environment variable JARVIS_KEY."
)
_STATUS_WIDTH: Final = 9
_MARGIN: Final = " " * (2 + _STATUS_WIDTH + 22)
_NARROWEST: Final = 30
_STEP_MARGIN: Final = " " * 6


@dataclass(frozen=True, slots=True)
class Style:
    """The layout of text: *colour* uses ANSI sequences, sentences wrap at *width* columns."""

    colour: bool = False
    width: int = 100

    def paint(self, text: str, sgr: str) -> str:
        """Return *text* in a colour, or unchanged without colours."""
        return f"\x1b[{sgr}m{text}\x1b[0m" if self.colour else text


class Section(NamedTuple):
    """A part of the report."""

    title: str
    findings: tuple[Finding, ...]


def title_text(title: str, style: Style) -> str:
    """Return a section's title line, with an empty line before it."""
    return f"\n{style.paint(title, _BOLD)}\n"


def finding_text(finding: Finding, style: Style) -> str:
    """Return the lines of one finding: what was found, then, after an arrow, what to do."""
    width = max(_NARROWEST + len(_MARGIN), style.width)
    status = f"{finding.status:<{_STATUS_WIDTH}}"
    head = f"{f'  {status}{finding.check}':<{len(_MARGIN) - 1}} "
    lines = [_wrapped(finding.detail, width, head, _MARGIN)]
    if finding.advice:
        lines.append(_wrapped(finding.advice, width, f"{_MARGIN}-> ", f"{_MARGIN}   "))
    if finding.example:
        # The example is there to copy: it is never wrapped, and is only slightly indented.
        lines.append(textwrap.indent(finding.example, _STEP_MARGIN))
    painted = style.paint(status, _SGR[finding.status])
    return "\n".join(lines).replace(status, painted, 1) + "\n"


def summary_text(findings: Sequence[Finding], style: Style) -> str:
    """Return the last lines: the numbers by status, and the checks that need action."""
    text = f"\n{style.paint(summary(findings), _BOLD)}\n"
    for status in (Status.PROBLEM, Status.WARNING):
        checks = dict.fromkeys(each.check for each in findings if each.status is status)
        if checks:
            text += f"  {style.paint(f'{status}:', _SGR[status])} {', '.join(checks)}\n"
    return text


def guides_text(guides: Iterable[Guide], style: Style) -> str:
    """Return the set-up guides of clients."""
    title = title_text("Settings for clients", style)
    hint = _wrapped(_KEY_HINT, style.width, "  ", "  ")
    return "\n".join([f"{title}{hint}", *(_guide_text(guide, style) for guide in guides)]) + "\n"


def _guide_text(guide: Guide, style: Style) -> str:
    lines = ["", f"  {style.paint(guide.name, _BOLD)}"]
    for step in guide.steps:
        width = max(map(len, step.fields), default=0) + 2
        fields = [f"{label + ':':<{width}}{value}" for label, value in step.fields.items()]
        lines.append(_wrapped(step.say.replace("`", ""), style.width, "    ", "    "))
        lines.append(textwrap.indent(step.text or "\n".join(fields), _STEP_MARGIN))
    for note in guide.notes:
        lines.append(_wrapped(note.replace("`", ""), style.width, "    - ", _STEP_MARGIN))
    return "\n".join(lines)


def as_json(
    sections: Iterable[Section], guides: Iterable[Guide], *, context: GuideContext, code: int
) -> dict[str, Any]:
    """Return the whole report as an object for programs; its keys are stable."""
    checks = [
        {"section": title, **asdict(finding)} for title, found in sections for finding in found
    ]
    return {
        "version": __version__,
        "exit_code": code,
        "summary": {status: sum(c["status"] == status for c in checks) for status in Status},
        "checks": checks,
        "base_url": context.base_url,
        "models": list(context.models),
        "clients": [asdict(guide) for guide in guides],
    }


def _wrapped(text: str, width: int, first: str, rest: str) -> str:
    """Return *text* wrapped; URLs, commands and names with hyphens stay whole."""
    wrapper = textwrap.TextWrapper(width, initial_indent=first, subsequent_indent=rest)
    wrapper.break_long_words = wrapper.break_on_hyphens = False
    return wrapper.fill(text)
