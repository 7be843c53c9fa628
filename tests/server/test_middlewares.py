"""Who gets in, by which door, and what every answer has: at the socket."""

import asyncio
import json
from collections.abc import Mapping

import pytest
from aiohttp import web

from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.exchange import Media, Prerequisites
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.endpoint import UpstreamApi, UpstreamEndpoint
from jarvis_proxy.upstreams.openai import PassthroughExchange
from tests.conftest import BEARER, KEY, OPENAI_KEY, Proxy, running_proxy
from tests.support.eventually import eventually
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

pytestmark = pytest.mark.slow

ECHO: dict[str, object] = {
    "model": "jarvis-echo",
    "messages": [{"role": "user", "content": "hello"}],
}
CHAT = "/v1/chat/completions"


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


async def raw(proxy: Proxy, data: bytes) -> RawResponse:
    """Send exact bytes on a connection of their own and return the response."""
    async with connect(proxy.port) as connection:
        await connection.send(data)
        return await asyncio.wait_for(connection.response(), 5)


def same_for_all(response: RawResponse) -> tuple[object, ...]:
    """Return what of a response could tell one failure from another."""
    changing = ("x-request-id", "date")
    headers = {n: v for n, v in response.headers.items() if n not in changing}
    return response.status, headers, response.body


# Keys

CARRIERS = {
    "bearer": ("Authorization", f"Bearer {KEY}"),
    "lower bearer": ("authorization", f"bearer {KEY}"),
    "loud bearer": ("AUTHORIZATION", f"BEARER {KEY}"),
    "spaces": ("Authorization", f"Bearer   {KEY}  "),
    "no scheme": ("Authorization", KEY),
    "x-api-key": ("X-Api-Key", KEY),
    "api-key": ("api-key", KEY),
    "azure": ("API-KEY", KEY),
    "google": ("x-goog-api-key", KEY),
    "loud google": ("X-GOOG-API-KEY", KEY),
}
QUERIES = [f"key={KEY}", f"%6bey={KEY}", f"a=b&key={KEY}", f"key={KEY.replace('-', '%2D')}"]


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_key_opens_in_each_header_and_stays_here(carrier: str) -> None:
    upstream = RawUpstream(answer)
    name, value = CARRIERS[carrier]
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        response = await fetch(proxy.port, CHAT, {"model": "gpt-4o"}, {name: value})
        log = proxy.logged()

    assert response.status == 200
    (seen,) = upstream.received
    assert KEY not in repr(seen)
    assert [v for n, v in seen.headers if "key" in n.lower() or n.lower() == "authorization"] == [
        f"Bearer {OPENAI_KEY}"
    ]
    assert "key=tester" in log
    assert KEY not in log


@pytest.mark.parametrize("query", QUERIES)
async def test_key_opens_in_the_query_and_stays_here(query: str) -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        response = await fetch(proxy.port, f"{CHAT}?{query}", {"model": "gpt-4o"})
        log = proxy.logged()

    assert response.status == 200
    (seen,) = upstream.received
    assert seen.path == (CHAT + "?a=b" if query.startswith("a=b") else CHAT)
    assert KEY not in log


async def test_a_wrong_key_next_to_the_right_one_does_not_lock_out() -> None:
    async with running_proxy() as proxy:
        headers = {**BEARER, "x-api-key": "something-of-the-clients-own"}
        assert (await fetch(proxy.port, CHAT, ECHO, headers)).status == 200


BAD_KEYS = {
    "none": b"",
    "wrong": b"Authorization: Bearer wrong\r\n",
    "prefix": b"Authorization: Bearer " + KEY[:-1].encode() + b"\r\n",
    "longer": b"Authorization: Bearer " + KEY.encode() + b"x\r\n",
    "other case": b"Authorization: Bearer " + KEY.upper().encode() + b"\r\n",
    "two keys": b"Authorization: Bearer " + KEY.encode() + b"," + KEY.encode() + b"\r\n",
    "empty": b"Authorization:\r\n",
    "scheme only": b"Authorization: Bearer\r\n",
    "basic": b"Authorization: Basic " + KEY.encode() + b"\r\n",
    "latin-1": b"Authorization: Bearer \xff\xfe\r\n",
    "utf-8": "Authorization: Bearer schlüssel\r\n".encode(),
    "x-api-key": b"x-api-key: wrong\r\n",
    "x-api-key latin-1": b"x-api-key: \xe9\r\n",
    "api-key": b"api-key: wrong\r\n",
    "google": b"x-goog-api-key: wrong\r\n",
    "cookie": b"Cookie: key=" + KEY.encode() + b"\r\n",
    "upstream's": b"Authorization: Bearer " + OPENAI_KEY.encode() + b"\r\n",
}


@pytest.mark.parametrize("bad", BAD_KEYS)
async def test_every_wrong_key_gets_the_same_401(bad: str) -> None:
    async with running_proxy() as proxy:
        plain = await raw(proxy, b"GET /v1/embeddings HTTP/1.1\r\nHost: x\r\n\r\n")
        response = await raw(
            proxy, b"GET /v1/embeddings HTTP/1.1\r\nHost: x\r\n" + BAD_KEYS[bad] + b"\r\n"
        )

    assert response.status == 401
    assert response.error()["code"] == "invalid_api_key"
    assert response.error()["type"] == "invalid_request_error"
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/json"
    assert same_for_all(response) == same_for_all(plain)


@pytest.mark.parametrize("query", ["key=", "key=wrong", "key=%ff", "key=%00", "key", "&&=&"])
async def test_wrong_key_in_the_query_gets_the_same_401(query: str) -> None:
    async with running_proxy() as proxy:
        plain = await fetch(proxy.port, "/v1/embeddings", method="GET")
        response = await fetch(proxy.port, f"/v1/embeddings?{query}", method="GET")

    assert same_for_all(response) == same_for_all(plain)
    assert response.status == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("GET", "/v1/models/gpt-4o"),
        ("POST", CHAT),
        ("DELETE", CHAT),
        ("GET", "/v1/files"),
        ("GET", "/admin"),
        ("GET", "/.env"),
        ("PUT", "/v1/models/..%2f..%2fetc"),
        ("GET", "/v1/a%0Ab"),
        ("TRACE", "/"),
    ],
)
async def test_nobody_maps_the_server_without_a_key(method: str, path: str) -> None:
    async with running_proxy() as proxy:
        plain = await fetch(proxy.port, "/v1/models", method="GET")
        response = await fetch(proxy.port, path, method=method)

    if path == "/":
        assert response.status == 405  # an open address: its methods are no secret
    else:
        assert same_for_all(response) == same_for_all(plain)


async def test_body_of_a_stranger_is_not_waited_for() -> None:
    async with running_proxy() as proxy, connect(proxy.port) as connection:
        await connection.send(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n{"
        )
        response = await asyncio.wait_for(connection.response(), 10)

    assert response.status == 401
    # Nor is the connection kept: what follows could be taken for a request.
    assert response.headers["connection"] == "close"


async def test_sdk_is_told_not_to_try_a_wrong_key_again() -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, CHAT, ECHO)

    assert response.headers["x-should-retry"] == "false"


# What every answer has


async def test_connection_that_cannot_be_trusted_is_closed() -> None:
    async with running_proxy() as proxy:
        response = await raw(
            proxy, b"GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
        )
        log = proxy.logged()

    assert (response.status, response.headers["connection"]) == (501, "close")
    assert "status=501 outcome=refused code=unsupported_transfer_encoding" in log


async def test_every_answer_has_an_id_of_its_own_and_no_banner() -> None:
    async with running_proxy() as proxy:
        responses = [
            await fetch(proxy.port, "/health", method="GET"),
            await fetch(proxy.port, "/nowhere", method="GET"),
            await fetch(proxy.port, CHAT, ECHO, BEARER),
            await fetch(proxy.port, CHAT, {**ECHO, "stream": True}, BEARER),
            await fetch(proxy.port, CHAT, method="OPTIONS"),
            await raw(proxy, b"nonsense\r\n\r\n"),
        ]
        log = proxy.logged()

    ids = [response.headers["x-request-id"] for response in responses[:-1]]
    assert len(set(ids)) == len(ids)
    assert all(f"id={request_id} " in log for request_id in ids)
    assert not any("server" in response.headers for response in responses)


async def test_call_past_a_limit_is_refused_and_is_no_fault_of_an_upstream() -> None:
    async with running_proxy(KEY_TESTER_RPM="1") as proxy:
        first = await fetch(proxy.port, CHAT, ECHO, BEARER)
        second = await fetch(proxy.port, CHAT, ECHO, BEARER)
        log = proxy.logged()

    assert (first.status, second.status) == (200, 429)
    assert second.error()["code"] == "rate_limit_exceeded"
    assert "status=429 outcome=refused" in log


async def test_storm_of_wrong_keys_is_slowed_down_and_the_owner_gets_in() -> None:
    async with running_proxy() as proxy:

        async def wrong() -> int:
            headers = {"api-key": "x"}
            return (await fetch(proxy.port, "/v1/models", headers=headers, method="GET")).status

        statuses = [await wrong(), *await asyncio.gather(*(wrong() for _ in range(38)))]
        statuses.append(await wrong())
        owner = await fetch(proxy.port, "/v1/models", headers=BEARER, method="GET")

    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert owner.status == 200


async def test_live_page_is_there_with_an_admin_key_only() -> None:
    admin = "admin-key-0123456789abcdef"
    async with running_proxy() as without, running_proxy(ADMIN_KEY=admin) as proxy:
        absent = await fetch(without.port, "/dashboard", headers=BEARER, method="GET")
        present = await fetch(proxy.port, "/dashboard", method="GET")
        await fetch(proxy.port, CHAT, ECHO, BEARER)
        live = proxy.context.live_stats
        assert live is not None
        assert live.open == {}

    assert absent.status == 404
    assert present.status == 200


class Failing:
    """An upstream whose code fails."""

    name = "openai"

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    def needs(self, call: Call) -> Prerequisites:
        return Prerequisites()

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> PassthroughExchange:
        raise self._failure


def failing_with(proxy: Proxy, failure: Exception) -> None:
    place = proxy.context.endpoints["openai"]
    proxy.context.endpoints["openai"] = UpstreamEndpoint(
        UpstreamApi(Failing(failure), place.api.transport), place.key_pool
    )


async def test_failure_of_the_proxy_is_a_500_that_shows_its_id_and_nothing_else() -> None:
    async with running_proxy() as proxy:
        failing_with(proxy, ValueError("canary of the prompt"))
        async with connect(proxy.port) as connection:
            headers = {**BEARER, "Content-Type": "application/json"}
            await connection.post(CHAT, b'{"model":"gpt-4o"}', headers)
            response = await connection.response()
            await connection.post(CHAT, json.dumps(ECHO).encode(), headers)
            following = await connection.response()
        log = proxy.logged()

    assert (response.status, response.error()["code"]) == (500, "internal_error")
    assert response.headers["x-request-id"] in str(response.error()["message"])
    assert b"canary" not in response.body
    assert "canary" not in log
    assert "error internal error in req_" in log
    assert "[ValueError at test_middlewares.py:" in log
    assert "status=500 outcome=internal_error" in log
    assert following.status == 200


async def test_refusal_of_the_library_is_reported_in_the_proxys_form() -> None:
    async with running_proxy() as proxy:
        failing_with(proxy, web.HTTPGone(text="canary"))
        response = await fetch(proxy.port, CHAT, {"model": "gpt-4o"}, BEARER)

    assert (response.status, response.error()["message"]) == (410, "Gone")
    assert b"canary" not in response.body


async def test_client_that_left_while_it_was_answered_is_logged_as_gone() -> None:
    async with running_proxy() as proxy:
        failing_with(proxy, ConnectionResetError("Cannot write to closing transport"))
        await fetch(proxy.port, CHAT, {"model": "gpt-4o"}, BEARER)
        log = proxy.logged()

    assert "status=499 outcome=client_closed" in log
    assert "internal error" not in log


async def test_client_that_leaves_in_the_middle_of_its_body_is_logged_as_gone() -> None:
    async with running_proxy() as proxy:
        async with connect(proxy.port) as connection:
            await connection.post(CHAT, b"{", {**BEARER, "Content-Length": "100"})
            await eventually(lambda: len(proxy.context.deadline_monitor) == 1)
        await eventually(lambda: "status=499 outcome=client_closed" in proxy.log.getvalue())
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
        log = proxy.logged()

    assert len(log.splitlines()) == 1


async def test_connection_closes_after_the_answer_while_draining() -> None:
    async with running_proxy() as proxy, connect(proxy.port) as connection:
        proxy.context.draining = True
        await connection.post("/health", b"", method="GET")
        response = await connection.response()
        assert await asyncio.wait_for(connection.reader.read(), 10) == b""

    assert response.status == 200
    assert response.headers["connection"] == "close"


WEBSOCKET = {
    **BEARER,
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize("passthrough", ["inference", "all"])
@pytest.mark.parametrize("path", ["/v1/responses", "/responses", "/v1/chat/completions"])
async def test_a_websocket_is_refused_at_once_so_that_clients_fall_back(
    path: str, passthrough: str
) -> None:
    async with running_proxy(PASSTHROUGH=passthrough) as proxy:
        response = await asyncio.wait_for(
            fetch(proxy.port, path, headers=WEBSOCKET, method="GET"), 5
        )

    assert (response.status, response.error()["code"]) == (426, "websocket_not_served")
    assert "websocket" not in response.headers["upgrade"].lower()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["connection"] == "close"


async def test_a_websocket_needs_a_key_too() -> None:
    async with running_proxy() as proxy:
        headers = {**WEBSOCKET, "Authorization": "Bearer wrong-key-0123456789"}
        response = await fetch(proxy.port, "/v1/responses", headers=headers, method="GET")

    assert response.status == 401


PROBES = ["/healthz", "/favicon.ico", "/robots.txt", "/v1/models", "/v1", "/x"]


async def test_probes_without_a_key_are_no_wrong_keys() -> None:
    async with running_proxy() as proxy:
        for path in PROBES * 4:
            for method in ("HEAD", "GET"):
                async with connect(proxy.port) as connection:
                    await connection.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    status, _ = await asyncio.wait_for(connection.head(), 5)
                assert status == 401
        wrong = {"Authorization": "Bearer wrong-key-0123456789"}
        statuses = [
            (await fetch(proxy.port, "/v1/models", headers=wrong, method="GET")).status
            for _ in range(10)
        ]

    assert statuses == [401] * 10, "all that may be guessed wrongly is still there"


async def test_a_wrong_key_counts_whatever_is_asked() -> None:
    wrong = {"Authorization": "Bearer wrong-key-0123456789"}
    async with running_proxy() as proxy:
        statuses = [
            (await fetch(proxy.port, "/healthz", headers=wrong, method="GET")).status
            for _ in range(11)
        ]

    assert statuses == [401] * 10 + [429]
