"""The dashboard in a real browser: login, numbers that move, the playground, markup, a phone."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import pytest

from jarvis_proxy.accounting.usage import UsageRow, UsageTotals
from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.client_guides import CLIENTS
from jarvis_proxy.config.budgets import day_of
from jarvis_proxy.routing.model_list import ModelEntry
from tests.browser import scene
from tests.browser.driver import missing, play
from tests.conftest import BEARER, KEY, Proxy, running_proxy
from tests.support.eventually import eventually
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason=f"no browser to test in: {missing()}"),
]

ADMIN_KEY = "admin-key-canary-0123456789"
CHAT = "/v1/chat/completions"
MARKUP = '<img src=x onerror="ran=1"><script>ran=1</script>'


def event(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    """Return one chunk of an OpenAI stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**head, "choices": [choice], **more}).encode() + b"\n\n"


def google_event(text: str, **more: object) -> bytes:
    """Return one event of a Gemini stream; *more*: fields of the candidate, or `thought`."""
    part = {"text": text, "thought": bool(more.pop("thought", False))}
    candidate = {"content": {"parts": [part], "role": "model"}, "index": 0, **more}
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 12}
    frame = {"candidates": [candidate], "usageMetadata": usage}
    return b"data: " + json.dumps(frame).encode() + b"\r\n\r\n"


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
    assert second["first"] != first["first"]
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


async def test_c15_empty_charts_have_no_axes_and_say_that_there_is_nothing() -> None:
    async with running_proxy(ADMIN_KEY=ADMIN_KEY) as proxy:
        seen = await play("axes", proxy.url, adminKey=ADMIN_KEY, calls=0)

    lately = "Nothing in the last 5 minutes."
    assert seen["drawn"] == []
    assert seen["charts"] == [lately, lately, "No cost is known yet."]
    assert seen["trouble"] == []


async def test_c15_an_unknown_price_is_a_dash_and_no_axis_of_dollars() -> None:
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


async def test_playground_shows_an_answer_as_it_comes_with_its_thoughts_apart() -> None:
    async def answer(peer: Peer, request: Received) -> None:
        await peer.head()
        for piece in ("Let me ", "think."):
            await peer.chunk(event({"reasoning_content": piece}))
        for piece in ("Hello, ", "you ", "there!"):
            await peer.chunk(event({"content": piece}))
        usage = {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}
        await peer.chunk(event({}, "stop", usage=usage) + b"data: [DONE]\n\n")
        await peer.last_chunk()

    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url, ADMIN_KEY=ADMIN_KEY) as proxy:
        seen = await _ask(proxy, Ask("gpt-4o", "Hi <b>there</b>"))
    (asked,) = [received for received in upstream.received if received.method == "POST"]
    (shown,) = seen["answers"]
    steps = [tuple(step) for step in shown["seen"]]

    assert json.loads(asked.body)["messages"] == [{"role": "user", "content": "Hi <b>there</b>"}]
    whole = ("Let me think.", "Hello, you there!")
    assert steps[-1] == whole
    assert {("Let me ", ""), ("Let me think.", ""), ("Let me think.", "Hello, ")} <= set(steps)
    assert shown["thoughts"] is True
    assert "12 tokens in, 34 out" in shown["facts"]
    assert shown["error"] == ""
    assert seen["session"] == [ADMIN_KEY]  # the client's key is kept nowhere
    assert seen["trouble"] == []


APIS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "generateContent": "/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse",
}


async def test_playground_speaks_every_api_and_shows_what_it_sends() -> None:
    async def answer(peer: Peer, request: Received) -> None:
        pieces = google_event("Let me think.", thought=True), google_event("Hello, ")
        end = google_event("you!", finishReason="STOP")
        await peer.reply(b"".join((*pieces, end)), content_type="text/event-stream")

    upstream = RawUpstream(answer)
    asks = [Ask("gemini-3-flash", "Hi there", api=api, think=True) for api in APIS]
    async with (
        upstream.running(),
        running_proxy(gemini=upstream.base_url, ADMIN_KEY=ADMIN_KEY) as proxy,
    ):
        seen = await _ask(proxy, *asks)

    assert seen["api"] == "chat"  # unless another one is chosen
    for path, shown in zip(APIS.values(), seen["answers"], strict=True):
        assert shown["error"] == "", path
        assert shown["seen"][-1] == ["Let me think.", "Hello, you!"], path
        assert (shown["thoughts"], "tokens in" in shown["facts"]) == (True, True), path
        head, _, body = shown["request"].partition("\n\n")
        assert head.startswith(f"POST {proxy.url}{path}\n"), path
        assert "Hi there" in str(json.loads(body)), path
        assert KEY not in shown["request"], path
    assert seen["session"] == [ADMIN_KEY]
    assert seen["trouble"] == []


async def test_playground_says_in_words_what_went_wrong_in_every_api() -> None:
    async def answer(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(google_event("Half of "))
        peer.reset()

    upstream = RawUpstream(answer)
    asks = [Ask("gemini-3-flash", key=key, api=api) for api in APIS for key in (KEY, "wrong-key")]
    async with (
        upstream.running(),
        running_proxy(gemini=upstream.base_url, ADMIN_KEY=ADMIN_KEY) as proxy,
    ):
        seen = await _ask(proxy, *asks)

    for at, api in enumerate(APIS):
        broken, refused = seen["answers"][2 * at : 2 * at + 2]
        assert broken["seen"][-1][1] == "Half of ", api
        # Google's API is relayed to Google, so that its break is the client's.
        end = "The answer broke off." if api == "generateContent" else "The upstream"
        assert broken["error"].startswith(end), api
        assert refused["error"].startswith("401: Incorrect API key"), api


async def test_stop_ends_the_call_upstream() -> None:
    gone = asyncio.Event()

    async def answer(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(event({"content": "Once upon "}))
        await peer.reader.read()
        gone.set()

    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url, ADMIN_KEY=ADMIN_KEY) as proxy:
        seen = await _ask(proxy, Ask("gpt-4o", "Tell me", stop_at="Once upon"))
        async with asyncio.timeout(5):
            await gone.wait()

    assert seen["answers"][0]["facts"].endswith("stopped")
    assert seen["answers"][0]["error"] == ""


async def test_playground_says_what_went_wrong() -> None:
    async def answer(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(event({"content": "Half of "}))
        peer.reset()

    upstream = RawUpstream(answer)
    env = {"ADMIN_KEY": ADMIN_KEY, "GEMINI_API_KEY": ""}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        seen = await _ask(
            proxy,
            Ask("gpt-4o", key="wrong-key"),
            Ask("gpt-4o", key="schlüssel"),
            Ask("gemini/none"),
            Ask("gpt-4o"),
        )
    errors = [answer["error"] for answer in seen["answers"]]

    assert errors[0].startswith("401: Incorrect API key provided.")
    assert errors[1] == "401: This is no key."
    assert errors[2].startswith("404: ")
    assert errors[3].startswith("The upstream")  # and half of an answer above it
    assert seen["answers"][3]["seen"][-1][1] == "Half of "


@dataclass(frozen=True)
class Ask:
    """One message to one model."""

    model: str
    message: str = "Hi"
    key: str = KEY
    stop_at: str = ""
    api: str = ""
    think: bool = False


async def _ask(proxy: Proxy, *asks: Ask) -> Any:
    given = [asdict(ask) | {"stopAt": ask.stop_at} for ask in asks]
    return await play("ask", proxy.url, adminKey=ADMIN_KEY, asks=given)


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
    (1280, "en-US", "light"),
    (1920, "zh-CN", "dark"),
)
"""Width in CSS pixels, language, colour scheme."""


async def test_everything_fits_phones_and_screens_in_both_languages_and_schemes() -> None:
    async with running_proxy(**scene.SETTINGS) as proxy:
        scene.add_the_longest(proxy.context, scene.furnish(proxy.context))
        seen = await play(
            "widths", proxy.url, adminKey=scene.SETTINGS["ADMIN_KEY"], screens=SCREENS
        )
    chinese, english, *_ = seen["found"]

    assert (english["send"], chinese["send"]) == ("Send", "发送")
    assert english["ground"] != chinese["ground"]
    for (width, *_), page in zip(SCREENS, seen["found"], strict=True):
        assert (page["width"], page["beyond"], page["scrolls"]) == (width, [], []), width
        assert page["small"] == [] or width > 500  # below 16 px iOS zooms into a field
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
