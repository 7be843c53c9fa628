"""Google's API at the socket, relayed to Gemini."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jarvis_proxy.errors import ProxyError
from tests.conftest import GEMINI_KEY, KEY, Proxy, running_proxy
from tests.support.eventually import eventually
from tests.support.google_frames import STREAM, events, frame, google_error
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow

JSON = dict[str, Any]
SDK = {"x-goog-api-client": "google-genai-sdk/1.38.0"}
"""By which errors in streams come in the form that Google's SDKs read."""
GOOGLE = {"x-goog-api-key": KEY, "Content-Type": "application/json", **SDK}
ODD = (
    '{ "contents":[ {"parts":[{"text":"Grüße 👋 \\ud83d"}]} ],"generationConfig":'
    '{"temperature":1.0,"seed":12345678901234567890} }'
).encode()
MODEL = "gemini-3.8-flash"
EVENTS = f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"
ARRAY = f"/v1beta/models/{MODEL}:streamGenerateContent"
WHOLE = f"/v1beta/models/{MODEL}:generateContent"


class Google:
    """A Gemini that gives a set answer: a body, with its status and type."""

    def __init__(self) -> None:
        self.upstream = RawUpstream(self._play, base_path="/v1beta")
        self.pieces: list[bytes] = [STREAM]
        self.status = 200
        self.content_type = "text/event-stream"
        self.cuts = False

    async def _play(self, peer: Peer, request: Received) -> None:
        await peer.head(self.status, self.content_type, extra=["x-gemini-service-tier: flex"])
        for piece in self.pieces:
            await peer.chunk(piece)
        if self.cuts:
            peer.reset()
            return
        await peer.last_chunk()

    def says(
        self, *pieces: bytes, status: int = 200, content_type: str = "application/json"
    ) -> None:
        self.pieces, self.status, self.content_type = list(pieces), status, content_type

    @property
    def request(self) -> Received:
        return self.upstream.received[-1]


@pytest.fixture
async def google() -> AsyncIterator[Google]:
    google = Google()
    async with google.upstream.running():
        yield google


@pytest.fixture
async def proxy(google: Google) -> AsyncIterator[Proxy]:
    async with running_proxy(gemini=google.upstream.base_url, LOG_FORMAT="json") as proxy:
        yield proxy


async def ask(proxy: Proxy, path: str, body: bytes = ODD, headers: JSON = GOOGLE) -> RawResponse:
    return await fetch(proxy.port, path, body, headers)


def log_of(proxy: Proxy) -> JSON:
    found: JSON = json.loads(proxy.logged().strip().splitlines()[-1])
    return found


async def test_a_stream_crosses_byte_for_byte(proxy: Proxy, google: Google) -> None:
    response = await ask(proxy, EVENTS + f"&key={KEY}")

    assert (response.status, response.body, response.whole) == (200, STREAM, True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "x-gemini-service-tier" not in response.headers
    assert google.request.body == ODD
    assert google.request.path == f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"


async def test_no_key_and_no_header_of_the_clients_crosses(proxy: Proxy, google: Google) -> None:
    more = {"x-goog-api-client": "google-genai-sdk/1", "X-Server-Timeout": "60"}
    await ask(proxy, EVENTS, headers={**GOOGLE, **more, "Authorization": f"Bearer {KEY}"})

    assert google.request.header("x-goog-api-key") == GEMINI_KEY
    names = {name.lower() for name, _ in google.request.headers}
    assert names.isdisjoint({"authorization", "x-goog-api-client", "x-server-timeout"})


@pytest.mark.parametrize("query", [f"?key={KEY}", f"?%24key={KEY}"])
async def test_the_key_may_stand_in_the_query(proxy: Proxy, google: Google, query: str) -> None:
    google.says(frame("Hi", finishReason="STOP"))
    response = await fetch(proxy.port, WHOLE + query, ODD)

    assert response.status == 200
    assert google.request.path == WHOLE


async def test_a_whole_answer_crosses_and_its_tokens_count(proxy: Proxy, google: Google) -> None:
    body = frame("Hi", finishReason="STOP")
    google.says(body)

    response = await ask(proxy, WHOLE)

    assert (response.status, response.body) == (200, body)
    assert response.headers["content-type"].startswith("application/json")
    record = log_of(proxy)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 5)
    assert record["route"] == "/v1beta/models/{model}:generateContent"


async def test_the_tokens_of_a_stream_count(proxy: Proxy) -> None:
    await ask(proxy, EVENTS)

    record = log_of(proxy)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 5)


async def test_an_array_crosses_byte_for_byte(proxy: Proxy, google: Google) -> None:
    body = b"[" + frame("a") + b"\n,\r\n" + frame("b", finishReason="STOP") + b"\n]\n"
    google.says(body[:30], body[30:])

    response = await ask(proxy, ARRAY)

    assert (response.status, response.body) == (200, body)
    assert response.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("verb", ["countTokens", "embedContent", "batchEmbedContents", "predict"])
async def test_the_other_methods_cross(proxy: Proxy, google: Google, verb: str) -> None:
    body = b'{"totalTokens": 3, "embedding": {"values": [0.5]}}\n'
    google.says(body)

    response = await ask(proxy, f"/v1beta/models/{MODEL}:{verb}")

    assert (response.status, response.body, google.request.body) == (200, body, ODD)


async def test_an_alias_changes_the_path_and_names_in_the_body(google: Google) -> None:
    google.says(b'{"embeddings":[]}')
    alias = {"MODEL_ALIASES": "fast=gemini/gemini-embedding-001"}
    async with running_proxy(gemini=google.upstream.base_url, **alias) as proxy:
        body = b'{"requests":[{"model":"models/fast", "content":{}}]}'
        response = await ask(proxy, "/v1beta/models/fast:batchEmbedContents", body)

    assert response.status == 200
    assert google.request.path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    assert google.request.body == body.replace(b"models/fast", b"models/gemini-embedding-001")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("gemini-3-flash", "gemini-3-flash-preview"),
        ("gemini-flash-latest", "gemini-flash-latest"),
        ("gemini/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini-3.8-flash-any", "gemini-2.5-flash"),
    ],
)
async def test_names_lead_where_they_lead_for_everybody(
    google: Google, name: str, target: str
) -> None:
    google.says(frame("Hi", finishReason="STOP"))
    alias = {"MODEL_ALIASES": "gemini-3.8-*=gemini/gemini-2.5-flash"}
    async with running_proxy(gemini=google.upstream.base_url, **alias) as proxy:
        await ask(proxy, f"/v1beta/models/{name}:generateContent")

    assert google.request.path == f"/v1beta/models/{target}:generateContent"


async def test_an_error_crosses_with_its_details(proxy: Proxy, google: Google) -> None:
    body = google_error(400, "INVALID_ARGUMENT", BadRequest={"fieldViolations": []})
    google.says(body, status=400)

    response = await ask(proxy, WHOLE)

    assert (response.status, response.body) == (400, body)


async def test_a_wait_crosses_and_debug_info_does_not(proxy: Proxy, google: Google) -> None:
    body = google_error(
        429, "RESOURCE_EXHAUSTED", RetryInfo={"retryDelay": "2s"}, DebugInfo={"detail": "key"}
    )
    google.says(body, status=429)

    response = await ask(proxy, EVENTS)

    details: Any = response.error()["details"]
    assert (response.status, len(details), details[0]["retryDelay"]) == (429, 1, "2s")
    assert response.headers["retry-after"] == "2"


async def test_the_proxys_own_key_is_not_the_clients_fault(proxy: Proxy, google: Google) -> None:
    google.says(google_error(403, "PERMISSION_DENIED"), status=403)

    response = await ask(proxy, WHOLE)

    details: Any = response.error()["details"]
    assert (response.status, response.error()["status"]) == (502, "UNAVAILABLE")
    assert details[0]["reason"] == "UPSTREAM_AUTH_FAILED"


async def test_the_next_key_is_tried(google: Google) -> None:
    async def play(peer: Peer, request: Received) -> None:
        if request.header("x-goog-api-key") == "first-key-0123456789":
            await peer.reply(google_error(403, "PERMISSION_DENIED"), 403)
        else:
            await peer.reply(frame("Hi", finishReason="STOP"))

    google.upstream.script = play
    keys = {"GEMINI_API_KEY": "first-key-0123456789,second-key-0123456789"}
    async with running_proxy(gemini=google.upstream.base_url, **keys) as proxy:
        assert {(await ask(proxy, WHOLE)).status for _ in range(3)} == {200}


async def test_a_stream_without_its_end_ends_in_a_bare_error(proxy: Proxy, google: Google) -> None:
    google.says(events(frame("a")), events(frame("b"))[:-9], content_type="text/event-stream")

    response = await ask(proxy, EVENTS)

    frames_before, _, bare = response.body.partition(b"\r\n\r\n")
    assert frames_before + b"\r\n\r\n" == events(frame("a"))
    assert (bare[:1], bare[-1:]) == (b"{", b"\n")
    assert json.loads(bare)["error"]["details"][0]["reason"] == "UPSTREAM_TRUNCATED"
    assert response.whole
    assert log_of(proxy)["outcome"] == "upstream_error"


async def test_a_cut_connection_ends_in_a_bare_error(proxy: Proxy, google: Google) -> None:
    google.says(events(frame("a")), content_type="text/event-stream")
    google.cuts = True

    response = await ask(proxy, EVENTS)

    assert json.loads(response.body.partition(b"\r\n\r\n")[2])["error"]["code"] == 502


async def test_reset_after_the_last_frame_is_no_error(proxy: Proxy, google: Google) -> None:
    google.cuts = True

    response = await ask(proxy, EVENTS)

    assert (response.body, response.whole) == (STREAM, True)


async def test_an_error_arrives_in_a_read_of_its_own(proxy: Proxy, google: Google) -> None:
    error = google_error(503, "UNAVAILABLE")
    google.says(events(frame("a")) + error, content_type="text/event-stream")
    async with connect(proxy.port) as connection:
        await connection.post(EVENTS, ODD, GOOGLE)
        await connection.head()
        pieces = [await connection.chunk() for _ in range(2)]

    assert pieces == [events(frame("a")), error + b"\n"]


async def test_an_error_in_place_of_the_stream_has_its_status(proxy: Proxy, google: Google) -> None:
    error = google_error(400, "INVALID_ARGUMENT")
    google.says(error, content_type="text/event-stream")

    response = await ask(proxy, EVENTS)

    assert (response.status, response.body) == (400, error)


async def test_a_cut_array_ends_in_an_error_as_its_last_element(
    proxy: Proxy, google: Google
) -> None:
    google.says(b"[" + frame("a") + b",\r\n" + frame("b")[:-5])

    response = await ask(proxy, ARRAY)

    first, last = json.loads(response.body)
    assert (first, last["error"]["code"]) == (json.loads(frame("a")), 502)


async def test_seals_of_another_upstream_stay_here(proxy: Proxy, google: Google) -> None:
    part = b'{"functionCall":{"name":"f"},"thoughtSignature":"amFydmlzOmNoYXQueDphYmM="}'
    google.says(frame("Hi", finishReason="STOP"))

    await ask(proxy, WHOLE, b'{"contents":[{"parts":[%b]}]}' % part)

    # Google refuses a call without a signature; this one it takes for calls of other models.
    stands_for_it = b'"thoughtSignature":"skip_thought_signature_validator"'
    call = b'{"functionCall":{"name":"f"},%b}' % stands_for_it
    assert google.request.body == b'{"contents":[{"parts":[%b]}]}' % call


async def test_a_refused_request_is_not_asked_again_in_another_form(
    proxy: Proxy, google: Google
) -> None:
    google.says(google_error(400, "INVALID_ARGUMENT"), status=400)

    await ask(proxy, WHOLE)

    assert len(google.upstream.received) == 1


async def test_silence_is_filled_with_empty_lines(google: Google) -> None:
    goes_on = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(events(frame("a")))
        await goes_on.wait()
        await peer.chunk(events(frame("b", finishReason="STOP")))
        await peer.last_chunk()

    google.upstream.script = play
    beats = {"HEARTBEAT_INTERVAL": "0.1", "COMMIT_AFTER": "0.1"}
    async with (
        running_proxy(gemini=google.upstream.base_url, **beats) as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(EVENTS, ODD, GOOGLE)
        await connection.head()
        assert await connection.chunk() == events(frame("a"))
        assert await connection.chunk() == b"\r\n"
        goes_on.set()
        rest = b""
        while piece := await connection.chunk():
            rest += piece

    assert rest.lstrip(b"\r\n") == events(frame("b", finishReason="STOP"))


async def test_a_key_with_certain_models_reaches_these_only(google: Google) -> None:
    google.says(frame("Hi", finishReason="STOP"))
    policy = {"KEY_TESTER_MODELS": MODEL}
    async with running_proxy(gemini=google.upstream.base_url, **policy) as proxy:
        allowed = await ask(proxy, WHOLE)
        refused = await ask(proxy, "/v1beta/models/gemini-3-pro:generateContent")

    assert (allowed.status, refused.status) == (200, 404)
    assert refused.error()["status"] == "NOT_FOUND"


async def test_a_budget_of_tokens_counts_what_google_says(google: Google) -> None:
    google.says(frame("Hi", finishReason="STOP"))
    policy = {"KEY_TESTER_TPM": "10"}
    async with running_proxy(gemini=google.upstream.base_url, **policy) as proxy:
        first = await ask(proxy, WHOLE + "?fields=candidates", b'{"contents":[]}')
        second = await ask(proxy, WHOLE, b'{"contents":[]}')

    assert google.upstream.received[0].path == WHOLE
    assert (first.status, second.status) == (200, 429)
    assert second.error()["status"] == "RESOURCE_EXHAUSTED"
    details: Any = second.error()["details"]
    assert details[-1]["@type"].endswith("RetryInfo")


async def test_an_address_without_a_key_is_reported_in_googles_form(proxy: Proxy) -> None:
    response = await fetch(proxy.port, WHOLE, ODD)

    assert (response.status, response.error()["status"]) == (401, "UNAUTHENTICATED")


async def test_another_method_is_refused_with_the_right_one(proxy: Proxy) -> None:
    response = await fetch(proxy.port, WHOLE, b"", GOOGLE, method="GET")

    assert (response.status, response.headers["allow"]) == (405, "POST")
    assert response.error()["status"] == "INVALID_ARGUMENT"


async def test_a_client_that_leaves_ends_the_call(proxy: Proxy, google: Google) -> None:
    closed = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(events(frame("a")))
        await peer.closed()
        closed.set()

    google.upstream.script = play
    async with connect(proxy.port) as connection:
        await connection.post(EVENTS, ODD, GOOGLE)
        await connection.head()
        await connection.chunk()

    await asyncio.wait_for(closed.wait(), 5)


@pytest.mark.parametrize(("path", "opens"), [(EVENTS, b"data: "), (ARRAY, b"[")])
async def test_a_drain_ends_a_stream_with_its_reason(
    proxy: Proxy, google: Google, path: str, opens: bytes
) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(content_type=None)
        await peer.chunk(events(frame("a")) if path == EVENTS else b"[" + frame("a"))
        await peer.closed()

    google.upstream.script = play
    async with connect(proxy.port) as connection:
        await connection.post(path, ODD, GOOGLE)
        await connection.head()
        first = await connection.chunk() or b""
        proxy.context.deadline_monitor.cancel_all(
            lambda: ProxyError(503, "Gone.", code="server_shutdown")
        )
        rest = b""
        while piece := await connection.chunk():
            rest += piece

    assert first.startswith(opens)
    frames_before = json.loads(first + rest)[-1] if path == ARRAY else json.loads(rest)
    assert frames_before["error"]["details"][0]["reason"] == "SERVER_SHUTDOWN"


@pytest.mark.parametrize("status", [400, 200])
async def test_an_upstream_that_repeats_its_key_does_not_give_it_away(
    proxy: Proxy, google: Google, status: int
) -> None:
    frames_before = {"code": 400, "message": f"It is {GEMINI_KEY}.", "status": "INVALID_ARGUMENT"}
    google.says(json.dumps({"error": frames_before}).encode(), status=status)

    for path in (WHOLE, EVENTS, ARRAY):
        response = await ask(proxy, path)
        assert response.status == 400
        assert GEMINI_KEY.encode() not in response.body
        assert response.error()["message"] == "It is [redacted]."


MODELS = {
    "models": [
        {
            "name": f"models/{MODEL}",
            "displayName": "Gemini 3.8 Flash",
            "inputTokenLimit": 1048576,
            "supportedGenerationMethods": ["generateContent"],
            "thinking": True,
        }
    ]
}


async def test_models_are_listed_in_googles_form() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(json.dumps(MODELS).encode())

    upstream = RawUpstream(play, base_path="/v1beta", plays_lists=True)
    aliases = {"MODEL_ALIASES": f"fast=gemini/{MODEL}"}
    async with upstream.running(), running_proxy(gemini=upstream.base_url, **aliases) as proxy:
        catalog = proxy.context.model_list
        await eventually(lambda: catalog.model(MODEL, lambda name: True))
        listed = await fetch(proxy.port, "/v1beta/models?pageSize=1000", b"", GOOGLE, "GET")
        one = await fetch(proxy.port, "/v1beta/models/fast", b"", GOOGLE, "GET")
        by_header = await fetch(proxy.port, "/v1/models", b"", GOOGLE, "GET")
        openais = await fetch(
            proxy.port, "/v1/models", b"", {"Authorization": f"Bearer {KEY}"}, "GET"
        )
        anthropics = await fetch(
            proxy.port,
            "/v1/models/fast",
            b"",
            {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
            "GET",
        )
        unknown = await fetch(proxy.port, "/v1beta/models/none-such", b"", GOOGLE, "GET")

    found = {model["name"]: model for model in json.loads(listed.body)["models"]}
    assert found[f"models/{MODEL}"] == MODELS["models"][0]
    assert json.loads(one.body) == {**MODELS["models"][0], "name": "models/fast"}
    assert json.loads(by_header.body)["models"]
    assert json.loads(openais.body)["object"] == "list"
    assert json.loads(anthropics.body)["type"] == "model"
    assert (unknown.status, unknown.error()["status"]) == (404, "NOT_FOUND")


async def test_other_clients_read_an_error_in_a_stream_as_an_event(
    proxy: Proxy, google: Google
) -> None:
    """The Vercel AI SDK (Cherry Studio) skips what is no event, and sees no error."""
    google.says(events(frame("a")), content_type="text/event-stream")
    google.cuts = True
    agent = "ai-sdk/google/3.0.141 ai-sdk/provider-utils/4.0.64 runtime/node.js/v20.20.2"
    sent = {"x-goog-api-key": KEY, "Content-Type": "application/json", "User-Agent": agent}

    response = await ask(proxy, EVENTS, headers=sent)

    first, last, rest = response.body.split(b"\r\n\r\n")
    assert (first + b"\r\n\r\n", rest, response.whole) == (events(frame("a")), b"", True)
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert (error["code"], error["details"][0]["reason"]) == (502, "UPSTREAM_TRUNCATED")
