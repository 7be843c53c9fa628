"""Budgets: tokens or money for one client key per day or month. Pure.

Days and months are in UTC, so that they begin everywhere at the same time. Money is counted in
whole billionths of a dollar: sums of floats drift, and a cached token costs less than a millionth.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

NANO: Final = 1_000_000_000

Unit = Literal["tokens", "USD"]
Period = Literal["day", "month"]

_BUDGET: Final = re.compile(
    r"(?P<number>[0-9]{1,12}(?:\.[0-9]{1,9})?) ?(?P<unit>USD|tokens?) ?/ ?(?P<period>day|month)",
    re.IGNORECASE,
)
_SECONDS_A_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Budget:
    """*amount* is in tokens (prompt and completion together), or in billionths of a dollar."""

    amount: int
    unit: Unit
    period: Period

    def describe(self) -> str:
        """Return the budget in words, such as ``5 USD a day``."""
        number = f"{Decimal(self.amount) / NANO:f}" if self.unit == "USD" else str(self.amount)
        if "." in number:
            number = number.rstrip("0").rstrip(".")
        return f"{number} {self.unit} a {self.period}"


def parse_budgets(text: str) -> tuple[Budget, ...]:
    """Parse one or more comma-separated budgets; all of them apply.

    Raises:
        ValueError: the message says what would be right.
    """
    found: dict[tuple[Unit, Period], Budget] = {}
    for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        budget = _parse(entry)
        if budget is None or (budget.unit, budget.period) in found:
            raise ValueError(
                f"entry {number} must be an amount in USD or tokens a day or month that is named"
                " once, such as 5USD/day or 2000000tokens/month"
            )
        found[budget.unit, budget.period] = budget
    if not found:
        raise ValueError("must be a budget, such as 5USD/day, or be left empty")
    return tuple(found.values())


def _parse(entry: str) -> Budget | None:
    match = _BUDGET.fullmatch(entry)
    if match is None:
        return None
    number = Decimal(match["number"])
    period: Period = "day" if match["period"].lower() == "day" else "month"
    if match["unit"].upper() == "USD":
        budget = Budget(int(number * NANO), "USD", period)
    elif number == int(number):
        budget = Budget(int(number), "tokens", period)
    else:
        return None
    return budget if budget.amount else None


def day_of(moment: float) -> str:
    """Return the UTC day of *moment* (epoch seconds), such as ``2026-11-23``."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def period_of(period: Period, day: str) -> str:
    """Return the period that contains *day*: the day itself, or its month as ``2026-11``."""
    return day if period == "day" else day[:7]


def period_end(period: Period, day: str) -> datetime:
    """Return when the period of *day* ends and its budget resets."""
    first = date.fromisoformat(day)
    if period == "day":
        first += timedelta(days=1)
    else:
        # The first of a month plus 31 days is always in the next month.
        first = (first.replace(day=1) + timedelta(days=31)).replace(day=1)
    return datetime(first.year, first.month, first.day, tzinfo=UTC)


def day_number(moment: float) -> int:
    """Return the number of the UTC day of *moment*, which is cheaper to compare than its name."""
    return int(moment // _SECONDS_A_DAY)
