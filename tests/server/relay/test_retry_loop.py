"""A call and its attempts, at the socket: keys in turn, another try, fallbacks."""

import asyncio
import json
import time

import openai
import pytest

from jarvis_proxy.routing.circuit_breaker import CircuitBreakers
from tests.conftest import BEARER, KEY, running_proxy
from tests.server.relay.answers import (
    CHAT,
    DONE,
    OK,
    SDK,
    Answers,
    ask,
    at_once,
    refusing,
)
from tests.support.eventually import eventually
from tests.support.raw_client import fetch
from tests.support.raw_upstream import (
    Peer,
    RawUpstream,
    Received,
    chat_chunk,
    completion,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("status", [401, 402, 403, 408, 429, 498])
@pytest.mark.parametrize("stream", [False, True])
async def test_another_key_answers_where_one_is_refused(status: int, stream: bool) -> None:
    answers = refusing(status).then(Answers(OK))

    (response,), _ = await ask(answers, stream=stream, OPENAI_API_KEY="sk-one-1,sk-two-2")

    assert response.status == 200
    assert response.headers["x-jarvis-attempts"] == "2"
    assert response.headers["x-jarvis-model"] == "gpt-4o-mini"
    assert response.headers["x-jarvis-upstream"] == "openai"
    assert sorted(answers.keys) == ["sk-one-1", "sk-two-2"]


async def test_a_refused_key_is_left_alone_afterwards() -> None:
    answers = refusing(401).then(Answers(OK))

    responses, _ = await ask(answers, times=4, OPENAI_API_KEY="sk-one-1,sk-two-2")

    assert [response.status for response in responses] == [200] * 4
    assert answers.keys == ["sk-one-1", *["sk-two-2"] * 4]


@pytest.mark.parametrize("status", [402, 408, 498])
@pytest.mark.parametrize("keys", ["sk-one-1", "sk-one-1,sk-two-2"], ids=["one-key", "two-keys"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_fallback_answers_where_no_key_is_left(
    status: int, keys: str, stream: bool
) -> None:
    places = "gpt-4o-mini=jarvis-echo"
    (response,), _ = await ask(
        refusing(status), stream=stream, OPENAI_API_KEY=keys, FALLBACKS=places
    )

    assert response.status == 200
    assert response.headers["x-jarvis-upstream"] == "jarvis"


@pytest.mark.parametrize("status", [402, 408, 498])
async def test_a_key_without_means_rests_for_long(status: int) -> None:
    answers = refusing(status).then(Answers(OK))

    responses, _ = await ask(answers, times=4, OPENAI_API_KEY="sk-one-1,sk-two-2")

    assert [response.status for response in responses] == [200] * 4
    assert answers.keys == ["sk-one-1", *["sk-two-2"] * 4]


@pytest.mark.parametrize("status", [402, 408, 498])
async def test_without_another_place_the_upstreams_own_words_come_through(status: int) -> None:
    (response,), _ = await ask(refusing(status, "balance"))

    assert (response.status, response.error()["code"]) == (status, "balance")


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_the_upstream_lacks_is_answered_by_its_fallback(
    status: int, stream: bool
) -> None:
    answers = refusing(status, "model_not_found")
    (response,), _ = await ask(answers, stream=stream, FALLBACKS="gpt-4o-mini=jarvis-echo")

    assert response.status == 200
    assert response.headers["x-jarvis-upstream"] == "jarvis"
    assert len(answers.keys) == 1


@pytest.mark.parametrize("code", ["model_not_found", "content_policy_violation"])
async def test_a_403_that_names_the_request_lets_no_key_rest(code: str) -> None:
    upstream = RawUpstream(refusing(403, code))
    env = {"OPENAI_API_KEY": "sk-one-1,sk-two-2"}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        response = await fetch(proxy.port, "/v1/chat/completions", CHAT, BEARER)
        resting = proxy.context.endpoints["openai"].key_pool.quarantined(time.monotonic())

    assert response.status == 403
    assert resting == 0


async def test_a_403_rests_a_key_for_that_model_only() -> None:
    answers = refusing(403).then(Answers(OK))
    upstream = RawUpstream(answers)
    env = {"OPENAI_API_KEY": "sk-one-1,sk-two-2"}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        for model in ("gpt-4o-mini", "gpt-4o-mini", "o3", "o3"):
            await fetch(proxy.port, "/v1/chat/completions", {**CHAT, "model": model}, BEARER)

    assert answers.keys[:3] == ["sk-one-1", "sk-two-2", "sk-two-2"]
    assert set(answers.keys[3:]) == {"sk-one-1", "sk-two-2"}


async def test_no_key_left_is_the_proxys_fault_and_not_the_clients() -> None:
    (response,), _ = await ask(refusing(401), OPENAI_API_KEY="sk-one-1,sk-two-2")

    assert (response.status, response.error()["code"]) == (502, "upstream_auth_failed")
    assert response.headers["x-should-retry"] == "false"


async def test_the_last_429_is_passed_on_with_its_hint() -> None:
    answers = refusing(
        429, "rate_limit_exceeded", ("Retry-After: 7", "x-ratelimit-limit-tokens: 9")
    )

    (response,), _ = await ask(answers)

    assert response.status == 429
    assert response.headers["retry-after"] == "7"
    assert response.headers["x-ratelimit-limit-tokens"] == "9"
    assert len(answers.keys) == 1


async def test_a_hint_of_hours_stays_and_sdks_do_not_sleep_on_it() -> None:
    (response,), _ = await ask(refusing(429, extra=("Retry-After: 7200",)))

    assert response.headers["retry-after"] == "7200"
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
async def test_an_overloaded_upstream_is_asked_once_more(status: int) -> None:
    answers = refusing(status, extra=("Retry-After: 0",)).then(Answers(OK))

    (response,), _ = await ask(answers)

    assert response.status == 200
    assert len(answers.keys) == 2


@pytest.mark.parametrize(
    "headers", [SDK, {"originator": "codex_exec"}, {"User-Agent": "codex_exec/0.171.0"}], ids=str
)
async def test_a_client_that_tries_again_itself_gets_the_failure(headers: dict[str, str]) -> None:
    answers = refusing(503)

    (response,), _ = await ask(answers, headers=headers)

    assert response.status == 503
    assert "x-should-retry" not in response.headers
    assert len(answers.keys) == 1


async def test_what_was_tried_twice_is_not_tried_again_by_the_client() -> None:
    (response,), _ = await ask(refusing(503, extra=("Retry-After: 0",)))

    assert response.status == 503
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_a_request_at_fault_is_answered_at_once(status: int) -> None:
    answers = refusing(status)

    (response,), _ = await ask(answers, FALLBACKS="gpt-4o-mini=jarvis-echo")

    assert response.status == status
    assert len(answers.keys) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_fallback_answers_where_the_model_fails(stream: bool) -> None:
    (response,), _ = await ask(
        refusing(500), headers=SDK, stream=stream, FALLBACKS="gpt-4o-mini=jarvis-echo"
    )

    assert response.status == 200
    assert response.headers["x-jarvis-upstream"] == "jarvis"
    assert b"jarvis-echo" in response.body


async def test_a_fallback_may_come_after_heartbeats() -> None:
    async def play(peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[]}')
            return
        await peer.closed()

    upstream = RawUpstream(play)
    body: dict[str, object] = {"model": "gpt-4o-mini", "messages": [], "stream": True}
    settings = {
        "COMMIT_AFTER": "0.2",
        "HEARTBEAT_INTERVAL": "0.2",
        "FIRST_BYTE_TIMEOUT": "0.6",
        "FALLBACKS": "gpt-4o-mini=jarvis-echo",
    }
    async with upstream.running(), running_proxy(upstream.base_url, **settings) as proxy:
        response = await fetch(proxy.port, "/v1/chat/completions", body, BEARER)

    assert response.body.startswith(b": keepalive\n\n")
    assert response.body.endswith(DONE)
    assert b"error" not in response.body


async def test_an_unreachable_upstream_is_tried_twice_then_reported() -> None:
    body: dict[str, object] = {"model": "gpt-4o-mini", "messages": []}
    async with running_proxy("http://127.0.0.1:9/v1") as proxy:
        response = await fetch(proxy.port, "/v1/chat/completions", body, BEARER)

    assert (response.status, response.error()["code"]) == (502, "upstream_connect_error")
    assert response.headers["x-jarvis-attempts"] == "2"


async def test_nothing_is_tried_again_once_a_piece_of_the_answer_is_out() -> None:
    async def play(peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[]}')
            return
        await peer.head()
        await peer.chunk(chat_chunk("Hi"))
        peer.close()

    upstream = RawUpstream(play)
    body: dict[str, object] = {"model": "gpt-4o-mini", "messages": [], "stream": True}
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, FALLBACKS="gpt-4o-mini=jarvis-echo") as proxy,
    ):
        response = await fetch(proxy.port, "/v1/chat/completions", body, BEARER)

    assert b"upstream_truncated" in response.body
    assert len([r for r in upstream.received if r.method == "POST"]) == 1


async def test_a_fallback_is_there_for_all_calls_not_for_a_share_of_them() -> None:
    all_asked = asyncio.Barrier(20)

    async def play(peer: Peer, request: Received) -> None:
        await all_asked.wait()  # so that they are in progress at the same time
        await peer.reply(completion())

    other = RawUpstream(play)
    async with other.running(), asyncio.timeout(10):
        settings = {
            "UPSTREAMS": "other",
            "OTHER_BASE_URL": other.base_url,
            "OTHER_API_KEY": "k",
            "OTHER_MODELS": "m",
            "FALLBACKS": "gpt-4o-mini=other/m",
        }
        responses = await at_once(refusing(500), 20, SDK, **settings)

    assert [response.status for response in responses] == [200] * 20


async def test_another_key_is_there_for_all_calls() -> None:
    asked = 0

    async def play(peer: Peer, request: Received) -> None:
        nonlocal asked
        asked += request.method == "POST"
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[]}')
        elif request.header("Authorization") == "Bearer second":
            await peer.reply(completion())
        else:
            await eventually(lambda: asked >= 20)
            await peer.reply(b'{"error":{"message":"slow down","code":"rate_limit"}}', 429)

    responses = await at_once(play, 20, SDK, OPENAI_API_KEY="first,second")

    assert [response.status for response in responses] == [200] * 20


async def test_retries_are_a_share_of_the_calls() -> None:
    """At 100 % failure, for clients that do not try again themselves."""
    answers = refusing(500, extra=("Retry-After: 0",))
    responses = await at_once(answers, 50, {})

    assert {response.status for response in responses} <= {500, 503}
    assert len(answers.keys) <= 1.2 * 50


@pytest.mark.parametrize("sdk", [False, True])
async def test_upstream_calls_stay_few_when_everything_fails(sdk: bool) -> None:
    _, upstream = await ask(
        refusing(500, extra=("Retry-After: 0",)), times=30, headers=SDK if sdk else {}
    )

    calls = len([r for r in upstream.received if r.method == "POST"])
    assert calls <= 1.2 * 30


@pytest.mark.parametrize("failure", ["500", "429", "cut", "refused"])
def test_a_users_call_by_the_sdk_is_three_upstream_calls_at_most(failure: str) -> None:
    """The SDK tries three times as it comes; the proxy does not multiply that."""
    asked = []

    async def play(peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[]}')
            return
        asked.append(request)
        if failure == "cut":
            peer.reset()
        else:
            body = b'{"error":{"message":"no","code":"x"}}'
            await peer.reply(body, int(failure), extra=("Retry-After: 0",))

    async def call() -> None:
        upstream = RawUpstream(play)
        async with upstream.running():
            url = "http://127.0.0.1:9/v1" if failure == "refused" else upstream.base_url
            async with (
                running_proxy(url) as proxy,
                openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=KEY) as client,
            ):
                with pytest.raises(openai.APIError):
                    await client.chat.completions.create(model="gpt-4o-mini", messages=[])
                attempts = proxy.logged().count(" call ")
        assert attempts <= 3

    asyncio.run(call())

    assert len(asked) <= 3


SECRET = "gsk-ordinary-0123456789"  # of a form that nobody knows
PLACES = ("400", "403", "404", "429", "500", "page", "header", "first event", "later event")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["gpt-4o-mini", "gemini-2.5-flash"])
async def test_an_upstream_that_repeats_its_key_in_an_error_does_not_give_it_away(
    model: str, stream: bool
) -> None:
    where = ""

    async def play(peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[]}')
            return
        said = f"the key {SECRET} and sk-canary-0123456789 and Bearer {SECRET} are wrong"
        error = json.dumps({"error": {"message": said, "type": SECRET, "code": SECRET}}).encode()
        if where == "page":
            await peer.reply(said.encode(), 400, "text/html")
        elif where == "header":
            await peer.reply(error, 400, extra=[f"x-request-id: {SECRET}"])
        elif where.isdigit():
            await peer.reply(error, int(where))
        else:
            await peer.head()
            if where == "later event":
                await peer.chunk(chat_chunk("Hi"))
            await peer.chunk(b"data: " + error + b"\n\n")
            await peer.last_chunk()

    upstream = RawUpstream(play)
    keys = {"OPENAI_API_KEY": f"{SECRET},another-key-0123456789", "GEMINI_API_KEY": SECRET}
    seen = {}
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, upstream.base_url, **keys) as proxy,
    ):
        for where in PLACES:
            body: dict[str, object] = {
                "model": model,
                "messages": [{"role": "user", "content": "Hi"}],
                "stream": stream,
            }
            seen[where] = await fetch(proxy.port, "/v1/chat/completions", body, {**BEARER, **SDK})
            for place in proxy.context.endpoints.values():
                place.breakers = CircuitBreakers()
        log = proxy.logged()

    for where, response in seen.items():
        shown = f"{response.headers} {response.body!r}"
        assert SECRET not in shown, where
        assert "sk-canary" not in shown, where
    assert b"redacted" in seen["400"].body
    assert SECRET not in log
