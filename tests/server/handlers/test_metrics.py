"""GET /metrics: who may read it, that it agrees with the log, and what is so now."""

import asyncio
import json
import shutil
import time
from asyncio.subprocess import PIPE, STDOUT
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jarvis_proxy import __version__
from tests.conftest import BEARER, Proxy, running_proxy
from tests.support.eventually import eventually
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.scripted_calls import chat, run_calls, script

pytestmark = pytest.mark.slow

KEY = "metrics-canary-0123456789"
HERE = {"Host": "127.0.0.1:9000"}
CHAT = "/v1/chat/completions"


async def scrape(proxy: Proxy, headers: Mapping[str, str] = HERE) -> RawResponse:
    return await fetch(proxy.port, "/metrics", headers=headers, method="GET")


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def samples(proxy: Proxy) -> Samples:
    """Return every sample by its name and labels."""
    response = await scrape(proxy)
    assert response.status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.body.decode())
        for sample in family.samples
    }


def named(found: Samples, name: str, *labels: str) -> Counter[tuple[str, ...]]:
    """Return one metric's samples by the values of *labels*, added up over all other labels."""
    sums: Counter[tuple[str, ...]] = Counter()
    for (sample, pairs), value in found.items():
        if sample == name:
            sums[tuple(dict(pairs)[label] for label in labels)] += int(value)
    return +sums


# -- who may read it -------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1:9000", "localhost", "[::1]:9000"])
async def test_this_machine_may_read_without_a_key(host: str) -> None:
    async with running_proxy() as proxy:
        response = await scrape(proxy, {"Host": host})

    assert response.status == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "proxy.example"},  # a page whose name was made to lead here
        {**HERE, "Origin": "https://page.example"},
        {**HERE, "X-Forwarded-For": "192.0.2.7"},
        {**HERE, "X-Real-IP": "192.0.2.7"},
        {**HERE, "Forwarded": "for=192.0.2.7"},
        {**HERE, "Via": "1.1 proxy"},
        {"Host": "proxy.example", **BEARER},  # a client's key opens other doors
        {"Host": "proxy.example", "Authorization": "Bearer wrong"},
    ],
    ids=lambda headers: list(headers)[-1],
)
@pytest.mark.parametrize("env", [{}, {"METRICS_KEY": KEY}], ids=["no key set", "key set"])
async def test_nobody_else_reads_without_the_key(
    headers: dict[str, str], env: dict[str, str]
) -> None:
    async with running_proxy(**env) as proxy:
        response = await scrape(proxy, headers)

    assert response.status == 401
    assert response.error()["code"] == "invalid_api_key"
    assert "METRICS_KEY" in str(response.error()["message"])
    assert b"jarvis_requests" not in response.body


async def test_the_key_reads_from_anywhere_and_the_log_names_its_holder() -> None:
    headers = {"Host": "proxy.example", "Authorization": f"Bearer {KEY}"}
    async with running_proxy(METRICS_KEY=KEY) as proxy:
        response = await scrape(proxy, headers)
        here = await scrape(proxy)
    logged = proxy.logged()

    assert (response.status, here.status) == (200, 401)
    assert "key=metrics" in logged
    assert KEY not in logged


@pytest.mark.parametrize(
    "env",
    [
        {"HOST": "0.0.0.0"},
        {"HOST": "::"},
        {"HOST": "127.0.0.1,10.0.0.1"},
        {"HOST": "proxy.example"},
        {"TRUSTED_PROXIES": "127.0.0.1"},
        {"TRUSTED_PROXIES": "10.0.0.0/8"},
    ],
    ids=lambda env: "-".join(("d8", *env.values())),
)
async def test_where_a_stranger_may_come_from_loopback_the_key_is_needed(
    env: dict[str, str],
) -> None:
    """As behind a reverse proxy on this machine that adds no header and names 127.0.0.1."""
    bearer = {"Authorization": f"Bearer {KEY}"}
    async with running_proxy(**env) as proxy:
        without = await scrape(proxy)
    async with running_proxy(METRICS_KEY=KEY, **env) as proxy:
        refused, right = await scrape(proxy), await scrape(proxy, {**HERE, **bearer})

    assert (without.status, refused.status, right.status) == (401, 401, 200)
    assert "METRICS_KEY" in str(without.error()["message"])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.1,::1"])
async def test_on_loopback_alone_this_machine_needs_none(host: str) -> None:
    async with running_proxy(HOST=host) as proxy:
        response = await scrape(proxy)

    assert response.status == 200


async def test_guessing_the_key_is_slowed_down_like_guessing_a_clients() -> None:
    wrong = {"Host": "proxy.example", "Authorization": "Bearer wrong"}
    async with running_proxy(METRICS_KEY=KEY) as proxy:
        statuses = [(await scrape(proxy, wrong)).status for _ in range(11)]
        right = await scrape(proxy, {**wrong, "Authorization": f"Bearer {KEY}"})

    assert statuses == [401] * 10 + [429]
    assert right.status == 200


@pytest.mark.parametrize("path", ["/metrics", "/dashboard/events"])
async def test_a_probe_without_a_key_is_no_guess(path: str) -> None:
    keys = {"METRICS_KEY": KEY, "ADMIN_KEY": "admin-canary-0123456789"}
    async with running_proxy(**keys) as proxy:
        statuses = {(await fetch(proxy.port, path, method="GET")).status for _ in range(12)}
        wrong = {"Authorization": "Bearer wrong-key-of-someone"}
        client = await fetch(proxy.port, "/v1/models", headers=wrong, method="GET")

    assert statuses == {401}
    assert client.status == 401


async def test_no_page_of_another_site_can_read_it() -> None:
    headers = {"Origin": "https://page.example", "Authorization": f"Bearer {KEY}"}
    async with running_proxy(METRICS_KEY=KEY) as proxy:
        response = await scrape(proxy, headers)

    assert response.status == 200
    assert "access-control-allow-origin" not in response.headers


async def test_openmetrics_is_for_those_who_ask_for_it() -> None:
    async with running_proxy() as proxy:
        response = await scrape(
            proxy, {**HERE, "Accept": "application/openmetrics-text;version=1.0.0"}
        )

    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.body.endswith(b"# EOF\n")


# -- what it says ----------------------------------------------------------------------------


def log_lines(proxy: Proxy) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in proxy.logged().splitlines()]
    return [line for line in lines if line["event"] == "call" and line["route"] != "/metrics"]


async def test_metrics_agree_with_the_access_log_over_every_kind_of_call() -> None:
    upstream = RawUpstream(script)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, upstream.base_url, LOG_FORMAT="json") as proxy,
    ):
        await run_calls(proxy)
        found = await samples(proxy)
    lines = log_lines(proxy)

    assert named(found, "jarvis_requests_total", "route", "key", "status", "outcome") == Counter(
        (line["route"] or "-", line["key"], str(line["status"]), line["outcome"]) for line in lines
    )
    assert named(found, "jarvis_upstream_calls_total", "upstream", "outcome") == Counter(
        (line["upstream"], line["outcome"]) for line in lines if line["attempts"]
    )
    retries: Counter[tuple[str, ...]] = Counter()
    tokens: Counter[tuple[str, ...]] = Counter()
    for line in lines:
        if line["attempts"] > 1:
            retries[line["upstream"],] += line["attempts"] - 1
        for kind in ("prompt", "completion", "cached", "reasoning", "cache_write"):
            place = (line["key"], line["upstream"], line["target"], kind)
            tokens[place] += line[f"{kind}_tokens"] or 0
    assert named(found, "jarvis_retries_total", "upstream") == retries
    assert named(found, "jarvis_tokens_total", "key", "upstream", "model", "kind") == +tokens
    assert named(found, "jarvis_time_to_first_byte_seconds_count", "upstream") == Counter(
        (line["upstream"],) for line in lines if line["ttfb_ms"] is not None
    )
    assert named(found, "jarvis_request_duration_seconds_count", "route") == Counter(
        (line["route"] or "-",) for line in lines
    )
    assert len(lines) == 14
    assert sum(tokens.values()) > 1000


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
async def test_promtool_has_nothing_to_say_about_the_whole_answer() -> None:
    upstream = RawUpstream(script)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, upstream.base_url) as proxy,
    ):
        await run_calls(proxy)
        response = await scrape(proxy)
    checking = await asyncio.create_subprocess_exec(
        "promtool", "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    said, _ = await checking.communicate(response.body)

    assert (checking.returncode, said) == (0, b"")


async def test_overhead_is_known_of_answers_streamed_or_not_and_is_small() -> None:
    upstream = RawUpstream(script)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        for stream in (False, True):
            await fetch(proxy.port, CHAT, chat("gpt-4o-mini", stream=stream), BEARER)
        found = await samples(proxy)

    assert found["jarvis_overhead_seconds_count", ()] == 2
    waited = found[
        "jarvis_time_to_first_byte_seconds_sum",
        (("model", "gpt-4o-mini"), ("upstream", "openai")),
    ]
    assert 0 < found["jarvis_overhead_seconds_sum", ()] < waited


async def test_a_limit_that_was_hit_is_named() -> None:
    async with running_proxy(KEY_TESTER_RPM="1") as proxy:
        for _ in range(2):
            await fetch(proxy.port, CHAT, chat("jarvis-echo"), BEARER)
        found = await samples(proxy)

    assert named(found, "jarvis_limits_hit_total", "limit", "key") == {("requests", "tester"): 1}


async def test_open_streams_and_calls_are_shown_while_they_are_open() -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def held(peer: Peer, request: Received) -> None:
        begun.set()
        await may_end.wait()
        await script(peer, request)

    upstream = RawUpstream(held)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, COMMIT_AFTER="0.01", HEARTBEAT_INTERVAL="0.01") as proxy,
    ):
        async with connect(proxy.port) as connection:
            body = json.dumps(chat("gpt-4o-mini", stream=True)).encode()
            await connection.post(CHAT, body, {**BEARER, "Content-Type": "application/json"})
            await begun.wait()
            await connection.head()
            during = await samples(proxy)
            may_end.set()
            await eventually(lambda: not len(proxy.context.deadline_monitor))
        after = await samples(proxy)

    for found, expected in ((during, 1), (after, 0)):
        assert found["jarvis_streams_open", ()] == expected
        assert found["jarvis_requests_in_progress", ()] == expected
    assert during["jarvis_connections_open", ()] == 2


async def test_keys_that_rest_and_upstreams_that_are_left_alone_are_shown() -> None:
    async def limited(peer: Peer, request: Received) -> None:
        await peer.reply(b'{"error":{"message":"slow down","code":"x"}}', 429)

    upstream = RawUpstream(limited)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, OPENAI_API_KEY="sk-one-1,sk-two-2") as proxy,
    ):
        before = await samples(proxy)
        await fetch(proxy.port, CHAT, chat("gpt-4o"), BEARER)
        for model in ("", "gemini-9", "gemini-10"):
            far = time.monotonic() + 60.0
            proxy.context.endpoints["gemini"].breakers.apply_remote(model, "tester", far)
        after = await samples(proxy)

    openai, gemini = (("upstream", "openai"),), (("upstream", "gemini"),)
    assert before["jarvis_upstream_keys", openai] == 2
    assert before["jarvis_upstream_keys_quarantined", openai] == 0
    assert after["jarvis_upstream_keys_quarantined", openai] == 2
    held_off, models = "jarvis_upstream_held_off", "jarvis_upstream_models_held_off"
    assert (before[held_off, gemini], after[held_off, gemini]) == (0, 1)
    assert (before[models, gemini], after[models, gemini]) == (0, 2)


async def test_signatures_are_counted_by_the_way_they_came_back() -> None:
    upstream = RawUpstream(script)
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = {
        "model": "gemini-3-flash",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "{}"},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "stream": True,
    }
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        await fetch(proxy.port, CHAT, body, BEARER)
        found = await samples(proxy)

    assert named(found, "jarvis_signatures_recovered_total", "way") == {("placeholder",): 1}


async def test_the_version_and_the_process_are_exported() -> None:
    async with running_proxy() as proxy:
        found = await samples(proxy)

    assert found["jarvis_info", (("version", __version__),)] == 1
    assert found["process_open_fds", ()] > 3


async def test_refused_connections_are_counted_by_their_limit() -> None:
    async with (
        running_proxy(MAX_CONNECTIONS="1") as proxy,
        connect(proxy.port) as only,
    ):
        await only.post("/health", b"", method="GET")
        await only.response()
        async with connect(proxy.port) as refused:
            await refused.response()
        await only.post("/metrics", b"", HERE, method="GET")
        response = await only.response()

    assert b'jarvis_connections_refused_total{limit="total"} 1.0' in response.body
