"""How far this machine's clock is off, by the ``Date`` of an answer. Pure."""

from email.utils import parsedate_to_datetime
from typing import Final

from jarvis_proxy.doctor.findings import Finding, ok, problem, warning
from jarvis_proxy.doctor.net.http_answer import HttpAnswer

_TOLERATED: Final = 30.0
"""``Date`` has whole seconds, and the answer was on its way for some."""

_HARMFUL: Final = 300.0
_SET_CLOCK: Final = "timedatectl set-ntp true"


def skew(answer: HttpAnswer, now: float) -> float | None:
    """Return by how many seconds this clock is ahead of the answer's; None without a date.

    *now* is this clock's reading at the arrival of *answer*. What a cache kept (``Age``) is older.
    """
    try:
        moment = parsedate_to_datetime(answer.header("date")).timestamp()
    except (ValueError, OverflowError):
        return None
    age = answer.header("age")
    return now - moment - (int(age) if age.isdecimal() and len(age) < 9 else 0)


def evaluate(seconds: float, source: str) -> Finding:
    """Return the finding for a clock that is *seconds* ahead of the one of *source*."""
    check = "clock"
    if abs(seconds) <= _TOLERATED:
        return ok(check, f"agrees with {source}")
    direction = "ahead of" if seconds > 0 else "behind"
    detail = f"{_duration(abs(seconds))} {direction} {source}"
    advice = "Turn time synchronisation on:"
    if abs(seconds) <= _HARMFUL:
        return warning(check, detail, advice, _SET_CLOCK)
    return problem(
        check, f"{detail}, which makes valid certificates look invalid", advice, _SET_CLOCK
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86_400:.0f} days"
