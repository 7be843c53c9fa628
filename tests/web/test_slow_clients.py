"""Clients that send or read slowly, or not at all: cut off, and nobody else is."""

import asyncio
import contextlib
import json
import time
from dataclasses import replace

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.web.watch import Watched
from tests.conftest import Proxy, running_proxy
from tests.eventually import eventually
from tests.raw_client import RawConnection, RawResponse, connect
from tests.raw_upstream import Peer, RawUpstream, Received, Script
from tests.web.limited import (
    CALL,
    CHAT,
    JSON,
    MIB,
    answer,
    outcome,
)

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


async def test_body_that_comes_slowly_enough_arrives() -> None:
    body = b'{"model":"jarvis-echo","messages":[]}'.ljust(3000)
    async with running_proxy(**FAST) as proxy, connect(proxy.port) as connection:
        proxy.shell.watch.limits = replace(
            proxy.shell.watch.limits, body_grace=0.2, body_rate=1000.0
        )
        await connection.post(CHAT, b"", {**JSON, "Content-Length": str(len(body))})
        for start in range(0, len(body), 200):
            await asyncio.sleep(0.05)  # 4000 bytes a second
            await connection.send(body[start : start + 200])
        response = await asyncio.wait_for(connection.response(), 5)

    assert response.status == 200


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
    async with upstream.running(), running_proxy(upstream.base_url, **FAST) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        connection = RawConnection(reader, writer)  # it takes no more in than it reads
        await connection.post(CHAT, json.dumps(CALL).encode(), JSON)
        _, headers = await connection.head()
        left = int(headers["content-length"])
        began = time.monotonic()
        while left:
            left -= len(await reader.readexactly(min(left, 2 * MIB)))
            await asyncio.sleep(0.1)  # the pace of this client
        took = time.monotonic() - began
        writer.close()
        log = proxy.logged()

    assert took > 3 * float(FAST["WRITE_STALL_TIMEOUT"])
    assert "write_stall" not in log


@pytest.mark.parametrize("script", [large, endless], ids=["whole", "copied"])
async def test_nothing_follows_an_answer_that_is_cut_by_the_end_of_the_server(
    script: Script,
) -> None:
    upstream = RawUpstream(script)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        connect(proxy.port) as connection,
    ):
        transport = connection.writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        await connection.post(CHAT, json.dumps(CALL).encode(), JSON)
        transport.pause_reading()
        (watched,) = await under_watch(proxy)
        await eventually(lambda: watched.downstream is not None and watched.downstream.stalled)
        proxy.shell.watch.expire_all(lambda: ProxyError(503, "Bye.", code="server_shutdown"))
        await eventually(lambda: "code=server_shutdown" in proxy.log.getvalue())
        transport.resume_reading()
        response = await asyncio.wait_for(cut(connection), 5)

    assert not response.whole
    assert b"server_shutdown" not in response.body


async def under_watch(proxy: Proxy) -> list[Watched]:
    """Return the calls in progress, once there are some."""
    await eventually(lambda: len(proxy.shell.watch) > 0)
    return list(proxy.shell.watch._live)


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
