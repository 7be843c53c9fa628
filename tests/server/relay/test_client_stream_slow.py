"""Clients that read slowly, or not at all."""

import asyncio
import contextlib
import json

import pytest

from jarvis_proxy.errors import ProxyError
from tests.conftest import Proxy, running_proxy
from tests.server.relay.lazy_client import ASK, CHAT, DONE, JSON, lazy
from tests.support.eventually import eventually
from tests.support.raw_client import connect
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk

pytestmark = pytest.mark.slow


EVENT = chat_chunk("x" * 60_000)
FRAME = b'data: {"candidates":[{"content":{"parts":[{"text":"%b"}]}}]}\r\n\r\n' % (b"x" * 60_000)
TWO = b'{"model":"gemini-2.5-flash","n":2,"stream":true,"messages":[{"role":"user","content":"?"}]}'


class Flood:
    """An upstream that sends events as fast as they are taken."""

    def __init__(self, events: int = 10_000, event: bytes = EVENT) -> None:
        self.sent = 0
        self.left = asyncio.Event()
        self._events = events
        self._event = event

    async def play(self, peer: Peer, request: Received) -> None:
        await peer.head()
        with contextlib.suppress(ConnectionError):
            for _ in range(self._events):
                await peer.chunk(self._event)
                self.sent += 1
            await peer.chunk(chat_chunk(None, "stop") + DONE)
            await peer.last_chunk()
            await peer.closed()
        self.left.set()


async def test_upstream_waits_for_a_client_that_does_not_read() -> None:
    flood = Flood()
    upstream = RawUpstream(flood.play)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        lazy(proxy.port) as client,
    ):
        await client.ask(ASK)
        await eventually(lambda: is_stalled(proxy))
        before = -1
        while before != flood.sent:  # the kernel's buffers fill up, and then nothing moves
            before = flood.sent
            await asyncio.sleep(0.2)

        assert flood.sent * len(EVENT) < 40 * 1024 * 1024


def is_stalled(proxy: Proxy) -> bool:
    live = tuple(proxy.context.deadline_monitor)
    return bool(live) and live[0].client_side is not None and live[0].client_side.stalled


async def test_slow_client_gets_every_byte() -> None:
    flood = Flood(300)
    upstream = RawUpstream(flood.play)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        lazy(proxy.port) as client,
    ):
        await client.ask(ASK)
        await eventually(lambda: is_stalled(proxy))
        raw = await asyncio.wait_for(client.read(b"0\r\n\r\n"), 20)

    assert raw.count(EVENT) == 300
    assert raw.endswith(DONE + b"\r\n0\r\n\r\n")


async def test_client_that_stops_reading_a_stream_is_cut_off() -> None:
    flood = Flood()
    upstream = RawUpstream(flood.play)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, WRITE_STALL_TIMEOUT="0.4") as proxy,
        lazy(proxy.port) as client,
    ):
        await client.ask(ASK)
        await asyncio.wait_for(flood.left.wait(), 5)
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
        await eventually(lambda: " call " in proxy.log.getvalue())
        # The system lets go of it too: it would else offer what is unread for minutes.
        assert await asyncio.wait_for(client.was_reset(), 5)
        log = proxy.logged()

    assert log.count(" call ") == 1
    assert "internal" not in log


async def test_slow_client_gets_the_reason_why_its_stream_timed_out() -> None:
    """It reads on, so it must not find half an answer without an error."""
    upstream = RawUpstream(Flood().play)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        lazy(proxy.port) as client,
    ):
        await client.ask(ASK)
        await eventually(lambda: is_stalled(proxy))
        proxy.context.deadline_monitor.cancel_all(
            lambda: ProxyError(503, "Gone.", code="server_shutdown")
        )
        raw = await asyncio.wait_for(client.read(b"0\r\n\r\n"), 20)

    assert raw.endswith(b"0\r\n\r\n")
    assert b'"code":"server_shutdown"' in raw[-500:]


@pytest.mark.parametrize("body", [ASK, TWO])
async def test_client_that_leaves_while_it_is_waited_for_has_left(body: bytes) -> None:
    """With several answers at once it is none of them that failed, nor the upstream."""
    upstream = RawUpstream(Flood(event=EVENT if body == ASK else FRAME).play)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, upstream.base_url) as proxy,
        lazy(proxy.port) as client,
    ):
        await client.ask(body)
        await eventually(lambda: is_stalled(proxy))
        client.leave_with_reset()
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
        await eventually(lambda: " call " in proxy.log.getvalue())
        log = proxy.logged()

    assert log.count(" call ") == 1
    assert "outcome=client_closed attempts=1" in log  # and no code
    assert "internal" not in log


LARGE = json.dumps({"object": "chat.completion", "text": "x" * 20_000_000}).encode()


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream"])
async def test_client_that_stops_reading_a_whole_answer_is_cut_off(content_type: str) -> None:
    async def play(peer: Peer, request: Received) -> None:
        with contextlib.suppress(ConnectionError):
            await peer.reply(LARGE, 200, content_type)

    upstream = RawUpstream(play)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, WRITE_STALL_TIMEOUT="0.4") as proxy,
        lazy(proxy.port) as client,
    ):
        await client.ask(b'{"model":"gpt-4o"}')
        await eventually(lambda: len(proxy.context.deadline_monitor) == 1)
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
        raw = await asyncio.wait_for(client.read(), 5)
        await eventually(lambda: " call " in proxy.log.getvalue())
        log = proxy.logged()

    assert len(raw) < len(LARGE)
    assert raw.count(b"HTTP/1.1 ") <= 1
    assert b"write_stall" not in raw
    assert log.count(" call ") == 1
    assert "internal" not in log


@pytest.mark.parametrize("size", [31 * 1024, 33 * 1024, 5_000_000])
async def test_whole_answer_of_any_size_is_delivered(size: int) -> None:
    body = b'{"x":"' + b"y" * size + b'"}'

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(body)

    upstream = RawUpstream(play)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        connect(proxy.port) as connection,
    ):
        for _ in range(2):
            await connection.post(CHAT, b'{"model":"gpt-4o"}', JSON)
            response = await asyncio.wait_for(connection.response(), 5)
            assert (response.body, response.whole) == (body, True)


async def test_copied_answer_that_falls_silent_is_cut_and_nothing_follows() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, "audio/mpeg")
        await peer.chunk(b"\xff" * 5000)
        await peer.closed()

    upstream = RawUpstream(play)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, IDLE_TIMEOUT="0.4") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post("/v1/audio/speech", b'{"model":"tts-1"}', JSON)
        status, _ = await connection.head()
        raw = b""
        with contextlib.suppress(ConnectionError):
            while data := await asyncio.wait_for(connection.reader.read(65536), 5):
                raw += data
        await eventually(lambda: " call " in proxy.log.getvalue())
        log = proxy.logged()

    assert status == 200
    assert raw == b"1388\r\n" + b"\xff" * 5000 + b"\r\n"
    assert "internal" not in log
