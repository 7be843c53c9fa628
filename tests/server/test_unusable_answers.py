"""Answers of Gemini with nothing in them, or with a broken call: the request is sent again."""

import json

import pytest

from tests.conftest import BEARER, running_proxy
from tests.server.refusing_gemini import (
    FORMS,
    SDK,
    Json,
    answer,
    ask,
    chat,
    no_budget,
)
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow


class Unusable:
    """Answers with nothing usable *times* times, then well."""

    def __init__(self, part: Json | None, finish: str, times: int = 1) -> None:
        self.part, self.finish, self.times = part, finish, times
        self.asked = 0

    async def __call__(self, peer: Peer, request: Received) -> None:
        self.asked += 1
        if self.asked <= self.times:
            await answer(peer, request, self.part, self.finish)
        else:
            await answer(peer, request, {"text": "Hi"}, "STOP")


BROKEN = "MALFORMED_FUNCTION_CALL"
LEAKED = {"text": "call:default_api:f{"}
THOUGHT = {"text": "hm", "thought": True}


@pytest.mark.parametrize("path", ["chat", "responses"])
async def test_text_of_a_broken_call_is_asked_for_again(path: str) -> None:
    gemini = Unusable(LEAKED, BROKEN)
    body = chat() if path == "chat" else {"model": "gemini-3.5-flash", "input": "q"}

    response = await ask(
        gemini, body, "/v1/responses" if path == "responses" else "/v1/chat/completions"
    )

    assert (response.status, gemini.asked) == (200, 2)
    assert b"Hi" in response.body
    assert b"default_api" not in response.body


async def test_text_of_a_broken_call_that_comes_again_is_an_error() -> None:
    gemini = Unusable(LEAKED, BROKEN, times=9)

    response = await ask(gemini, chat())

    assert (response.status, gemini.asked) == (502, 2)
    assert response.error()["code"] == "upstream_malformed_response"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_text_of_a_broken_call_in_a_stream_ends_in_an_error(path: str) -> None:
    gemini = Unusable(LEAKED, BROKEN, times=9)
    body = chat(stream=True) | {"input": "q"}
    if path.endswith("responses"):
        del body["messages"]

    response = await ask(gemini, body, path)

    assert (response.status, gemini.asked) == (200, 1)
    assert b"upstream_malformed_response" in response.body
    assert b'"finish_reason":"stop"' not in response.body
    assert b"response.completed" not in response.body


EMPTY: dict[str, Json | None] = {"nothing": None, "no text": {"text": ""}, "a thought": THOUGHT}
SILENT = [
    pytest.param(part, form, id=f"{name}-{how}")
    for name, part in EMPTY.items()
    for how, form in FORMS.items()
    if part is not THOUGHT or not form.get("stream")  # there it has been sent
]


@pytest.mark.parametrize(("part", "form"), SILENT)
async def test_empty_answer_is_asked_for_again(part: Json | None, form: Json) -> None:
    gemini = Unusable(part, "STOP", times=form.get("n", 1))

    response = await ask(gemini, chat(**form), headers=SDK, prepare=no_budget)

    assert response.status == 200
    assert gemini.asked == 2 * form.get("n", 1)
    assert response.body.count(b'"Hi"') == form.get("n", 1)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_answer_that_stays_empty_is_an_empty_answer(form: Json) -> None:
    gemini = Unusable(None, "STOP", times=9)

    response = await ask(gemini, chat(**form), headers=SDK, prepare=no_budget)

    assert response.status == 200
    assert gemini.asked == 2 * form.get("n", 1)
    assert response.body.count(b'"finish_reason":"stop"') == form.get("n", 1)
    assert b"error" not in response.body


async def test_thought_that_was_sent_is_an_answer() -> None:
    gemini = Unusable(THOUGHT, "STOP", times=9)

    response = await ask(gemini, chat(stream=True))

    assert (response.status, gemini.asked) == (200, 1)
    assert b'"finish_reason":"stop"' in response.body


async def test_tokens_of_both_answers_are_counted() -> None:
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4}
    frame = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage}

    async def gemini(peer: Peer, request: Received) -> None:
        await peer.reply(json.dumps(frame).encode())

    upstream = RawUpstream(gemini, base_path="/v1beta")
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        await fetch(proxy.port, "/v1/chat/completions", chat(), BEARER)
        logged = proxy.logged()

    assert "prompt_tokens=6" in logged or '"prompt_tokens": 6' in logged


async def test_empty_answer_is_asked_for_again_after_an_overload() -> None:
    class Overloaded(Unusable):
        async def __call__(self, peer: Peer, request: Received) -> None:
            if not self.asked:
                self.asked = 1
                await peer.reply(b'{"error":{"code":503,"message":"overloaded"}}', 503)
                return
            await super().__call__(peer, request)

    empty, broken = Overloaded(None, "STOP", times=2), Overloaded(LEAKED, BROKEN, times=2)

    for gemini in (empty, broken):
        response = await ask(gemini, chat())

        assert (response.status, gemini.asked) == (200, 3)
        assert b"Hi" in response.body
