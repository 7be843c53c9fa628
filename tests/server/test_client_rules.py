"""What clients of many makers rely on: addresses, keys, answers and streams.

All of it at the socket, against upstreams on loopback that say what Google and OpenAI say.
"""

import asyncio
import json

import pytest

from tests.conftest import BEARER, GEMINI_KEY, KEY, OPENAI_KEY
from tests.server.client_rules import (
    CHAT,
    GEMINI,
    HELLO,
    USAGE,
    asking,
    choices_of,
    chunks_of,
    scene,
    streaming,
)
from tests.support.eventually import eventually
from tests.support.raw_client import fetch
from tests.upstreams.gemini.replies import a_frame

pytestmark = pytest.mark.slow


# -- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1", "/openai/v1", "/api/v1"])
async def test_every_prefix_and_slash_leads_to_the_same_place(prefix: str) -> None:
    endpoints = ("chat/completions", "models", "usage", "health")
    async with scene() as here:
        for endpoint in endpoints:
            for path in (f"{prefix}/{endpoint}", f"/{prefix}//{endpoint}", f"{prefix}/{endpoint}/"):
                method = "POST" if endpoint == "chat/completions" else "GET"
                body = json.dumps(asking("gpt-4o")).encode() if method == "POST" else b""
                headers = {**BEARER, "Content-Type": "application/json"}
                response = await fetch(here.proxy.port, path, body, headers, method)
                assert response.status == 200, path

    assert {r.path for r in here.openai.received} == {CHAT}


async def test_an_unknown_path_is_json_that_names_the_nearest_whatever_is_accepted() -> None:
    async with scene() as here:
        headers = {**BEARER, "Accept": "text/html,application/xhtml+xml"}
        response = await here.ask(HELLO, headers, "/v1/chat/completion")

    assert response.status == 404
    assert response.headers["content-type"] == "application/json"
    assert "/v1/chat/completions." in str(response.error()["message"])


# -- keys -------------------------------------------------------------------------------------

CARRIERS = {
    "bearer": ({"Authorization": f"Bearer {KEY}"}, ""),
    "shouting": ({"AUTHORIZATION": f"BEARER {KEY}"}, ""),
    "bare": ({"authorization": KEY}, ""),
    "x-api-key": ({"x-api-key": KEY}, ""),
    "api-key": ({"Api-Key": KEY}, ""),
    "x-goog-api-key": ({"x-goog-api-key": KEY}, ""),
    "query": ({}, f"?key={KEY}"),
}


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("model", ["gpt-4o", GEMINI])
async def test_a_key_opens_wherever_it_stands_and_goes_no_further(model: str, carrier: str) -> None:
    headers, query = CARRIERS[carrier]
    async with scene() as here:
        response = await here.ask(asking(model), headers, CHAT + query)
        await eventually(lambda: "call id=" in here.proxy.log.getvalue())
    logged = here.proxy.logged()

    assert response.status == 200
    (seen,) = [*here.openai.received, *here.gemini.received]
    written = f"{seen.path} {seen.headers} {seen.body.decode()}"
    assert KEY not in written
    own = ("Authorization", f"Bearer {OPENAI_KEY}"), ("x-goog-api-key", GEMINI_KEY)
    assert seen.header(own[model == GEMINI][0]) == own[model == GEMINI][1]
    assert seen.header(own[model != GEMINI][0]) is None
    assert KEY not in logged
    assert "route=/v1/chat/completions" in logged


async def test_the_first_odd_spelling_of_a_key_is_hinted_once() -> None:
    other = "other-key-0123456789abcdef"
    keys = f"tester:{KEY},guest:{other}"
    async with scene(PROXY_API_KEYS=keys) as here:
        await here.ask(HELLO)
        quiet = here.proxy.log.getvalue()
        await here.ask(HELLO, BEARER, "/v1/v1/chat/completions")
        await here.ask(HELLO, {}, f"/api/v1/chat/completions/?key={KEY}")
        await here.ask(HELLO, {}, f"{CHAT}?key={other}")
        refused = await here.ask(HELLO, {}, f"{CHAT}?key=wrong")
    hints = [line for line in here.proxy.logged().splitlines() if "hint for key" in line]

    assert "hint for key" not in quiet
    assert refused.status == 401
    assert [line.split("hint for key ")[1].split(":")[0] for line in hints] == ["tester", "guest"]
    assert "/v1/v1/" in hints[0]
    assert "Authorization: Bearer KEY" in hints[1]
    assert not any(KEY in line or other in line for line in hints)


# -- browsers, monitors -----------------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/health", "/v1/usage", "/nowhere"])
async def test_a_page_may_ask_and_read_without_a_key_first(path: str) -> None:
    asked = "authorization,content-type,x-stainless-arch,x-stainless-retry-count"
    page = {"Origin": "https://page.example"}
    wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked}
    async with scene() as here:
        preflight = await fetch(here.proxy.port, path, b"", {**page, **wish}, "OPTIONS")
        answer = await here.ask(HELLO, {**BEARER, **page})

    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.headers["access-control-allow-headers"] == asked
    assert int(preflight.headers["access-control-max-age"]) > 0
    exposed = answer.headers["access-control-expose-headers"].lower()
    assert "x-request-id" in exposed
    assert "retry-after" in exposed


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/v1/models"])
async def test_head_is_get_minus_its_body(path: str) -> None:
    async with scene() as here:
        got = await fetch(here.proxy.port, path, b"", BEARER, "GET")
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", here.proxy.port)
            lines = [f"HEAD {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}"]
            writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()

    assert head.startswith(b"HTTP/1.1 200 ")
    assert f"content-length: {len(got.body)}" in head.decode().lower()
    assert body == b""


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", CHAT, "POST"), ("HEAD", CHAT, "POST"), ("POST", "/v1/models", "GET, HEAD")],
)
async def test_other_methods_are_405_with_allow(method: str, path: str, allow: str) -> None:
    async with scene() as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.proxy.port)
        lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}"]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        head = (await asyncio.wait_for(reader.read(), 5)).decode()
        writer.close()

    assert head.startswith("HTTP/1.1 405 ")
    assert f"allow: {allow.lower()}\r\n" in head.lower()


# -- answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [GEMINI, "jarvis-echo"])
async def test_a_whole_answer_has_everything_that_clients_read(model: str) -> None:
    async with scene() as here:
        answer = json.loads((await here.ask(asking(model))).body)

    assert isinstance(answer["id"], str)
    assert (answer["object"], type(answer["created"])) == ("chat.completion", int)
    assert answer["model"] == model
    (choice,) = answer["choices"]
    assert choice["index"] == 0
    assert choice["finish_reason"] in ("stop", "tool_calls")
    assert choice["message"]["role"] == "assistant"
    assert "content" in choice["message"]
    for call in choice["message"].get("tool_calls", []):
        assert isinstance(call["function"]["arguments"], str)
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert all(type(value) is int for name, value in usage.items() if name.endswith("_tokens"))


@pytest.mark.parametrize("model", [GEMINI, "jarvis-echo"])
async def test_every_chunk_has_them_too_and_a_call_is_whole_from_its_first_delta(
    model: str,
) -> None:
    async with scene() as here:
        chunks = chunks_of(await here.ask(streaming(model)))

    for chunk in chunks:
        assert (chunk["object"], chunk["model"]) == ("chat.completion.chunk", model)
        assert type(chunk["created"]) is int
        for choice in chunk["choices"]:
            assert choice["index"] == 0
            assert {"delta", "finish_reason"} <= choice.keys()
    deltas = [choice["delta"] for choice in choices_of(chunks)]
    calls = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta]
    assert [len(group) for group in calls] == [1] * len(calls)
    assert [group[0]["index"] for group in calls] == list(range(len(calls)))
    assert all(isinstance(group[0]["function"]["arguments"], str) for group in calls)
    assert len(calls) == (2 if model == GEMINI else 0)


@pytest.mark.parametrize(("model", "finish"), [(GEMINI, "tool_calls"), ("jarvis-echo", "stop")])
async def test_a_stream_has_one_finish_and_its_usage_at_the_end(model: str, finish: str) -> None:
    async with scene() as here:
        chunks = chunks_of(await here.ask(streaming(model)))

    finishes = [c["finish_reason"] for c in choices_of(chunks) if c["finish_reason"]]
    assert finishes == [finish]
    assert [bool(chunk.get("usage")) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1]["choices"] == []


@pytest.mark.parametrize(
    ("google", "word"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("SOMETHING_NEW", "stop"),
    ],
)
async def test_only_openais_words_finish(google: str, word: str) -> None:
    async with scene([a_frame({"text": "Hi"}, finish=google, usage=USAGE)]) as here:
        whole = json.loads((await here.ask(asking(GEMINI))).body)
        chunks = chunks_of(await here.ask(asking(GEMINI, stream=True)))

    assert whole["choices"][0]["finish_reason"] == word
    assert [c["finish_reason"] for c in choices_of(chunks) if c["finish_reason"]] == [word]


KNOWN_KEYS = {
    "chunk": {
        *("id", "object", "created", "model", "choices", "usage"),
        *("system_fingerprint", "service_tier"),
    },
    "choice": {"index", "delta", "finish_reason", "logprobs", "native_finish_reason"},
    "delta": {"role", "content", "reasoning_content", "tool_calls", "refusal", "extra_content"},
    "call": {"index", "id", "type", "function", "extra_content"},
}


@pytest.mark.parametrize("model", [GEMINI, "jarvis-echo"])
async def test_a_delta_says_one_thing_and_nothing_has_keys_that_clients_choke_on(
    model: str,
) -> None:
    async with scene() as here:
        chunks = chunks_of(await here.ask(streaming(model)))

    written = []
    for chunk in chunks:
        assert chunk.keys() <= KNOWN_KEYS["chunk"]
        for choice in chunk["choices"]:
            delta = choice["delta"]
            assert choice.keys() <= KNOWN_KEYS["choice"]
            assert delta.keys() <= KNOWN_KEYS["delta"]
            assert all(call.keys() <= KNOWN_KEYS["call"] for call in delta.get("tool_calls", []))
            said = [k for k in ("content", "reasoning_content", "tool_calls") if delta.get(k)]
            assert len(said) <= 1
            written += said
    if model == GEMINI:
        assert written == ["reasoning_content", "content", "tool_calls", "tool_calls"]


@pytest.mark.parametrize("model", [GEMINI, "jarvis-echo"])
async def test_every_chunk_has_the_same_id(model: str) -> None:
    async with scene() as here:
        chunks = chunks_of(await here.ask(streaming(model)))

    assert len({chunk["id"] for chunk in chunks}) == 1
    assert len(chunks) > 2


async def test_a_cut_answer_ends_with_an_error_and_without_done() -> None:
    async with scene(cut=True) as here:
        response = await here.ask(streaming(GEMINI))

    last = response.body.split(b"\n\n")[-2]
    event = json.loads(last.removeprefix(b"data: "))
    assert b"[DONE]" not in response.body
    assert event.keys() == {"error"}
    assert {"message", "type", "code"} <= event["error"].keys()
    assert event["error"]["code"] == "upstream_truncated"
