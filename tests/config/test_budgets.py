"""Budgets: how they are written, and when their periods begin."""

from datetime import UTC, datetime

import pytest

from jarvis_proxy.config.budgets import (
    NANO,
    Budget,
    day_number,
    day_of,
    parse_budgets,
    period_end,
    period_of,
)

MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5USD/day", (Budget(5 * NANO, "USD", "day"),)),
        ("5 usd / Month", (Budget(5 * NANO, "USD", "month"),)),
        ("0.25USD/day", (Budget(NANO // 4, "USD", "day"),)),
        ("0.000000001USD/day", (Budget(1, "USD", "day"),)),
        ("200000tokens/month", (Budget(200_000, "tokens", "month"),)),
        ("1token/day", (Budget(1, "tokens", "day"),)),
        ("2.0tokens/day", (Budget(2, "tokens", "day"),)),
        (
            "1USD/day, 20USD/month,",
            (Budget(NANO, "USD", "day"), Budget(20 * NANO, "USD", "month")),
        ),
    ],
)
def test_a_budget_is_read_as_it_is_meant(text: str, expected: tuple[Budget, ...]) -> None:
    assert expected == parse_budgets(text)


@pytest.mark.every_case
@pytest.mark.parametrize(
    "text",
    [
        "5",
        "5USD",
        "USD/day",
        "5EUR/day",
        "5USD/week",
        "-5USD/day",
        "0USD/day",
        "0.0tokens/day",
        "1.5tokens/day",
        "1e3tokens/day",
        "5USD/day/month",
        "9999999999999USD/day",
        "0.0000000001USD/day",
    ],
)
def test_what_is_no_budget_is_refused_by_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match=r"^entry 1 must be .* such as 5USD/day or "):
        parse_budgets(text)


def test_commas_alone_are_no_budget() -> None:
    with pytest.raises(ValueError, match="must be a budget"):
        parse_budgets(" , ,")


def test_a_period_has_one_budget_in_each_unit() -> None:
    with pytest.raises(ValueError, match=r"^entry 2 must be"):
        parse_budgets("5USD/day,6USD/day")


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(5 * NANO, "USD", "day"), "5 USD a day"),
        (Budget(NANO // 4, "USD", "month"), "0.25 USD a month"),
        (Budget(100 * NANO, "USD", "month"), "100 USD a month"),
        (Budget(1, "USD", "day"), "0.000000001 USD a day"),
        (Budget(200_000, "tokens", "month"), "200000 tokens a month"),
    ],
)
def test_a_budget_is_said_in_words(budget: Budget, expected: str) -> None:
    assert expected == budget.describe()


def test_days_turn_at_midnight_in_utc() -> None:
    assert day_of(MIDNIGHT - 0.001) == "2026-11-23"
    assert day_of(MIDNIGHT) == "2026-11-24"
    assert day_number(MIDNIGHT) == day_number(MIDNIGHT - 0.001) + 1


@pytest.mark.parametrize(
    ("day", "next_day", "next_month"),
    [
        ("2026-11-23", "2026-11-24", "2026-12-01"),
        ("2026-11-30", "2026-12-01", "2026-12-01"),
        ("2026-12-31", "2027-01-01", "2027-01-01"),
        ("2028-02-01", "2028-02-02", "2028-03-01"),
        ("2028-01-31", "2028-02-01", "2028-02-01"),
    ],
)
def test_a_period_ends_where_the_next_one_begins(day: str, next_day: str, next_month: str) -> None:
    assert period_end("day", day).isoformat() == f"{next_day}T00:00:00+00:00"
    assert period_end("month", day).isoformat() == f"{next_month}T00:00:00+00:00"


def test_a_day_is_in_itself_and_in_its_month() -> None:
    assert period_of("day", "2026-11-23") == "2026-11-23"
    assert period_of("month", "2026-11-23") == "2026-11"
