"""Requests to one upstream over a pooled ClientSession, all by one path. IO.

The session owns the pool, name resolution, TLS, outbound proxies and timeouts. Its work for each
request beyond that (redirects, cookies, decompression, a task and a timer) is not needed here.
"""

import asyncio
import contextlib
import re
from base64 import b64encode
from collections.abc import AsyncIterable, Mapping
from functools import cached_property
from typing import Any, Final

import aiohttp
from yarl import URL

from jarvis_proxy.aiohttp_ext.write_batching import WriteBatch
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.connection import UpstreamConnection
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS
from jarvis_proxy.upstream_client.response import UpstreamResponse

_CONTROL_CHARACTERS: Final = re.compile(rb"[\x00-\x1f\x7f]")
_SEPARATE_WRITE: Final = 64 * 1024
"""Larger bodies are written separately to avoid copying them."""
_WITHOUT_LENGTH: Final = (b"GET ", b"HEAD ", b"OPTIONS ", b"TRACE ")
_NO_TRACES: Final[list[aiohttp.tracing.Trace]] = []

Body = bytes | AsyncIterable[bytes]


class PoolRequest(aiohttp.ClientRequest):
    """Tells the pool where to connect; one object serves all requests of an UpstreamClient."""

    @cached_property
    def connection_key(self) -> Any:
        """The key by which the pool finds connections.

        A WebSocket handshake has its own key, so it never reuses a connection for plain requests.
        """
        key = super().connection_key
        return key._replace(proxy_headers_hash=-1) if "Upgrade" in self.headers else key


class _Captured(Exception):
    """Ends the request that exists only to be inspected."""


class UpstreamClient:
    """Sends requests to *base_url* over *session*'s pool, through *proxy* if there is one.

    *session* must make its requests with ``PoolRequest``.
    """

    def __init__(
        self, session: aiohttp.ClientSession, base_url: URL, *, proxy: URL | None = None
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._proxy = proxy
        self._batch = WriteBatch(asyncio.get_running_loop())
        self._pool_request: aiohttp.ClientRequest | None = None

    def encode_head(self, method: str, url: URL, headers: Mapping[str, str]) -> bytes:
        """Return a request's head without the body's framing fields and the final blank line.

        Raises:
            ValueError: it contains control characters.
        """
        # HTTPS requests go through a tunnel.
        proxy = self._proxy if url.scheme == "http" else None
        target = url.raw_path_qs if proxy is None else str(url.with_fragment(None))
        lines = [f"{method} {target} HTTP/1.1", f"Host: {url.host_port_subcomponent}"]
        lines += (f"{name}: {value}" for name, value in headers.items())
        if proxy is not None and proxy.user is not None:
            credentials = b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
            lines.append(f"Proxy-Authorization: Basic {credentials}")
        encoded = [line.encode() for line in lines]
        if any(_CONTROL_CHARACTERS.search(line) for line in encoded):
            raise ValueError("a control character in the head of a request")
        return b"\r\n".join(encoded)

    async def send(self, head: bytes, body: Body, *, has_body: bool = True) -> UpstreamResponse:
        """Send *head* and *body*; return when the head of the response has arrived.

        *has_body* is False if the response has no body whatever its head says (HEAD). If a pooled
        connection ends before the first byte of a response, the upstream closed it while it was
        idle. Only then, and only once, is the request sent again, on a new connection.

        Raises:
            aiohttp.ClientError, OSError: the connection or the response's head failed.
            ProxyError: what reading a streamed body raised.
        """
        connection, response = await self._start(head, body, has_body, fresh=False)
        try:
            await response.head()
        except NETWORK_ERRORS:
            if response.has_received or not connection.is_reused or not isinstance(body, bytes):
                raise
            _, response = await self._start(head, body, has_body, fresh=True)
            await response.head()
        return response

    async def _start(
        self, head: bytes, body: Body, has_body: bool, *, fresh: bool
    ) -> tuple[UpstreamConnection, UpstreamResponse]:
        is_batched = isinstance(body, bytes) and len(body) < _SEPARATE_WRITE
        lease, connection = await self._connect(fresh=fresh, is_batched=is_batched)
        response = UpstreamResponse(lease, connection, has_body=has_body)
        try:
            _write(connection, response, head, body)
        except BaseException:
            response.close()
            raise
        return connection, response

    async def _connect(
        self, *, fresh: bool, is_batched: bool
    ) -> tuple[aiohttp.connector.Connection, UpstreamConnection]:
        """Return a connection, from the pool unless *fresh*.

        A pooled connection must have no input waiting; if the write *is_batched*, the write checks
        it.
        """
        connector = self._session.connector
        if connector is None:
            raise aiohttp.ClientConnectionError("the session is closed")
        if self._pool_request is None:
            self._pool_request = await self._capture_request()
        while True:
            try:
                lease = await connector.connect(
                    self._pool_request, _NO_TRACES, self._session.timeout
                )
            except TimeoutError as exc:
                raise aiohttp.ConnectionTimeoutError from exc
            connection = self._adopt(lease)
            if connection is not None and not (
                connection.is_reused and (fresh or (not is_batched and connection.has_input()))
            ):
                return lease, connection
            lease.close()

    def _adopt(self, lease: aiohttp.connector.Connection) -> UpstreamConnection | None:
        """Return our protocol for a leased connection, None if it is already closed."""
        pooled, transport = lease.protocol, lease.transport
        if pooled is None or transport is None or transport.is_closing():
            return None
        connection = transport.get_protocol()
        if isinstance(connection, UpstreamConnection):
            connection.is_reused = True
            return connection
        if pooled.should_close:
            # Bytes arrived before any request. They must not become part of a response.
            raise aiohttp.ServerDisconnectedError
        connection = UpstreamConnection(pooled, transport, self._batch)
        transport.set_protocol(connection)
        return connection

    async def _capture_request(self) -> aiohttp.ClientRequest:
        """Return the request that the session makes for this upstream; it is not sent.

        The session knows what the pool needs: TLS settings, the proxy and its credentials.
        """
        captured: list[aiohttp.ClientRequest] = []

        async def capture(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            captured.append(request)
            raise _Captured

        with contextlib.suppress(_Captured):
            await self._session.post(self._base_url, proxy=self._proxy, middlewares=(capture,))
        return captured[0]


def _write(
    connection: UpstreamConnection, response: UpstreamResponse, head: bytes, body: Body
) -> None:
    write = connection.write
    if not isinstance(body, bytes):
        is_chunked = b"\r\ncontent-length:" not in head.lower()
        framing = b"\r\nTransfer-Encoding: chunked" if is_chunked else b""
        write(head + framing + b"\r\n\r\n")
        coroutine = _upload(connection, response, body, is_chunked=is_chunked)
        response.upload(asyncio.create_task(coroutine, name="upload"))
    elif not body:
        framing = b"" if head.startswith(_WITHOUT_LENGTH) else b"\r\nContent-Length: 0"
        connection.write_batched(head + framing + b"\r\n\r\n")
    elif len(body) < _SEPARATE_WRITE:
        connection.write_batched(b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
    else:
        write(b"%b\r\nContent-Length: %d\r\n\r\n" % (head, len(body)))
        write(body)


async def _upload(
    connection: UpstreamConnection,
    response: UpstreamResponse,
    body: AsyncIterable[bytes],
    *,
    is_chunked: bool,
) -> None:
    """Write a streamed body as fast as the upstream reads it."""
    write, is_closing = connection.transport.write, connection.transport.is_closing
    try:
        async for piece in body:
            if is_closing():
                # The response reports the end of the connection.
                return
            if piece:
                write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
                await connection.drain()
        if is_chunked and not is_closing():
            write(b"0\r\n\r\n")
    except ProxyError as exc:
        response.upload_failed(exc)
    except Exception as exc:
        error = aiohttp.ClientConnectionError("the body of the request could not be read")
        error.__cause__ = exc
        response.upload_failed(error)
