"""Requests over the session's pool: their bytes, and which connections are used again."""

import ast
import asyncio
import contextlib
import inspect
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
import trustme
from yarl import URL

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client import transport as transport_module
from jarvis_proxy.upstream_client.transport import HttpTransport, TransportOptions
from tests.support.eventually import eventually
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.upstream_client.test_transport import KEY, answer, asking, opened, read

pytestmark = pytest.mark.slow


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    yield body


@pytest.mark.parametrize("path", ["/chat/completions", "/files/a%2Fb?after=%20x"])
async def test_heads_are_those_that_the_session_sends(path: str) -> None:
    upstream = RawUpstream(answer)
    headers = {"content-type": "application/json", "accept": "audio/wav", "user-agent": "us"}
    request = UpstreamRequest("POST", path, headers, b'{"a":1}')
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        await read(transport, request)
        url = f"http://127.0.0.1:{upstream.port}/v1{path}"
        given = {
            "Accept": "audio/wav",
            "User-Agent": "us",
            "content-type": "application/json",
            "Accept-Encoding": "identity",
            "Authorization": f"Bearer {KEY}",
        }
        async with aiohttp.ClientSession() as session:
            response = await session.post(URL(url, encoded=True), data=b'{"a":1}', headers=given)
            response.release()

    ours, by_session = upstream.received
    assert (ours.method, ours.path, ours.body) == (
        by_session.method,
        by_session.path,
        by_session.body,
    )
    assert {(n.lower(), v) for n, v in ours.headers} == {
        (n.lower(), v) for n, v in by_session.headers
    }
    names = [name.lower() for name, _ in ours.headers]
    assert len(names) == len(set(names))


async def test_body_is_sent_as_it_is_whatever_its_size() -> None:
    bodies = [b"x", b"y" * 65_535, b"z" * 65_536, b"z" * 3_000_000]
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        for body in bodies:
            assert await read(transport, asking(body=body)) == b'{"ok":true}'

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
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        for _ in answers:
            reply = await asyncio.wait_for(transport.send(asking(), KEY), 5)
            body = b""
            while data := await reply.readany():
                body += data
            reply.release_at_end()
            seen.append((reply.status, reply.headers.get("content-type"), body))

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
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        for _ in range(3):
            await read(transport)
            await read(transport, UpstreamRequest("GET", "/files", {}, b""))
            reply = await transport.send(asking(), KEY, _pieces(b"streamed"))
            while await reply.readany():
                pass
            reply.release_at_end()

    assert [seen.body for seen in upstream.received] == [b"{}", b"", b"streamed"] * 3
    assert upstream.connections == 1


async def test_unsolicited_answer_is_discarded() -> None:
    """An upstream that sends a second one would answer the next client's call with it."""

    pooled = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(b'"mine"')
        if len(upstream.received) == 1:
            await pooled.wait()
            await peer.reply(b'"a stranger"')

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        assert await read(transport) == b'"mine"'
        pooled.set()
        await eventually(lambda: upstream.open_connections == 0)
        assert await read(transport) == b'"mine"'

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


def door_to(server: asyncio.Server, authority: trustme.CA, scheme: str) -> HttpTransport:
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    port = server.sockets[0].getsockname()[1]
    return HttpTransport("x", f"{scheme}://127.0.0.1:{port}", ssl_context=trusted)


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
        opened(door_to(server, authority, scheme)) as transport,
    ):
        reply = await asyncio.wait_for(transport.send(asking(body=b"x" * 40_000_000), KEY), 5)
        assert (reply.status, await reply.readany()) == (413, b"{}")
        reply.release_at_end()
        assert not transport.session.connector._conns  # type: ignore[union-attr]
        over.set()
        await asyncio.wait_for(ended.wait(), 5)


async def test_cancelled_request_closes_its_connection() -> None:
    asked = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        asked.set()
        await peer.closed()

    upstream = RawUpstream(play)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        task = asyncio.create_task(transport.send(asking(), KEY))
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
        await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=tls) as server,
        opened(door_to(server, authority, scheme)) as transport,
    ):
        for size in (1, 100_000, 5_000_000, 1):
            assert await read(transport, asking(body=b"x" * size)) == b'{"ok":true}'

    assert upstream.connections == 1


@SCHEMES
async def test_cancelled_large_request_does_not_wait_until_the_upstream_has_read_it(
    authority: trustme.CA, scheme: str
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
        opened(door_to(server, authority, scheme)) as transport,
    ):
        task = asyncio.create_task(transport.send(asking(body=b"x" * 40_000_000), KEY))
        await asyncio.wait_for(asked.wait(), 5)
        connector = transport.session.connector
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
    async with opened(HttpTransport("x", "http://127.0.0.1:9/v1")) as transport:
        with pytest.raises(ValueError, match="control character"):
            await transport.send(UpstreamRequest("POST", "/x", {"x-a": "b\r\nx-c: d"}, b"{}"), KEY)


async def test_outbound_proxy_that_is_not_there() -> None:
    options = TransportOptions(proxy="http://127.0.0.1:9")
    there = HttpTransport("x", "http://upstream.invalid/v1", options=options)
    async with opened(there) as transport:
        with pytest.raises(ProxyError, match="could not be reached"):
            await transport.send(asking(), KEY)


async def test_closed_transport_sends_nothing() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running():
        transport = HttpTransport("x", upstream.base_url)
        await transport.close()
        with pytest.raises(ProxyError):
            await transport.send(asking(), KEY)

    assert upstream.received == []


async def test_reply_has_what_the_relay_uses() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        await eventually(lambda: reply.is_complete)
        assert reply.buffered_body() == b'{"ok":true}'
        assert reply.buffered_body() is None  # it was taken
        assert await reply.readany() == b""
        reply.release_at_end()
        reply.close()


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
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        await read(transport, asking())
        with pytest.raises(ProxyError) as failed:
            await read(transport, asking())

    assert failed.value.code == "upstream_disconnected"
    assert len(upstream.received) == 2


@pytest.mark.parametrize("how", ["closed", "bytes"])
async def test_request_is_sent_once_when_its_connection_ends_before_it_is_written(
    how: str,
) -> None:
    """Requests are written at the end of the event loop's iteration; nothing was sent by then."""
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        reply = await transport.send(asking(), KEY)
        connection = reply._connection
        while await reply.readany():
            pass
        reply.release_at_end()
        sending = asyncio.create_task(transport.send(asking(), KEY))
        await asyncio.sleep(0)
        assert connection.response is not None
        if how == "closed":
            connection.transport.abort()
        else:
            connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
        assert await (await sending).readany() == b'{"ok":true}'

    assert (len(upstream.received), upstream.connections) == (2, 2)


async def test_unread_bytes_on_an_idle_connection_are_discarded() -> None:
    """They wait in the socket of a pooled connection when the next request is about to go out."""
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine"
    bad = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nanother"
    listener = socket.create_server(("127.0.0.1", 0))
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    loop = asyncio.get_running_loop()

    def accept_and_answer() -> socket.socket:
        peer, _ = listener.accept()
        while b"{}" not in peer.recv(65536, socket.MSG_PEEK):
            pass
        peer.recv(65536)
        peer.sendall(good)
        return peer

    with listener:
        async with opened(HttpTransport("x", base_url)) as transport:
            first = loop.run_in_executor(None, accept_and_answer)
            assert await read(transport) == b"mine"
            peer = await first
            second = loop.run_in_executor(None, accept_and_answer)
            peer.sendall(bad)  # the loop does not run until the next request is written
            assert await read(transport) == b"mine"
            peer.close()
            (await second).close()


SENDING = frozenset(
    {"request", "post", "put", "patch", "delete", "options", "ws_connect", "_request"}
)
"""Those of a session; its ``get`` and ``head`` are names of mappings and answers, too."""
PATH_TO_UPSTREAMS = ("client", "connection", "response", "transport", "tls")


def test_redirects_cookies_and_the_like_have_no_place_where_they_could_be_set() -> None:
    """The session makes no request for the proxy: one is made to be looked at, and never sent."""
    folder = Path(transport_module.__file__).parent
    trees = [ast.parse((folder / f"{name}.py").read_text("utf-8")) for name in PATH_TO_UPSTREAMS]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    asked = [
        node
        for node in nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in SENDING
    ]
    assert [ast.unparse(call.func) for call in asked] == ["self._session.post"]
    used = {n.attr for n in nodes if isinstance(n, ast.Attribute) and _is_session(n.value)}
    assert used == {"connector", "timeout", "post", "close"}
    assert [keyword.arg for keyword in asked[0].keywords] == ["proxy", "middlewares"]
    keywords = {node.arg for node in nodes if isinstance(node, ast.keyword)}
    parameters = set(inspect.signature(aiohttp.ClientSession._request).parameters)
    assert keywords & parameters <= {"proxy", "middlewares", "headers", "ssl", "timeout"}


def _is_session(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("session", "_session")


async def test_request_that_the_session_makes_is_never_sent() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), opened(HttpTransport("x", upstream.base_url)) as transport:
        captured = await transport._client._capture_request()
        assert captured.url == URL(upstream.base_url)

    assert upstream.connections == 0
