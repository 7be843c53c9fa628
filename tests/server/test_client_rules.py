"""Every spelling works: the fifteen rules that clients of many makers taught, each by its number.

All of it at the socket, against upstreams on loopback that say what Google and OpenAI say.
"""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import zstandard

from tests.conftest import BEARER, GEMINI_KEY, KEY, OPENAI_KEY, Proxy, running_proxy
from tests.support.eventually import eventually
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion
from tests.upstreams.gemini.google_types import assert_google_accepts
from tests.upstreams.gemini.replies import a_frame, a_function_call, a_usage, sse

pytestmark = pytest.mark.slow

Json = dict[str, Any]
CHAT = "/v1/chat/completions"
GEMINI = "gemini-2.5-flash"
DONE = b"data: [DONE]\n\n"
HELLO: Json = {"model": "jarvis-echo", "messages": [{"role": "user", "content": "Hello there"}]}
USAGE = a_usage(20, 10, thoughts=5)
TALK = [
    a_frame({"text": "Let me think.", "thought": True}),
    a_frame({"text": "Two calls: "}, usage=a_usage(20, 3, thoughts=5)),
    a_frame(a_function_call("look", {"city": "Ulm"}), a_function_call("look", {"city": "Bonn"})),
    a_frame({"text": ""}, finish="STOP", usage=USAGE),
]
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


@dataclass
class Scene:
    """A proxy between two upstreams; ``frames`` and ``error`` are what Gemini says."""

    proxy: Proxy
    openai: RawUpstream
    gemini: RawUpstream

    async def ask(
        self, body: Json, headers: Mapping[str, str] = BEARER, path: str = CHAT
    ) -> RawResponse:
        return await asyncio.wait_for(fetch(self.proxy.port, path, body, headers), 10)

    def sent_to_gemini(self) -> Json:
        (body,) = [json.loads(r.body) for r in self.gemini.received]
        assert isinstance(body, dict)
        return body


@contextlib.asynccontextmanager
async def scene(
    frames: list[Json] | None = None,
    *,
    refusal: tuple[int, bytes] | None = None,
    cut: bool = False,
    **env: str,
) -> AsyncIterator[Scene]:
    """Start both; Gemini says *frames*, or the *refusal* (status and body), or is *cut* off."""
    written = TALK if frames is None else frames

    async def play_gemini(peer: Peer, request: Received) -> None:
        if refusal is not None:
            await peer.reply(refusal[1], refusal[0])
        elif ":streamGenerateContent" in request.path:
            await peer.head()
            await peer.chunk(sse(*(written[:2] if cut else written)))
            await peer.last_chunk()
        else:
            await peer.reply(json.dumps(_whole(written)).encode())

    openai, gemini = RawUpstream(_openai), RawUpstream(play_gemini, base_path="/v1beta")
    async with (
        openai.running(),
        gemini.running(),
        running_proxy(openai.base_url, gemini.base_url, **env) as proxy,
    ):
        yield Scene(proxy, openai, gemini)


async def _openai(peer: Peer, request: Received) -> None:
    if not json.loads(request.body).get("stream"):
        await peer.reply(completion())
        return
    await peer.head()
    await peer.chunk(chat_chunk("Hi") + chat_chunk(None, "stop") + DONE)
    await peer.last_chunk()


def _whole(frames: list[Json]) -> Json:
    parts = [part for frame in frames for part in frame["candidates"][0]["content"]["parts"]]
    whole = a_frame(*parts, finish=frames[-1]["candidates"][0]["finishReason"])
    return whole | {"usageMetadata": frames[-1].get("usageMetadata", {})}


def asking(model: str, *, stream: bool = False, **more: Any) -> Json:
    return {**HELLO, "model": model, "stream": stream, **more}


def streaming(model: str) -> Json:
    """Return a request whose answer from Gemini has thoughts, text, two calls and usage."""
    more: Json = {} if model == "jarvis-echo" else {"tools": TOOLS, "reasoning_effort": "low"}
    return asking(model, stream=True, stream_options={"include_usage": True}, **more)


def chunks_of(response: RawResponse) -> list[Json]:
    """Return the chunks of a complete stream."""
    assert (response.status, response.whole) == (200, True)
    assert response.body.endswith(DONE)
    blocks = response.body.removesuffix(DONE).split(b"\n\n")
    assert blocks.pop() == b""
    return [json.loads(block.removeprefix(b"data: ")) for block in blocks]


def choices_of(chunks: list[Json]) -> list[Json]:
    return [choice for chunk in chunks for choice in chunk["choices"]]


# -- 1: addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1", "/openai/v1", "/api/v1"])
async def test_rule_01_every_prefix_and_slash_leads_to_the_same_place(prefix: str) -> None:
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


async def test_rule_01_an_unknown_path_is_json_that_names_the_nearest_whatever_is_accepted() -> (
    None
):
    async with scene() as here:
        headers = {**BEARER, "Accept": "text/html,application/xhtml+xml"}
        response = await here.ask(HELLO, headers, "/v1/chat/completion")

    assert response.status == 404
    assert response.headers["content-type"] == "application/json"
    assert "/v1/chat/completions." in str(response.error()["message"])


# -- 2: keys ---------------------------------------------------------------------------------

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
async def test_rule_02_a_key_opens_wherever_it_stands_and_goes_no_further(
    model: str, carrier: str
) -> None:
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


async def test_rule_02_the_first_odd_spelling_of_a_key_is_hinted_once() -> None:
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


# -- 3, 4: browsers, monitors ----------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/health", "/v1/usage", "/nowhere"])
async def test_rule_03_a_page_may_ask_and_read_without_a_key_first(path: str) -> None:
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
async def test_rule_04_head_is_get_minus_its_body(path: str) -> None:
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
async def test_rule_04_other_methods_are_405_with_allow(method: str, path: str, allow: str) -> None:
    async with scene() as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.proxy.port)
        lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}"]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        head = (await asyncio.wait_for(reader.read(), 5)).decode()
        writer.close()

    assert head.startswith("HTTP/1.1 405 ")
    assert f"allow: {allow.lower()}\r\n" in head.lower()


# -- 5 to 8: answers -------------------------------------------------------------------------


@pytest.mark.parametrize("model", [GEMINI, "jarvis-echo"])
async def test_rule_05_a_whole_answer_has_everything_that_clients_read(model: str) -> None:
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
async def test_rule_05_every_chunk_has_them_too_and_a_call_is_whole_from_its_first_delta(
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
async def test_rule_06_a_stream_has_one_finish_and_its_usage_at_the_end(
    model: str, finish: str
) -> None:
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
async def test_rule_06_only_openais_words_finish(google: str, word: str) -> None:
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
async def test_rule_07_a_delta_says_one_thing_and_nothing_has_keys_that_clients_choke_on(
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
async def test_rule_08_every_chunk_has_the_same_id(model: str) -> None:
    async with scene() as here:
        chunks = chunks_of(await here.ask(streaming(model)))

    assert len({chunk["id"] for chunk in chunks}) == 1
    assert len(chunks) > 2


async def test_rule_08_a_cut_answer_ends_with_an_error_and_without_done() -> None:
    async with scene(cut=True) as here:
        response = await here.ask(streaming(GEMINI))

    last = response.body.split(b"\n\n")[-2]
    event = json.loads(last.removeprefix(b"data: "))
    assert b"[DONE]" not in response.body
    assert event.keys() == {"error"}
    assert {"message", "type", "code"} <= event["error"].keys()
    assert event["error"]["code"] == "upstream_truncated"


# -- 9, 10: requests -------------------------------------------------------------------------


def _user(content: object) -> Json:
    return {"role": "user", "content": content}


def _part(kind: str, value: object) -> Json:
    return _user([{"type": "text", "text": "See:"}, {"type": kind, kind: value}])


PDF = "data:application/pdf;base64,JVBERi0xLjQKJSVFT0Y="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
LONG_ID = "chatcmpl-tool-" + "f" * 80
CALLED = {
    "role": "assistant",  # without content, as NextChat replays it
    "tool_calls": [
        {"id": LONG_ID, "type": "function", "function": {"name": "look", "arguments": "{}"}}
    ],
}
RESULT = {"role": "tool", "name": "look", "tool_call_id": LONG_ID, "content": "sunny"}
STRIPPED = {**RESULT, "tool_call_id": "".join(c for c in LONG_ID if c.isalnum())[:40]}
REQUESTS: dict[str, Json] = {
    "empty tools": asking(GEMINI, tools=[], tool_choice="auto"),
    "empty tools, required": asking(GEMINI, tools=[], tool_choice="required"),
    "no content with calls": asking(GEMINI, messages=[_user("a"), CALLED, RESULT]),
    "id stripped and cut": asking(GEMINI, messages=[_user("a"), CALLED, STRIPPED]),
    "developer": asking(
        GEMINI,
        messages=[{"role": "developer", "content": "Formatting re-enabled"}, _user("a")],
    ),
    "both limits": asking(GEMINI, max_tokens=4000, max_completion_tokens=8192),
    "two users in a row": asking(
        GEMINI, messages=[_user("a"), _user([{"type": "text", "text": "b"}])]
    ),
    "image_url of audio": asking(
        GEMINI, messages=[_part("image_url", {"url": f"data:audio/wav;base64,{WAV}"})]
    ),
    "image_url of video": asking(
        GEMINI, messages=[_part("image_url", {"url": "data:video/mp4;base64,AAAAGGZ0eXBtcDQy"})]
    ),
    "image_url of PDF": asking(GEMINI, messages=[_part("image_url", {"url": PDF})]),
    "input_audio": asking(
        GEMINI, messages=[_part("input_audio", {"data": WAV, "format": "wav"})]
    ),
    "file": asking(GEMINI, messages=[_part("file", {"filename": "a.pdf", "file_data": PDF})]),
    "video_url": asking(
        GEMINI, messages=[_part("video_url", {"url": "data:video/mp4;base64,AAAAGGZ0eXBtcDQy"})]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REQUESTS)
async def test_rule_09_what_clients_send_reaches_google_in_a_form_that_it_takes(case: str) -> None:
    async with scene() as here:
        response = await here.ask(REQUESTS[case])

    assert response.status == 200, response.body
    assert "x-jarvis-ignored" not in response.headers
    sent = here.sent_to_gemini()
    assert_google_accepts(sent)
    assert "tools" not in sent
    written = [part for content in sent["contents"] for part in content["parts"]]
    media = [part["inlineData"]["mimeType"] for part in written if "inlineData" in part]
    wanted = {
        "audio": "audio/",
        "video": "video/",
        "PDF": "application/pdf",
        "file": "application/pdf",
    }
    kind = next((mime for word, mime in wanted.items() if word in case), None)
    assert [mime.startswith(kind) for mime in media] == [True] if kind else media == []
    if case in ("no content with calls", "id stripped and cut"):
        (call,) = [part["functionCall"] for part in written if "functionCall" in part]
        (result,) = [part["functionResponse"] for part in written if "functionResponse" in part]
        assert call["name"] == result["name"] == "look"
        assert "sunny" in json.dumps(result["response"])


async def test_rule_09_what_google_lacks_is_named_and_too_much_is_clamped() -> None:
    body = asking(
        GEMINI,
        logit_bias={"1": 5},
        frequency_penalty=0.5,
        made_up={"deep": [1]},
        max_tokens=10_000_000,
    )
    async with scene() as here:
        response = await here.ask(body)

    assert response.status == 200
    ignored = response.headers["x-jarvis-ignored"].split(", ")
    assert sorted(ignored) == ["frequency_penalty", "logit_bias"]
    assert here.sent_to_gemini()["generationConfig"] == {"maxOutputTokens": 65_536}


@pytest.mark.parametrize("stream", [False, True])
async def test_rule_10_a_tiny_limit_with_a_thinking_model_is_an_empty_answer(stream: bool) -> None:
    candidate: Json = {"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}
    usage = {"promptTokenCount": 4, "thoughtsTokenCount": 2, "totalTokenCount": 6}
    frame: Json = {"candidates": [candidate], "usageMetadata": usage}

    async def play(peer: Peer, request: Received) -> None:
        if ":streamGenerateContent" in request.path:
            await peer.head()
            await peer.chunk(sse(frame))
            await peer.last_chunk()
        else:
            await peer.reply(json.dumps(frame).encode())

    gemini = RawUpstream(play, base_path="/v1beta")
    async with gemini.running(), running_proxy(gemini=gemini.base_url) as proxy:
        ping = asking(GEMINI, stream=stream, max_tokens=5, messages=[_user("ping")])
        response = await fetch(proxy.port, CHAT, ping, BEARER)

    assert response.status == 200
    if stream:
        choices = choices_of(chunks_of(response))
        assert "".join(c["delta"].get("content") or "" for c in choices) == ""
        assert choices[-1]["finish_reason"] == "length"
    else:
        (choice,) = json.loads(response.body)["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("", "length")


# -- 11, 12: errors --------------------------------------------------------------------------

RPC = "type.googleapis.com/google.rpc."


def google_error(code: int, status: str, message: str = "Google's words.", **more: Any) -> Json:
    return {"error": {"code": code, "message": message, "status": status, **more}}


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (google_error(400, "INVALID_ARGUMENT"), 400, "invalid_argument"),
        (google_error(400, "FAILED_PRECONDITION"), 400, "failed_precondition"),
        (google_error(400, "INVALID_ARGUMENT", "API key not valid."), 502, "upstream_auth_failed"),
        (google_error(404, "NOT_FOUND", "models/x is not found"), 404, "model_not_found"),
    ],
)
async def test_rule_11_a_final_error_is_not_worth_another_try(
    refusal: Json, status: int, code: str
) -> None:
    async with scene(refusal=(refusal["error"]["code"], json.dumps(refusal).encode())) as here:
        response = await here.ask(asking(GEMINI))

    assert (response.status, response.error()["code"]) == (status, code)
    final = response.headers.get("x-should-retry") == "false"
    assert final or status in (400, 404)  # which no SDK tries again
    assert len(here.gemini.received) == 1


async def test_rule_11_googles_delay_is_reported_in_both_headers() -> None:
    details = [{"@type": f"{RPC}RetryInfo", "retryDelay": "7.25s"}]
    refusal = google_error(429, "RESOURCE_EXHAUSTED", details=details)
    async with scene(refusal=(429, json.dumps(refusal).encode())) as here:
        response = await here.ask(asking(GEMINI))

    assert (response.status, response.error()["code"]) == (429, "rate_limit_exceeded")
    assert response.headers["retry-after"] == "8"
    assert response.headers["retry-after-ms"] == "7250"


async def test_rule_11_what_the_proxy_tried_again_the_sdk_shall_not() -> None:
    refusal = json.dumps(google_error(503, "UNAVAILABLE")).encode()
    async with scene(refusal=(503, refusal)) as here:
        response = await here.ask(asking(GEMINI))

    assert (response.status, response.error()["code"]) == (503, "overloaded")
    assert len(here.gemini.received) == 2
    assert response.headers["x-jarvis-attempts"] == "2"
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("code", "google", "expected"),
    [
        (400, "INVALID_ARGUMENT", "invalid_argument"),
        (429, "RESOURCE_EXHAUSTED", "rate_limit_exceeded"),
        (409, "ABORTED", "aborted"),
        (504, "DEADLINE_EXCEEDED", "timeout"),
    ],
)
@pytest.mark.parametrize("form", ["object", "array"])
async def test_rule_12_googles_errors_are_openais_in_either_form(
    form: str, code: int, google: str, expected: str
) -> None:
    refusal: Any = google_error(code, google)
    body = json.dumps([refusal] if form == "array" else refusal).encode()
    async with scene(refusal=(code, body)) as here:
        response = await here.ask(asking(GEMINI))

    error = response.error()
    assert response.status == code
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == expected
    assert "Google's words." in str(error["message"])


# -- 13, 14: what is asked at the start ------------------------------------------------------


async def test_rule_13_models_are_listed_at_once_and_refreshed_later() -> None:
    """As with an upstream that takes its time: Open WebUI waits ten seconds for the list."""
    release = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await release.wait()
        await peer.reply(b'{"object":"list","data":[{"id":"gpt-later","created":1700000000}]}')

    def names(response: RawResponse) -> set[str]:
        return {entry["id"] for entry in json.loads(response.body)["data"]}

    upstream = RawUpstream(play, plays_lists=True)
    async with (
        upstream.running(),
        running_proxy(
            upstream.base_url,
            PROXY_API_KEYS=f"tester:{KEY},guest:guest-key-0123456789",
            KEY_GUEST_MODELS="gpt-4o",
        ) as proxy,
    ):
        await eventually(lambda: upstream.received)  # and its answer is still to come
        async with asyncio.timeout(5):
            first = await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")
        release.set()
        await eventually(lambda: proxy.context.model_list.model("gpt-later", lambda _: True))
        later = await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")
        guest = {"Authorization": "Bearer guest-key-0123456789"}
        narrow = await fetch(proxy.port, "/v1/models", headers=guest, method="GET")

    assert "gpt-4.1-mini" in names(first)
    assert "gpt-later" not in names(first)
    assert "gpt-later" in names(later)
    assert all(type(entry["created"]) is int for entry in json.loads(later.body)["data"])
    assert names(narrow) == {"gpt-4o"}


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_rule_14_nextchats_balance_is_the_keys_budget(prefix: str) -> None:
    async with scene(KEY_TESTER_BUDGET="3USD/month") as here:
        answers = [
            await fetch(here.proxy.port, f"{prefix}/dashboard/billing/{path}", b"", BEARER, "GET")
            for path in ("subscription", "usage?start_date=2026-11-01&end_date=2026-12-01")
        ]
        stranger = await fetch(here.proxy.port, f"{prefix}/dashboard/billing/usage", method="GET")

    assert [answer.status for answer in answers] == [200, 200]
    assert json.loads(answers[0].body)["hard_limit_usd"] == 3
    assert "total_usage" in json.loads(answers[1].body)
    assert stranger.status == 401


# -- 15: bodies ------------------------------------------------------------------------------

PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress}


@pytest.mark.parametrize("name", PACKED)
async def test_rule_15_packed_bodies_are_taken_and_bombs_are_not(name: str) -> None:
    headers = {**BEARER, "Content-Type": "application/json", "Content-Encoding": name}
    async with scene(MAX_BODY_MB="1") as here:
        body = PACKED[name](json.dumps(asking("gpt-4o")).encode())
        taken = await fetch(here.proxy.port, CHAT, body, headers)
        bomb = await fetch(here.proxy.port, CHAT, PACKED[name](b" " * 8_000_000), headers)

    assert taken.status == 200
    (seen,) = here.openai.received
    assert json.loads(seen.body) == asking("gpt-4o")
    assert (bomb.status, bomb.error()["code"]) == (413, "request_too_large")


# aiohttp would rather be given a file; here it makes no difference to what arrives.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_rule_15_thirty_two_megabytes_of_pictures_pass_and_more_is_refused_in_json() -> None:
    picture = {"url": "data:image/png;base64," + "A" * (32 * 1024 * 1024)}
    body = json.dumps(asking("gpt-4o", messages=[_part("image_url", picture)])).encode()
    headers = {**BEARER, "Content-Type": "application/json"}
    async with scene() as here:
        taken = await fetch(here.proxy.port, CHAT, body, headers)
        head = {**headers, "Content-Length": str(65 * 1024 * 1024)}
        refused = await fetch(here.proxy.port, CHAT, b"", head)

    assert taken.status == 200
    (seen,) = here.openai.received
    assert seen.body == body
    assert refused.headers["content-type"] == "application/json"
    assert (refused.status, refused.error()["code"]) == (413, "request_too_large")
