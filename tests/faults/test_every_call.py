"""The network's faults on every kind of call, with and without an outbound proxy, as seen raw.

tests/faults/network_rows.py has more of them, for the dialects that are read; here are forms,
calls that are relayed unread, and the way through a proxy.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import pytest

from tests.conftest import BEARER, Proxy, running_proxy
from tests.support.raw_client import RawResponse, connect
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

pytestmark = pytest.mark.slow

LIMITS: Final = {"FIRST_BYTE_TIMEOUT": "0.3", "IDLE_TIMEOUT": "0.3", "MAX_BODY_MB": "8"}
FORM: Final = (
    b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--X\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nzzz\r\n--X--\r\n'
)
CHAT: Final = {"model": "gpt-4o", "messages": [{"role": "user", "content": "?"}]}


@dataclass(frozen=True)
class Call:
    """A call as a client sends it, and a good answer to it."""

    path: str
    body: bytes = b""
    method: str = "POST"
    media_type: str = "application/json"
    streams: bool = False

    async def ask(self, proxy: Proxy) -> RawResponse:
        """Send it."""
        headers = {**BEARER, "Content-Type": self.media_type}
        async with connect(proxy.port) as connection:
            await connection.post(self.path, self.body, headers, self.method)
            return await asyncio.wait_for(connection.response(), 10)

    @property
    def good(self) -> bytes:
        """The body of its good answer."""
        if self.streams:
            return chat_chunk("Hello!") + chat_chunk(None, "stop") + b"data: [DONE]\n\n"
        return completion()

    async def begin(self, peer: Peer) -> None:
        """Send the head of the good answer and half of its body."""
        await peer.head(200, "text/event-stream" if self.streams else "application/json")
        await peer.chunk(chat_chunk("Hel") if self.streams else self.good[:20])


CALLS: Final[Mapping[str, Call]] = {
    "chat": Call("/v1/chat/completions", json.dumps(CHAT).encode()),
    "stream": Call(
        "/v1/chat/completions", json.dumps({**CHAT, "stream": True}).encode(), streams=True
    ),
    "form": Call("/v1/audio/transcriptions", FORM, media_type="multipart/form-data; boundary=X"),
    "upload": Call("/v1/files/x", b"z" * 300_000, "PUT", "application/octet-stream"),
    "get": Call("/v1/files", method="GET"),
}
WHOLE: Final = {name: call for name, call in CALLS.items() if not call.streams}
Fault = Callable[[Call, Peer], Awaitable[None]]


async def good(call: Call, peer: Peer) -> None:
    await peer.reply(call.good, 200, "text/event-stream" if call.streams else "application/json")


async def fin(call: Call, peer: Peer) -> None:
    peer.close()


async def rst(call: Call, peer: Peer) -> None:
    peer.reset()


async def no_http(call: Call, peer: Peer) -> None:
    await peer.send(b"SSH-2.0-OpenSSH_9.2\r\n")


async def part_of_a_head(call: Call, peer: Peer) -> None:
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-")
    peer.close()


async def silence(call: Call, peer: Peer) -> None:
    await peer.closed()


async def redirect(call: Call, peer: Peer) -> None:
    await peer.reply(b"", 307, None, ["Location: http://127.0.0.1:9/elsewhere"])


async def cut(call: Call, peer: Peer) -> None:
    await call.begin(peer)
    peer.close()


async def reset_in_the_middle(call: Call, peer: Peer) -> None:
    await call.begin(peer)
    await asyncio.sleep(0.02)
    peer.reset()


async def broken_chunk(call: Call, peer: Peer) -> None:
    await call.begin(peer)
    await peer.send(b"zz\r\nrest")
    await peer.closed()


async def silence_in_the_middle(call: Call, peer: Peer) -> None:
    await call.begin(peer)
    await peer.closed()


async def second_answer(call: Call, peer: Peer) -> None:
    await peer.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}x"
    )


BEFORE: Final[Mapping[Fault, tuple[int, str]]] = {
    fin: (502, "upstream_disconnected"),
    rst: (502, "upstream_disconnected"),
    no_http: (502, "upstream_bad_response"),
    part_of_a_head: (502, "upstream_disconnected"),
    silence: (504, "upstream_timeout"),
    redirect: (502, "upstream_redirect"),
}
"""What comes in place of an answer."""
WITHIN: Final[Mapping[Fault, str]] = {
    cut: "upstream_truncated",
    reset_in_the_middle: "upstream_truncated",
    broken_chunk: "upstream_truncated",
    silence_in_the_middle: "upstream_idle_timeout",
}
"""What ends an answer that has begun: an error in its place, or in the stream, or a cut."""
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
every_way = pytest.mark.parametrize("has_proxy", [False, True], ids=["direct", "outbound-proxy"])


@contextlib.asynccontextmanager
async def between(
    call: Call, fault: Fault, *, has_proxy: bool
) -> AsyncIterator[tuple[Proxy, RawUpstream]]:
    async def play(peer: Peer, request: Received) -> None:
        await fault(call, peer)

    upstream = RawUpstream(play)
    async with upstream.running():
        where = {"openai": upstream.base_url}
        if has_proxy:
            where = {
                "openai": "http://upstream.invalid/v1",
                "UPSTREAM_PROXY": f"http://user:word@127.0.0.1:{upstream.port}",
            }
        async with running_proxy(PASSTHROUGH="all", **LIMITS, **where) as proxy:
            yield proxy, upstream


@every_way
@every_call
async def test_good_answer_arrives(call: Call, *, has_proxy: bool) -> None:
    async with between(call, good, has_proxy=has_proxy) as (proxy, upstream):
        for _ in range(3):
            seen = await call.ask(proxy)
            assert (seen.status, seen.body, seen.whole) == (200, call.good, True)

    assert [request.body for request in upstream.received] == [call.body] * 3
    assert upstream.connections == 1


@every_way
@every_call
@pytest.mark.parametrize("fault", BEFORE, ids=[fault.__name__ for fault in BEFORE])
async def test_error_in_place_of_an_answer(call: Call, fault: Fault, *, has_proxy: bool) -> None:
    async with between(call, fault, has_proxy=has_proxy) as (proxy, upstream):
        seen = await call.ask(proxy)

    assert (seen.status, seen.error()["code"]) == BEFORE[fault]
    assert len(upstream.received) == 1


@every_way
@every_call
@pytest.mark.parametrize("fault", WITHIN, ids=[fault.__name__ for fault in WITHIN])
async def test_answer_that_breaks_off_never_looks_whole(
    call: Call, fault: Fault, *, has_proxy: bool
) -> None:
    async with between(call, fault, has_proxy=has_proxy) as (proxy, upstream):
        seen = await call.ask(proxy)

    assert len(upstream.received) == 1
    if call.streams:
        assert WITHIN[fault].encode() in seen.body.splitlines()[-2]
        assert b"[DONE]" not in seen.body
    elif seen.whole:
        assert seen.error()["code"] == WITHIN[fault]
        assert seen.status in (502, 504)
    else:
        assert seen.status == 200


@every_way
@pytest.mark.parametrize("call", WHOLE.values(), ids=list(WHOLE))
async def test_byte_behind_an_answer_costs_the_connection(call: Call, *, has_proxy: bool) -> None:
    async with between(call, second_answer, has_proxy=has_proxy) as (proxy, upstream):
        for _ in range(3):
            seen = await call.ask(proxy)
            assert (seen.status, seen.body) == (200, b"{}")

    assert upstream.connections == 3


@every_call
async def test_outbound_proxy_that_is_not_there(call: Call) -> None:
    async with running_proxy(
        "http://upstream.invalid/v1", PASSTHROUGH="all", UPSTREAM_PROXY="http://127.0.0.1:9"
    ) as proxy:
        seen = await call.ask(proxy)

    assert (seen.status, seen.error()["code"]) == (502, "upstream_connect_error")
