"""Every kind of call and every way to an upstream, for tests that must hold for all of them. IO."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import trustme
import uvloop

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.upstream_client.response import UpstreamResponse
from jarvis_proxy.upstream_client.tls import UpstreamContext
from jarvis_proxy.upstream_client.transport import HttpTransport, TransportOptions
from tests.support.eventually import eventually
from tests.support.raw_upstream import RawUpstream, Script
from tests.support.socks_server import SocksServer, pump

T = TypeVar("T")
KEY: Final = "sk-canary-of-the-upstream"
Way = Literal["plain", "tls", "proxy", "tunnel", "socks"]
WAYS: Final[tuple[Way, ...]] = ("plain", "tls", "proxy", "tunnel")
"""Those that every test takes; few take ``socks``, which differs in how connections are made."""
LOOPS: Final[dict[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@dataclass(frozen=True)
class Kind:
    """A kind of call: *pieces* are its body where it streams, else its body is *body*."""

    name: str
    method: str = "POST"
    body: bytes = b""
    pieces: tuple[bytes, ...] = ()
    has_length: bool = False

    @property
    def is_sent_again(self) -> bool:
        """Whether its body is still there for a second time."""
        return not self.pieces

    @property
    def sent(self) -> bytes:
        """The whole body."""
        return self.body or b"".join(self.pieces)

    def request(self, mark: str = "") -> UpstreamRequest:
        """Return a request of this kind, *mark* in its path."""
        headers = {"content-type": "application/x-any"}
        if self.has_length:
            headers["content-length"] = str(len(self.sent))
        return UpstreamRequest(self.method, f"/any{mark}", headers, self.body)

    async def send(self, transport: HttpTransport, mark: str = "") -> UpstreamResponse:
        """Send one."""
        sending = transport.send(self.request(mark), KEY, self.upload())
        return await asyncio.wait_for(sending, 5)

    def upload(self) -> AsyncIterable[bytes] | None:
        """Return its body if it streams."""
        return self._upload() if self.pieces else None

    async def _upload(self) -> AsyncIterable[bytes]:
        for piece in self.pieces:
            yield piece
            await asyncio.sleep(0)

    async def read(self, transport: HttpTransport, mark: str = "") -> tuple[int, bytes]:
        """Send one; return the status and the whole body of its answer."""
        response = await self.send(transport, mark)
        try:
            body = await asyncio.wait_for(rest(response), 5)
            response.release_at_end()
        finally:
            response.close()
        return response.status, body


KINDS: Final = (
    Kind("body", body=b'{"a":1}'),
    Kind("large body", body=b"x" * 200_000),
    Kind("empty body"),
    Kind("upload", pieces=(b"a" * 70_000, b"b" * 10)),
    Kind("upload with length", pieces=(b"a" * 70_000, b"b" * 10), has_length=True),
    Kind("get", "GET"),
    Kind("delete", "DELETE"),
    Kind("head", "HEAD"),
)


async def rest(response: UpstreamResponse) -> bytes:
    """Return what is left of a body."""
    pieces = []
    while data := await response.readany():
        pieces.append(data)
    return b"".join(pieces)


class Ways:
    """Reaches upstreams in each way; *authority* signs for those with TLS."""

    def __init__(self, authority: trustme.CA) -> None:
        self._serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self._serving)
        self._trusting = UpstreamContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(self._trusting)

    @contextlib.asynccontextmanager
    async def reached(
        self, way: Way, script: Script
    ) -> AsyncIterator[tuple[HttpTransport, RawUpstream]]:
        """Run an upstream that plays *script*; yield the way to it, and the upstream."""
        async with self.to(way, RawUpstream(script)) as reached:
            yield reached

    @contextlib.asynccontextmanager
    async def to(
        self, way: Way, upstream: RawUpstream
    ) -> AsyncIterator[tuple[HttpTransport, RawUpstream]]:
        """Run *upstream*; yield the way to it, and the upstream."""
        has_tls = way in ("tls", "tunnel", "socks")
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(upstream.running(self._serving if has_tls else None))
            proxy = None
            if way == "proxy":
                proxy = f"http://user:pass@127.0.0.1:{upstream.port}"  # it plays the proxy too
            elif way == "tunnel":
                port = await stack.enter_async_context(_tunnel(upstream))
                proxy = f"http://user:pass@127.0.0.1:{port}"
            elif way == "socks":
                server = SocksServer(upstream.port, ("user", "pass"))
                port = await stack.enter_async_context(server.running())
                proxy = f"socks5://user:pass@127.0.0.1:{port}"
            transport = HttpTransport(
                "x",
                f"{'https' if has_tls else 'http'}://127.0.0.1:{upstream.port}/v1",
                options=TransportOptions(proxy=proxy),
                ssl_context=self._trusting,
            )
            try:
                yield transport, upstream
            finally:
                await transport.close()
                await eventually(lambda: upstream.open_connections == 0)


@contextlib.asynccontextmanager
async def _tunnel(upstream: RawUpstream) -> AsyncIterator[int]:
    """Run a proxy that connects (CONNECT) to *upstream*; yield its port."""
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:  # the call was cancelled
            writer.close()
            return
        assert head.startswith(b"CONNECT 127.0.0.1:%d " % upstream.port)
        assert b"Proxy-Authorization: Basic dXNlcjpwYXNz" in head
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        writers.extend((writer, far_writer))
        for ends in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(pump(*ends))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.001)  # for the event loop to close them


def run_on(loop: str, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* on a new event loop of that kind; fail if anything was left to the loop."""
    trouble: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: trouble.append(context))
        return await coroutine

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        result = runner.run(watched())
    assert not trouble, trouble
    return result
