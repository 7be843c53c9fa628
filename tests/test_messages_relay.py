"""Messages clients on a service that speaks their API: rows H7, H8, L1 to L7, T2 to T5."""

import asyncio
import json
import tempfile
import time
from functools import partial
from typing import Any

import pytest

from tests.conftest import BEARER, KEY, running_proxy
from tests.support.eventually import eventually
from tests.support.messages_service import (
    ASK,
    CLIENT,
    ENDING,
    MODEL,
    SERVICE_KEY,
    START,
    STOP,
    STREAM,
    TEXT,
    Json,
    error,
    message,
    proxy_before,
)
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

pytestmark = pytest.mark.slow

COUNT = "/v1/messages/count_tokens"
STREAMED: Json = {**ASK, "stream": True}
OTHER_KEY = "sk-ant-second-0123456789"
OPENAIS = b'{"error":{"message":"no such tool","type":"x"}}'
THINKING: Json = {
    "role": "assistant",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "EqQBforeign"},
        {"type": "text", "text": "b"},
    ],
}


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(message())


def error_of(response: RawResponse) -> Json:
    found: Json = json.loads(response.body)
    assert found["type"] == "error"
    written: Json = found["error"]
    return written


def with_history(*messages: Json, **fields: Any) -> Json:
    return {**ASK, **fields, "messages": [*ASK["messages"], *messages, *ASK["messages"]]}


# The request


async def test_betas_cross_however_many_and_in_however_many_lines() -> None:
    betas = ",".join(f"some-feature-{number}-2025-05-14" for number in range(30))
    async with proxy_before(answer) as (proxy, service):
        headers = {**CLIENT, "anthropic-version": "2099-01-01", "anthropic-beta": betas}
        await fetch(proxy.port, "/v1/messages?beta=true&key=secret&x=y", ASK, headers)
    (received,) = service.received
    assert received.path == "/v1/messages?beta=true"
    assert received.header("anthropic-version") == "2099-01-01"
    assert received.header("anthropic-beta") == betas


async def test_headers_of_anthropics_reach_no_service_of_another_api() -> None:
    async def chat(peer: Peer, request: Received) -> None:
        await peer.reply(completion())

    async with RawUpstream(chat).running() as upstream, running_proxy(upstream.base_url) as proxy:
        headers = {**CLIENT, "anthropic-beta": "feature"}
        chat_body: Json = {"model": "gpt-4o", "messages": []}
        asked = {"/v1/messages": {**ASK, "model": "gpt-4o"}, "/v1/chat/completions": chat_body}
        for path, body in asked.items():
            assert (await fetch(proxy.port, path, body, headers)).status == 200
    assert len(upstream.received) == 2
    for received in upstream.received:
        assert not any(name.lower().startswith("anthropic") for name, _ in received.headers)


async def test_alias_changes_the_models_name_and_nothing_else() -> None:
    body = (
        b'{"max_tokens":100,"model":"best","messages":[{ "role":"user",  "content":"\\u00fc" }],'
        b'"temperature":1.0}'
    )
    async with proxy_before(answer, MODEL_ALIASES=f"best=anthropic/{MODEL}") as (proxy, service):
        headers = {**CLIENT, "Content-Type": "application/json"}
        response = await fetch(proxy.port, "/v1/messages", body, headers)
    assert response.status == 200
    assert service.received[0].body == body.replace(b'"best"', f'"{MODEL}"'.encode())


async def test_thinking_of_another_model_is_cut_out() -> None:
    sealed = {"type": "thinking", "thinking": "hm", "signature": "gemini:U2ln"}
    history = {"role": "assistant", "content": [sealed, {"type": "text", "text": "b"}]}
    async with proxy_before(answer) as (proxy, service):
        await fetch(proxy.port, "/v1/messages", with_history(history), CLIENT)
    sent = json.loads(service.received[0].body)
    assert sent["messages"][1]["content"] == [{"type": "text", "text": "b"}]


@pytest.mark.parametrize("stream", [False, True])
async def test_refused_thinking_is_left_out_once(stream: bool) -> None:
    async def refuse(peer: Peer, request: Received) -> None:
        if b'"thinking"' in request.body:
            words = "messages.1.content.0: Invalid `signature` in `thinking` block"
            await peer.reply(error("invalid_request_error", words), 400)
        else:
            await peer.reply(STREAM if stream else message(), 200, "text/event-stream")

    async with proxy_before(refuse) as (proxy, service):
        body = with_history(THINKING, stream=stream)
        response = await fetch(proxy.port, "/v1/messages", body, CLIENT)
    assert response.status == 200
    first, second = (json.loads(received.body) for received in service.received)
    assert first == body
    assert second["messages"][1]["content"] == [{"type": "text", "text": "b"}]


async def test_thinking_that_is_refused_twice_is_an_error() -> None:
    words = "messages.1.content.0: Invalid `signature` in `thinking` block"

    async def refuse(peer: Peer, request: Received) -> None:
        await peer.reply(error("invalid_request_error", words), 400)

    async with proxy_before(refuse) as (proxy, service):
        response = await fetch(proxy.port, "/v1/messages", with_history(THINKING), CLIENT)
    assert response.status == 400
    assert error_of(response)["message"] == words
    assert len(service.received) == 2


async def test_service_with_two_apis_gets_each_call_at_its_own() -> None:
    async def both(peer: Peer, request: Received) -> None:
        is_chat = request.path.endswith("/chat/completions")
        await peer.reply(completion() if is_chat else message())

    async with (
        RawUpstream(both, base_path="").running() as service,
        running_proxy(
            UPSTREAMS="deepseek",
            DEEPSEEK_BASE_URL=f"{service.base_url}/chat/v1",
            DEEPSEEK_ANTHROPIC_URL=f"{service.base_url}/anthropic",
            DEEPSEEK_API_KEY=SERVICE_KEY,
            DEEPSEEK_MODELS="deepseek-*",
        ) as proxy,
    ):
        billing = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1;"}
        asked = {**ASK, "model": "deepseek-chat", "system": [billing]}
        relayed = await fetch(proxy.port, "/v1/messages", asked, CLIENT)
        chat = {"model": "deepseek-chat", "messages": ASK["messages"]}
        translated = await fetch(proxy.port, "/v1/chat/completions", chat, BEARER)
    assert (relayed.status, translated.status) == (200, 200)
    first, second = service.received
    assert first.path == "/anthropic/v1/messages"
    assert "system" not in json.loads(first.body)
    assert second.path == "/chat/v1/chat/completions"
    assert second.header("x-api-key") is None


# The answer


async def test_limits_of_the_service_pass_and_its_account_does_not() -> None:
    async def limited(peer: Peer, request: Received) -> None:
        extra = (
            "anthropic-ratelimit-requests-remaining: 7",
            "anthropic-organization-id: org",
            "request-id: req_upstream",
        )
        await peer.reply(STREAM if b"true" in request.body else message(), extra=extra)

    async with proxy_before(limited) as (proxy, _):
        for body in (ASK, STREAMED):
            response = await fetch(proxy.port, "/v1/messages", body, CLIENT)
            assert response.headers["anthropic-ratelimit-requests-remaining"] == "7"
            assert "anthropic-organization-id" not in response.headers
            assert response.headers["request-id"] == response.headers["x-request-id"]


async def test_limits_of_the_service_are_hidden_from_keys_with_limits_of_their_own() -> None:
    async def limited(peer: Peer, request: Received) -> None:
        await peer.reply(message(), extra=("anthropic-ratelimit-requests-remaining: 7",))

    async with proxy_before(limited, KEY_TESTER_RPM="5") as (proxy, _):
        response = await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
    assert "anthropic-ratelimit-requests-remaining" not in response.headers
    assert response.headers["x-ratelimit-limit-requests"] == "5"


async def test_pings_pass_and_usage_counts_cached_and_written_tokens() -> None:
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        for part in (START, ping, TEXT, ENDING, STOP):
            await peer.chunk(part)
        await peer.last_chunk()

    async with proxy_before(play) as (proxy, _):
        response = await fetch(proxy.port, "/v1/messages", STREAMED, CLIENT)
        usage = await fetch(proxy.port, "/v1/usage", headers=BEARER, method="GET")
    assert response.body == START + ping + TEXT + ENDING + STOP
    assert response.headers["content-type"].startswith("text/event-stream")
    text = usage.body.decode()
    assert '"prompt_tokens":60' in text.replace(" ", ""), text
    assert '"completion_tokens":5' in text.replace(" ", "")


async def test_stream_that_lacks_only_its_end_gets_it() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(START + TEXT + ENDING)
        await peer.last_chunk()

    async with proxy_before(play) as (proxy, _):
        response = await fetch(proxy.port, "/v1/messages", STREAMED, CLIENT)
    assert json.loads(response.body.split(b"data: ")[-1]) == {"type": "message_stop"}
    assert response.body.startswith(START + TEXT + ENDING)


async def test_reset_after_the_answer_is_no_error() -> None:
    got_all = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(START + TEXT + ENDING)
        await got_all.wait()
        peer.reset()

    async with proxy_before(play) as (proxy, _), connect(proxy.port) as connection:
        headers = {**CLIENT, "Content-Type": "application/json"}
        await connection.post("/v1/messages", json.dumps(STREAMED).encode(), headers)
        await connection.head()
        assert await connection.chunk() == START + TEXT + ENDING
        got_all.set()
        last = await connection.chunk()
        assert await connection.chunk() == b""
    assert last == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


async def test_cut_stream_ends_with_an_error_event() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(START + TEXT)
        await peer.last_chunk()

    async with proxy_before(play) as (proxy, _):
        response = await fetch(proxy.port, "/v1/messages", STREAMED, CLIENT)
    assert response.body.startswith(START + TEXT)
    *_, kind, data = response.body[len(START + TEXT) :].decode().split("\n")[:2]
    assert kind == "event: error"
    written = json.loads(data.removeprefix("data: "))
    assert written["error"]["type"] == "api_error"
    assert written["request_id"] == response.headers["request-id"]


async def test_error_passes_with_its_wait() -> None:
    body = error("rate_limit_error", "Number of request tokens has exceeded your limit")

    async def refuse(peer: Peer, request: Received) -> None:
        extra = ("retry-after: 7", "x-should-retry: true")
        await peer.reply(body, 429, extra=extra)

    async with proxy_before(refuse) as (proxy, _):
        response = await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
    assert (response.status, response.body) == (429, body)
    assert response.headers["retry-after"] == "7"


async def test_refused_key_gives_way_to_the_next_and_is_no_matter_of_the_clients() -> None:
    async def refuse(peer: Peer, request: Received) -> None:
        if request.header("x-api-key") == SERVICE_KEY:
            await peer.reply(error("authentication_error", "invalid x-api-key"), 401)
        else:
            await peer.reply(message())

    async with proxy_before(refuse, ANTHROPIC_API_KEY=f"{SERVICE_KEY},{OTHER_KEY}") as (proxy, _):
        for _ in range(3):
            response = await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
            assert response.status == 200
    async with proxy_before(refuse) as (proxy, _):
        response = await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
    assert response.status == 502
    assert error_of(response)["type"] == "api_error"


async def test_overload_is_asked_again_and_then_passes_as_529() -> None:
    body = error("overloaded_error", "Overloaded")

    async def refuse(peer: Peer, request: Received) -> None:
        await peer.reply(body, 529)

    async with proxy_before(refuse) as (proxy, service):
        response = await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
    assert (response.status, response.body) == (529, body)
    assert len(service.received) > 1


@pytest.mark.parametrize(
    ("status", "content_type", "body", "kind"),
    [
        (400, "application/json", OPENAIS, "invalid_request_error"),
        (404, "text/html", b"<html><title>404</title>nothing here</html>", "not_found_error"),
        (500, "text/plain", b"", "api_error"),
    ],
)
async def test_errors_of_another_form_are_rewritten(
    status: int, content_type: str, body: bytes, kind: str
) -> None:
    async def refuse(peer: Peer, request: Received) -> None:
        await peer.reply(body, status, content_type)

    async with proxy_before(refuse) as (proxy, _):
        response = await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
    assert response.status == status
    assert error_of(response)["type"] == kind
    assert error_of(response)["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_fallback_may_have_another_api(stream: bool) -> None:
    async def refuse(peer: Peer, request: Received) -> None:
        await peer.reply(error("overloaded_error", "Overloaded"), 529)

    async def chat(peer: Peer, request: Received) -> None:
        if not stream:
            await peer.reply(completion())
            return
        await peer.head()
        await peer.chunk(chat_chunk("Hello!") + chat_chunk(finish="stop") + b"data: [DONE]\n\n")
        await peer.last_chunk()

    async with RawUpstream(chat).running() as other:
        settings = {"FALLBACKS": f"{MODEL}=gpt-4o", "OPENAI_BASE_URL": other.base_url}
        async with proxy_before(refuse, **settings) as (proxy, _):
            response = await fetch(proxy.port, "/v1/messages", {**ASK, "stream": stream}, CLIENT)
    assert response.status == 200
    assert response.headers["x-jarvis-upstream"] == "openai"
    assert b"Hello!" in response.body
    assert other.received[0].header("x-api-key") is None


# Counting tokens


async def test_count_is_the_services_own_and_charges_nothing() -> None:
    async def count(peer: Peer, request: Received) -> None:
        assert request.path == COUNT
        await peer.reply(b'{"input_tokens":2095}')

    asked = {name: ASK[name] for name in ("model", "messages")}
    async with proxy_before(count, KEY_TESTER_RPM="1") as (proxy, service):
        for _ in range(3):
            response = await fetch(proxy.port, COUNT, asked, CLIENT)
            assert (response.status, response.body) == (200, b'{"input_tokens":2095}')
    assert json.loads(service.received[0].body) == asked


@pytest.mark.parametrize("status", [404, 405])
async def test_service_without_a_count_is_asked_once_an_hour(status: int) -> None:
    async def absent(peer: Peer, request: Received) -> None:
        await peer.reply(b"Not Found", status, "text/plain")

    asked = {name: ASK[name] for name in ("model", "messages")}
    async with proxy_before(absent) as (proxy, service):
        for _ in range(3):
            response = await fetch(proxy.port, COUNT, asked, CLIENT)
            assert response.status == 200
            assert json.loads(response.body)["input_tokens"] > 1
        assert len(service.received) == 1
        assert response.headers["x-jarvis-upstream"] == "anthropic"


async def test_error_of_a_count_passes() -> None:
    body = error("invalid_request_error", "messages: at least one message is required")

    async def refuse(peer: Peer, request: Received) -> None:
        await peer.reply(body, 400)

    async with proxy_before(refuse) as (proxy, _):
        response = await fetch(proxy.port, COUNT, {"model": MODEL, "messages": []}, CLIENT)
    assert (response.status, response.body) == (400, body)


async def call_count(peer: Peer, request: Received, *, count: int, call: int) -> None:
    """Answer counts and calls with a status each."""
    counts = "count_tokens" in request.path
    status = count if counts else call
    kinds = {429: "rate_limit_error", 503: "overloaded_error"}
    if status != 200:
        await peer.reply(error(kinds[status], "No."), status)
    else:
        await peer.reply(b'{"input_tokens":9}' if counts else message())


@pytest.mark.parametrize("status", [503, 429])
async def test_counts_that_fail_close_no_way_to_answers(status: int) -> None:
    keys = f"{SERVICE_KEY},{OTHER_KEY}"
    refuse = partial(call_count, count=status, call=200)
    async with proxy_before(refuse, ANTHROPIC_API_KEY=keys) as (proxy, service):
        for _ in range(6):
            assert (await fetch(proxy.port, COUNT, ASK, CLIENT)).status in (529, status)
        response = await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
        pool = proxy.context.endpoints["anthropic"].key_pool
        assert pool.quarantined(time.monotonic()) == 0
    assert response.status == 200
    assert service.received[-1].path == "/v1/messages"


async def test_a_good_count_opens_no_way_that_failures_have_closed() -> None:
    async with proxy_before(partial(call_count, count=200, call=503)) as (proxy, service):
        for _ in range(5):
            assert (await fetch(proxy.port, "/v1/messages", ASK, CLIENT)).status >= 500
        counted = await fetch(proxy.port, COUNT, ASK, CLIENT)
        asked = len(service.received)
        response = await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
    assert counted.status == 200
    assert response.status == 529
    assert b"circuit" in response.body
    assert len(service.received) == asked


# Filling a cache


async def test_anthropics_own_cache_is_filled() -> None:
    async with proxy_before(answer) as (proxy, service):
        await fetch(proxy.port, "/v1/messages", {**ASK, "max_tokens": 0}, CLIENT)
    assert json.loads(service.received[0].body)["max_tokens"] == 0


# Policies


async def test_key_policies_hold_on_a_relay() -> None:
    two = {"KEY_TESTER_MODELS": "claude-haiku-*", "KEY_TESTER_RPM": "1"}
    async with proxy_before(answer, **two) as (proxy, service):
        hidden = await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
        body = {**ASK, "model": "claude-haiku-4-5"}
        first = await fetch(proxy.port, "/v1/messages", body, CLIENT)
        second = await fetch(proxy.port, "/v1/messages", body, CLIENT)
    assert hidden.status == 404
    assert error_of(hidden)["type"] == "not_found_error"
    assert first.status == 200
    assert second.status == 429
    assert error_of(second)["type"] == "rate_limit_error"
    assert len(service.received) == 1


async def test_budget_counts_cached_and_written_tokens() -> None:
    async with proxy_before(answer, KEY_TESTER_BUDGET="60tokens/day") as (proxy, _):
        first = await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
        second = await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
    assert first.status == 200
    assert second.status == 429
    assert second.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(("hours", "status"), [(0, 200), (100_000, 429)])
async def test_budget_counts_a_cache_of_an_hour_at_its_price(hours: int, status: int) -> None:
    """100,000 tokens at 2 dollars a million: written for 5 minutes 0.25 dollars, else 0.40."""
    split = {"ephemeral_5m_input_tokens": 100_000 - hours, "ephemeral_1h_input_tokens": hours}
    usage = {"cache_creation_input_tokens": 100_000, "cache_creation": split, "output_tokens": 0}

    async def write(peer: Peer, request: Received) -> None:
        await peer.reply(message(usage={"input_tokens": 0, **usage}))

    price = {"models": {f"anthropic/{MODEL}": {"input": 2, "written": 2.5, "output": 10}}}
    with tempfile.NamedTemporaryFile("w") as prices:
        prices.write(json.dumps(price))
        prices.flush()
        env = {"KEY_TESTER_BUDGET": "0.3USD/day", "PRICES_FILE": prices.name}
        async with proxy_before(write, **env) as (proxy, _):
            await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
            second = await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
    assert second.status == status


async def test_client_that_leaves_ends_the_call() -> None:
    left = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(START)
        await peer.closed()
        left.set()

    async with proxy_before(play) as (proxy, _):
        async with connect(proxy.port) as connection:
            headers = {**CLIENT, "Content-Type": "application/json"}
            await connection.post("/v1/messages", json.dumps(STREAMED).encode(), headers)
            await connection.head()
            await connection.chunk()
        await eventually(left.is_set)


async def test_upstream_error_with_a_key_is_redacted() -> None:
    async def leak(peer: Peer, request: Received) -> None:
        text = f"invalid key {request.header('x-api-key')} {KEY}"
        await peer.reply(error("invalid_request_error", text), 400)

    async with proxy_before(leak) as (proxy, _):
        response = await fetch(proxy.port, "/v1/messages", ASK, CLIENT)
    assert response.status == 400
    assert SERVICE_KEY.encode() not in response.body
    assert KEY.encode() not in response.body
