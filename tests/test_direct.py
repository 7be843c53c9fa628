"""Requests written straight to the pool: the same bytes as the session's, and the same faults."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
import trustme

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.push import PushingProtocol
from jarvis_proxy.transport import HttpDoor, HttpReply, TransportOptions
from jarvis_proxy.upstreams.base import UpstreamRequest
from tests.eventually import eventually
from tests.raw_upstream import Peer, RawUpstream, Received
from tests.test_transport import KEY, answer, asking, opened, read


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    yield body


@pytest.mark.parametrize("path", ["/chat/completions", "/files/a%2Fb?after=%20x"])
async def test_heads_are_those_that_the_session_sends(path: str) -> None:
    upstream = RawUpstream(answer)
    headers = {"content-type": "application/json", "accept": "audio/wav", "user-agent": "us"}
    request = UpstreamRequest("POST", path, headers, b'{"a":1}')
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        await read(door, request)
        # The way of what does not fit: through the session, here with a length that is known.
        response = await door._session.post(
            door._url(path), data=b'{"a":1}', headers=door._request_headers(request.headers, KEY)
        )
        response.release()

    direct, by_session = upstream.received
    assert direct == by_session
    names = [name.lower() for name, _ in direct.headers]
    assert len(names) == len(set(names))


async def test_body_is_sent_as_it_is_whatever_its_size() -> None:
    bodies = [b"x", b"y" * 65_535, b"z" * 65_536, b"z" * 3_000_000]
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        for body in bodies:
            assert await read(door, asking(body=body)) == b'{"ok":true}'

    assert [seen.body for seen in upstream.received] == bodies
    assert upstream.connections == 1


async def test_parser_reads_answers_of_every_kind_one_after_the_other() -> None:
    """It is kept with the connection: nothing of an answer may stay behind in it."""
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Type: a\r\nContent-Length: 4\r\n\r\nnone",
        b"HTTP/1.1 200 OK\r\nContent-Type: b\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nz",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ]
    left = iter(answers)

    async def play(peer: Peer, request: Received) -> None:
        await peer.send(next(left))

    upstream = RawUpstream(play)
    seen = []
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        for _ in answers:
            reply = await asyncio.wait_for(door.send(asking(), KEY), 5)
            body = b""
            while data := await reply.readany():
                body += data
            reply.finish()
            seen.append((reply.status, reply.headers.get("Content-Type"), body))

    assert seen == [
        (200, None, b"{}"),
        (204, None, b""),
        (200, None, b"abc"),
        (404, "a", b"none"),
        (200, "b", b"z"),
        (200, None, b""),
    ]
    assert upstream.connections == 1


async def test_session_and_direct_requests_share_connections() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        for _ in range(3):
            await read(door)
            await read(door, UpstreamRequest("GET", "/files", {}, b""))
            reply = await door.send(asking(), KEY, _pieces(b"streamed"))
            while await reply.readany():
                pass
            reply.finish()

    assert [seen.body for seen in upstream.received] == [b"{}", b"", b"streamed"] * 3
    assert upstream.connections == 1


async def test_answer_that_nobody_asked_for_is_nobodys_answer() -> None:
    """An upstream that sends a second one would answer the next client's call with it."""

    pooled = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(b'"mine"')
        if len(upstream.received) == 1:
            await pooled.wait()
            await peer.reply(b'"a stranger"')

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        assert await read(door) == b'"mine"'
        ((protocol, _),) = next(iter(door._session.connector._conns.values()))  # type: ignore[union-attr]
        pooled.set()
        await eventually(lambda: len(protocol))
        assert await read(door) == b'"mine"'

    assert upstream.connections == 2


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serving(authority: trustme.CA, scheme: str) -> ssl.SSLContext | None:
    if scheme == "http":
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def door_to(server: asyncio.Server, authority: trustme.CA, scheme: str) -> HttpDoor:
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    port = server.sockets[0].getsockname()[1]
    return HttpDoor("x", f"{scheme}://127.0.0.1:{port}", ssl_context=trusted)


SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])


@SCHEMES
async def test_connection_is_not_kept_whose_request_was_not_sent_to_its_end(
    authority: trustme.CA, scheme: str
) -> None:
    """The rest of the body would be taken for the next request."""

    over = asyncio.Event()
    ended = asyncio.Event()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        await reader.readuntil(b"\r\n\r\n")
        await peer.reply(b"{}", 413)
        await over.wait()
        await peer.closed()
        peer.close()
        ended.set()

    tls = serving(authority, scheme)
    async with (
        await asyncio.start_server(early, "127.0.0.1", 0, limit=1024, ssl=tls) as server,
        opened(door_to(server, authority, scheme)) as door,
    ):
        reply = await asyncio.wait_for(door.send(asking(body=b"x" * 40_000_000), KEY), 5)
        assert (reply.status, await reply.readany()) == (413, b"{}")
        reply.finish()
        assert not door._session.connector._conns  # type: ignore[union-attr]
        over.set()
        await asyncio.wait_for(ended.wait(), 5)


async def test_cancelled_request_closes_its_connection() -> None:
    asked = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        asked.set()
        await peer.closed()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        task = asyncio.create_task(door.send(asking(), KEY))
        await asyncio.wait_for(asked.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: upstream.open_connections == 0)


@SCHEMES
async def test_connection_is_kept_whose_request_was_sent(
    authority: trustme.CA, scheme: str
) -> None:
    upstream = RawUpstream(answer)
    tls = serving(authority, scheme)
    async with (
        await asyncio.start_server(upstream._serve, "127.0.0.1", 0, ssl=tls) as server,
        opened(door_to(server, authority, scheme)) as door,
    ):
        for size in (1, 100_000, 5_000_000, 1):
            assert await read(door, asking(body=b"x" * size)) == b'{"ok":true}'

    assert upstream.connections == 1


@SCHEMES
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize("way", ["direct", "session"])
async def test_cancelled_large_request_does_not_wait_until_the_upstream_has_read_it(
    authority: trustme.CA, way: str, scheme: str
) -> None:
    """Else the body would stay in memory, and the connection open, as long as it likes."""
    asked, over, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await over.wait()
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    tls = serving(authority, scheme)
    async with (
        await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1024, ssl=tls) as server,
        opened(door_to(server, authority, scheme)) as door,
    ):
        if way == "session":
            door._direct = None
        task = asyncio.create_task(door.send(asking(body=b"x" * 40_000_000), KEY))
        await asyncio.wait_for(asked.wait(), 5)
        connector = door._session.connector
        assert connector is not None
        await eventually(lambda: connector._acquired)
        (protocol,) = connector._acquired
        closed = protocol.closed
        assert closed is not None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(closed, 5)
        over.set()
        await asyncio.wait_for(ended.wait(), 5)


async def test_control_character_never_goes_out() -> None:
    async with opened(HttpDoor("x", "http://127.0.0.1:9/v1")) as door:
        with pytest.raises(ValueError, match="control character"):
            await door.send(UpstreamRequest("POST", "/x", {"x-a": "b\r\nx-c: d"}, b"{}"), KEY)


async def test_outbound_proxy_is_the_sessions_affair() -> None:
    options = TransportOptions(proxy="http://127.0.0.1:9")
    async with opened(HttpDoor("x", "http://upstream.invalid/v1", options=options)) as door:
        assert door._direct is None
        with pytest.raises(ProxyError, match="could not be reached"):
            await door.send(asking(), KEY)


async def test_closed_door_sends_nothing() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running():
        door = HttpDoor("x", upstream.base_url)
        await door.close()
        with pytest.raises(ProxyError):
            await door.send(asking(), KEY)

    assert upstream.received == []


async def test_memory_of_kinds_of_requests_is_bounded() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        assert door._direct is not None
        for number in range(1100):
            door._head(door._direct, asking(f"/files/{number}"), KEY)
        assert len(door._heads) <= 512


async def test_reply_has_what_the_relay_uses() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        reply = await door.send(asking(), KEY)
        assert isinstance(reply, HttpReply)
        await eventually(reply._response.content.is_eof)
        assert reply.whole() == b'{"ok":true}'
        assert reply.whole() is None  # it was taken
        assert await reply.readany() == b""
        reply.finish()
        reply.close()
        assert not isinstance(reply._response, aiohttp.ClientResponse)


@pytest.mark.parametrize("cut", [Peer.close, Peer.reset], ids=["fin", "rst"])
async def test_request_that_was_taken_is_not_sent_again(cut: Callable[[Peer], None]) -> None:
    """An interim answer (1xx) came over the pooled connection: the request may be billed."""

    async def play(peer: Peer, request: Received) -> None:
        if len(upstream.received) == 1:
            await answer(peer, request)
            return
        await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(0.05)  # until it is read: a reset overtakes what is not
        cut(peer)

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        await read(door, asking())
        with pytest.raises(ProxyError) as failed:
            await read(door, asking())

    assert failed.value.code == "upstream_disconnected"
    assert len(upstream.received) == 2


async def test_a_request_whose_connection_closes_in_the_turn_in_which_it_begins_is_sent_once() -> (
    None
):
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpDoor("x", upstream.base_url)) as door:
        await read(door, asking())
        assert door._direct is not None
        connector = door._direct._session.connector
        assert connector is not None
        ((pooled, _),) = next(iter(connector._conns.values()))
        assert isinstance(pooled, PushingProtocol)
        sending = asyncio.create_task(door.send(asking(), KEY))
        await asyncio.sleep(0)
        assert pooled.unsent
        pooled.close()
        assert await (await sending).readany() == b'{"ok":true}'

    assert (len(upstream.received), upstream.connections) == (2, 2)
