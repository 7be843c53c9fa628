"""The door at the socket: overload, memory for bodies, brute force, keys that do not open."""

import asyncio
import contextlib
import gzip
import time

import pytest

from jarvis_proxy.access.auth_throttle import AuthThrottle
from tests.conftest import BEARER, KEY, Proxy, running_proxy
from tests.server.limited import (
    CALL,
    CHAT,
    ECHO,
    JSON,
    MIB,
    OTHER,
    TWO_KEYS,
    answer,
    ask,
    calls_in_progress,
    hold,
    outcome,
    same_for_all,
)
from tests.support.eventually import eventually
from tests.support.raw_client import RawConnection, RawResponse, connect, fetch
from tests.support.raw_upstream import RawUpstream

pytestmark = pytest.mark.slow

# Overload


async def test_overload_is_answered_at_once_and_health_stays_quick() -> None:
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
        response = await asyncio.wait_for(connection.response(), 10)

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
        assert proxy.context.admission.bytes_in_flight == 0
        assert proxy.context.admission.in_progress == {"tester": 0}


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
            assert proxy.context.admission.bytes_in_flight == len(big)
            refused = await fetch(proxy.port, CHAT, body_of(MIB // 2), JSON)
            small = await ask(proxy, ECHO)
        assert proxy.context.admission.bytes_in_flight == 0
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
        response = await asyncio.wait_for(connection.response(), 10)

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
        response = await asyncio.wait_for(connection.response(), 10)

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


async def test_ten_wrong_keys_are_refused_and_the_next_must_wait() -> None:
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


def request_with(*keys: str, forwarded: str = "") -> bytes:
    lines = ["GET /v1/models HTTP/1.1", "Host: h", *(f"x-api-key: {key}" for key in keys)]
    if forwarded:
        lines.append(f"X-Forwarded-For: {forwarded}")
    return "\r\n".join([*lines, "", ""]).encode()


async def test_each_of_four_keys_counts_and_the_fifth_is_not_looked_at() -> None:
    async with running_proxy() as proxy:
        async with connect(proxy.port) as connection:
            await connection.send(request_with("a", "b", "c", "d", KEY))
            fifth = await connection.response()
            await connection.send(request_with("a", "b", "c", KEY))
            fourth = await connection.response()
            await connection.send(request_with("e", "f", "g", "h"))
            second = await connection.response()
        third = await fetch(proxy.port, "/v1/models", headers={"x-api-key": "i"}, method="GET")
        late = await asyncio.wait_for(refused(proxy, key="j"), 5)
        fourth_wrong = await asyncio.wait_for(refused(proxy, key="k"), 5)

    assert (fifth.status, fourth.status, second.status, third.status) == (401, 200, 401, 401)
    assert (late.status, fourth_wrong.status) == (401, 429)


PLACES = {
    "client key": "/v1/models",
    "unknown address": "/nothing/here",
    "admin key": "/dashboard/events",
    "metrics key": "/metrics",
}


@pytest.mark.parametrize("place", PLACES)
async def test_who_guesses_on_waits_and_loses_the_connection(place: str) -> None:
    env = {"ADMIN_KEY": "admin-key-0123456789", "METRICS_KEY": "metrics-key-0123456789"}
    request = f"GET {PLACES[place]} HTTP/1.1\r\nHost: h\r\nVia: x\r\napi-key: no\r\n\r\n".encode()
    async with running_proxy(**env) as proxy, connect(proxy.port) as connection:
        for _ in range(10):
            await connection.send(request)
            assert (await connection.response()).status == 401
        await connection.send(request * 50)  # what follows the next refusal is not looked at
        await eventually(lambda: proxy.context.admission.delayed_rejections == 1)
        response = await connection.response()
        rest = await asyncio.wait_for(connection.reader.read(), 5)
        delayed_rejections = proxy.context.admission.delayed_rejections
        log = proxy.logged()

    assert response.status == 429
    assert response.headers["connection"] == "close"
    assert rest == b""
    assert delayed_rejections == 0
    assert log.count("status=429") == 1


@pytest.mark.parametrize("forwarded", ["", "192.0.2.7", "2001:db8::7"])
async def test_a_valid_key_is_never_held_back(forwarded: str) -> None:
    """Not from the address that guesses, nor while as many guesses wait as may."""
    async with (
        running_proxy(TRUSTED_PROXIES="127.0.0.1", MAX_CONNECTIONS="40") as proxy,
        contextlib.AsyncExitStack() as stack,
    ):
        guard = proxy.context.admission
        for _ in range(10):
            await refused(proxy, forwarded)
        guessing = [await stack.enter_async_context(connect(proxy.port)) for _ in range(10)]
        for connection in guessing:
            await connection.send(request_with("wrong", forwarded=forwarded))
        await eventually(lambda: guard.delayed_rejections == 10)
        async with connect(proxy.port) as connection:
            await connection.send(request_with("wrong", KEY, forwarded=forwarded))
            right = await connection.response()
            still_waiting = guard.delayed_rejections
            await connection.send(request_with("wrong", forwarded=forwarded))
            eleventh = await connection.response()  # no place to wait: refused at once
            waiting_then = guard.delayed_rejections
        late = [await connection.response() for connection in guessing]

    assert (right.status, still_waiting) == (200, 10)
    assert (eleventh.status, eleventh.headers["connection"], waiting_then) == (429, "close", 10)
    assert [response.status for response in late] == [429] * 10


async def test_the_networks_of_one_prefix_are_slowed_together() -> None:
    async with running_proxy(TRUSTED_PROXIES="127.0.0.1") as proxy:
        guard = proxy.context.admission
        guard.clock = lambda: 1000.0
        guard._failures = AuthThrottle(1000.0)
        statuses = [(await refused(proxy, f"2001:db8:0:{n:x}::1")).status for n in range(50)]
        next_one = asyncio.create_task(refused(proxy, "2001:db8:1::1"))
        await eventually(lambda: guard.delayed_rejections == 1)
        statuses.append((await next_one).status)

    assert statuses == [401] * 50 + [429]


async def test_a_guesser_who_leaves_gives_the_place_back() -> None:
    async with running_proxy() as proxy:
        for _ in range(10):
            await refused(proxy)
        async with connect(proxy.port) as connection:
            await connection.send(request_with("wrong"))
            await eventually(lambda: proxy.context.admission.delayed_rejections == 1)
        await eventually(lambda: proxy.context.admission.delayed_rejections == 0)
        log = proxy.logged()

    assert "(499: 1)" in log  # the eleventh line of its second


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
    assert "key=tester" in log  # the operator sees which one


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
