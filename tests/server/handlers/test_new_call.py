"""What of a client's request becomes the call: headers, query, names."""

import json
from collections.abc import Mapping

import pytest

from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.exchange import Media, Prerequisites
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.handlers.new_call import query_without_key
from jarvis_proxy.upstream_client.endpoint import UpstreamApi, UpstreamEndpoint
from jarvis_proxy.upstreams.openai import PassthroughExchange
from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

CHAT = "/v1/chat/completions"


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


async def seen_by_upstream(path: str, headers: dict[str, str]) -> Received:
    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        response = await fetch(proxy.port, path, {"model": "gpt-4o"}, {**BEARER, **headers})
        assert response.status == 200
    (seen,) = upstream.received
    return seen


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("key=secret", ""),
        ("KEY=secret", ""),
        ("%6bey=secret", ""),
        ("%4B%45%59=secret", ""),
        ("+key=secret", ""),
        ("key", ""),
        ("a=1&key=secret&b=2", "a=1&b=2"),
        ("key=secret&key=other", ""),
        ("a=key=x", "a=key=x"),
        ("keys=x&monkey=y", "keys=x&monkey=y"),
        ("a=%20b&c=%2B", "a=%20b&c=%2B"),
        ("a&b=&=c", "a&b=&=c"),
    ],
)
def test_only_the_key_is_taken_from_a_query(query: str, expected: str) -> None:
    assert query_without_key(query) == expected


async def test_query_goes_on_as_it_came() -> None:
    query = "a=%20b&c=%0d%0aX-Evil:%20y&d=%26&e=%2B+&f=%C3%A4&g=%23"
    seen = await seen_by_upstream(f"{CHAT}?{query}", {})

    assert seen.path == f"{CHAT}?{query}"
    assert seen.header("X-Evil") is None


async def test_only_headers_of_the_list_cross() -> None:
    crossing = {
        "OpenAI-Beta": "assistants=v2",
        "X-Client-Request-Id": "client-1",
        "Accept": "application/json",
    }
    staying = {
        "Cookie": "a=b",
        "OpenAI-Organization": "org",
        "X-Forwarded-For": "203.0.113.1",
        "Forwarded": "for=203.0.113.1",
        "X-Real-IP": "203.0.113.1",
        "Referer": "https://page.example",
        "Origin": "https://page.example",
        "User-Agent": "curl/8",
        "X-Stainless-Lang": "js",
        "traceparent": "00-1-2-01",
        "TE": "trailers",
        "X-Odd": "x",
    }
    seen = await seen_by_upstream(CHAT, {**crossing, **staying})

    assert {name: seen.header(name) for name in crossing} == crossing
    assert {name for name in staying if seen.header(name) is not None} == {"User-Agent"}
    assert str(seen.header("User-Agent")).startswith("jarvis-proxy/")


@pytest.mark.parametrize("value", ["abc", "x" * 250], ids=["short", "long"])
@pytest.mark.parametrize("path", [CHAT, "/v1/audio/speech"])
async def test_the_idempotency_keys_of_two_clients_never_meet(value: str, path: str) -> None:
    upstream = RawUpstream(answer)
    keys = ["alices-key-0123456789", "bobs-key-0123456789"]
    env = {"PROXY_API_KEYS": f"alice:{keys[0]},bob:{keys[1]}"}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        for key in (*keys, *keys):
            headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": value}
            await fetch(proxy.port, path, {"model": "gpt-4o", "messages": []}, headers)
    sent = [request.header("Idempotency-Key") or "" for request in upstream.received]

    assert sent[0] != sent[1]
    assert sent[:2] == sent[2:]
    assert all(each.endswith(value) for each in sent) == (value == "abc")
    assert max(map(len, sent)) <= 255


@pytest.mark.parametrize(
    "value", ["x" * 300, "\u00e9", "a\tb"], ids=["too long", "not ascii", "tab"]
)
async def test_value_that_is_no_plain_field_stays_here(value: str) -> None:
    seen = await seen_by_upstream(CHAT, {"Idempotency-Key": value})

    assert seen.header("Idempotency-Key") is None


@pytest.mark.parametrize("named", ["authorization, x-api-key", "idempotency-key, close", "accept"])
async def test_what_connection_names_is_not_sent_on(named: str) -> None:
    seen = await seen_by_upstream(
        CHAT, {"Connection": named, "Idempotency-Key": "abc", "Accept": "application/json"}
    )

    assert seen.header("Authorization") is not None  # the proxy's, which a client cannot take away
    assert (seen.header("Idempotency-Key") is None) == ("idempotency-key" in named)
    assert (seen.header("Accept") == "*/*") == (named == "accept")


async def test_answer_names_what_was_really_asked() -> None:
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, MODEL_ALIASES="fast=openai/gpt-4o-mini") as proxy,
    ):
        response = await fetch(proxy.port, CHAT, {"model": "fast"}, BEARER)
        log = proxy.logged()

    assert response.headers["x-jarvis-model"] == "gpt-4o-mini"
    assert response.headers["x-jarvis-upstream"] == "openai"
    assert response.headers["x-jarvis-attempts"] == "1"
    assert "model=fast upstream=openai target=gpt-4o-mini" in log


async def test_built_in_model_answers_under_the_requests_own_id() -> None:
    async with running_proxy() as proxy:
        body: dict[str, object] = {"model": "jarvis-echo", "messages": []}
        response = await fetch(proxy.port, CHAT, body, BEARER)

    request_id = response.headers["x-request-id"].removeprefix("req_")
    assert json.loads(response.body)["id"] == f"chatcmpl-{request_id}"


class Recording:
    """An upstream that keeps the calls it is given."""

    name = "openai"

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def needs(self, call: Call) -> Prerequisites:
        self.calls.append(call)
        raise ProxyError(409, "Enough.", code="enough")

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> PassthroughExchange:
        raise AssertionError("not reached")


@pytest.mark.parametrize(
    ("setting", "language", "stream", "asked"),
    [
        ("auto", "js", True, True),
        ("auto", "JS", True, True),
        ("auto", "js", False, False),
        ("auto", "python", True, False),
        ("auto", "", True, False),
        ("always", "", False, True),
        ("never", "js", True, False),
    ],
)
async def test_thoughts_are_asked_for_where_they_help(
    setting: str, language: str, stream: bool, asked: bool
) -> None:
    recording = Recording()
    async with running_proxy(SHOW_THOUGHTS=setting, STRICT_PARAMS="true") as proxy:
        proxy.context.endpoints["openai"] = UpstreamEndpoint(
            UpstreamApi(recording, proxy.context.endpoints["openai"].api.transport)
        )
        body: dict[str, object] = {"model": "gpt-4o", "stream": stream}
        await fetch(proxy.port, CHAT, body, {**BEARER, "x-stainless-lang": language})

    (call,) = recording.calls
    assert call.show_thoughts == asked
    assert call.strict_params
    assert (call.endpoint, call.model, call.stream) == ("chat/completions", "gpt-4o", stream)
