"""What single keys may use at the socket: models, and how much of them."""

import json

import pytest

from tests.conftest import BEARER, running_proxy
from tests.server.limited import (
    CALL,
    CHAT,
    ECHO,
    FILE,
    JSON,
    OTHER,
    TWO_KEYS,
    answer,
    ask,
    calls_in_progress,
    form,
    hold,
    outcome,
)
from tests.support.eventually import eventually
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

pytestmark = pytest.mark.slow

# Policies: models


async def test_hidden_models_are_not_there() -> None:
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, KEY_TESTER_MODELS="gpt-4o,gemini-*", **TWO_KEYS) as proxy,
    ):
        listed, listed_for_other = [
            {model["id"] for model in json.loads(response.body)["data"]}
            for response in [
                await fetch(proxy.port, "/v1/models", headers=headers, method="GET")
                for headers in (BEARER, OTHER)
            ]
        ]
        shown, hidden, unknown = [
            await fetch(proxy.port, f"/v1/models/{name}", headers=BEARER, method="GET")
            for name in ("gpt-4o", "gpt-4.1", "gpt-4.2")
        ]
        used = [
            await ask(proxy, {**CALL, "model": name})
            for name in ("gpt-4o", "openai/gpt-4o", "gpt-4.1", "openai/gpt-4.1", "jarvis-echo")
        ]
        default = await ask(proxy, {"messages": []})
        other = await ask(proxy, {**CALL, "model": "gpt-4.1"}, OTHER)

    assert listed == {"gpt-4o", "gemini-3-flash", "gemini-3-pro", "gemini-2-flash"}
    assert listed < listed_for_other
    assert shown.status == 200
    assert hidden.headers.keys() == unknown.headers.keys()
    assert hidden.body == unknown.body.replace(b"4.2", b"4.1")
    assert [response.status for response in used] == [200, 200, 404, 404, 404]
    assert (*outcome(used[2]), used[2].error()["param"]) == (404, "model_not_found", "model")
    assert used[2].body == hidden.body
    assert (default.status, other.status) == (404, 200)
    assert len(upstream.received) == 3


async def test_hidden_model_is_not_a_fallback_either() -> None:
    fallback = RawUpstream(answer)
    async with (
        fallback.running(),
        running_proxy(
            UPSTREAMS="backup",
            BACKUP_BASE_URL=fallback.base_url,
            BACKUP_API_KEY="k",
            FALLBACKS="gpt-4o=backup/big",
            KEY_TESTER_MODELS="gpt-4o",
            **TWO_KEYS,
        ) as proxy,
    ):
        limited = await ask(proxy)
        free = await ask(proxy, CALL, OTHER)

    assert outcome(limited) == (502, "upstream_connect_error")
    assert free.status == 200
    assert len(fallback.received) == 1


@pytest.mark.parametrize(("models", "statuses"), [("gpt-4o", [404, 404]), ("openai/*", [200, 200])])
async def test_openai_without_a_model_needs_a_key_for_all_of_it(
    models: str, statuses: list[int]
) -> None:
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, KEY_TESTER_MODELS=models, PASSTHROUGH="all") as proxy,
    ):
        responses = [
            await fetch(proxy.port, "/v1/moderations", {"input": "x"}, BEARER),
            await fetch(proxy.port, "/v1/batches", headers=BEARER, method="GET"),
        ]

    assert statuses == [response.status for response in responses]
    assert len(upstream.received) == statuses.count(200)


FORMS = {
    "its model": ([("model", "whisper-1"), FILE], 200, None),
    "a hidden model": ([("model", "gpt-4o-transcribe"), FILE], 404, "model_not_found"),
    "no model": ([FILE], 404, "model_not_found"),
    "a second model at once": (
        [("model", "whisper-1"), ("model", "gpt-4o-transcribe"), FILE],
        400,
        "invalid_multipart",
    ),
    "a second model behind the file": (
        [("model", "whisper-1"), FILE, ("model", "gpt-4o-transcribe")],
        400,
        "invalid_multipart",
    ),
}


@pytest.mark.parametrize(("fields", "status", "code"), FORMS.values(), ids=FORMS)
async def test_forms_reach_no_hidden_model(
    fields: list[tuple[str, str]], status: int, code: str | None
) -> None:
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, KEY_TESTER_MODELS="whisper-1") as proxy,
    ):
        headers = {**BEARER, "Content-Type": "multipart/form-data; boundary=b"}
        response = await fetch(proxy.port, "/v1/audio/transcriptions", form(*fields), headers)

    assert response.status == status
    if code is not None:
        assert response.error()["code"] == code
        assert upstream.received == []


# Policies: how much

LIMITS = [f"x-ratelimit-{w}-{k}" for k in ("requests", "tokens") for w in ("limit", "remaining")]


DEAR = [
    (CHAT, b'{"model":"gpt-4o","Model":"o3"}', "unsupported_parameter"),
    (CHAT, b'{"model":"gpt-4o","models":["o3"]}', "unsupported_parameter"),
    (CHAT, b'{"model":"gpt-4o","pad":[%b1],"model":"o3"}' % (b'"x",' * 100_000), "model_not_found"),
    (CHAT, b'{"model":"o3","pad":[%b1],"model":"gpt-4o"}' % (b'"x",' * 100_000), "invalid_json"),
    (f"{CHAT}?model=o3", b'{"model":"gpt-4o"}', "unsupported_parameter"),
    ("/v1/completions", b'{"model":"gpt-4o","Model":"o3"}', "unsupported_parameter"),
    ("/v1/embeddings", b'{"model":"gpt-4o","fallbacks":["o3"]}', "unsupported_parameter"),
    (
        "/v1/responses",
        b'{"model":"gpt-4o","input":"x","tools":[{"type":"image_generation","model":"o3"}]}',
        "model_not_found",
    ),
]


@pytest.mark.parametrize(("path", "body", "code"), DEAR)
async def test_no_other_model_is_reached_by_an_odd_spelling(
    path: str, body: bytes, code: str
) -> None:
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, KEY_TESTER_MODELS="gpt-4o", **TWO_KEYS) as proxy,
    ):
        response = await fetch(proxy.port, path, body, JSON)
        others = await fetch(proxy.port, path, body, {**JSON, **OTHER})

    assert response.error()["code"] == code
    assert len(upstream.received) == (1 if others.status == 200 else 0)


@pytest.mark.parametrize("name", ["gpt-4o", "cheap"], ids=["as-it-is", "alias"])
async def test_the_body_is_written_with_the_one_model(name: str) -> None:
    upstream = RawUpstream(answer)
    env = {"KEY_TESTER_MODELS": "gpt-4o", "MODEL_ALIASES": "cheap=openai/gpt-4o"}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        body = json.dumps({"pad": "x" * 300_000, "model": name}).encode()
        response = await fetch(proxy.port, CHAT, body, JSON)

    assert response.status == 200
    assert json.loads(upstream.received[0].body) == {"pad": "x" * 300_000, "model": "gpt-4o"}


ODD_FIELDS = ['name="Model"', "name*=UTF-8''model", "name='model'", 'name="models"']


@pytest.mark.parametrize("odd", ODD_FIELDS)
@pytest.mark.parametrize("query", ["", "?model=o3"])
async def test_forms_reach_no_hidden_model_in_an_odd_spelling(odd: str, query: str) -> None:
    upstream = RawUpstream(answer)
    extra = "" if query else f"--b\r\nContent-Disposition: form-data; {odd}\r\n\r\no3\r\n"
    body = extra.encode() + form(("model", "gpt-4o"), FILE)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, KEY_TESTER_MODELS="gpt-4o", **TWO_KEYS) as proxy,
    ):
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        path = f"/v1/audio/transcriptions{query}"
        response = await fetch(proxy.port, path, body, {**BEARER, **headers})
        plain = await fetch(
            proxy.port, "/v1/audio/transcriptions", body[len(extra) :], {**BEARER, **headers}
        )

    assert response.error()["code"] in ("unsupported_parameter", "invalid_multipart")
    assert plain.status == 200
    assert len(upstream.received) == 1


def standing(response: RawResponse) -> list[str | None]:
    return [response.headers.get(name) for name in LIMITS]


async def test_requests_a_minute_are_counted_and_shown() -> None:
    async with running_proxy(KEY_TESTER_RPM="2", **TWO_KEYS) as proxy:
        responses = [await ask(proxy, ECHO) for _ in range(3)]
        other = await ask(proxy, ECHO, OTHER)
        models = await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")
        log = proxy.logged()

    assert [response.status for response in responses] == [200, 200, 429]
    assert [standing(response) for response in responses] == [
        ["2", "1", None, None],
        ["2", "0", None, None],
        ["2", "0", None, None],
    ]
    assert responses[0].headers["x-ratelimit-reset-requests"] == "30s"
    limited = responses[2]
    assert outcome(limited) == (429, "rate_limit_exceeded")
    assert limited.error()["type"] == "requests"
    assert 28 <= int(limited.headers["retry-after"]) <= 30
    assert "x-should-retry" not in limited.headers
    assert "status=429 outcome=refused code=rate_limit_exceeded" in log
    assert other.status == models.status == 200
    assert standing(other) == standing(models) == [None] * 4


async def test_refused_requests_are_not_counted() -> None:
    async with running_proxy(KEY_TESTER_RPM="1", KEY_TESTER_MODELS="jarvis-echo") as proxy:
        bad = [await fetch(proxy.port, CHAT, body, JSON) for body in (b"{", b'{"model":"gpt-4o"}')]
        good = await ask(proxy, ECHO)

    assert [response.status for response in bad] == [400, 404]
    assert [standing(response) for response in bad] == [[None] * 4] * 2
    assert good.status == 200


async def told_by_upstream(peer: Peer, request: Received) -> None:
    extra = ["x-ratelimit-limit-requests: 9999", "X-RateLimit-Remaining-Tokens: 77"]
    await peer.reply(completion(), extra=extra)


async def test_our_limits_stand_in_place_of_the_upstreams() -> None:
    upstream = RawUpstream(told_by_upstream)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, KEY_TESTER_RPM="60", **TWO_KEYS) as proxy,
    ):
        ours, theirs = await ask(proxy), await ask(proxy, CALL, OTHER)

    assert standing(ours) == ["60", "59", None, None]
    assert standing(theirs) == ["9999", None, None, "77"]


async def test_streams_have_the_limits_in_their_head() -> None:
    async with running_proxy(KEY_TESTER_RPM="60") as proxy:
        response = await ask(proxy, {**ECHO, "stream": True})

    assert response.headers["content-type"].startswith("text/event-stream")
    assert standing(response) == ["60", "59", None, None]


def counting(tokens: int) -> RawUpstream:
    """Return an upstream whose every answer took *tokens*."""

    async def count(peer: Peer, request: Received) -> None:
        body = json.loads(completion())
        body["usage"] = {"prompt_tokens": 10, "completion_tokens": tokens - 10}
        await peer.reply(json.dumps(body).encode())

    return RawUpstream(count)


async def test_tokens_a_minute_are_counted_as_the_upstream_counts_them() -> None:
    upstream = counting(900)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, KEY_TESTER_TPM="1000") as proxy,
    ):
        first, second, third = [await ask(proxy) for _ in range(3)]

    assert [first.status, second.status, third.status] == [200, 200, 429]
    assert standing(second)[2] == "1000"
    assert 80 <= int(standing(second)[3] or 0) <= 95
    assert (*outcome(third), third.error()["type"]) == (429, "rate_limit_exceeded", "tokens")
    assert int(third.headers["retry-after"]) >= 47
    assert standing(third)[3] == "0"


async def test_wait_beyond_a_minute_is_in_no_header_that_an_sdk_would_sleep_for() -> None:
    upstream = counting(4000)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, KEY_TESTER_TPM="1000") as proxy,
    ):
        await ask(proxy)
        response = await ask(proxy)

    assert response.status == 429
    assert "retry-after" not in response.headers
    assert response.headers["x-should-retry"] == "false"
    assert "Please try again in 3m" in str(response.error()["message"])


async def test_prompt_is_estimated_before_it_is_sent() -> None:
    upstream = counting(10)
    long = {**CALL, "messages": [{"role": "user", "content": "word " * 2000}]}
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, KEY_TESTER_TPM="3000") as proxy,
    ):
        first = await ask(proxy, long)
        upstream.script = hold
        async with connect(proxy.port) as connection:
            await connection.post(CHAT, json.dumps(long).encode(), JSON)
            await eventually(lambda: len(upstream.received) == 2)
            second = await ask(proxy, long)
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
        upstream.script = answer
        third = await ask(proxy, long)

    assert 480 < int(standing(first)[3] or 0) < 490
    assert outcome(second) == (429, "rate_limit_exceeded")
    assert third.status == 200  # what had no answer gave its tokens back


async def test_stream_without_usage_is_counted_by_its_events() -> None:
    async def talk(peer: Peer, request: Received) -> None:
        await peer.head()
        for _ in range(100):
            await peer.chunk(chat_chunk("word" * 20))
        await peer.chunk(chat_chunk(None, "stop") + b"data: [DONE]\n\n")
        await peer.last_chunk()

    upstream = RawUpstream(talk)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, KEY_TESTER_TPM="1000") as proxy,
    ):
        await ask(proxy, {**CALL, "stream": True})
        response = await ask(proxy, {**CALL, "stream": True})

    assert 800 < int(standing(response)[3] or 0) < 910


async def test_calls_at_once_are_limited_by_the_keys_own_number() -> None:
    upstream = RawUpstream(hold)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, KEY_TESTER_CONCURRENCY="2", **TWO_KEYS) as proxy,
    ):
        async with calls_in_progress(proxy, 2):
            full = await ask(proxy, ECHO)
            other = await ask(proxy, ECHO, OTHER)
        freed = await ask(proxy, ECHO)

    assert outcome(full) == (429, "rate_limit_exceeded")
    assert full.headers["retry-after"] == "1"
    assert (other.status, freed.status) == (200, 200)


async def test_a_key_may_be_given_more_places_than_others_have() -> None:
    upstream = RawUpstream(hold)
    async with (
        upstream.running(),
        running_proxy(
            upstream.base_url, MAX_STREAMS_PER_KEY="1", KEY_TESTER_CONCURRENCY="3"
        ) as proxy,
        calls_in_progress(proxy, 3),
    ):
        assert (await ask(proxy, ECHO)).status == 429


async def test_forms_count_too() -> None:
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, KEY_TESTER_RPM="1") as proxy,
    ):
        headers = {**BEARER, "Content-Type": "multipart/form-data; boundary=b"}
        body = form(("model", "whisper-1"), FILE)
        statuses = [
            (await fetch(proxy.port, "/v1/audio/transcriptions", body, headers)).status
            for _ in range(2)
        ]

    assert statuses == [200, 429]
