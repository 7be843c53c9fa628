"""What was used on each day, and by each key this month: for the live page. Pure."""

from collections.abc import Iterator
from typing import Final

import msgspec

from jarvis_proxy.accounting.usage import Counts, UsageBook
from jarvis_proxy.config.budgets import Period, Unit, day_of

_MAX_DAYS: Final = 31
_MAX_KEYS: Final = 20


class Use(msgspec.Struct):
    """Sums of a day, named so, or of a key. *cost* is in billionths of a dollar, null if unknown.

    It lacks *unpriced* calls.
    """

    name: str
    calls: int
    prompt: int
    completion: int
    cost: int | None
    unpriced: int


class BudgetUse(msgspec.Struct):
    """How a key's budget stands; *spent* and *amount* are tokens or billionths of a dollar."""

    key: str
    unit: Unit
    period: Period
    amount: int
    spent: int


class Usage(msgspec.Struct):
    """The last *days*, oldest first; *keys* are of the *month*, the dearest first."""

    month: str
    days: list[Use]
    keys: list[Use]
    budgets: list[BudgetUse]


def overview(book: UsageBook, now: float) -> Usage:
    """Return what *book* knows at *now* (epoch seconds)."""
    month = day_of(now)[:7]
    days: dict[str, Counts] = {}
    keys: dict[str, Counts] = {}
    for key, period, counts in book.sums():
        if period == month:
            keys.setdefault(key, Counts()).add(counts)
        elif len(period) > len(month):
            days.setdefault(period, Counts()).add(counts)
    recent = sorted(days.items())[-_MAX_DAYS:]
    dearest = sorted(keys.items(), key=lambda item: (-item[1].cost, -item[1].tokens, item[0]))
    return Usage(
        month,
        [_use(day, counts) for day, counts in recent],
        [_use(key, counts) for key, counts in dearest[:_MAX_KEYS]],
        list(_budgets(book, now))[:_MAX_KEYS],
    )


def _use(name: str, counts: Counts) -> Use:
    return Use(
        name, counts.calls, counts.prompt, counts.completion, counts.known_cost, counts.unpriced
    )


def _budgets(book: UsageBook, now: float) -> Iterator[BudgetUse]:
    for key in book.budgets:
        for state in book.states(key, now):
            budget = state.budget
            yield BudgetUse(key, budget.unit, budget.period, budget.amount, state.spent)
