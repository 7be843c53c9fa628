"""Limits and key policies at the socket: what is refused, what stays quick, what is given back."""

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest

from tests.conftest import BEARER, KEY, Proxy, running_proxy
from tests.eventually import eventually
from tests.raw_client import RawConnection, RawResponse, connect, fetch
from tests.raw_upstream import Peer, RawUpstream, Received, Script, chat_chunk, completion

CHAT = "/v1/chat/completions"
MIB = 1024 * 1024
JSON = {**BEARER, "Content-Type": "application/json"}
ECHO: dict[str, object] = {"model": "jarvis-echo", "messages": []}
CALL: dict[str, object] = {"model": "gpt-4o", "messages": []}
OTHER_KEY = "other-key-0123456789abcdef"
TWO_KEYS = {"PROXY_API_KEYS": f"tester:{KEY},other:{OTHER_KEY}"}
OTHER = {"Authorization": f"Bearer {OTHER_KEY}"}


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


async def hold(peer: Peer, request: Received) -> None:
    await peer.closed()


def same_for_all(response: RawResponse) -> tuple[object, ...]:
    """Return what of a response could tell one refusal from another."""
    changing = ("x-request-id", "date")
    headers = {n: v for n, v in response.headers.items() if n not in changing}
    return response.status, headers, response.body


async def ask(
    proxy: Proxy, body: Mapping[str, object] = CALL, headers: Mapping[str, str] = BEARER
) -> RawResponse:
    return await asyncio.wait_for(fetch(proxy.port, CHAT, dict(body), headers), 5)


def outcome(response: RawResponse) -> tuple[int, object]:
    return response.status, response.error()["code"]


@contextlib.asynccontextmanager
async def calls_in_progress(proxy: Proxy, count: int, body: bytes = b"") -> AsyncIterator[None]:
    """Keep *count* calls waiting for an upstream that holds them."""
    body = body or json.dumps(CALL).encode()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(count):
            connection = await stack.enter_async_context(connect(proxy.port))
            await connection.post(CHAT, body, JSON)
        await eventually(lambda: len(proxy.shell.watch) == count)
        await eventually(lambda: proxy.shell.guard.bytes_in_flight >= count * len(body))
        yield
    await eventually(lambda: len(proxy.shell.watch) == 0)


# Overload


async def test_overload_is_told_at_once_and_health_stays_quick() -> None:
    upstream = RawUpstream(hold)
    async with upstream.running(), running_proxy(upstream.base_url, MAX_STREAMS="3") as proxy:
        async with calls_in_progress(proxy, 3):
            began = time.monotonic()
            response = await ask(proxy)
            health = await fetch(proxy.port, "/health", method="GET")
            took = time.monotonic() - began
        freed = await ask(proxy, ECHO)
        log = proxy.logged()

    assert outcome(response) == (503, "overloaded")
    assert 1 <= int(response.headers["retry-after"]) <= 5
    assert response.headers["x-should-retry"] == "true"
    assert (health.status, freed.status) == (200, 200)
    assert took < 0.5
    assert "status=503 outcome=refused code=overloaded" in log


async def test_body_of_a_call_without_a_place_is_not_waited_for() -> None:
    upstream = RawUpstream(hold)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, MAX_STREAMS="1") as proxy,
        calls_in_progress(proxy, 1),
        connect(proxy.port) as connection,
    ):
        await connection.post(CHAT, b"", {**JSON, "Content-Length": "1000"})
        response = await asyncio.wait_for(connection.response(), 1)

    assert outcome(response) == (503, "overloaded")
    assert response.headers["connection"] == "close"


async def test_one_key_cannot_take_the_places_of_others() -> None:
    upstream = RawUpstream(hold)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, MAX_STREAMS_PER_KEY="2", **TWO_KEYS) as proxy,
    ):
        async with calls_in_progress(proxy, 2):
            full = await ask(proxy)
            other = await ask(proxy, ECHO, OTHER)
        freed = await ask(proxy, ECHO)

    assert outcome(full) == (429, "rate_limit_exceeded")
    assert full.headers["retry-after"] == "1"
    assert (other.status, freed.status) == (200, 200)


@pytest.mark.parametrize("body", [b"{", b'{"model":"gpt-4o"}', b'{"model":"jarvis-echo"}'])
async def test_place_is_given_back_whatever_the_end(body: bytes) -> None:
    async with running_proxy(MAX_STREAMS="1", MAX_STREAMS_PER_KEY="1") as proxy:
        for _ in range(3):
            response = await fetch(proxy.port, CHAT, body, JSON)
            assert response.status != 429
            assert b"overloaded" not in response.body
        assert proxy.shell.guard.bytes_in_flight == 0
        assert proxy.shell.guard.in_progress == {"tester": 0}


# Memory for bodies

SMALL = {"MAX_BODY_MB": "1", "MAX_INFLIGHT_MB": "1"}


def body_of(size: int) -> bytes:
    frame = b'{"model":"gpt-4o","messages":[],"x":""}'
    return frame[:-2] + b"x" * (size - len(frame)) + frame[-2:]


async def test_bodies_together_have_a_limit_and_give_it_back() -> None:
    upstream = RawUpstream(hold)
    big = body_of(MIB * 3 // 4)
    async with upstream.running(), running_proxy(upstream.base_url, **SMALL) as proxy:
        async with calls_in_progress(proxy, 1, big):
            assert proxy.shell.guard.bytes_in_flight == len(big)
            refused = await fetch(proxy.port, CHAT, body_of(MIB // 2), JSON)
            small = await ask(proxy, ECHO)
        assert proxy.shell.guard.bytes_in_flight == 0
        upstream.script = answer
        freed = await fetch(proxy.port, CHAT, big, JSON)

    assert outcome(refused) == (503, "overloaded")
    assert refused.headers["x-should-retry"] == "true"
    assert (small.status, freed.status) == (200, 200)


async def test_declared_body_without_room_is_not_read() -> None:
    upstream = RawUpstream(hold)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, **SMALL) as proxy,
        calls_in_progress(proxy, 1, body_of(MIB * 3 // 4)),
        connect(proxy.port) as connection,
    ):
        await connection.post(CHAT, b"", {**JSON, "Content-Length": str(MIB // 2)})
        response = await asyncio.wait_for(connection.response(), 1)

    assert outcome(response) == (503, "overloaded")


async def post_chunked(connection: RawConnection, *pieces: bytes, **headers: str) -> None:
    lines = [f"POST {CHAT} HTTP/1.1", "Host: x", "Transfer-Encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in {**JSON, **headers}.items()]
    await connection.send("\r\n".join([*lines, "", ""]).encode())
    for piece in pieces:
        await connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))


async def test_undeclared_body_is_counted_as_it_comes() -> None:
    upstream = RawUpstream(hold)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, **SMALL) as proxy,
        calls_in_progress(proxy, 1, body_of(MIB * 3 // 4)),
        connect(proxy.port) as connection,
    ):
        await post_chunked(connection, b"{" + b" " * (MIB // 2))
        response = await asyncio.wait_for(connection.response(), 2)

    assert outcome(response) == (503, "overloaded")


async def test_compressed_body_counts_by_what_it_expands_to() -> None:
    upstream = RawUpstream(hold)
    packed = gzip.compress(body_of(MIB // 2))
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, **SMALL) as proxy,
        calls_in_progress(proxy, 1, body_of(MIB * 3 // 4)),
    ):
        response = await fetch(proxy.port, CHAT, packed, {**JSON, "Content-Encoding": "gzip"})

    assert len(packed) < 10_000
    assert outcome(response) == (503, "overloaded")


# Time

FAST = {"BODY_IDLE_TIMEOUT": "0.4", "WRITE_STALL_TIMEOUT": "0.4"}


async def test_silent_body_is_given_up() -> None:
    async with running_proxy(**FAST) as proxy, connect(proxy.port) as connection:
        await connection.post(CHAT, b"{", {**JSON, "Content-Length": "100"})
        response = await asyncio.wait_for(connection.response(), 5)

    assert outcome(response) == (408, "request_timeout")
    assert response.headers["connection"] == "close"


async def test_dripping_body_is_given_up_though_it_is_never_silent() -> None:
    async with running_proxy(**FAST) as proxy, connect(proxy.port) as connection:
        proxy.shell.watch.limits = replace(
            proxy.shell.watch.limits, body_grace=0.5, body_rate=1000.0
        )
        await connection.post(CHAT, b"{", {**JSON, "Content-Length": "1000"})
        response = asyncio.ensure_future(connection.response())
        while not response.done():
            await connection.send(b" ")
            await asyncio.wait([response], timeout=0.05)

    assert outcome(await response) == (408, "request_timeout")


async def large(peer: Peer, request: Received) -> None:
    await peer.reply(b'{"x":"' + b"x" * (32 * MIB) + b'"}')


async def endless(peer: Peer, request: Received) -> None:
    await peer.head(200, "audio/mpeg")
    with contextlib.suppress(ConnectionError):
        while True:
            await peer.chunk(b"\x00" * 65536)


@pytest.mark.parametrize("script", [large, endless], ids=["whole", "copied"])
async def test_answer_that_is_not_read_is_cut_off(script: Script) -> None:
    upstream = RawUpstream(script)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, **FAST) as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(CHAT, json.dumps(CALL).encode(), JSON)
        transport = connection.writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()
        await eventually(lambda: "code=write_stall" in proxy.log.getvalue())
        assert len(proxy.shell.watch) == 0
        transport.resume_reading()
        response = await asyncio.wait_for(cut(connection), 5)

    assert not response.whole
    assert b"HTTP/1.1" not in response.body


async def cut(connection: RawConnection) -> RawResponse:
    """Read a response that a reset may cut in the middle of its body."""
    status, headers = await connection.head()
    body = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := await connection.reader.read(65536):
            body += data
    whole = len(body) == int(headers.get("content-length", -1)) or body.endswith(b"0\r\n\r\n")
    return RawResponse(status, headers, bytes(body), bytes(body), whole)


async def test_answer_that_is_read_slowly_arrives_whole() -> None:
    upstream = RawUpstream(large)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, **FAST) as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(CHAT, json.dumps(CALL).encode(), JSON)
        _, headers = await connection.head()
        left = int(headers["content-length"])
        began = time.monotonic()
        while left:
            left -= len(await connection.reader.readexactly(min(left, 2 * MIB)))
            await asyncio.sleep(0.1)  # the pace of this client
        took = time.monotonic() - began
        assert json.loads((await ask(proxy, ECHO)).body)
        log = proxy.logged()

    assert took > 2 * float(FAST["WRITE_STALL_TIMEOUT"])
    assert "write_stall" not in log


async def test_copied_answer_that_falls_silent_is_cut_and_nothing_follows_it() -> None:
    async def fall_silent(peer: Peer, request: Received) -> None:
        await peer.head(200, "audio/mpeg")
        await peer.chunk(b"sound")
        await peer.closed()

    upstream, fallback = RawUpstream(fall_silent), RawUpstream(answer)
    async with (
        upstream.running(),
        fallback.running(),
        running_proxy(
            upstream.base_url,
            UPSTREAMS="backup",
            BACKUP_BASE_URL=fallback.base_url,
            BACKUP_API_KEY="k",
            FALLBACKS="gpt-4o=backup/big",
            IDLE_TIMEOUT="0.4",
        ) as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(CHAT, json.dumps(CALL).encode(), JSON)
        response = await asyncio.wait_for(cut(connection), 5)
        await eventually(lambda: "code=upstream_idle_timeout" in proxy.log.getvalue())

    assert response.body == b"5\r\nsound\r\n"
    assert (len(upstream.received), len(fallback.received)) == (1, 0)


# Depth


@pytest.mark.parametrize(("levels", "status"), [(7, 200), (8, 400)])
async def test_json_has_a_depth_limit(levels: int, status: int) -> None:
    body = b'{"model":"jarvis-echo","messages":[],"x":' + b"[" * levels + b"]" * levels + b"}"
    async with running_proxy(MAX_JSON_DEPTH="8") as proxy:
        response = await fetch(proxy.port, CHAT, body, JSON)

    assert response.status == status
    if status == 400:
        assert outcome(response) == (400, "invalid_json")
        assert "8 levels" in str(response.error()["message"])


# Brute force


async def refused(proxy: Proxy, forwarded: str = "", key: str = "wrong") -> RawResponse:
    headers = {"Authorization": f"Bearer {key}"}
    if forwarded:
        headers["X-Forwarded-For"] = forwarded
    return await fetch(proxy.port, "/v1/models", headers=headers, method="GET")


async def test_ten_wrong_keys_are_told_so_and_the_next_to_wait() -> None:
    async with running_proxy() as proxy:
        responses = [await refused(proxy) for _ in range(12)]
        right = await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")
        health = await fetch(proxy.port, "/health", method="GET")
        log = proxy.logged()

    assert [response.status for response in responses] == [401] * 10 + [429] * 2
    assert outcome(responses[-1]) == (429, "rate_limit_exceeded")
    assert 1 <= int(responses[-1].headers["retry-after"]) <= 6
    assert responses[-1].headers["x-should-retry"] == "false"
    assert (right.status, health.status) == (200, 200)
    assert "status=429 outcome=refused" in log


async def test_waiting_is_by_client_behind_a_trusted_proxy_and_by_64_bits_of_ipv6() -> None:
    async with running_proxy(TRUSTED_PROXIES="127.0.0.1") as proxy:
        for n in range(10):
            assert (await refused(proxy, f"2001:db8::{n}")).status == 401
        statuses = [
            (await refused(proxy, forwarded)).status
            for forwarded in ("2001:db8::ffff", "2001:db8:0:1::1", "192.0.2.1")
        ]

    assert statuses == [429, 401, 401]


async def test_forwarded_addresses_of_a_stranger_do_not_help_it() -> None:
    async with running_proxy(TRUSTED_PROXIES="10.0.0.0/8") as proxy:
        statuses = [(await refused(proxy, f"192.0.2.{n}")).status for n in range(11)]
        log = proxy.logged()

    assert statuses == [401] * 10 + [429]
    assert "ip=127.0.0.1" in log
    assert "192.0.2" not in log


async def test_log_shows_the_client_behind_a_trusted_proxy() -> None:
    async with running_proxy(TRUSTED_PROXIES="127.0.0.0/8") as proxy:
        await refused(proxy, "6.6.6.6, 192.0.2.7")
        log = proxy.logged()

    assert "ip=192.0.2.7" in log


# Policies: who and where from


@pytest.mark.parametrize(
    "policy",
    [{"KEY_TESTER_EXPIRES": "2020-01-01"}, {"KEY_TESTER_CIDRS": "192.0.2.0/24"}],
    ids=["expired", "foreign network"],
)
@pytest.mark.parametrize("path", ["/v1/models", CHAT, "/nowhere"])
async def test_key_that_does_not_open_gets_the_401_of_a_wrong_one(
    policy: dict[str, str], path: str
) -> None:
    async with running_proxy(**policy) as proxy:
        wrong = await fetch(proxy.port, path, dict(CALL), {"Authorization": "Bearer wrong"})
        response = await fetch(proxy.port, path, dict(CALL), BEARER)
        log = proxy.logged()

    assert outcome(response) == (401, "invalid_api_key")
    assert same_for_all(response) == same_for_all(wrong)
    assert "key=tester" in log  # the operator is told which one


async def test_key_that_does_not_open_counts_as_a_failure() -> None:
    async with running_proxy(KEY_TESTER_EXPIRES="2020-01-01") as proxy:
        statuses = [(await refused(proxy, key=KEY)).status for _ in range(11)]

    assert statuses == [401] * 10 + [429]


async def test_key_opens_from_its_network_and_until_its_last_day() -> None:
    policy = {
        "KEY_TESTER_CIDRS": "192.0.2.0/24",
        "KEY_TESTER_EXPIRES": "2999-12-31",
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    async with running_proxy(**policy) as proxy:
        inside = await ask(proxy, ECHO, {**BEARER, "X-Forwarded-For": "192.0.2.9"})
        outside = await ask(proxy, ECHO, {**BEARER, "X-Forwarded-For": "192.0.2.9, 198.51.100.1"})

    assert (inside.status, outside.status) == (200, 401)


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


def form(*fields: tuple[str, str]) -> bytes:
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields
    ]
    return ("".join(parts) + "--b--\r\n").encode()


FILE = ("file", "x" * 300_000)
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


async def test_part_of_a_form_that_was_read_ahead_is_counted_as_held() -> None:
    upstream = RawUpstream(hold)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        async with connect(proxy.port) as connection:
            body = form(("model", "whisper-1"), FILE)
            headers = {**BEARER, "Content-Type": "multipart/form-data; boundary=b"}
            await connection.post("/v1/audio/transcriptions", body, headers)
            await eventually(lambda: len(upstream.received) == 1)
            assert 0 < proxy.shell.guard.bytes_in_flight <= len(body)
        await eventually(lambda: proxy.shell.guard.bytes_in_flight == 0)


# Policies: how much

LIMITS = [f"x-ratelimit-{w}-{k}" for k in ("requests", "tokens") for w in ("limit", "remaining")]


def standing(response: RawResponse) -> list[str | None]:
    return [response.headers.get(name) for name in LIMITS]


async def test_requests_a_minute_are_counted_and_told() -> None:
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


async def test_streams_tell_the_limits_in_their_head() -> None:
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


async def test_wait_beyond_a_minute_is_told_but_not_as_a_header_that_an_sdk_would_sleep() -> None:
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
        await eventually(lambda: len(proxy.shell.watch) == 0)
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
