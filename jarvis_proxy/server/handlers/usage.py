"""Usage and remaining budgets of the caller's own key. IO.

No key can see another key's numbers.

Source of the billing paths, which OpenAI once had and NextChat still requests:
https://github.com/ChatGPTNextWeb/NextChat/blob/main/app/client/platforms/openai.ts (read 2026-11).
"""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec
from aiohttp import web

from jarvis_proxy.accounting.usage import BudgetState, UsageTotals, oldest_day
from jarvis_proxy.config.budgets import NANO, day_of
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.context import CONTEXT, RECORD
from jarvis_proxy.server.responses import json_response

_NANO_PER_CENT: Final = NANO // 100
_WITHOUT_LIMIT: Final = 100_000_000
"""Dollars that gateways report for a key without a limit."""


async def usage(request: web.Request) -> web.StreamResponse:
    """Report the key's daily usage from ``start_date`` to ``end_date``, by default this month's.

    Raises:
        ProxyError: 400 `invalid_value`, a date is invalid.
    """
    context, key, now = request[CONTEXT], request[RECORD].key_name, time.time()
    today = day_of(now)
    first = max(_day(request, "start_date", f"{today[:7]}-01"), oldest_day(now))
    last = _day(request, "end_date", today)
    days = list(context.usage.days(key, first, last))
    body = {
        "object": "usage",
        "key": key,
        "start_date": first,
        "end_date": last,
        "budgets": [_budget(state) for state in context.usage.states(key, now)],
        "total": _sums(_total(days)),
        "days": [{"date": day, "models": _by_model(models)} for day, models in days],
    }
    return json_response(request, msgspec.json.encode(body))


async def subscription(request: web.Request) -> web.StreamResponse:
    """Report the key's limit in dollars to NextChat: used this month plus remaining."""
    context, key, now = request[CONTEXT], request[RECORD].key_name, time.time()
    today = day_of(now)
    states = [state for state in context.usage.states(key, now) if state.budget.unit == "USD"]
    limit: float = _WITHOUT_LIMIT
    if states:
        # NextChat shows the limit next to the month's sum, whatever the budget's period.
        used = _total(context.usage.days(key, f"{today[:7]}-01", today)).cost
        limit = (used + min(state.remaining for state in states)) / NANO
    policy = context.settings.policies.get(key)
    body = {
        "object": "billing_subscription",
        "has_payment_method": True,
        "canceled": False,
        "soft_limit_usd": limit,
        "hard_limit_usd": limit,
        "system_hard_limit_usd": limit,
        "access_until": int((policy and policy.expires) or 0),
    }
    return json_response(request, msgspec.json.encode(body))


async def billing(request: web.Request) -> web.StreamResponse:
    """Report the key's cost before ``end_date`` to NextChat, in cents; null if unknown.

    Raises:
        ProxyError: 400 `invalid_value`, a date is invalid.
    """
    context, key = request[CONTEXT], request[RECORD].key_name
    today = day_of(time.time())
    first = _day(request, "start_date", f"{today[:7]}-01")
    end = _day(request, "end_date", "")
    days = [pair for pair in context.usage.days(key, first, end or today) if pair[0] != end]
    body = {
        "object": "list",
        "total_usage": _cents(_total(days)),
        "daily_costs": [_daily(day, models) for day, models in days],
    }
    return json_response(request, msgspec.json.encode(body))


def _day(request: web.Request, name: str, default: str) -> str:
    text = request.rel_url.query.get(name, "")
    if not text:
        return default
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ProxyError(
            400,
            f"'{name}' must be a day, such as 2026-11-23.",
            code="invalid_value",
            param=name,
        ) from None


def _total(days: Iterable[tuple[str, Mapping[str, UsageTotals]]]) -> UsageTotals:
    total = UsageTotals()
    for _, models in days:
        for counts in models.values():
            total.add(counts)
    return total


def _by_model(models: Mapping[str, UsageTotals]) -> list[dict[str, Any]]:
    return [{"model": name, **_sums(counts)} for name, counts in sorted(models.items())]


def _sums(counts: UsageTotals) -> dict[str, Any]:
    """Return sums for the answer; an unknown cost is null."""
    cost = _cost(counts)
    return {
        "calls": counts.calls,
        "prompt_tokens": counts.prompt,
        "completion_tokens": counts.completion,
        "total_tokens": counts.tokens,
        "cached_tokens": counts.cached,
        "reasoning_tokens": counts.reasoning,
        "cache_write_tokens": counts.written,
        "cost_usd": None if cost is None else cost / NANO,
        "calls_without_price": counts.unpriced,
        "calls_without_tokens": counts.unmeasured,
    }


def _budget(state: BudgetState) -> dict[str, Any]:
    unit = NANO if state.budget.unit == "USD" else 1
    return {
        "unit": state.budget.unit,
        "period": state.budget.period,
        "limit": _number(state.budget.amount, unit),
        "spent": _number(state.spent, unit),
        "remaining": _number(state.remaining, unit),
        "resets_at": state.resets_at,
    }


def _number(amount: int, unit: int) -> float:
    return amount if unit == 1 else amount / unit


def _daily(day: str, models: Mapping[str, UsageTotals]) -> dict[str, Any]:
    midnight = datetime.fromisoformat(day).replace(tzinfo=UTC)
    items = [{"name": name, "cost": _cents(counts)} for name, counts in sorted(models.items())]
    return {"timestamp": midnight.timestamp(), "line_items": items}


def _cents(counts: UsageTotals) -> float | None:
    cost = _cost(counts)
    return None if cost is None else cost / _NANO_PER_CENT


def _cost(counts: UsageTotals) -> int | None:
    """Return the total cost of calls in billionths of a dollar; None if unknown."""
    return counts.known_cost if counts.calls else 0
