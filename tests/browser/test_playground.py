"""The playground in a real browser: every client API, streamed answers, errors in words."""

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from tests.browser.answers import event, google_event
from tests.browser.driver import missing, play
from tests.conftest import KEY, Proxy, running_proxy
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason=f"no browser to test in: {missing()}"),
]

ADMIN_KEY = "admin-key-canary-0123456789"


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
        assert broken["error"].startswith("The upstream's answer ended"), api
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
