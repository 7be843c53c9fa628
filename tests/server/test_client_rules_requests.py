"""What clients of many makers rely on: requests, errors, lists and bodies."""

import asyncio
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from tests.conftest import BEARER, KEY, running_proxy
from tests.server.client_rules import CHAT, GEMINI, Json, asking, choices_of, chunks_of, scene
from tests.support.eventually import eventually
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.upstreams.gemini.google_types import assert_google_accepts
from tests.upstreams.gemini.replies import sse

pytestmark = pytest.mark.slow


# -- requests ---------------------------------------------------------------------------------


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
async def test_what_clients_send_reaches_google_in_a_form_that_it_takes(case: str) -> None:
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


async def test_what_google_lacks_is_named_and_too_much_is_clamped() -> None:
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
async def test_a_tiny_limit_with_a_thinking_model_is_an_empty_answer(stream: bool) -> None:
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


# -- errors -----------------------------------------------------------------------------------

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
async def test_a_final_error_is_not_worth_another_try(
    refusal: Json, status: int, code: str
) -> None:
    async with scene(refusal=(refusal["error"]["code"], json.dumps(refusal).encode())) as here:
        response = await here.ask(asking(GEMINI))

    assert (response.status, response.error()["code"]) == (status, code)
    final = response.headers.get("x-should-retry") == "false"
    assert final or status in (400, 404)  # which no SDK tries again
    assert len(here.gemini.received) == 1


async def test_googles_delay_is_reported_in_both_headers() -> None:
    details = [{"@type": f"{RPC}RetryInfo", "retryDelay": "7.25s"}]
    refusal = google_error(429, "RESOURCE_EXHAUSTED", details=details)
    async with scene(refusal=(429, json.dumps(refusal).encode())) as here:
        response = await here.ask(asking(GEMINI))

    assert (response.status, response.error()["code"]) == (429, "rate_limit_exceeded")
    assert response.headers["retry-after"] == "8"
    assert response.headers["retry-after-ms"] == "7250"


async def test_what_the_proxy_tried_again_the_sdk_shall_not() -> None:
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
async def test_googles_errors_are_openais_in_either_form(
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


# -- what is asked at the start ---------------------------------------------------------------


async def test_models_are_listed_at_once_and_refreshed_later() -> None:
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
async def test_nextchats_balance_is_the_keys_budget(prefix: str) -> None:
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


# -- bodies -----------------------------------------------------------------------------------

PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress}


@pytest.mark.parametrize("name", PACKED)
async def test_packed_bodies_are_taken_and_bombs_are_not(name: str) -> None:
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
async def test_thirty_two_megabytes_of_pictures_pass_and_more_is_refused_in_json() -> None:
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
