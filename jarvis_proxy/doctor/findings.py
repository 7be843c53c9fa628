"""The findings of checks: a status, and sentences from TOML files next to the checks.

A file has a table per check, which has a table per possible result::

    [health.gateway_error]
    status = "problem"                       # ok, warning, problem or skipped
    detail = "{status}: {who} answers, but does not reach the proxy behind it"
    advice = "Is the proxy running?"         # or one sentence per audience: { site = "…", … }
    example = ""                             # text to copy: a command, or lines of configuration

Results of an HTTP answer also have conditions; the first result that applies is used::

    statuses = ["401", "5xx"]                # the answer has one of these statuses,
    codes = ["invalid_api_key"]              # or its error object holds one of these codes;
    when = ["has_list"]                      # and all of these values are true
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Final

import msgspec

from jarvis_proxy.doctor.net.http_answer import HttpAnswer

EX_CONFIG: Final = 78
"""The exit code with which the server itself would refuse to start."""


class Status(StrEnum):
    """The result of one check."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result: *detail* says what was found, *advice* what to do, *example* what to copy."""

    check: str
    status: Status
    detail: str
    advice: str = ""
    example: str = ""


class FindingTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One possible result of a check. Its texts are templates of ``str.format``."""

    status: Status
    detail: str
    advice: str | dict[str, str] = ""
    example: str = ""
    statuses: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    when: frozenset[str] = frozenset()

    def applies(self, answer: HttpAnswer, true: set[str]) -> bool:
        """Return whether this result applies to *answer*, given the names *true* of true values."""
        status = str(answer.status)
        has_status = not self.statuses.isdisjoint((status, f"{status[0]}xx"))
        has_code = not self.codes.isdisjoint(answer.error_codes)
        return self.when <= true and (has_status or has_code or not (self.statuses or self.codes))


class Check:
    """A check; it makes findings from the texts of a file.

    *file* is a path below ``doctor/`` without ``.toml``, *table* a table in it. The report shows
    *title*, by default the table's name, after *label*.
    """

    def __init__(
        self, file: str, table: str, *, title: str = "", label: str = "", audience: str = "default"
    ) -> None:
        self._messages = read_templates(file)[table]
        self._name = ": ".join(filter(None, (label, title or table)))
        self._audience = audience

    def finding(self, result: str, **values: object) -> Finding:
        """Return the finding for *result*, with *values* in its texts."""
        message = self._messages[result]
        advice = message.advice
        if isinstance(advice, dict):
            advice = advice.get(self._audience) or advice["default"]
        texts = (text.format_map(values) for text in (message.detail, advice, message.example))
        return Finding(self._name, message.status, *texts)

    def evaluate(self, answer: HttpAnswer, **values: object) -> Finding:
        """Return the finding of the first result that applies to *answer* and *values*.

        Texts may also contain ``{status}``, ``{content_type}``, and ``{answered}``: the status and
        the first error code.
        """
        true = {name for name, value in values.items() if value}
        result = next(name for name, m in self._messages.items() if m.applies(answer, true))
        values |= {"status": answer.status, "content_type": answer.content_type}
        answered = " ".join((str(answer.status), *answer.error_codes[:1]))
        return self.finding(result, answered=answered, **values)


@cache
def read_templates(file: str) -> dict[str, dict[str, FindingTemplate]]:
    """Return the templates of *file* by check and result, in the file's order."""
    data = (resources.files(__package__) / f"{file}.toml").read_bytes()
    return msgspec.toml.decode(data, type=dict[str, dict[str, FindingTemplate]])


def exit_code(findings: Iterable[Finding], *, settings_refused: bool) -> int:
    """Return 78 if the server would refuse its settings, 1 for any problem, otherwise 0."""
    has_problem = any(finding.status is Status.PROBLEM for finding in findings)
    return EX_CONFIG if settings_refused else int(has_problem)


def summary(findings: Iterable[Finding]) -> str:
    """Return the numbers of findings by status as one sentence."""
    counts = Counter(finding.status for finding in findings)
    words = [counted(counts[kind] or "no", kind) for kind in (Status.PROBLEM, Status.WARNING)]
    kinds = (Status.OK, Status.SKIPPED) if counts[Status.SKIPPED] else (Status.OK,)
    return ", ".join([*words, *(f"{counts[kind]} {kind}" for kind in kinds)]) + "."


def counted(count: int | str, noun: str, plural: str = "") -> str:
    """Return "1 key", or "3 keys"."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
