"""Where the report goes: written as it grows, with a line that says what is waited for. IO."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TextIO

from jarvis_proxy.doctor.findings import Finding
from jarvis_proxy.doctor.report import Section, Style, finding_text, title_text

_CLEAR_LINE: Final = "\r\x1b[K"
_HIDDEN: Final = "[hidden]"
_SHORTEST_SECRET: Final = 8
"""A shorter "key" (``any-word``, for an upstream that needs none) may be a word of the report."""

_PLAIN_WIDTH: Final = 100
_WIDEST: Final = 110


class Output:
    """The report on its way to *out*; *progress* is a terminal for passing words, or None.

    Whatever is written is searched for *secrets* once more, although none should be in it.
    """

    def __init__(
        self,
        out: TextIO,
        *,
        style: Style,
        as_json: bool = False,
        progress: TextIO | None = None,
        secrets: Iterable[str] = (),
    ) -> None:
        self.style = style
        self.as_json = as_json
        self.sections: list[Section] = []
        self._out = out
        self._progress = progress
        self._secrets = sorted(
            {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}, key=len, reverse=True
        )

    @property
    def findings(self) -> list[Finding]:
        """Everything found so far."""
        return [finding for section in self.sections for finding in section.findings]

    def hide(self, secrets: Iterable[str]) -> None:
        """Keep more secrets out of what is written from now on."""
        more = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        self._secrets = sorted({*self._secrets, *more}, key=len, reverse=True)

    def section(self, title: str, findings: Sequence[Finding]) -> None:
        """Add a section; one without findings is left out."""
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
        """Say what is being waited for, on a terminal, until something is written."""
        if self._progress is not None and what:
            # One line only: a second one could not be taken back.
            text = f"  checking {what} …"[: self.style.width - 1]
            self._progress.write(_CLEAR_LINE + self._redacted(text))
            self._progress.flush()

    def _write(self, text: str) -> None:
        if self._progress is not None:
            self._progress.write(_CLEAR_LINE)
            self._progress.flush()
        self._out.write(self._redacted(text))
        self._out.flush()

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text


def style_for(out: TextIO, environ: Mapping[str, str]) -> Style:
    """Return colour and width for where the report goes; NO_COLOR (no-color.org) is obeyed."""
    if not out.isatty():
        return Style(colour=False, width=_PLAIN_WIDTH)
    colour = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return Style(colour=colour, width=min(_WIDEST, shutil.get_terminal_size().columns))


def progress_on(err: TextIO, environ: Mapping[str, str]) -> TextIO | None:
    """Return *err* if it is a terminal that can take a line back."""
    if os.name == "posix" and err.isatty() and environ.get("TERM", "dumb") != "dumb":
        return err
    return None
