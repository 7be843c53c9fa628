"""A busy evening for the dashboard: calls, open ones, resting keys, a month of usage. IO."""

import asyncio
import time
from collections.abc import Iterator
from random import Random
from typing import Final

from jarvis_proxy.accounting.usage import UsageRow, UsageTotals
from jarvis_proxy.call_record import CallRecord, Outcome
from jarvis_proxy.config.budgets import day_of
from jarvis_proxy.routing.key_pool import Quarantine
from jarvis_proxy.server.context import AppContext

SETTINGS: Final = {
    "PROXY_API_KEYS": "laptop:key-laptop-0123456789,phone:key-phone-0123456789,"
    "home-assistant:key-home-0123456789,agent:key-agent-0123456789",
    "ADMIN_KEY": "admin-key-0123456789abcdef",
    "GEMINI_API_KEY": "AIza-one-0123456789,AIza-two-0123456789,AIza-three-0123456789",
    "UPSTREAMS": "deepseek,ollama",
    "DEEPSEEK_BASE_URL": "http://127.0.0.1:9/v1",
    "DEEPSEEK_API_KEY": "sk-deepseek-0123456789",
    "DEEPSEEK_MODELS": "deepseek-*",
    "OLLAMA_BASE_URL": "http://127.0.0.1:9/v1",
    "KEY_AGENT_BUDGET": "5USD/day,60USD/month",
}

# key, model, target, upstream, how often, seconds to the first byte, seconds in all, dollars a call
_HABITS: Final = (
    ("agent", "gemini-3-flash", "gemini-3-flash-preview", "gemini", 9, 0.7, 4.0, 0.004),
    ("laptop", "gpt-4.1-mini", "gpt-4.1-mini", "openai", 6, 0.45, 3.0, 0.002),
    ("phone", "deepseek-chat", "deepseek-chat", "deepseek", 4, 1.1, 9.0, 0.0006),
    ("laptop", "gemini-3-pro", "gemini-3.1-pro-preview", "gemini", 3, 6.0, 22.0, 0.03),
    ("home-assistant", "gpt-4o-mini", "gpt-4o-mini", "openai", 3, 0.4, 1.2, 0.0001),
    ("agent", "jarvis-echo", "jarvis-echo", "jarvis", 1, 0.002, 0.02, 0.0),
)
_FAILURES: Final[tuple[tuple[Outcome, int, str], ...]] = (
    ("upstream_error", 429, "rate_limit_exceeded"),
    ("upstream_error", 504, "upstream_timeout"),
    ("refused", 400, "context_length_exceeded"),
    ("client_closed", 499, ""),
)
_WEIGHTS: Final = [habit[4] for habit in _HABITS]


def call(random: Random, ended: float, number: int) -> CallRecord:
    """Return a call that ended at *ended*, on the monotonic clock."""
    key, model, target, upstream, _, first, whole, dollars = random.choices(_HABITS, _WEIGHTS)[0]
    lasted = whole * random.lognormvariate(0, 0.5)
    started = ended - lasted
    record = CallRecord(
        f"req_{number:024x}",
        started,
        time.time() - time.monotonic() + started,
        route="/v1/chat/completions",
        key_name=key,
        model=model,
        upstream_model=target,
        upstream=upstream,
        status=200,
        first_byte_sent_at=started + min(lasted, first * random.lognormvariate(0, 0.35)),
        ended_at=ended,
        attempts=1,
        streamed=True,
        prompt_tokens=int(900 * random.lognormvariate(0, 1)),
        completion_tokens=int(60 * lasted) + 5,
        cost=int(dollars * 1e9 * random.lognormvariate(0, 0.6)),
    )
    if random.random() < 0.04:
        _spoil(record, random)
    return record


def _spoil(record: CallRecord, random: Random) -> None:
    record.outcome, record.status, record.code = random.choice(_FAILURES)
    record.prompt_tokens = record.completion_tokens = record.cost = record.first_byte_sent_at = None
    record.attempts = 0 if record.outcome == "refused" else 2


def evening(now: float, random: Random) -> Iterator[CallRecord]:
    """Yield the calls of the last five minutes, with ebb and flow."""
    moment, number = now - 300, 0
    while moment < now:
        busy = 1.5 + 5 * abs((moment - now) % 90 - 45) / 45
        moment += random.expovariate(busy)
        number += 1
        yield call(random, moment, number)


def furnish(context: AppContext, seed: int = 7) -> Random:
    """Put the scene into a shell; return the randomness that goes on with it."""
    random, now = Random(seed), time.monotonic()
    assert context.live_stats is not None
    for record in evening(now, random):
        context.live_stats.add(record)
    for number in range(5):
        record = call(random, now + 60, 10_000 + number)
        context.live_stats.open[record.request_id] = record
    gemini = context.endpoints["gemini"].key_pool
    gemini.quarantine(1, "gemini-3.1-pro-preview", now, Quarantine(42.0))
    for client in ("alice", "bob"):
        context.endpoints["deepseek"].breakers.apply_remote("", client, now + 60.0)
    context.usage.restore(_month(random))
    return random


def add_the_longest(context: AppContext, random: Random) -> None:
    """Add calls and usage with the longest names and numbers that a table may have to hold."""
    assert context.live_stats is not None
    now, name = time.monotonic(), "a-name-as-long-as-a-name-may-be-before-it-is-cut-off"
    for code in ("decimal_above_max_value", "unsupported_country_region_territory"):
        record = CallRecord("req_longest", now - 599.0, time.time(), route="/v1/chat/completions")
        record.key_name = record.model = record.upstream = name
        record.upstream_model = f"vendor/{name}"
        record.status, record.code, record.outcome = 403, code, "upstream_error"
        record.ended_at, record.attempts, record.first_byte_sent_at = now, 3, now - 300.0
        record.prompt_tokens = record.completion_tokens = 99_999_999
        record.cost = 1_234_567_890_123
        context.live_stats.add(record)
    counts = UsageTotals(123_456, 999_999_999, 99_999_999, 0, 0)
    counts.cost, counts.unpriced = 1_234_567_890_123, 1234
    longest = UsageRow(day_of(time.time()), name, f"openai/{name}", counts)
    context.usage.restore((*_month(random), longest))


def _month(random: Random) -> Iterator[UsageRow]:
    today = time.time()
    for back in range(31):
        day = day_of(today - back * 86_400)
        for key, _, target, upstream, often, _, whole, dollars in _HABITS:
            calls = int(often * 12 * random.lognormvariate(0, 0.4))
            counts = UsageTotals(calls, calls * 1200, int(calls * whole * 60), 0, 0)
            counts.cost = int(calls * dollars * 1e9)
            yield UsageRow(day, key, f"{upstream}/{target}", counts)


async def go_on(context: AppContext, random: Random) -> None:
    """Let calls end, three a second or so, until cancelled."""
    assert context.live_stats is not None
    number = 100_000
    while True:
        number += 1
        context.live_stats.add(call(random, time.monotonic(), number))
        await asyncio.sleep(random.expovariate(3))
