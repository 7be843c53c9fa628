"""The dashboard in a real browser: login, numbers that move, why calls fail, markup, any screen."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jarvis_proxy.accounting.usage import UsageRow, UsageTotals
from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.client_guides import CLIENTS
from jarvis_proxy.config.budgets import day_of
from jarvis_proxy.routing.model_list import ModelEntry
from tests.browser import scene
from tests.browser.answers import event
from tests.browser.driver import missing, package, play
from tests.conftest import BEARER, KEY, Proxy, running_proxy
from tests.support.eventually import eventually
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason=f"no browser to test in: {missing()}"),
]

_AXE = package("axe-core")
ADMIN_KEY = "admin-key-canary-0123456789"
CHAT = "/v1/chat/completions"
MARKUP = '<img src=x onerror="ran=1"><script>ran=1</script>'


@contextlib.asynccontextmanager
async def background(coroutine: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_login_needs_the_admin_key_and_keeps_it_in_this_tab_only() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        seen = await play("login", proxy.url, adminKey=ADMIN_KEY, wrongKey=KEY)

    nowhere = {"local": 0, "cookies": "", "databases": 0, "address": f"{proxy.url}/dashboard"}
    assert seen["before"] == {"board": False, "door": True}
    assert seen["wrong"] == {"said": "This is not the admin key.", "board": False, "kept": 0}
    assert seen["odd"] == "This is not the admin key."
    assert seen["inside"] == {"session": [ADMIN_KEY], "field": "", "door": False, **nowhere}
    assert seen["outside"] == {"session": [], "board": False, **nowhere}
    assert seen["after"] is True
    assert seen["trouble"] == []


async def test_numbers_move_while_traffic_flows() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy, background(_traffic(proxy)):
        seen = await play("numbers", proxy.url, adminKey=ADMIN_KEY)

    first, second = seen["first"], seen["second"]
    assert second["calls"] > first["calls"] + 3
    assert second["rate"] > 0
    assert second["tokens"] != "0.0"
    assert second["ttfb"].endswith("ms")
    assert second["first"] > first["first"]
    assert set(seen["tables"]["models"]) == {"jarvis-echo", "–"}
    assert seen["tables"]["keys"] == ["tester"]
    assert seen["tables"]["causes"] == ["invalid_json"]
    assert seen["tables"]["health"] == ["openai", "gemini", "anthropic", "jarvis"]
    assert len(seen["tables"]["by-day"]) == 1
    assert all(colours > 3 for colours in seen["ink"])
    assert len(seen["ink"]) == 2
    assert seen["filtered"]
    assert all("invalid_json" in row for row in seen["filtered"])
    assert seen["trouble"] == []


def numbers_beside_axes(drawn: list[str]) -> set[str]:
    """Return what was drawn but times and days, which every chart has."""
    return {text for text in drawn if text and not re.fullmatch(r"\d\d[:-]\d\d", text)}


async def test_empty_charts_have_no_axes_and_say_that_there_is_nothing() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        seen = await play("axes", proxy.url, adminKey=ADMIN_KEY, calls=0)

    lately = "Nothing in the last 5 minutes."
    assert seen["drawn"] == []
    assert seen["charts"] == [lately, lately, "No cost is known yet."]
    assert seen["trouble"] == []


async def test_an_unknown_price_is_a_dash_and_no_axis_of_dollars() -> None:
    async def answer(peer: Peer, request: Received) -> None:
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        body = {"object": "chat.completion", "choices": [], "usage": usage}
        await peer.reply(json.dumps(body).encode())

    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url, ADMIN_KEY=ADMIN_KEY) as proxy:
        body: dict[str, object] = {"model": "nobody-knows-1", "messages": []}
        assert (await fetch(proxy.port, CHAT, body, BEARER)).status == 200
        seen = await play("axes", proxy.url, adminKey=ADMIN_KEY, calls=1)

    for name, cells in seen["cells"].items():
        assert cells, name
        assert not [cell for cell in cells if "$" in cell], name
    assert not [text for text in numbers_beside_axes(seen["drawn"]) if "$" in text]
    assert "1" in numbers_beside_axes(seen["drawn"])


@pytest.mark.parametrize(
    ("locale", "copied", "note"),
    [("en-US", "Copied", "Codex warns"), ("zh-CN", "已复制", "Codex 会")],
    ids=["en", "zh"],
)
async def test_settings_of_each_client_can_be_copied_and_budgets_are_bars(
    locale: str, copied: str, note: str
) -> None:
    env = {"ADMIN_KEY": ADMIN_KEY, "KEY_TESTER_BUDGET": "100tokens/day,400tokens/month"}
    async with running_proxy(**env) as proxy:
        totals = UsageTotals(1, 60, 60, 0, 0)
        proxy.context.usage.restore([UsageRow(day_of(time.time()), "tester", "m", totals)])
        seen = await play("clients", proxy.url, adminKey=ADMIN_KEY, locale=locale, copied=copied)

    assert tuple(seen["shown"]) == CLIENTS
    for client, shown in seen["shown"].items():
        assert proxy.url in shown, client
        assert "{{root" not in shown, client
        assert KEY not in shown, client
    assert note in seen["shown"]["codex"]
    assert f'base_url = "{proxy.url}/v1"' in seen["copied"]
    (full, over, _), (part, fine, _) = seen["bars"]
    assert (full, over, part, fine) == (1, "over", 0.3, "")
    assert seen["trouble"] == []


@pytest.mark.parametrize(
    ("locale", "sentence", "end", "address"),
    [
        ("en-US", "The body is not JSON", "the code is its own.", "errors.html"),
        ("zh-CN", "不是 JSON", "代码是它自己的。", "errors.zh-CN.html"),
    ],
    ids=["en", "zh"],
)
async def test_a_failed_call_says_why_and_leads_to_the_entry_of_its_code(
    locale: str, sentence: str, end: str, address: str
) -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        assert proxy.context.live_stats is not None
        now = time.monotonic()
        theirs = CallRecord("x", now, time.time(), ended_at=now, code="their_own")
        theirs.outcome = "upstream_error"
        for record in (theirs, CallRecord("y", now, time.time(), ended_at=now)):
            proxy.context.live_stats.add(record)
        await fetch(proxy.port, CHAT, b"{", {**BEARER, "Content-Type": "application/json"})
        seen = await play("whys", proxy.url, adminKey=ADMIN_KEY, locale=locale, count=2)

    newest, older = seen["said"]
    assert sentence in newest
    assert newest.endswith("docs/errors#invalid_json")
    assert older.endswith(end)
    assert (seen["target"], seen["at"]) == ("invalid_json", f"/dashboard/{address}")
    assert seen["count"].startswith("3 ")
    assert seen["trouble"] == []


async def _traffic(proxy: Proxy) -> None:
    body: dict[str, object] = {
        "model": "jarvis-echo",
        "messages": [{"role": "user", "content": "one two three"}],
    }
    while True:
        for _ in range(4):
            await fetch(proxy.port, CHAT, body, BEARER)
        await fetch(proxy.port, CHAT, b"{", {**BEARER, "Content-Type": "application/json"})
        await asyncio.sleep(0.1)


async def test_markup_in_names_codes_messages_and_answers_stays_text() -> None:
    async def answer(peer: Peer, request: Received) -> None:
        if b"refuse" in request.body:
            error = {"message": MARKUP, "type": MARKUP, "code": MARKUP, "param": None}
            await peer.reply(json.dumps({"error": error}).encode(), 400)
            return
        await peer.head()
        await peer.chunk(event({"reasoning_content": MARKUP}))
        await peer.chunk(event({"content": MARKUP}))
        await peer.chunk(event({}, MARKUP) + b"data: [DONE]\n\n")
        await peer.last_chunk()

    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url, ADMIN_KEY=ADMIN_KEY) as proxy:
        await eventually(lambda: proxy.context.model_list.failing())
        proxy.context.model_list.update("openai", [ModelEntry(MARKUP, 1, MARKUP)])
        now = time.monotonic()
        fields: dict[str, Any] = dict.fromkeys(
            ("key_name", "model", "upstream_model", "upstream", "route", "code"), MARKUP
        )
        record = CallRecord("x", now, time.time(), ended_at=now, outcome="upstream_error", **fields)
        assert proxy.context.live_stats is not None
        proxy.context.live_stats.add(record)
        models = [MARKUP.replace(" ", "/"), "refuse"]
        seen = await play(
            "markup", proxy.url, adminKey=ADMIN_KEY, clientKey=KEY, models=models, payload=MARKUP
        )

    assert seen["ran"] is False
    assert seen["strangers"] == 0
    assert seen["answers"][0].count(MARKUP) == 2
    assert MARKUP in seen["answers"][1]
    start = MARKUP[:30]
    for place in ("models", "keys", "causes"):
        assert any(name.startswith(start) for name in seen[place]), place
    assert any(start in row for row in seen["calls"])
    assert MARKUP in seen["offered"]
    assert seen["assignment"] == "TypeError"
    (blocked,) = seen["trouble"]  # the assignment that the scenario tried
    assert "requires 'TrustedHTML'" in blocked


SCREENS = (
    (360, "zh-CN", "dark"),
    (390, "en-US", "light"),
    (390, "zh-CN", "light"),
    (390, "en-US", "dark"),
    (1280, "en-US", "light"),
    (1280, "zh-CN", "dark"),
    (1920, "en-US", "dark"),
    (1920, "zh-CN", "light"),
)
"""Width in CSS pixels, language, colour scheme."""
CHECKED_BY_AXE = SCREENS[1], SCREENS[5], SCREENS[6]
"""Each width, language and scheme once: axe takes three seconds for each page of a screen."""


each_part = pytest.mark.parametrize("part", range(3))


@each_part
async def test_everything_fits_any_screen_in_both_languages_and_schemes(part: int) -> None:
    screens = SCREENS[part::3]
    async with running_proxy(**scene.SETTINGS) as proxy:
        scene.add_the_longest(proxy.context, scene.furnish(proxy.context))
        seen = await play(
            "widths", proxy.url, adminKey=scene.SETTINGS["ADMIN_KEY"], screens=screens
        )

    for (width, locale, scheme), page in zip(screens, seen["found"], strict=True):
        assert page["send"] == {"en-US": "Send", "zh-CN": "发送"}[locale]
        assert (page["width"], page["beyond"], page["scrolls"]) == (width, [], []), width
        assert (page["errors"]["width"], page["errors"]["beyond"]) == (width, []), width
        assert page["ground"] == page["errors"]["ground"]
        colours = [int(colour) for colour in re.findall(r"\d+", page["ground"])]
        assert min(colours) > 200 if scheme == "light" else max(colours) < 60
        assert page["small"] == [] or width > 500  # below 16 px iOS zooms into a field
    assert seen["trouble"] == []


@each_part
@pytest.mark.skipif(_AXE is None, reason="axe-core, a package for Node.js, is not installed")
async def test_axe_finds_no_serious_fault_on_any_screen(part: int) -> None:
    async with running_proxy(**scene.SETTINGS) as proxy:
        scene.furnish(proxy.context)
        seen = await play(
            "faults",
            proxy.url,
            adminKey=scene.SETTINGS["ADMIN_KEY"],
            clientKey="key-laptop-0123456789",
            axe=str(Path(str(_AXE)).with_name("axe.min.js")),
            screens=CHECKED_BY_AXE[part::3],
        )

    assert len(seen["found"]) == 3 * len(CHECKED_BY_AXE[part::3])
    for page in seen["found"]:
        assert page["passes"] > 5, page["place"]
        assert page["faults"] == [], page["place"]
    assert seen["trouble"] == []


async def test_language_is_the_browsers_chinese_or_else_english() -> None:
    locales = ["en-GB", "zh-CN", "zh-TW", "zh-Hans-SG", "de-DE"]
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        seen = await play("languages", proxy.url, locales=locales)

    english, chinese = ["en", "Show"], ["zh-CN", "查看"]
    assert [seen["found"][locale] for locale in locales] == [
        english,
        chinese,
        chinese,
        chinese,
        english,
    ]
    assert seen["trouble"] == []


async def test_page_finds_back_after_the_events_were_gone() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        assert proxy.context.live_stats is not None
        for record in scene.evening(time.monotonic(), Random(1)):
            proxy.context.live_stats.add(record)

        inside = asyncio.Event()

        async def restart() -> None:
            await inside.wait()
            proxy.context.draining = True
            await eventually(lambda: proxy.board.viewers == 0, 30)
            proxy.context.draining = False

        async with background(restart()):
            seen = await play("recovery", proxy.url, inside=inside, adminKey=ADMIN_KEY)

    assert seen["states"] == ["live", "reconnecting…", "live"]
    assert seen["rows"] == 200
