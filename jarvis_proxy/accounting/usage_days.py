"""Usage by day, and by key this month, for the dashboard. Pure."""

from collections.abc import Iterator
from typing import Final

import msgspec

from jarvis_proxy.accounting.usage import UsageLedger, UsageTotals
from jarvis_proxy.config.budgets import Period, Unit, day_of

_MAX_DAYS: Final = 31
_MAX_KEYS: Final = 20


class UsageSummary(msgspec.Struct):
    """Sums of a day or of a key, under its *name*. *cost* is in billionths of a dollar, or null.

    The cost excludes *unpriced* calls.
    """

    name: str
    calls: int
    prompt: int
    completion: int
    cost: int | None
    unpriced: int


class BudgetSummary(msgspec.Struct):
    """The state of a key's budget; *spent* and *amount* are tokens or billionths of a dollar."""

    key: str
    unit: Unit
    period: Period
    amount: int
    spent: int


class UsageOverview(msgspec.Struct):
    """The last *days*, oldest first; *keys* of the current *month*, the most expensive first."""

    month: str
    days: list[UsageSummary]
    keys: list[UsageSummary]
    budgets: list[BudgetSummary]


def overview(ledger: UsageLedger, now: float) -> UsageOverview:
    """Return the overview of *ledger* at *now* (epoch seconds)."""
    month = day_of(now)[:7]
    days: dict[str, UsageTotals] = {}
    keys: dict[str, UsageTotals] = {}
    for key, period, totals in ledger.sums():
        if period == month:
            keys.setdefault(key, UsageTotals()).add(totals)
        elif len(period) > len(month):
            days.setdefault(period, UsageTotals()).add(totals)
    recent = sorted(days.items())[-_MAX_DAYS:]
    by_cost = sorted(keys.items(), key=lambda item: (-item[1].cost, -item[1].tokens, item[0]))
    return UsageOverview(
        month,
        [_summary(day, totals) for day, totals in recent],
        [_summary(key, totals) for key, totals in by_cost[:_MAX_KEYS]],
        list(_budget_summaries(ledger, now))[:_MAX_KEYS],
    )


def _summary(name: str, totals: UsageTotals) -> UsageSummary:
    return UsageSummary(
        name, totals.calls, totals.prompt, totals.completion, totals.known_cost, totals.unpriced
    )


def _budget_summaries(ledger: UsageLedger, now: float) -> Iterator[BudgetSummary]:
    for key in ledger.budgets:
        for state in ledger.states(key, now):
            budget = state.budget
            yield BudgetSummary(key, budget.unit, budget.period, budget.amount, state.spent)
