"""What keys used, to the token; what a spent budget does; and the addresses that tell."""

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jarvis_proxy.accounting.usage import UsageRow, UsageTotals
from jarvis_proxy.accounting.usage_sqlite import FILE_NAME, SqliteUsageStore
from jarvis_proxy.config.budgets import day_of
from jarvis_proxy.upstream_client.model_refresher import ModelListRefresher
from tests.conftest import BEARER, KEY, Proxy, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion
from tests.support.scripted_calls import ReportedTokens, chat, gemini_frame, run_calls, script

pytestmark = pytest.mark.slow

CHAT = "/v1/chat/completions"
PHONE = "phone-key-0123456789abcdef"
TWO_KEYS = f"tester:{KEY},phone:{PHONE}"
TODAY = day_of(time.time())


@pytest.fixture
def prices(tmp_path: Path) -> str:
    """Return the path of a PRICES_FILE that knows one of the upstream's models."""
    path = tmp_path / "prices.json"
    path.write_text('{"models": {"openai/gpt-4o-mini": {"input": 1, "cached": 0.5, "output": 4}}}')
    return str(path)


async def get(proxy: Proxy, path: str, key: str = KEY) -> RawResponse:
    return await fetch(proxy.port, path, headers={"Authorization": f"Bearer {key}"}, method="GET")


async def shown(proxy: Proxy, path: str = "/v1/usage", key: str = KEY) -> dict[str, Any]:
    response = await get(proxy, path, key)
    assert response.status == 200
    body = json.loads(response.body)
    assert isinstance(body, dict)
    return body


# -- /v1/usage -------------------------------------------------------------------------------


async def test_usage_agrees_to_the_token_with_what_the_upstream_reported() -> None:
    """Some streams are cut, one client leaves, and some tokens nobody reports."""
    upstream, expected = RawUpstream(script), ReportedTokens()
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, upstream.base_url) as proxy,
    ):
        await run_calls(proxy)
        body = await shown(proxy)
    echo = 1  # the built-in model counts words
    total = body["total"]

    assert total["prompt_tokens"] == expected.prompt + echo
    assert total["completion_tokens"] == expected.completion + echo
    assert total["total_tokens"] == total["prompt_tokens"] + total["completion_tokens"]
    assert total["cached_tokens"] == expected.cached
    assert total["cache_write_tokens"] == expected.written
    assert total["reasoning_tokens"] == expected.reasoning
    assert total["calls"] == 10  # refusals, the proxy's and the upstream's, used nothing
    assert total["calls_without_tokens"] == 3
    assert total["calls_without_price"] == 2


async def test_usage_is_listed_by_day_and_by_the_upstreams_model_with_its_cost(prices: str) -> None:
    upstream = RawUpstream(script)
    async with upstream.running(), running_proxy(upstream.base_url, PRICES_FILE=prices) as proxy:
        await fetch(proxy.port, CHAT, chat("gpt-4o-mini"), BEARER)
        await fetch(proxy.port, CHAT, chat("gpt-long"), BEARER)
        body = await shown(proxy)
    (day,) = body["days"]
    mini, long = day["models"]

    assert (body["object"], body["key"], day["date"]) == ("usage", "tester", TODAY)
    assert (body["start_date"], body["end_date"]) == (f"{TODAY[:7]}-01", TODAY)
    assert (mini["model"], mini["calls"], mini["prompt_tokens"]) == ("openai/gpt-4o-mini", 1, 3)
    assert mini["cost_usd"] == pytest.approx((3 * 1 + 2 * 4) / 1e6)
    assert long["model"] == "openai/gpt-long"
    assert long["cost_usd"] is None


async def test_a_key_sees_its_own_numbers_only() -> None:
    async with running_proxy(PROXY_API_KEYS=TWO_KEYS) as proxy:
        await fetch(proxy.port, CHAT, chat("jarvis-echo"), BEARER)
        mine, theirs = await shown(proxy), await shown(proxy, key=PHONE)

    assert (mine["key"], mine["total"]["calls"]) == ("tester", 1)
    assert (theirs["key"], theirs["total"]["calls"], theirs["days"]) == ("phone", 0, [])
    assert theirs["total"]["cost_usd"] == 0


async def test_usage_needs_a_key() -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, "/v1/usage", method="GET")

    assert response.status == 401


@pytest.mark.parametrize(
    ("query", "calls"),
    [
        (f"?start_date={TODAY}", 1),
        (f"?end_date={TODAY}", 1),
        ("?start_date=2099-01-01", 0),
        ("?end_date=2020-01-01", 0),
        ("?start_date=&end_date=", 1),
    ],
)
async def test_days_can_be_chosen(query: str, calls: int) -> None:
    async with running_proxy() as proxy:
        await fetch(proxy.port, CHAT, chat("jarvis-echo"), BEARER)
        body = await shown(proxy, f"/v1/usage{query}")

    assert body["total"]["calls"] == calls


@pytest.mark.parametrize("path", ["/v1/usage", "/dashboard/billing/usage"])
@pytest.mark.parametrize("query", ["start_date=yesterday", "end_date=2026-13-01"])
async def test_a_date_that_is_none_is_refused_by_its_name(path: str, query: str) -> None:
    async with running_proxy() as proxy:
        response = await get(proxy, f"{path}?{query}")

    assert response.status == 400
    assert response.error()["code"] == "invalid_value"
    assert response.error()["param"] == query.partition("=")[0]


# -- budgets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", ["5tokens/day", "0.000001USD/month", "1USD/day,5tokens/month"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_spent_budget_answers_429_until_its_next_period(
    budget: str, *, stream: bool
) -> None:
    upstream = RawUpstream(script)
    body = chat("gpt-4o-mini", stream=stream, usage=stream)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, KEY_TESTER_BUDGET=budget) as proxy,
    ):
        first = await fetch(proxy.port, CHAT, body, BEARER)
        second = await fetch(proxy.port, CHAT, body, BEARER)
        models = await get(proxy, "/v1/models")
        state = (await shown(proxy))["budgets"]
    logged = proxy.logged()

    assert (first.status, second.status, models.status) == (200, 429, 200)
    assert second.error()["code"] == second.error()["type"] == "insufficient_quota"
    assert second.headers["x-should-retry"] == "false"
    assert "retry-after" not in second.headers
    assert len([r for r in upstream.received if r.method == "POST"]) == 1
    assert 0 in [each["remaining"] for each in state]
    assert "status=429 outcome=refused code=insufficient_quota" in logged


async def test_a_budget_holds_for_its_key_alone() -> None:
    env = {"PROXY_API_KEYS": TWO_KEYS, "KEY_TESTER_BUDGET": "1token/day"}
    async with running_proxy(**env) as proxy:
        statuses = [
            (await fetch(proxy.port, CHAT, chat("jarvis-echo"), headers)).status
            for headers in (BEARER, BEARER, {"Authorization": f"Bearer {PHONE}"})
        ]

    assert statuses == [200, 429, 200]


async def test_the_state_of_budgets_is_shown_in_their_units() -> None:
    env = {"KEY_TESTER_BUDGET": "2.5USD/month,100tokens/day"}
    async with running_proxy(**env) as proxy:
        await fetch(proxy.port, CHAT, chat("jarvis-echo"), BEARER)
        money, tokens = (await shown(proxy))["budgets"]

    assert (money["unit"], money["period"], money["limit"]) == ("USD", "month", 2.5)
    assert (money["spent"], money["remaining"]) == (0, 2.5)
    assert (tokens["limit"], tokens["spent"], tokens["remaining"]) == (100, 2, 98)
    assert tokens["resets_at"] > money["resets_at"] or tokens["resets_at"][:10] > TODAY


# -- NextChat's billing probes ---------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1"])
async def test_nextchat_gets_this_months_cost_in_cents_and_the_limit_in_dollars(
    prefix: str, prices: str
) -> None:
    upstream = RawUpstream(script)
    env = {"KEY_TESTER_BUDGET": "2USD/month", "PRICES_FILE": prices}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        await fetch(proxy.port, CHAT, chat("gpt-4o-mini"), BEARER)
        dates = f"start_date={TODAY[:7]}-01&end_date=2099-01-01"
        used = await shown(proxy, f"{prefix}/dashboard/billing/usage?{dates}")
        limit = await shown(proxy, f"{prefix}/dashboard/billing/subscription")
    (day,) = used["daily_costs"]

    assert used["total_usage"] == pytest.approx((3 * 1 + 2 * 4) / 1e4)
    assert [item["name"] for item in day["line_items"]] == ["openai/gpt-4o-mini"]
    assert day_of(day["timestamp"]) == TODAY
    assert limit["hard_limit_usd"] == pytest.approx(2.0)
    assert limit["access_until"] == 0


async def test_the_day_at_which_a_billing_query_ends_is_not_in_it() -> None:
    async with running_proxy() as proxy:
        await fetch(proxy.port, CHAT, chat("jarvis-echo"), BEARER)
        body = await shown(proxy, f"/dashboard/billing/usage?end_date={TODAY}")

    assert (body["daily_costs"], body["total_usage"]) == ([], 0)


async def test_an_unknown_cost_is_null_and_not_zero() -> None:
    upstream = RawUpstream(script)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        await fetch(proxy.port, CHAT, chat("gpt-long"), BEARER)
        body = await shown(proxy, "/dashboard/billing/usage")

    assert body["total_usage"] is None
    assert body["daily_costs"][0]["line_items"] == [{"name": "openai/gpt-long", "cost": None}]


@pytest.mark.parametrize("env", [{}, {"KEY_TESTER_BUDGET": "5tokens/day"}])
async def test_a_key_without_a_budget_in_dollars_has_no_limit_to_show(env: dict[str, str]) -> None:
    async with running_proxy(**env) as proxy:
        body = await shown(proxy, "/dashboard/billing/subscription")

    assert body["hard_limit_usd"] == 100_000_000


async def test_a_daily_budget_is_shown_with_the_months_cost_as_what_is_left(
    tmp_path: Path,
) -> None:
    first = f"{TODAY[:7]}-01"
    await SqliteUsageStore(tmp_path).add(
        [
            UsageRow(first, "tester", "openai/x", UsageTotals(calls=1, cost=3_000_000_000)),
            UsageRow(TODAY, "tester", "openai/x", UsageTotals(calls=1, cost=500_000_000)),
        ]
    )
    env = {"STATE_DIR": str(tmp_path), "KEY_TESTER_BUDGET": "10USD/day"}
    async with running_proxy(**env) as proxy:
        body = await shown(proxy, "/dashboard/billing/subscription")
    spent_today = 3.5 if first == TODAY else 0.5

    assert body["hard_limit_usd"] == pytest.approx(3.5 + 10 - spent_today)


async def test_a_key_that_ends_says_when() -> None:
    async with running_proxy(KEY_TESTER_EXPIRES="2099-12-31") as proxy:
        body = await shown(proxy, "/dashboard/billing/subscription")

    assert day_of(body["access_until"] - 1) == "2099-12-31"


# -- what outlives the process ---------------------------------------------------------------


async def test_usage_and_budgets_survive_a_restart(tmp_path: Path) -> None:
    env = {"STATE_DIR": str(tmp_path / "state"), "KEY_TESTER_BUDGET": "2tokens/day"}
    async with running_proxy(**env) as proxy:
        first = await fetch(proxy.port, CHAT, chat("jarvis-echo"), BEARER)
    async with running_proxy(**env) as proxy:
        second = await fetch(proxy.port, CHAT, chat("jarvis-echo"), BEARER)
        body = await shown(proxy)

    assert (first.status, second.status) == (200, 429)
    assert body["total"]["calls"] == 1


async def test_counters_are_stored_and_no_content(tmp_path: Path) -> None:
    canary = "canary-9f8e7d6c"
    body = chat("jarvis-echo") | {"messages": [{"role": "user", "content": canary}]}
    async with running_proxy(STATE_DIR=str(tmp_path)) as proxy:
        response = await fetch(proxy.port, CHAT, body, BEARER)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        rows = database.execute("SELECT day, key, model, calls FROM usage").fetchall()
    stored = (tmp_path / FILE_NAME).read_bytes()

    assert canary.encode() in response.body
    assert rows == [(TODAY, "tester", "jarvis/jarvis-echo", 1)]
    assert canary.encode() not in stored
    assert KEY.encode() not in stored


@pytest.mark.parametrize("stream", [False, True])
async def test_the_tokens_of_each_choice_count(stream: bool) -> None:
    counts = [(40, 10), (7, 3)]

    async def play(peer: Peer, request: Received) -> None:
        frame = gemini_frame("Hi", *counts.pop(0), "STOP")
        if stream:
            await peer.head()
            await peer.chunk(frame)
            await peer.last_chunk()
        else:
            await peer.reply(frame.removeprefix(b"data: "))

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        body = chat("gemini-2.5-flash") | {"n": 2, "stream": stream}
        response = await fetch(proxy.port, CHAT, body, BEARER)
        total = (await shown(proxy))["total"]

    assert response.status == 200
    assert counts == []
    assert (total["prompt_tokens"], total["completion_tokens"]) == (47, 13)


async def test_what_a_failed_answer_took_counts_too() -> None:
    first = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        if first.is_set():
            await peer.head(200, "application/json")
            await asyncio.sleep(0.1)  # the other one is read meanwhile
            await peer.chunk(b'{"error":{"code":400,"message":"no"}}')
            await peer.last_chunk()
            return
        first.set()
        answer = gemini_frame("Hi", 40, 10, "STOP").removeprefix(b"data: ")
        await peer.reply(answer)

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        body = chat("gemini-2.5-flash") | {"n": 2}
        response = await fetch(proxy.port, CHAT, body, BEARER)
        total = (await shown(proxy))["total"]

    assert response.status == 400
    assert (total["prompt_tokens"], total["completion_tokens"]) == (40, 10)


async def test_counts_that_cannot_be_neither_fill_budgets_nor_end_the_storing(
    tmp_path: Path,
) -> None:
    """A local server may tell -1; and a count that no store takes would stop every later one."""

    async def play(peer: Peer, request: Received) -> None:
        usage = {"prompt_tokens": -5, "completion_tokens": 10**30}
        await peer.reply(json.dumps(json.loads(completion()) | {"usage": usage}).encode())

    upstream = RawUpstream(play)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, STATE_DIR=str(tmp_path)) as proxy,
    ):
        await fetch(proxy.port, CHAT, chat("gpt-4o"), BEARER)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        rows = database.execute("SELECT calls, prompt, completion FROM usage").fetchall()

    assert rows == [(1, 0, 1_000_000_000)]


async def test_usage_is_stored_at_the_end_though_something_else_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(refresher: ModelListRefresher) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(ModelListRefresher, "run", broken)
    async with running_proxy(STATE_DIR=str(tmp_path)) as proxy:
        await fetch(proxy.port, CHAT, chat("jarvis-echo"), BEARER)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        rows = database.execute("SELECT calls FROM usage").fetchall()

    assert rows == [(1,)]
    assert "RuntimeError" in proxy.logged()
    assert "a bug" not in proxy.logged()


async def test_an_empty_setting_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with running_proxy(STATE_DIR="") as proxy:
        await fetch(proxy.port, CHAT, chat("jarvis-echo"), BEARER)
        body = await shown(proxy)

    assert body["total"]["calls"] == 1
    assert list(tmp_path.rglob("*")) == []  # noqa: ASYNC240 - an empty folder, in a test


async def test_a_folder_that_cannot_be_written_stops_no_call(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    async with running_proxy(STATE_DIR=str(tmp_path / "state")) as proxy:
        response = await fetch(proxy.port, CHAT, chat("jarvis-echo"), BEARER)
        body = await shown(proxy)
    logged = proxy.logged()

    assert response.status == 200
    assert body["total"]["calls"] == 1
    assert "usage is not written to" in logged
