"""Writes the report as it grows, with a line that shows the current check. IO."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from jarvis_proxy.doctor.findings import Finding
from jarvis_proxy.doctor.report import Section, Style, finding_text, title_text
from jarvis_proxy.redaction import Secrets

_CLEAR_LINE: Final = "\r\x1b[K"
_PLAIN_WIDTH: Final = 100
_WIDEST: Final = 110


@dataclass(slots=True)
class Output:
    """Writes the report to *out*; *progress* is a terminal for passing notices, or None.

    It redacts secrets in all that it writes, although none should be there.
    """

    out: TextIO
    style: Style
    as_json: bool = False
    progress: TextIO | None = None
    sections: list[Section] = field(default_factory=list)
    secrets: Secrets = field(default_factory=lambda: Secrets(()), repr=False)

    @property
    def findings(self) -> list[Finding]:
        """All findings so far."""
        return [finding for section in self.sections for finding in section.findings]

    def redact(self, secrets: Iterable[str]) -> None:
        """Redact *secrets* from now on."""
        self.secrets = Secrets(secrets, more=self.secrets)

    def section(self, title: str, findings: Sequence[Finding]) -> None:
        """Add a section, unless it has no findings."""
        if not findings:
            return
        self.sections.append(Section(title, tuple(findings)))
        self.text(title_text(title, self.style))
        for finding in findings:
            self.text(finding_text(finding, self.style))

    def text(self, text: str) -> None:
        """Write text, unless the report is JSON."""
        if not self.as_json:
            self._write(text)

    def json(self, report: Mapping[str, Any]) -> None:
        """Write the whole report as JSON."""
        self._write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")

    def notice(self, what: str) -> None:
        """Show on a terminal what the doctor waits for, until the next text is written."""
        if what:
            # Use one line only, because a second one could not be cleared.
            self._show_progress(f"  checking {what} …"[: self.style.width - 1])

    def _write(self, text: str) -> None:
        self._show_progress("")
        self.out.write(self.secrets.redact(text))
        self.out.flush()

    def _show_progress(self, text: str) -> None:
        if self.progress is not None:
            self.progress.write(_CLEAR_LINE + self.secrets.redact(text))
            self.progress.flush()


def style_for(out: TextIO, environ: Mapping[str, str]) -> Style:
    """Return colour and width for *out*; NO_COLOR (no-color.org) turns colour off."""
    if not out.isatty():
        return Style(colour=False, width=_PLAIN_WIDTH)
    colour = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return Style(colour=colour, width=min(_WIDEST, shutil.get_terminal_size().columns))


def progress_on(err: TextIO, environ: Mapping[str, str]) -> TextIO | None:
    """Return *err* if it is a terminal that can clear a line."""
    if os.name == "posix" and err.isatty() and environ.get("TERM", "dumb") != "dumb":
        return err
    return None
