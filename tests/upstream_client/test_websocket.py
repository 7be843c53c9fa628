"""WebSockets to an upstream: a refusal keeps its body, a redirect is not followed."""

import asyncio

import pytest
import trustme
from aiohttp import WSMsgType

from jarvis_proxy.aiohttp_ext.websockets import Frame, PeerLost
from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.transport import HttpTransport
from jarvis_proxy.upstream_client.websocket import HandshakeRefused
from tests.support.both_ends import vanish
from tests.support.raw_upstream import Peer, RawUpstream, Received, Script
from tests.support.raw_websocket import TEXT, accept
from tests.upstream_client.routes import LOOPS, WAYS, Way, Ways, run_on

ASKED = UpstreamRequest("GET", "/realtime?model=a%2Fb", {"openai-beta": "x"}, b"")


async def attempt(script: Script) -> tuple[RawUpstream, object]:
    """Return the upstream and what opening a socket to it gave: a frame, or the exception."""
    upstream = RawUpstream(script)
    async with upstream.running():
        transport = HttpTransport("openai", upstream.base_url)
        try:
            peer, protocol = await transport.open_socket(
                ASKED, "sk-1", protocols=("a", "b"), max_size=1000, stall=5
            )
        except (HandshakeRefused, ProxyError) as exc:
            return upstream, exc
        else:
            await peer.send(Frame(WSMsgType.TEXT, b"hi"))
            frame = await peer.receive()
            peer.close()
            return upstream, (frame, protocol)
        finally:
            await transport.close()


async def test_a_socket_is_opened_with_the_key_and_what_was_offered() -> None:
    async def script(peer: Peer, request: Received) -> None:
        socket = await accept(peer, request, "b")
        frame = await socket.receive()
        assert frame is not None
        await socket.send(TEXT, frame.data + b"!")
        await peer.closed()

    upstream, got = await attempt(script)
    assert got == (Frame(WSMsgType.TEXT, b"hi!"), "b")
    (asked,) = upstream.received
    assert asked.path == "/v1/realtime?model=a%2Fb"
    assert asked.header("authorization") == "Bearer sk-1"
    assert asked.header("openai-beta") == "x"
    assert asked.header("sec-websocket-protocol") == "a,b"
    assert (
        asked.header(
            "user-agent",
        )
        is not None
    )
    assert asked.header("cookie") is None


@pytest.fixture(scope="module")
def ways() -> Ways:
    return Ways(trustme.CA())


WAY_NAMES: tuple[Way, ...] = (*WAYS, "socks")


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", WAY_NAMES)
def test_every_way_to_an_upstream(ways: Ways, way: Way, loop: str) -> None:
    async def script(peer: Peer, request: Received) -> None:
        socket = await accept(peer, request)
        while (frame := await socket.receive()) is not None:
            await socket.send(frame.opcode, frame.data)

    async def play() -> None:
        async with ways.reached(way, script) as (transport, upstream):
            for size in (1, 2**20):
                peer, _ = await transport.open_socket(
                    ASKED, "sk-1", protocols=(), max_size=2**21, stall=5
                )
                await peer.send(Frame(WSMsgType.BINARY, b"x" * size))
                assert await peer.receive() == Frame(WSMsgType.BINARY, b"x" * size)
                assert peer.is_open
                peer.close()
                assert not peer.is_open
            assert len(upstream.received) == 2

    run_on(loop, play())


@pytest.mark.parametrize("loop", LOOPS)
def test_an_upstream_whose_machine_is_dead_is_lost(ways: Ways, loop: str) -> None:
    dark, over = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer, request: Received) -> None:
        await (await accept(peer, request)).receive()
        vanish(peer.writer)
        dark.set()
        await over.wait()
        peer.reset()

    async def play() -> None:
        async with ways.reached("plain", script) as (transport, _), asyncio.timeout(20):
            peer, _ = await transport.open_socket(
                ASKED, "sk-1", protocols=(), max_size=1000, stall=0.5
            )
            await peer.send(Frame(WSMsgType.TEXT, b"{}"))
            await dark.wait()
            await peer.send(Frame(WSMsgType.TEXT, b"{}"))  # which nobody confirms
            with pytest.raises(PeerLost):
                await peer.receive()
            over.set()

    run_on(loop, play())


@pytest.mark.parametrize("status", [200, 302, 307, 401, 503])
async def test_a_refusal_keeps_its_body(status: int) -> None:
    async def script(peer: Peer, request: Received) -> None:
        await peer.reply(b"why " * 1000, status, extra=["Location: /elsewhere", "X-A: 1"])

    upstream, got = await attempt(script)
    assert isinstance(got, HandshakeRefused)
    assert (got.status, got.body, got.headers["x-a"]) == (status, b"why " * 1000, "1")
    assert len(upstream.received) == 1


async def test_the_body_of_a_refusal_is_bounded() -> None:
    async def script(peer: Peer, request: Received) -> None:
        await peer.head(500, length=2**24)
        await peer.send(b"x" * 2**22)
        await asyncio.sleep(30)

    async with asyncio.timeout(5):
        _, got = await attempt(script)
    assert isinstance(got, HandshakeRefused)
    assert len(got.body) == 2**20


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "upstream_disconnected"),
        (b"nonsense\r\n\r\n", "upstream_bad_response"),
        (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", None),
    ],
)
async def test_an_answer_that_is_none(answer: bytes, code: str | None) -> None:
    async def script(peer: Peer, request: Received) -> None:
        await peer.send(answer)
        peer.close()

    upstream, got = await attempt(script)
    assert isinstance(got, ProxyError)
    assert (got.status, got.code) == (502, code or "upstream_bad_response")
    assert len(upstream.received) == 1  # a session is not opened twice


async def test_a_reset_handshake_is_not_sent_again() -> None:
    async def script(peer: Peer, request: Received) -> None:
        peer.reset()

    upstream, got = await attempt(script)
    assert isinstance(got, ProxyError)
    assert (got.status, got.code) == (502, "upstream_disconnected")
    assert len(upstream.received) == 1
