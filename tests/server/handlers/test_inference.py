"""Routing at the socket: which upstream is asked, under which name, with which bytes."""

import asyncio
import json
import re
from typing import Any

import pytest

from jarvis_proxy.server.sound_encoder import SoundEncoder
from tests.conftest import BEARER, GEMINI_KEY, OPENAI_KEY, running_proxy
from tests.support.eventually import eventually
from tests.support.google_media import SAMPLES, GoogleMedia, blob, frame
from tests.support.raw_client import connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

pytestmark = pytest.mark.slow

CHAT = "/v1/chat/completions"
JSON = {**BEARER, "Content-Type": "application/json"}
GEMINI_ANSWER = json.dumps(
    {
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": "Hello!"}]}, "finishReason": "STOP"}
        ],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
        "modelVersion": "gemini-test",
    }
).encode()

BODY: dict[str, object] = {"voice": "alloy", "input": "Hi"}


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(GEMINI_ANSWER if ":generateContent" in request.path else completion())


class Upstreams:
    """OpenAI, Gemini and one more, all scripted, and a proxy in front of them."""

    def __init__(self, **env: str) -> None:
        self.openai = RawUpstream(answer)
        self.gemini = RawUpstream(answer, base_path="/v1beta")
        self.extra = RawUpstream(answer, base_path="/api/paas/v4")
        self._env = env

    async def ask(
        self, body: bytes | dict[str, object], path: str = CHAT, method: str = "POST"
    ) -> tuple[int, bytes]:
        async with self.openai.running(), self.gemini.running(), self.extra.running():
            env = {
                "UPSTREAMS": "extra",
                "EXTRA_BASE_URL": self.extra.base_url,
                "EXTRA_API_KEY": "extra-key-canary",
                "EXTRA_MODELS": "glm-4.6,deepseek-*",
                **self._env,
            }
            async with running_proxy(self.openai.base_url, self.gemini.base_url, **env) as proxy:
                response = await fetch(proxy.port, path, body, JSON, method)
        return response.status, response.body

    def asked(self) -> tuple[str, Received]:
        """Return which upstream was asked, and for what; it must be one."""
        found = [
            (name, received)
            for name in ("openai", "gemini", "extra")
            for received in getattr(self, name).received
        ]
        (only,) = found
        return only


@pytest.mark.parametrize(
    ("model", "upstream", "target"),
    [
        ("gpt-4o", "openai", "gpt-4o"),
        ("gpt-4.1-mini", "openai", "gpt-4.1-mini"),
        ("something-new", "openai", "something-new"),
        ("ft:gpt-4o:org::id", "openai", "ft:gpt-4o:org::id"),
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("jarvis-default", "openai", "gpt-4.1-mini"),
        ("", "openai", "gpt-4.1-mini"),
        ("glm-4.6", "extra", "glm-4.6"),
        ("deepseek-chat", "extra", "deepseek-chat"),
        ("extra/any-model", "extra", "any-model"),
        ("fast", "extra", "glm-4.6"),
        ("unknown/model", "openai", "unknown/model"),
    ],
)
async def test_model_leads_to_its_upstream(model: str, upstream: str, target: str) -> None:
    upstreams = Upstreams(MODEL_ALIASES="fast=extra/glm-4.6")
    status, _ = await upstreams.ask({"model": model, "messages": [], "x": 1})

    name, seen = upstreams.asked()
    assert (status, name) == (200, upstream)
    assert json.loads(seen.body) == {"model": target, "messages": [], "x": 1}
    key = {"openai": OPENAI_KEY, "extra": "extra-key-canary"}[name]
    assert seen.header("Authorization") == f"Bearer {key}"
    assert seen.path == ("/api/paas/v4" if name == "extra" else "/v1") + "/chat/completions"


@pytest.mark.parametrize(
    ("model", "target"),
    [
        ("gemini-3-flash", "gemini-3-flash-preview"),
        ("gemini-2-flash", "gemini-2.5-flash"),
        ("gemini-2.5-pro", "gemini-2.5-pro"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("google/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemma-3-27b-it", "gemma-3-27b-it"),
    ],
)
async def test_gemini_models_are_asked_of_gemini_in_its_own_tongue(model: str, target: str) -> None:
    upstreams = Upstreams()
    body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    status, answered = await upstreams.ask(body)

    name, seen = upstreams.asked()
    assert (status, name) == (200, "gemini")
    assert seen.path == f"/v1beta/models/{target}:generateContent"
    assert seen.header("x-goog-api-key") == GEMINI_KEY
    assert seen.header("Authorization") is None
    assert json.loads(answered)["model"] == model
    assert json.loads(answered)["choices"][0]["message"]["content"] == "Hello!"


async def test_bytes_of_a_request_are_kept_unless_a_name_changes() -> None:
    body = b'{ "b":1.0 ,\t"model" : "gpt-4o","a":[1e400,"\\u00e9\xc3\xa9"],"b":2}\n'
    upstreams = Upstreams()
    await upstreams.ask(body)

    assert upstreams.asked()[1].body == body


async def test_only_the_name_changes_where_it_must() -> None:
    body = b'{ "b":1.0 ,\t"model" : "%b","a":[1e400,"\\u00e9\xc3\xa9",{"model":"x"}],"b":2}\n'
    upstreams = Upstreams()
    await upstreams.ask(body % b"openai/gpt-4o")

    assert upstreams.asked()[1].body == body % b"gpt-4o"


@pytest.mark.parametrize("endpoint", ["chat/completions", "completions", "responses"])
async def test_request_without_a_model_gets_the_default_one(endpoint: str) -> None:
    upstreams = Upstreams(DEFAULT_MODEL="extra/glm-4.6")
    status, _ = await upstreams.ask({"messages": []}, f"/v1/{endpoint}")

    name, seen = upstreams.asked()
    assert (status, name) == (200, "extra")
    assert json.loads(seen.body)["model"] == "glm-4.6"


@pytest.mark.parametrize("endpoint", ["moderations", "images/generations", "embeddings"])
async def test_where_openai_has_defaults_of_its_own_none_is_put_in(endpoint: str) -> None:
    upstreams = Upstreams()
    await upstreams.ask(b'{"input":"x"}', f"/v1/{endpoint}")

    assert upstreams.asked()[1].body == b'{"input":"x"}'


@pytest.mark.parametrize(
    ("env", "model", "setting"),
    [
        ({"GEMINI_API_KEY": ""}, "gemini-3-flash", "GEMINI_API_KEY"),
        ({"GEMINI_API_KEY": ""}, "gemini/x", "GEMINI_API_KEY"),
        ({"OPENAI_API_KEY": ""}, "gpt-4o", "OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": ""}, "openai/x", "OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": "sk-xxx"}, "gpt-4o", "OPENAI_API_KEY"),
    ],
)
async def test_model_without_a_key_says_which_setting_would_enable_it(
    env: dict[str, str], model: str, setting: str
) -> None:
    async with running_proxy(**env) as proxy:
        response = await fetch(proxy.port, CHAT, {"model": model}, BEARER)

    error = response.error()
    assert (response.status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert setting in str(error["message"])
    assert response.headers["x-should-retry"] == "false"


async def test_endless_name_is_shortened() -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, CHAT, {"model": "x" * 5000}, BEARER)

    assert (response.status, response.error()["code"]) == (404, "model_not_found")
    assert len(str(response.error()["message"])) < 200


@pytest.mark.parametrize("name", ["../../secret", "gemini-..%2f..", "gemini-x?key=y", "gemini-x:y"])
async def test_name_cannot_lead_the_path_elsewhere(name: str) -> None:
    upstreams = Upstreams()
    body: dict[str, object] = {
        "model": f"gemini/{name}",
        "messages": [{"role": "user", "content": "hi"}],
    }
    status, _ = await upstreams.ask(body)

    assert status == 404
    assert upstreams.gemini.received == []


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-3-flash", "/v1/moderations"),
        ("jarvis-echo", "/v1/embeddings"),
    ],
)
async def test_address_that_the_upstream_does_not_serve_says_what_does(
    model: str, path: str
) -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, path, {"model": model, "input": "x"}, BEARER)

    assert (response.status, response.error()["code"]) == (400, "unsupported_endpoint")
    assert "/v1/chat/completions" in str(response.error()["message"])


async def test_fallback_answers_when_the_first_place_cannot(unused_tcp_port: int) -> None:
    upstreams = Upstreams(FALLBACKS="gpt-4o=glm-4.6")

    async def broken(peer: Peer, request: Received) -> None:
        await peer.reply(b'{"error":{"message":"down"}}', 503)

    upstreams.openai.script = broken
    status, _ = await upstreams.ask({"model": "gpt-4o", "messages": []})

    assert status == 200
    assert json.loads(upstreams.extra.received[0].body)["model"] == "glm-4.6"


async def test_form_is_routed_by_its_field() -> None:
    upstream = RawUpstream(answer)
    body = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--x--\r\n'
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        headers = {**BEARER, "Content-Type": "Multipart/Form-Data; boundary=x"}
        response = await fetch(proxy.port, "/v1/audio/transcriptions", body, headers)

    assert response.status == 200
    assert upstream.received[0].body == body


# PASSTHROUGH


@pytest.mark.parametrize("path", ["/v1/files", "/v1/batches/b_1", "/v1/realtime/calls"])
async def test_other_paths_are_closed_unless_opened(path: str) -> None:
    upstreams = Upstreams()
    status, _ = await upstreams.ask(b"{}", path)

    assert status == 404
    assert upstreams.openai.received == []


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "PATCH"])
async def test_opened_paths_are_relayed_with_any_method(method: str) -> None:
    upstreams = Upstreams(PASSTHROUGH="all")
    body = b"" if method in ("GET", "DELETE") else b"\x00raw\xff"
    status, answered = await upstreams.ask(body, "/v1/files/file-1?limit=2&after=a%20b", method)

    name, seen = upstreams.asked()
    assert (status, name, answered) == (200, "openai", completion())
    assert (seen.method, seen.path) == (method, "/v1/files/file-1?limit=2&after=a%20b")
    assert seen.body == body


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../admin",
        "/v1/files/..",
        "/v1/a%2f..",
        "/v1/files/%00",
        "/v1/a;b",
        "/v1/a\\b",
        "/v1/.x",
    ],
)
async def test_opened_paths_are_still_paths(path: str) -> None:
    upstreams = Upstreams(PASSTHROUGH="all")
    status, _ = await upstreams.ask(b"", path, "GET")

    assert status == 404
    assert upstreams.openai.received == []


async def test_download_of_any_bytes_arrives_as_they_are() -> None:
    content = bytes(range(256)) * 1000

    async def play(peer: Peer, request: Received) -> None:
        extra = ['Content-Disposition: attachment; filename="a"', "Accept-Ranges: bytes"]
        await peer.reply(content, 200, "application/octet-stream", extra)

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url, PASSTHROUGH="all") as proxy:
        response = await fetch(proxy.port, "/v1/files/f/content", headers=BEARER, method="GET")

    assert response.body == content
    assert response.headers["content-length"] == str(len(content))
    assert response.headers["content-disposition"] == 'attachment; filename="a"'
    assert response.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("status", [204, 200])
async def test_empty_answer_is_one(status: int) -> None:
    async def play(peer: Peer, request: Received) -> None:
        if status == 204:
            await peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            await peer.reply(b"", 200, None)

    upstream = RawUpstream(play)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, PASSTHROUGH="all") as proxy,
        connect(proxy.port) as connection,
    ):
        for _ in range(2):
            await connection.post("/v1/files/f", b"", BEARER, "DELETE")
            response = await asyncio.wait_for(connection.response(), 5)
            assert (response.status, response.body, response.whole) == (status, b"", True)


async def test_head_of_an_opened_path_has_no_body() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, "application/octet-stream", length=1234)

    upstream = RawUpstream(play)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, PASSTHROUGH="all") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post("/v1/files/f", b"", BEARER, "HEAD")
        status, headers = await asyncio.wait_for(connection.head(), 5)
        await connection.post("/health", b"", method="GET")
        assert (await connection.response()).status == 200

    assert (status, headers["content-length"]) == (200, "1234")


async def test_upload_of_any_bytes_arrives_as_they_are() -> None:
    content = bytes(range(256)) * 1000
    upstreams = Upstreams(PASSTHROUGH="all")
    await upstreams.ask(content, "/v1/uploads/u_1/parts")

    _, seen = upstreams.asked()
    assert seen.body == content
    assert seen.header("Content-Length") == str(len(content))
    assert seen.header("Transfer-Encoding") is None


async def test_opened_path_without_a_key_for_openai_says_so() -> None:
    async with running_proxy(PASSTHROUGH="all", OPENAI_API_KEY="") as proxy:
        response = await fetch(proxy.port, "/v1/files", headers=BEARER, method="GET")

    assert (response.status, response.error()["code"]) == (404, "model_not_found")
    assert "OPENAI_API_KEY" in str(response.error()["message"])


# Under the clock


async def test_call_that_ends_leaves_the_clock() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        await fetch(proxy.port, CHAT, {"model": "gpt-4o"}, BEARER)
        await fetch(proxy.port, CHAT, b"{", BEARER)
        assert len(proxy.context.deadline_monitor) == 0


async def test_client_that_leaves_a_silent_upstream_is_noticed() -> None:
    left = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.closed()
        left.set()

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        async with connect(proxy.port) as connection:
            await connection.post(CHAT, b'{"model":"gpt-4o"}', JSON)
            await eventually(lambda: upstream.received)
        await asyncio.wait_for(left.wait(), 0.5)
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
        log = proxy.logged()

    assert "status=499 outcome=client_closed" in log


async def test_live_page_shows_a_call_for_as_long_as_it_lasts() -> None:
    go_on = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await go_on.wait()
        await answer(peer, request)

    upstream = RawUpstream(play)
    env = {"ADMIN_KEY": "admin-key-0123456789abcdef"}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        live = proxy.context.live_stats
        assert live is not None
        asking = asyncio.create_task(fetch(proxy.port, CHAT, {"model": "gpt-4o"}, BEARER))
        await eventually(lambda: len(live.open) == 1)
        go_on.set()
        await asking
        await eventually(lambda: len(live.open) == 0)


async def test_record_of_a_call_has_its_numbers() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url, LOG_FORMAT="json") as proxy:
        body = b'{"model":"gpt-4o"}'
        response = await fetch(proxy.port, CHAT, body, {**JSON, "User-Agent": "tests/1"})
        (line,) = proxy.logged().splitlines()

    record: dict[str, Any] = json.loads(line)
    assert re.fullmatch(r"req_[0-9a-f]{24}", record["id"])
    assert response.headers["x-request-id"] == record["id"]
    assert {
        "event": "call",
        "key": "tester",
        "ip": "127.0.0.1",
        "method": "POST",
        "route": CHAT,
        "model": "gpt-4o",
        "upstream": "openai",
        "target": "gpt-4o",
        "status": 200,
        "outcome": "ok",
        "attempts": 1,
        "bytes_in": len(body),
        "bytes_out": len(completion()),
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "agent": "tests/1",
    }.items() <= record.items()


async def test_an_encoder_that_fails_is_a_500_that_says_what_to_ask_for() -> None:
    google = GoogleMedia(frame([blob(SAMPLES)], "STOP"))
    async with (
        google.upstream.running(),
        running_proxy(gemini=google.upstream.base_url) as proxy,
    ):
        proxy.context.sound_encoder = SoundEncoder("/nowhere")
        body = {**BODY, "model": "gemini-2.5-flash-preview-tts", "response_format": "wav"}
        plain = await fetch(proxy.port, "/v1/audio/speech", body, BEARER)
        encoded = await fetch(proxy.port, "/v1/audio/speech", {**body, "speed": 2}, BEARER)

    assert plain.status == 200
    if encoded.status == 200:  # no ffmpeg here, so the speed is ignored
        assert encoded.headers["x-jarvis-ignored"] == "speed"
    else:
        assert (encoded.status, encoded.error()["code"]) == (500, "audio_encoding_failed")


async def test_speech_of_an_openai_service_passes_as_it_came() -> None:
    async def script(peer: Peer, request: Received) -> None:
        await peer.reply(b"RIFFsound", content_type="audio/wav; encoding=pending")

    async with (
        RawUpstream(script).running() as upstream,
        running_proxy(openai=upstream.base_url) as proxy,
    ):
        answer = await fetch(proxy.port, "/v1/audio/speech", {**BODY, "model": "tts-1"}, BEARER)

    assert (answer.status, answer.body) == (200, b"RIFFsound")
