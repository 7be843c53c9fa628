"""A call and its attempts, at the socket: keys in turn, another try, fallbacks, the breaker."""

import json
from collections.abc import Mapping

import pytest

from tests.conftest import BEARER, running_proxy
from tests.raw_client import RawResponse, fetch
from tests.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

DONE = b"data: [DONE]\n\n"
SDK = {"x-stainless-retry-count": "0"}


def refusing(status: int, code: str = "x", extra: tuple[str, ...] = ()) -> "Answers":
    body = json.dumps({"error": {"message": "no", "type": "t", "param": None, "code": code}})
    return Answers((status, body.encode(), extra))


class Answers:
    """Answers in order, the last one for ever; streams when asked for one."""

    def __init__(self, *answers: tuple[int, bytes, tuple[str, ...]]) -> None:
        self.answers = list(answers)
        self.keys: list[str] = []

    def then(self, other: "Answers") -> "Answers":
        self.answers += other.answers
        return self

    async def __call__(self, peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[]}')
            return
        self.keys.append((request.header("Authorization") or "").removeprefix("Bearer "))
        status, body, extra = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 200 and json.loads(request.body).get("stream"):
            await peer.head(200)
            await peer.chunk(chat_chunk("Hi") + chat_chunk(None, "stop") + DONE)
            await peer.last_chunk()
        else:
            await peer.reply(body, status, extra=extra)


OK = (200, completion(), ())


async def ask(
    answers: Answers,
    *,
    times: int = 1,
    headers: Mapping[str, str] | None = None,
    stream: bool = False,
    **env: str,
) -> tuple[list[RawResponse], RawUpstream]:
    upstream = RawUpstream(answers)
    body: dict[str, object] = {"model": "gpt-4o-mini", "messages": [], "stream": stream}
    merged = {**BEARER, **(headers or {})}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        responses = [
            await fetch(proxy.port, "/v1/chat/completions", body, merged) for _ in range(times)
        ]
    return responses, upstream


@pytest.mark.parametrize("status", [401, 403, 429])
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


async def test_no_key_left_is_our_fault_and_not_the_clients() -> None:
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


async def test_a_hint_of_hours_is_not_passed_on_to_sdks_that_would_sleep_on_it() -> None:
    (response,), _ = await ask(refusing(429, extra=("Retry-After: 7200",)))

    assert "retry-after" not in response.headers
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
async def test_an_overloaded_upstream_is_asked_once_more(status: int) -> None:
    answers = refusing(status, extra=("Retry-After: 0",)).then(Answers(OK))

    (response,), _ = await ask(answers)

    assert response.status == 200
    assert len(answers.keys) == 2


async def test_an_sdk_gets_the_failure_and_tries_again_itself() -> None:
    answers = refusing(503)

    (response,), _ = await ask(answers, headers=SDK)

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


async def test_an_unreachable_upstream_is_tried_twice_then_told() -> None:
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


async def test_an_upstream_that_keeps_failing_is_left_alone() -> None:
    responses, upstream = await ask(refusing(500), times=8, headers=SDK)

    assert [response.status for response in responses] == [500] * 5 + [503] * 3
    assert responses[-1].error()["code"] == "upstream_unavailable"
    assert 0 < int(responses[-1].headers["retry-after"]) <= 60
    assert len([r for r in upstream.received if r.method == "POST"]) == 5


@pytest.mark.parametrize("sdk", [False, True])
async def test_upstream_calls_stay_few_when_everything_fails(sdk: bool) -> None:
    _, upstream = await ask(
        refusing(500, extra=("Retry-After: 0",)), times=30, headers=SDK if sdk else {}
    )

    calls = len([r for r in upstream.received if r.method == "POST"])
    assert calls <= 1.2 * 30
