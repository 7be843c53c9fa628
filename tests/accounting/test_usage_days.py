"""Usage for the dashboard: days in their order, this month's keys, budgets."""

from jarvis_proxy.accounting.usage import UsageLedger, UsageRow, UsageTotals
from jarvis_proxy.accounting.usage_days import BudgetSummary, UsageSummary, overview
from jarvis_proxy.config.budgets import Budget

NOW = 1_795_478_400.0  # 2026-11-24T00:00:00Z


def ledger(*rows: tuple[str, str, UsageTotals]) -> UsageLedger:
    made = UsageLedger()
    made.restore(UsageRow(day, key, "openai/gpt-4o", counts) for day, key, counts in rows)
    return made


def test_days_are_the_sums_of_all_keys_oldest_first() -> None:
    usage = overview(
        ledger(
            ("2026-11-24", "laptop", UsageTotals(2, 10, 20, cost=7)),
            ("2026-11-22", "laptop", UsageTotals(1, 1, 1, cost=1)),
            ("2026-11-24", "phone", UsageTotals(1, 5, 5, cost=3)),
        ),
        NOW,
    )

    assert usage.days == [
        UsageSummary("2026-11-22", 1, 1, 1, 1, 0),
        UsageSummary("2026-11-24", 3, 15, 25, 10, 0),
    ]


def test_keys_of_this_month_are_sorted_by_cost() -> None:
    usage = overview(
        ledger(
            ("2026-10-31", "old", UsageTotals(9, 9, 9, cost=99)),
            ("2026-11-01", "laptop", UsageTotals(1, 1, 1, cost=1)),
            ("2026-11-24", "laptop", UsageTotals(1, 1, 1, cost=1)),
            ("2026-11-24", "phone", UsageTotals(1, 5, 5, cost=3)),
            ("2026-11-24", "busy", UsageTotals(1, 50, 50)),
        ),
        NOW,
    )

    assert usage.month == "2026-11"
    assert [(use.name, use.calls, use.cost) for use in usage.keys] == [
        ("phone", 1, 3),
        ("laptop", 2, 2),
        ("busy", 1, 0),
    ]


def test_unknown_cost_is_not_shown_as_zero() -> None:
    usage = overview(ledger(("2026-11-24", "laptop", UsageTotals(2, 10, 20, unpriced=2))), NOW)

    assert usage.days == [UsageSummary("2026-11-24", 2, 10, 20, None, 2)]


def test_at_most_a_month_of_days_and_twenty_keys_are_returned() -> None:
    rows = [(f"2026-{m}-{d:02}", "laptop", UsageTotals(1)) for m in (10, 11) for d in range(1, 25)]
    keys = [("2026-11-02", f"key-{number}", UsageTotals(1, cost=number)) for number in range(30)]
    usage = overview(ledger(*rows, *keys), NOW)

    assert len(usage.days) == 31
    assert usage.days[-1].name == "2026-11-24"
    assert [use.name for use in usage.keys[:2]] == ["key-29", "key-28"]
    assert len(usage.keys) == 20


def test_budgets_show_what_is_spent_in_their_own_unit() -> None:
    made = ledger(("2026-11-24", "laptop", UsageTotals(2, 10, 20, cost=7)))
    made.budgets = {
        "laptop": (Budget(100, "tokens", "day"), Budget(5, "USD", "month")),
        "phone": (Budget(9, "USD", "day"),),
    }

    assert overview(made, NOW).budgets == [
        BudgetSummary("laptop", "tokens", "day", 100, 30),
        BudgetSummary("laptop", "USD", "month", 5, 7),
        BudgetSummary("phone", "USD", "day", 9, 0),
    ]
