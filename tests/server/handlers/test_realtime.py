"""Sessions of the Realtime API at the socket: both ways, and what never begins."""

import struct

import pytest

from tests.conftest import BEARER, KEY, OPENAI_KEY, running_proxy
from tests.server.handlers.realtime_scene import echo, refusal, scene
from tests.support.eventually import eventually
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.raw_websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    RawFrame,
    RawSocket,
    Refused,
    accept,
    encode,
    opened,
)

# -- both ways -------------------------------------------------------------------------------


async def test_every_kind_of_frame_comes_back_as_it_went() -> None:
    frames = [
        (TEXT, b'{"type":"input_audio_buffer.append","audio":"AAAA"}'),
        (TEXT, "å𝄞".encode()),
        (TEXT, b""),
        (BINARY, bytes(range(256)) * 300),
        (BINARY, b""),
    ]
    async with scene() as (proxy, _), opened(proxy.port) as socket:
        for opcode, data in frames:
            await socket.send(opcode, data)
            assert await socket.receive() == RawFrame(opcode, data)
        await socket.send(PING, b"are you there")
        assert await socket.receive() == RawFrame(PONG, b"are you there")
        await socket.close(1000, b"done")
        assert await socket.receive() == RawFrame(CLOSE, struct.pack("!H", 1000) + b"done")
        assert await socket.receive() is None
    line = proxy.logged()

    assert "route=/v1/realtime" in line
    assert "status=101 outcome=ok" in line
    assert "upstream=openai" in line
    assert "bytes_in=76" in line


async def test_the_upstreams_pings_are_the_clients_to_answer() -> None:
    async def play(socket: RawSocket) -> None:
        await socket.send(PING, b"7")
        assert await socket.receive() == RawFrame(PONG, b"7")
        await socket.event(type="answered")
        await echo(socket)

    async with scene(play) as (proxy, _), opened(proxy.port) as socket:
        assert await socket.receive() == RawFrame(PING, b"7")
        await socket.send(PONG, b"7")
        assert await socket.text() == {"type": "answered"}


async def test_a_message_in_pieces_is_one_message() -> None:
    async with scene() as (proxy, _), opened(proxy.port) as socket:
        socket.writer.write(encode(TEXT, b"ab", mask=True, first=0))
        socket.writer.write(encode(PING, b"x", mask=True))
        socket.writer.write(encode(0, b"cd", mask=True))
        assert [await socket.receive(), await socket.receive()] == [
            RawFrame(PONG, b"x"),
            RawFrame(TEXT, b"abcd"),
        ]


async def test_what_goes_to_the_upstream() -> None:
    async with scene(protocol="realtime") as (proxy, upstream):
        query = f"?key={KEY}&model=openai%2Fgpt-realtime&intent=x%20y"
        headers = {
            "OpenAI-Beta": "realtime=v1",
            "Cookie": "a=b",
            "Origin": "http://page",
            "OpenAI-Organization": "org-1",
            "x-api-key": KEY,
        }
        names = [
            "realtime",
            f"openai-insecure-api-key.{KEY}",
            "openai-beta.realtime-v1",
            "openai-organization.org-1",
            f"x{KEY}",
        ]
        async with opened(proxy.port, "/v1/realtime" + query, headers, names) as socket:
            assert socket.headers["sec-websocket-protocol"] == "realtime"
            assert socket.headers["x-jarvis-upstream"] == "openai"
            assert socket.headers["x-request-id"].startswith("req_")
    (asked,) = upstream.received

    assert (asked.method, asked.path) == ("GET", "/v1/realtime?model=gpt-realtime&intent=x%20y")
    assert asked.header("authorization") == f"Bearer {OPENAI_KEY}"
    assert asked.header("openai-beta") == "realtime=v1"
    assert asked.header("sec-websocket-protocol") == "realtime,openai-beta.realtime-v1"
    sent = " ".join(f"{name}: {value}" for name, value in asked.headers).lower()
    for absent in (KEY, "cookie", "origin", "organization", "org-1"):
        assert absent not in sent
    assert KEY not in proxy.logged()


async def test_no_subprotocol_is_chosen_where_the_upstream_chose_none() -> None:
    async with (
        scene() as (proxy, _),
        opened(proxy.port, headers={}, protocols=[f"openai-insecure-api-key.{KEY}"]) as socket,
    ):
        assert "sec-websocket-protocol" not in socket.headers
    assert KEY not in proxy.logged()


@pytest.mark.parametrize(
    ("headers", "protocols", "query"),
    [
        (BEARER, [], ""),
        ({"api-key": KEY}, [], ""),
        ({}, ["realtime", f"openai-insecure-api-key.{KEY}"], ""),
        ({}, [], f"&key={KEY}"),
    ],
    ids=["bearer", "api-key", "subprotocol", "query"],
)
async def test_every_way_to_present_a_key(
    headers: dict[str, str], protocols: list[str], query: str
) -> None:
    path = f"/v1/realtime?model=gpt-realtime{query}"
    async with scene() as (proxy, upstream):
        async with opened(proxy.port, path, headers, protocols) as socket:
            await socket.send(TEXT, b"{}")
            assert await socket.receive() == RawFrame(TEXT, b"{}")
        (asked,) = upstream.received
        assert KEY not in asked.path + str(asked.headers)


@pytest.mark.parametrize("protocols", [[], ["realtime", "openai-insecure-api-key.wrong-key-9876"]])
async def test_without_a_valid_key_there_is_no_session(protocols: list[str]) -> None:
    async with scene() as (proxy, upstream):
        with pytest.raises(Refused) as refused:
            async with opened(proxy.port, headers={}, protocols=protocols):
                pass
        assert refused.value.response.status == 401
        assert not upstream.received


@pytest.mark.parametrize("passthrough", ["inference", "all"])
async def test_other_prefixes_and_passthrough(passthrough: str) -> None:
    async with scene(PASSTHROUGH=passthrough) as (proxy, upstream):
        for path in ("/realtime", "/openai/v1/realtime", "/v1/realtime/translations"):
            async with opened(proxy.port, f"{path}?model=gpt-realtime") as socket:
                await socket.send(TEXT, b"{}")
                assert await socket.receive() == RawFrame(TEXT, b"{}")
    paths = [asked.path.partition("?")[0] for asked in upstream.received]
    assert paths == ["/v1/realtime", "/v1/realtime", "/v1/realtime/translations"]


async def test_a_model_of_a_compatible_service_goes_there() -> None:
    async with scene() as (_, upstream):
        env = {
            "UPSTREAMS": "voice",
            "VOICE_BASE_URL": upstream.base_url,
            "VOICE_API_KEY": "voice-key-0123456789",
            "VOICE_MODELS": "talker",
            "MODEL_ALIASES": "mine=voice/talker",
        }
        async with (
            running_proxy(**env) as proxy,
            opened(proxy.port, "/v1/realtime?model=mine") as socket,
        ):
            await socket.event(type="session.update", session={"model": "mine", "voice": "a"})
            assert (await socket.text())["session"] == {"model": "talker", "voice": "a"}
        asked = upstream.received[-1]
        assert asked.path == "/v1/realtime?model=talker"
        assert asked.header("authorization") == "Bearer voice-key-0123456789"
        assert asked.header("x-jarvis-hop")


# -- refused before it begins ----------------------------------------------------------------


@pytest.mark.parametrize("model", ["gemini-3-flash", "jarvis-echo"])
async def test_a_model_of_another_api_has_no_sessions(model: str) -> None:
    async with running_proxy() as proxy:
        found = await refusal(proxy.port, f"/v1/realtime?model={model}")
    assert found == (426, "websocket_not_served")


async def test_plain_request_gets_426() -> None:
    async with running_proxy() as proxy:
        plain = await fetch(proxy.port, "/v1/realtime?model=x", headers=BEARER, method="GET")
        old = await refusal(proxy.port, "/v1/realtime?model=x", **{"Sec-WebSocket-Version": "8"})
        bad = await refusal(proxy.port, "/v1/realtime?model=x", **{"Sec-WebSocket-Key": "é"})
        posted = await fetch(proxy.port, "/v1/realtime?model=x", headers=BEARER)
    assert (plain.status, plain.error()["code"]) == (426, "websocket_required")
    assert plain.headers["upgrade"] == "websocket"
    assert old == (426, "websocket_required")
    assert bad == (400, "bad_request")
    assert posted.status == 405


async def test_a_query_with_two_models_is_refused() -> None:
    async with running_proxy() as proxy:
        found = await refusal(proxy.port, "/v1/realtime?model=a&mod%65l=b")
    assert found == (400, "unsupported_parameter")


@pytest.mark.parametrize(
    ("status", "body", "seen", "code"),
    [
        (401, b'{"error":{"message":"bad key","code":"invalid_api_key"}}', 502, None),
        (403, b'{"error":{"message":"no","code":"x"}}', 403, "x"),
        (404, b'{"error":{"message":"no such model","code":"y"}}', 404, "y"),
        (429, b'{"error":{"message":"slow","code":"rate_limit_exceeded"}}', 429, None),
        (500, b"oops", 500, None),
        (302, b"", 502, "upstream_redirect"),
        (200, b"{}", 502, "upstream_bad_response"),
    ],
)
async def test_an_upstream_that_refuses_becomes_an_http_error(
    status: int, body: bytes, seen: int, code: str | None
) -> None:
    async def script(peer: Peer, request: Received) -> None:
        await peer.reply(body, status, extra=["Location: http://127.0.0.1:1/"])

    upstream = RawUpstream(script)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        with pytest.raises(Refused) as refused:
            async with opened(proxy.port):
                pass
    response = refused.value.response
    assert response.status == seen
    if code is not None:
        assert response.error()["code"] == code
    assert len(upstream.received) == 1


async def test_the_next_key_is_tried_where_one_is_refused() -> None:
    async def script(peer: Peer, request: Received) -> None:
        if request.header("authorization") == "Bearer first-key-0123456789":
            await peer.reply(b"{}", 401)
        else:
            await echo(await accept(peer, request))

    upstream = RawUpstream(script)
    keys = "first-key-0123456789,second-key-0123456789"
    async with upstream.running(), running_proxy(upstream.base_url, OPENAI_API_KEY=keys) as proxy:
        for _ in range(2):
            async with opened(proxy.port) as socket:
                await socket.send(TEXT, b"{}")
                assert await socket.receive() == RawFrame(TEXT, b"{}")
    assert len(upstream.received) == 3  # the first key rests by then


async def test_an_upstream_that_is_not_there() -> None:
    async with running_proxy("http://127.0.0.1:9/v1") as proxy:
        assert await refusal(proxy.port, "/v1/realtime?model=m") == (502, "upstream_connect_error")


async def test_an_upstream_that_does_not_answer_the_handshake() -> None:
    async def script(peer: Peer, request: Received) -> None:
        await peer.closed()

    upstream = RawUpstream(script)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, FIRST_BYTE_TIMEOUT="1") as proxy,
    ):
        assert await refusal(proxy.port, "/v1/realtime?model=m") == (504, "upstream_timeout")
        await eventually(lambda: upstream.open_connections == 0)


async def test_plain_calls_and_sessions_never_share_a_connection() -> None:
    async def script(peer: Peer, request: Received) -> None:
        if request.header("upgrade"):
            await echo(await accept(peer, request))
        else:
            await peer.reply(b'{"object":"list","data":[],"usage":{"total_tokens":1}}')

    upstream = RawUpstream(script)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        body: dict[str, object] = {"model": "text-embedding-3-small", "input": "x"}
        for _ in range(2):
            assert (await fetch(proxy.port, "/v1/embeddings", body, BEARER)).status == 200
            async with opened(proxy.port) as socket:
                await socket.send(TEXT, b"{}")
                assert await socket.receive() == RawFrame(TEXT, b"{}")
                await socket.close(1000)
                assert (await socket.until_close())[1] == 1000
    assert upstream.connections == 3  # one for both plain calls
