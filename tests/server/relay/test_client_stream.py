"""The client's side of an answer: old clients, slow clients, clients that do not read at all."""

import asyncio
import json
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from jarvis_proxy.aiohttp_ext.server_connection import ClientConnection
from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.server.admission import AdmittedCall
from jarvis_proxy.server.context import ADMITTED_CALL, RECORD
from jarvis_proxy.server.relay.client_stream import BufferedDelivery, ClientStream, stream_headers
from tests.conftest import KEY, running_proxy
from tests.server.relay.lazy_client import ASK, CHAT, JSON, WHOLE
from tests.support.eventually import eventually
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk

pytestmark = pytest.mark.slow
Script = Callable[[Peer, Received], Awaitable[None]]


async def answer(peer: Peer, request: Received) -> None:
    await peer.head()
    await peer.chunk(WHOLE)
    await peer.last_chunk()


# The head


async def test_stream_asks_intermediaries_not_to_hold_it_back() -> None:
    async def play(peer: Peer, request: Received) -> None:
        extra = ["x-request-id: up", "x-ratelimit-remaining-tokens: 5", "Cache-Control: public"]
        await peer.head(200, "text/event-stream", extra=extra)
        await peer.chunk(WHOLE)
        await peer.last_chunk()

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        response = await fetch(proxy.port, CHAT, ASK, JSON)

    assert response.body == WHOLE
    assert {
        "content-type": "text/event-stream",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "transfer-encoding": "chunked",
        "x-request-id": "up",
        "x-ratelimit-remaining-tokens": "5",
        "x-jarvis-upstream": "openai",
    }.items() <= response.headers.items()
    assert "content-encoding" not in response.headers
    assert "content-length" not in response.headers


def test_headers_of_a_stream_win_over_the_upstreams_but_for_its_type() -> None:
    merged = stream_headers({"content-type": "text/event-stream", "x-request-id": "up"})

    assert merged == {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
        "x-request-id": "up",
    }
    assert stream_headers({})["Content-Type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("keep_alive", [b"", b"Connection: keep-alive\r\n"])
async def test_client_of_http_1_0_gets_bare_events_and_the_end_of_the_connection(
    keep_alive: bytes,
) -> None:
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        connect(proxy.port) as connection,
    ):
        head = f"POST {CHAT} HTTP/1.0\r\nAuthorization: Bearer {KEY}\r\n"
        await connection.send(
            head.encode() + keep_alive + b"Content-Length: %d\r\n\r\n" % len(ASK) + ASK
        )
        raw = await asyncio.wait_for(connection.reader.read(), 5)

    first, _, body = raw.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.0 200 ")
    assert b"chunked" not in first.lower()
    assert body == WHOLE


@pytest.mark.parametrize("keep_alive", [b"", b"Connection: keep-alive\r\n"])
async def test_client_of_http_1_0_sees_where_a_copied_answer_ends(keep_alive: bytes) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, "audio/mpeg")
        await peer.chunk(b"\xff\xfb" * 1000)
        await peer.last_chunk()

    upstream = RawUpstream(play)
    body = b'{"model":"tts-1","input":"x"}'
    async with (
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        connect(proxy.port) as connection,
    ):
        head = f"POST /v1/audio/speech HTTP/1.0\r\nAuthorization: Bearer {KEY}\r\n"
        await connection.send(
            head.encode() + keep_alive + b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        raw = await asyncio.wait_for(connection.reader.read(), 5)

    assert raw.partition(b"\r\n\r\n")[2] == b"\xff\xfb" * 1000


async def test_connection_serves_the_next_call_after_a_stream() -> None:
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        connect(proxy.port) as connection,
    ):
        for _ in range(3):
            await connection.post(CHAT, ASK, JSON)
            response = await asyncio.wait_for(connection.response(), 5)
            assert (response.body, response.whole) == (WHOLE, True)


# Errors in place


async def failed(path: str, sent: bytes, **env: str) -> RawResponse:
    """Return the stream of an upstream that breaks off after *sent*."""

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(sent)
        await asyncio.sleep(0.05)
        peer.reset()

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        return await asyncio.wait_for(fetch(proxy.port, path, ASK, JSON), 5)


async def test_error_in_a_chat_stream_is_one_event_without_choices() -> None:
    response = await failed(CHAT, chat_chunk("Hi"))

    event = response.body.removeprefix(chat_chunk("Hi"))
    assert event.count(b"\n\n") == 1
    assert event.startswith(b"data: ")
    error = json.loads(event[6:])
    assert set(error) == {"error"}
    assert set(error["error"]) == {"message", "type", "param", "code"}
    assert response.whole


async def test_error_in_a_responses_stream_has_its_native_fields_too() -> None:
    created = b'event: response.created\ndata: {"type":"response.created"}\n\n'
    response = await failed("/v1/responses", created)

    event, _, _ = response.body.removeprefix(created).partition(b"\n\n")
    name, _, data = event.partition(b"\n")
    assert name == b"event: error"
    error = json.loads(data.removeprefix(b"data: "))
    assert error["type"] == "error"
    assert error["code"] == error["error"]["code"] == "upstream_truncated"
    assert isinstance(error["sequence_number"], int)


async def test_error_before_anything_was_said_is_a_status() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.last_chunk()

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        response = await fetch(proxy.port, CHAT, ASK, JSON)

    assert (response.status, response.error()["code"]) == (502, "upstream_truncated")


async def test_error_after_heartbeats_is_an_event() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await asyncio.sleep(0.3)
        await peer.reply(b'{"error":{"message":"busy","code":"x"}}', 400)

    upstream = RawUpstream(play)
    env = {"COMMIT_AFTER": "0.1", "HEARTBEAT_INTERVAL": "0.1"}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        response = await asyncio.wait_for(fetch(proxy.port, CHAT, ASK, JSON), 5)

    comments, _, rest = response.body.partition(b"data: ")
    assert response.status == 200
    assert set(comments.split(b"\n\n")) == {b": keepalive", b""}
    assert json.loads(rest)["error"]["message"] == "busy"


async def test_whole_answer_where_a_stream_has_begun_is_an_error() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await asyncio.sleep(0.3)
        await peer.reply(b'{"object":"chat.completion"}')

    upstream = RawUpstream(play)
    env = {"COMMIT_AFTER": "0.1", "HEARTBEAT_INTERVAL": "0.1"}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        response = await asyncio.wait_for(fetch(proxy.port, CHAT, ASK, JSON), 5)

    assert b'"code":"upstream_bad_response"' in response.body
    assert response.whole


# Races


class Wire:
    """A request and what was written to its client."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        transport = mock.Mock(spec=asyncio.Transport)
        transport.write = self.written.append
        transport.is_closing.return_value = False
        self.request = make_mocked_request("POST", CHAT, transport=transport)
        self.request[RECORD] = CallRecord("req_1", 0.0, 0.0)
        self.request[ADMITTED_CALL] = mock.create_autospec(AdmittedCall, instance=True)
        self.connection = mock.create_autospec(ClientConnection, instance=True)
        self.connection.is_write_paused = False
        protocol: Any = self.request.protocol
        protocol.connection = self.connection
        self.heads = mock.AsyncMock()
        self.request._payload_writer.write_headers = self.heads  # type: ignore[method-assign] # counts

    def stream(self) -> ClientStream:
        return ClientStream(self.request, CALL)


CALL = Call(
    endpoint="chat/completions",
    model="m",
    target_model="m",
    stream=True,
    body=ASK,
    id="1",
    created=0,
    now=0.0,
)
KEEPALIVE = b"d\r\n: keepalive\n\n\r\n"


async def test_head_is_sent_once_for_any_number_of_callers() -> None:
    wire = Wire()
    down = wire.stream()
    down.send_headers_in_background()
    down.send_headers_in_background()
    await asyncio.gather(down.send_headers(), down.send_headers(), down.begin_content())

    assert wire.heads.await_count == 1
    assert wire.written == [KEEPALIVE]
    assert (down.headers_sent, down.has_content) == (True, True)


async def test_answer_that_overtakes_the_clock_needs_no_heartbeat() -> None:
    wire = Wire()
    down = wire.stream()
    await down.send_headers()
    down.send_headers_in_background()
    await down.send(b"data: 1\n\n")

    assert wire.heads.await_count == 1
    assert wire.written == [b"9\r\ndata: 1\n\n\r\n"]


async def test_what_is_sent_waits_until_the_client_has_room() -> None:
    wire = Wire()
    room = asyncio.Event()
    wire.connection.is_write_paused = True
    wire.connection.drain = room.wait
    down = wire.stream()
    sending = asyncio.create_task(down.send(b"data: 1\n\n"))
    await eventually(lambda: down.stalled)
    room.set()
    await sending

    assert not down.stalled


# Without a client


def abandoned() -> web.Request:
    """Return a request whose client has gone."""
    request = make_mocked_request("POST", CHAT)
    request[RECORD] = CallRecord("req_1", 0.0, 0.0)
    request[ADMITTED_CALL] = mock.create_autospec(AdmittedCall, instance=True)
    request.protocol.transport = None
    assert request.transport is None
    return request


def test_client_that_is_gone_has_no_stream() -> None:
    with pytest.raises(ConnectionResetError):
        ClientStream(abandoned(), CALL)


def test_delivery_to_a_client_that_is_gone_waits_for_nothing() -> None:
    delivery = BufferedDelivery(abandoned())
    delivery.send_headers_in_background()
    delivery.send_heartbeat(is_long=True)
    delivery.abort()

    assert delivery.pending() == 0
    assert not delivery.headers_sent


async def _leavers(count: int) -> str:
    """Return the log after *count* clients reset their connections in the middle of answers."""

    async def play(peer: Peer, request: Received) -> None:
        is_sound = request.path.endswith("/speech")
        await peer.head(200, "audio/mpeg" if is_sound else "text/event-stream")
        for _ in range(200):
            await peer.chunk(b"z" * 90_000 if is_sound else chat_chunk("x" * 3000))
            await asyncio.sleep(0)
        await peer.closed()

    async def leave(port: int, number: int) -> None:
        path = "/v1/audio/speech" if number % 3 == 0 else "/v1/chat/completions"
        body = json.dumps({"model": "gpt-4o", "stream": path != "/v1/audio/speech"}).encode()
        async with connect(port) as client:
            await client.post(path, body, JSON)
            await client.head()
            await client.reader.readexactly(1 + 997 * number % 20_000)
            sock = client.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.writer.transport.abort()

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        for start in range(0, count, 15):
            await asyncio.gather(*(leave(proxy.port, start + n) for n in range(15)))
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
        return proxy.logged()


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_client_that_resets_has_left_and_nothing_else_went_wrong(name: str) -> None:
    log = pytest.importorskip(name).run(_leavers(150))

    assert " error " not in log
    assert set(re.findall(r"outcome=(\w+)", log)) == {"client_closed"}
    assert set(re.findall(r" status=(\d+)", log)) == {"499"}
