"""Usage: which calls count, for whom, under which day and model, and when a budget is spent."""

from datetime import UTC, datetime
from typing import Any

import pytest

from jarvis_proxy.accounting.usage import (
    OTHER,
    NullUsageStore,
    UsageLedger,
    UsageRow,
    UsageTotals,
    is_billable,
    oldest_day,
)
from jarvis_proxy.config.budgets import NANO, Budget
from jarvis_proxy.errors import LimitExceeded
from jarvis_proxy.routing.endpoints import RELAYED
from tests.support.call_records import call

ALL = ("0000-00-00", "9999-99-99")


def days(ledger: UsageLedger, key: str = "laptop") -> dict[str, dict[str, UsageTotals]]:
    return {day: dict(models) for day, models in ledger.days(key, *ALL)}


def moment(text: str) -> float:
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


# -- which calls count -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"attempts": 0}, False),  # the proxy refused it
        ({"route": RELAYED}, False),  # files, batches: no model
        ({"outcome": "upstream_error"}, True),  # cut, with tokens known
        ({"outcome": "upstream_error", "prompt_tokens": None}, True),  # cut after the first byte
        ({"outcome": "upstream_error", "prompt_tokens": None, "first_byte_sent_at": None}, False),
        ({"outcome": "refused", "prompt_tokens": None, "first_byte_sent_at": None}, False),
        ({"outcome": "client_closed", "prompt_tokens": None, "first_byte_sent_at": None}, True),
        ({"outcome": "ok", "prompt_tokens": None, "first_byte_sent_at": None}, True),
    ],
)
def test_a_call_counts_if_an_upstream_may_have_worked_for_it(
    changes: dict[str, Any], *, expected: bool
) -> None:
    ledger = UsageLedger()
    ledger.add(call(**changes))

    assert expected is is_billable(call(**changes))
    assert expected is bool(days(ledger))


def test_a_call_counts_with_all_its_tokens_under_its_day_and_the_upstreams_model() -> None:
    ledger = UsageLedger()
    ledger.add(call(model="my-alias"))
    ledger.add(call(prompt_tokens=1, completion_tokens=0, cached_tokens=0, reasoning_tokens=0))

    assert days(ledger) == {
        "2026-11-23": {"openai/gpt-4o": UsageTotals(2, 11, 5, 4, 2, cost=2000)},
    }


def test_a_call_belongs_to_the_day_on_which_it_ends() -> None:
    ledger = UsageLedger()
    ledger.add(call("2026-11-23T23:59:59", ended_at=100.5))
    ledger.add(call("2026-11-23T23:59:59", ended_at=101.0))

    assert list(days(ledger)) == ["2026-11-23", "2026-11-24"]


def test_days_come_in_order_whatever_the_clock_did() -> None:
    ledger = UsageLedger()
    for at in ("2026-11-24T12:00:00", "2026-11-23T12:00:00", "2026-11-25T12:00:00"):
        ledger.add(call(at))

    assert [day for day, _ in ledger.days("laptop", "2026-11-23", "2026-11-24")] == [
        "2026-11-23",
        "2026-11-24",
    ]


def test_a_call_without_tokens_is_counted_as_unmeasured_and_never_guessed() -> None:
    ledger = UsageLedger()
    unknown: dict[str, Any] = {
        "prompt_tokens": None,
        "completion_tokens": None,
        "cached_tokens": None,
        "reasoning_tokens": None,
        "cache_write_tokens": None,
        "cost": None,
    }
    ledger.add(call(**unknown))
    counts = days(ledger)["2026-11-23"]["openai/gpt-4o"]

    assert counts == UsageTotals(calls=1, unmeasured=1)
    assert counts.known_cost is None


def test_an_unknown_price_is_no_cost_of_zero() -> None:
    ledger = UsageLedger()
    ledger.add(call(cost=None))
    unknown = days(ledger)["2026-11-23"]["openai/gpt-4o"]

    assert (unknown.unpriced, unknown.known_cost) == (1, None)

    ledger.add(call(cost=0))
    some = days(ledger)["2026-11-23"]["openai/gpt-4o"]

    assert (some.unpriced, some.known_cost) == (1, None)

    ledger.add(call(cost=7))
    more = days(ledger)["2026-11-23"]["openai/gpt-4o"]

    assert (more.unpriced, more.known_cost) == (1, 7)


def test_a_known_price_of_nothing_is_a_cost_of_zero() -> None:
    ledger = UsageLedger()
    ledger.add(call(cost=0))

    assert days(ledger)["2026-11-23"]["openai/gpt-4o"].known_cost == 0


@pytest.mark.parametrize(
    ("target", "expected"), [("", "openai/default"), ("a\nb", "openai/a?b")], ids=["none", "odd"]
)
def test_a_models_name_is_one_that_can_be_shown(target: str, expected: str) -> None:
    ledger = UsageLedger()
    ledger.add(call(upstream_model=target))

    assert list(days(ledger)["2026-11-23"]) == [expected]


def test_names_that_clients_make_up_cannot_fill_the_memory() -> None:
    ledger = UsageLedger()
    for number in range(500):
        ledger.add(call(upstream_model=f"made-up-{number}"))
    models = days(ledger)["2026-11-23"]

    assert len(models) == 101
    assert models[OTHER].calls == 400
    assert len(ledger.drain_pending()) == 101


def test_keys_are_kept_apart() -> None:
    ledger = UsageLedger()
    ledger.add(call())
    ledger.add(call(key_name="phone"))

    assert days(ledger, "laptop") == days(ledger, "phone")
    assert days(ledger, "other") == {}


def test_old_days_are_forgotten_and_two_months_are_kept() -> None:
    ledger = UsageLedger({"laptop": (Budget(1, "tokens", "month"),)})
    for at in ("2026-09-01T12:00:00", "2026-09-25T12:00:00", "2026-10-01T12:00:00"):
        ledger.add(call(at))
    ledger.add(call("2026-11-24T12:00:00"))

    assert list(days(ledger)) == ["2026-09-25", "2026-10-01", "2026-11-24"]
    assert oldest_day(moment("2026-11-24T12:00:00")) == "2026-09-23"
    assert {period for _, period in ledger._spent} == {
        "2026-09-25",
        "2026-10-01",
        "2026-10",
        "2026-11-24",
        "2026-11",
    }


# -- what is stored --------------------------------------------------------------------------


def test_what_is_not_stored_is_taken_once() -> None:
    ledger = UsageLedger()
    ledger.add(call())
    ledger.add(call(key_name="phone"))
    rows = ledger.drain_pending()
    expected = UsageTotals(1, 10, 5, 4, 2, 1000)

    assert rows == [
        UsageRow("2026-11-23", "laptop", "openai/gpt-4o", expected),
        UsageRow("2026-11-23", "phone", "openai/gpt-4o", expected),
    ]
    assert ledger.drain_pending() == []


def test_what_could_not_be_stored_is_kept_with_what_came_meanwhile() -> None:
    ledger = UsageLedger()
    ledger.add(call())
    rows = ledger.drain_pending()
    ledger.add(call())
    ledger.add(call(key_name="phone"))
    ledger.restore_pending(rows)

    assert {row.key: row.totals.calls for row in ledger.drain_pending()} == {
        "laptop": 2,
        "phone": 1,
    }


def test_stored_sums_replace_those_in_memory_and_pending_ones_come_on_top() -> None:
    ledger = UsageLedger()
    ledger.add(call())
    ledger.drain_pending()  # stored by now
    ledger.add(call())
    stored = [UsageRow("2026-11-23", "laptop", "openai/gpt-4o", UsageTotals(calls=7, prompt=70))]
    ledger.restore(stored)
    ledger.restore(stored)

    assert days(ledger)["2026-11-23"]["openai/gpt-4o"].calls == 8
    assert days(ledger)["2026-11-23"]["openai/gpt-4o"].prompt == 80
    assert stored[0].totals == UsageTotals(calls=7, prompt=70)


# -- budgets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "calls_until_spent"),
    [
        (Budget(45, "tokens", "day"), 3),
        (Budget(46, "tokens", "day"), 4),
        (Budget(2000, "USD", "day"), 2),
        (Budget(2001, "USD", "month"), 3),
    ],
)
def test_a_call_goes_while_something_is_left(budget: Budget, calls_until_spent: int) -> None:
    ledger = UsageLedger({"laptop": (budget,)})
    now = moment("2026-11-23T13:00:00")
    for _ in range(calls_until_spent):
        ledger.check("laptop", now)
        ledger.add(call())
    with pytest.raises(LimitExceeded) as caught:
        ledger.check("laptop", now)

    assert caught.value.limit == "budget"


def test_each_of_several_budgets_holds() -> None:
    ledger = UsageLedger({"laptop": (Budget(NANO, "USD", "day"), Budget(15, "tokens", "month"))})
    ledger.add(call("2026-11-01T12:00:00"))

    with pytest.raises(LimitExceeded, match="15 tokens a month"):
        ledger.check("laptop", moment("2026-11-30T23:59:59"))
    ledger.check("laptop", moment("2026-12-01T00:00:00"))


def test_a_key_without_a_budget_is_never_refused() -> None:
    ledger = UsageLedger({"phone": (Budget(1, "tokens", "day"),)})
    ledger.add(call())

    ledger.check("laptop", moment("2026-11-23T13:00:00"))


def test_exceeded_budget_says_when_it_resets_and_forbids_retries() -> None:
    ledger = UsageLedger({"laptop": (Budget(5 * NANO, "USD", "day"),)})
    ledger.add(call(cost=6 * NANO))
    with pytest.raises(LimitExceeded) as caught:
        ledger.check("laptop", moment("2026-11-23T23:59:30"))
    error = caught.value

    assert (error.status, error.code, error.error_type) == (
        429,
        "insufficient_quota",
        "insufficient_quota",
    )
    assert error.message == (
        "The budget of this key, 5 USD a day, is used up. It resets at 2026-11-24T00:00:00Z."
    )
    assert error.should_retry is False
    assert error.retry_after == 30.0


def test_budget_state_is_in_its_own_unit() -> None:
    ledger = UsageLedger({"laptop": (Budget(20, "tokens", "day"), Budget(900, "USD", "month"))})
    ledger.add(call())
    tokens, money = ledger.states("laptop", moment("2026-11-23T12:00:00"))

    assert (tokens.spent, tokens.remaining, tokens.resets_at) == (15, 5, "2026-11-24T00:00:00Z")
    assert (money.spent, money.remaining, money.resets_at) == (1000, 0, "2026-12-01T00:00:00Z")
    assert tokens.seconds_left == 12 * 3600


def test_budgets_may_change_while_what_was_spent_stays() -> None:
    ledger = UsageLedger()
    ledger.add(call())
    ledger.budgets = {"laptop": (Budget(15, "tokens", "day"),)}

    with pytest.raises(LimitExceeded):
        ledger.check("laptop", moment("2026-11-23T13:00:00"))


def test_a_call_of_an_unknown_price_spends_no_money() -> None:
    ledger = UsageLedger({"laptop": (Budget(1, "USD", "day"),)})
    ledger.add(call(cost=None))

    ledger.check("laptop", moment("2026-11-23T13:00:00"))


def test_sums_are_those_of_the_calls_in_any_order() -> None:
    one, other = UsageTotals(1, 2, 3, 4, 5, 6, 7, 8), UsageTotals(10, 20, 30, 40, 50, 60, 70, 80)
    one.add(other)

    assert one == UsageTotals(11, 22, 33, 44, 55, 66, 77, 88)
    assert one.tokens == 55


def test_a_moment_is_a_day_of_its_own_in_utc() -> None:
    ledger = UsageLedger({"laptop": (Budget(1000, "tokens", "day"),)})
    now = datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC).timestamp()
    (before,) = ledger.states("laptop", now)
    (after,) = ledger.states("laptop", now + 1)

    assert (before.resets_at, after.resets_at) == ("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z")


def test_calls_are_summed_up_in_batches_and_none_is_lost() -> None:
    ledger = UsageLedger()
    for number in range(600):
        ledger.add(call(upstream_model="a" if number % 3 else "b"))

    ((_, models),) = ledger.days("laptop", "2026-11-23", "2026-11-23")

    assert {name: counts.calls for name, counts in models.items()} == {
        "openai/a": 400,
        "openai/b": 200,
    }
    assert sum(row.totals.prompt for row in ledger.drain_pending()) == 6000


async def test_a_store_in_memory_takes_rows_and_has_none_to_load() -> None:
    store = NullUsageStore()

    assert await store.add([])
    assert await store.load("2026-01-01") is None
