"""What holds for upstreams holds on every way to them: bodies, streams, uploads, GETs, proxies.

One way that is not tried is one on which a key can leak.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from tests.conftest import BEARER, OPENAI_KEY, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

pytestmark = pytest.mark.slow

FORM = (
    b"--X\r\nContent-Disposition: form-data; name=model\r\n\r\nwhisper-1\r\n"
    b"--X\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nzz\r\n--X--\r\n"
)
JSON = {"Content-Type": "application/json"}
FORM_TYPE = {"Content-Type": "multipart/form-data; boundary=X"}
Script = Callable[[Peer, Received], Awaitable[None]]


@dataclass(frozen=True)
class Way:
    """One kind of request, and whether it goes through an outbound proxy."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    through_proxy: bool = False


_KINDS = {
    "body": Way("POST", "/v1/chat/completions", b'{"model":"gpt-4o"}', tuple(JSON.items())),
    "stream": Way(
        "POST",
        "/v1/chat/completions",
        b'{"model":"gpt-4o","stream":true}',
        tuple(JSON.items()),
    ),
    "large body": Way(
        "POST",
        "/v1/responses",
        b'{"model":"gpt-4o","x":"' + b"x" * 100_000 + b'"}',
        tuple(JSON.items()),
    ),
    "form": Way("POST", "/v1/audio/transcriptions", FORM, tuple(FORM_TYPE.items())),
    "get": Way("GET", "/v1/files/f"),
    "delete": Way("DELETE", "/v1/files/f"),
    "empty post": Way("POST", "/v1/batches/b/cancel"),
    "put": Way("PUT", "/v1/x", b"{}", tuple(JSON.items())),
}
WAYS = {
    **_KINDS,
    **{
        f"{name} through a proxy": Way(w.method, w.path, w.body, w.headers, through_proxy=True)
        for name, w in _KINDS.items()
    },
}
on_every_way = pytest.mark.parametrize("way", WAYS.values(), ids=[f"e-{name}" for name in WAYS])


@contextlib.asynccontextmanager
async def outbound() -> AsyncIterator[tuple[str, list[str]]]:
    """Run a plain HTTP proxy; yield its URL and the targets that it was asked for."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            first, _, rest = head.partition(b"\r\n")
            method, target, version = first.split(b" ")
            asked.append(target.decode())
            host, _, path = target.removeprefix(b"http://").partition(b"/")
            _, _, port = host.partition(b":")
            up = await asyncio.open_connection("127.0.0.1", int(port or b"80"))
            up[1].write(b"%b /%b %b\r\n%b" % (method, path, version, rest))
            await asyncio.gather(_copy(reader, up[1]), _copy(up[0], writer))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def go(way: Way, script: Script, times: int = 1) -> tuple[list[RawResponse], list[Received]]:
    """Ask *times* on *way*; return the answers, and what the upstream received."""
    upstream = RawUpstream(script)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(upstream.running())
        proxy_url, asked = await stack.enter_async_context(outbound())
        env = {"PASSTHROUGH": "all"}
        base_url = upstream.base_url
        if way.through_proxy:
            # By a name that is not this machine's: those are asked directly.
            base_url = base_url.replace("127.0.0.1", "upstream.example")
            env["UPSTREAM_PROXY"] = proxy_url
        proxy = await stack.enter_async_context(running_proxy(base_url, **env))
        headers = {**BEARER, **dict(way.headers)}
        responses = [
            await asyncio.wait_for(fetch(proxy.port, way.path, way.body, headers, way.method), 10)
            for _ in range(times)
        ]
        assert bool(asked) is way.through_proxy
    return responses, [seen for seen in upstream.received if seen.path.endswith(way.path[3:])]


@on_every_way
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_neither_key_nor_prompt_follows_a_redirect(way: Way, status: int) -> None:
    async def steal(peer: Peer, request: Received) -> None:
        await peer.reply(b"{}")

    thief = RawUpstream(steal)
    async with thief.running():

        async def play(peer: Peer, request: Received) -> None:
            here = f"http://127.0.0.1:{thief.port}/v1/steal"
            await peer.reply(b"", status, None, [f"Location: {here}", "Connection: close"])
            peer.close()

        (response,), received = await go(way, play)

    assert (response.status, response.error()["code"]) == (502, "upstream_redirect")
    assert thief.received == []
    assert len(received) == 1


@on_every_way
async def test_only_the_proxys_key_goes_out_and_nothing_of_the_clients(way: Way) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(completion(), extra=["Set-Cookie: a=b", "Connection: close"])
        peer.close()

    _, received = await go(way, play, times=2)

    assert [seen.header("Authorization") for seen in received] == [f"Bearer {OPENAI_KEY}"] * 2
    names = {name.lower() for seen in received for name, _ in seen.headers}
    assert not names & {
        "cookie",
        "x-api-key",
        "forwarded",
        "x-forwarded-for",
        "proxy-authorization",
    }
    assert [seen.method for seen in received] == [way.method] * 2
    assert [seen.body for seen in received] == [way.body] * 2
    assert [seen.header("Accept-Encoding") for seen in received] == ["identity"] * 2


@on_every_way
async def test_a_refusal_is_relayed(way: Way) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(b"busy", 429, "text/plain", ["Retry-After: 7", "Connection: close"])
        peer.close()

    (response,), _ = await go(way, play)

    assert (response.status, response.headers["retry-after"]) == (429, "7")
    assert "busy" in str(response.error()["message"])


@on_every_way
async def test_an_answer_that_is_cut_is_an_error(way: Way) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(length=100)
        await peer.send(b'{"choices":')
        peer.close()

    (response,), received = await go(way, play)

    assert response.error()["code"] == "upstream_truncated"
    assert len(received) == 1
