"""Requests written straight to a pooled connection, without aiohttp's objects around them. IO.

Connections, TLS, name lookups, the pool and the parser are aiohttp's. What is left out is what
``ClientSession.request`` does anew for every request: an URL, headers, cookies, redirects, a task
that writes the body, a timer; together a third of what a small request costs. Whatever does not
fit (an outbound proxy, a body that streams) goes through the session.
"""

import asyncio
import collections
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.helpers import TimerNoop
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from yarl import URL

from jarvis_proxy.turns import LateWriter

_NO_TRACES: Final[list[Any]] = []
_NO_TIMER: Final = TimerNoop()
_CONTROLS: Final = re.compile(rb"[\x00-\x1f\x7f]")
_PARSER: Final = "jarvis_parser"
_NOTHING: Final[collections.deque[bytes]] = collections.deque(maxlen=0)
_COPIED: Final = 64 * 1024
"""A body so large is written by itself: joining it to its head would copy it."""


class DirectResponse:
    """An answer whose head has come: of aiohttp's ClientResponse what is used here."""

    __slots__ = ("connection", "content", "headers", "status")

    def __init__(
        self,
        connection: aiohttp.connector.Connection,
        status: int,
        headers: Mapping[str, str],
        content: StreamReader,
    ) -> None:
        self.connection: aiohttp.connector.Connection | None = connection
        self.status = status
        self.headers = headers
        self.content = content
        content.on_eof(self.release)

    def release(self) -> None:
        """Give the connection back to the pool, which closes it where it cannot be used again."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.release()

    def close(self) -> None:
        """Close the connection, unless the answer has ended."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()


def taken_whole(content: StreamReader) -> bytes | None:
    """Return a body that came in one piece, if all of it is here and nothing has been read.

    Taken as it lies there: a read would wake the parser, which has nothing left to give. (For a
    body past the low mark it has to be: the connection may be paused.)
    """
    if content is EMPTY_PAYLOAD or not content.is_eof():
        return None
    if len(content._buffer) != 1 or content._buffer_offset or content._size > content._low_water:
        return None
    (body,) = content._buffer
    # An empty deque holds half a kilobyte, and this one would stay as long as the answer streams.
    content._size, content._buffer = 0, _NOTHING
    return body


class _Way(aiohttp.ClientRequest):
    """What the pool asks of a request: where it goes. One serves all of a door's requests."""

    @cached_property
    def connection_key(self) -> ConnectionKey:
        """The key of the pool's connections, which aiohttp makes for every request."""
        return super().connection_key


class DirectSender:
    """Sends requests of one upstream over *session*'s pool."""

    def __init__(self, session: aiohttp.ClientSession, base_url: URL) -> None:
        self._session = session
        self._way = _Way("POST", base_url, loop=asyncio.get_running_loop(), session=session)

    def head(self, method: str, url: URL, headers: Mapping[str, str]) -> bytes:
        """Return a request's head up to the number of its body's bytes, which follows.

        Raises:
            ValueError: there are control characters in it.
        """
        # Made by aiohttp, so that both ways send the same; for each kind of request only once.
        made = aiohttp.ClientRequest(
            method, url, headers=headers, data=b"?", loop=self._way.loop, session=self._session
        )
        made.headers.popall("Content-Length")
        lines = [f"{method} {url.raw_path_qs} HTTP/1.1".encode()]
        lines += (f"{name}: {value}".encode() for name, value in made.headers.items())
        if any(_CONTROLS.search(line) for line in lines):
            raise ValueError("a control character in the head of a request")
        return b"\r\n".join((*lines, b"Content-Length: "))

    async def send(self, head: bytes, body: bytes) -> DirectResponse:
        """Send *head* and *body*; return when the head of the answer is here.

        Raises what ``ClientSession.request`` raises: ``aiohttp.ClientError`` or OSError.
        """
        connector = self._session.connector
        if connector is None:
            raise aiohttp.ClientConnectionError("the session is closed")
        try:
            connection = await connector.connect(self._way, _NO_TRACES, self._session.timeout)
        except TimeoutError as exc:
            raise aiohttp.ConnectionTimeoutError from exc
        try:
            return await self._ask(connection, head, body)
        except HttpProcessingError as exc:
            connection.close()
            raise aiohttp.ClientResponseError(
                self._way.request_info, (), status=exc.code, message=exc.message
            ) from exc
        except BaseException:
            connection.close()
            raise

    async def _ask(
        self, connection: aiohttp.connector.Connection, head: bytes, body: bytes
    ) -> DirectResponse:
        protocol = connection.protocol
        transport = connection.transport
        if protocol is None or transport is None or transport.is_closing() or len(protocol):
            # Closed by now; or something came that nobody asked for, which would be the answer.
            raise aiohttp.ServerDisconnectedError
        kept = vars(protocol)
        if kept.get(_PARSER) is not protocol._parser or protocol._parser is None:
            protocol.set_response_params(
                timer=_NO_TIMER,
                read_until_eof=True,
                auto_decompress=False,
                read_bufsize=self._session._read_bufsize,
                max_headers=self._session._max_headers,
            )
            # A parser reads answer after answer, as the server's reads requests. It is ours as
            # long as nobody, such as the session, puts another in its place.
            kept[_PARSER] = protocol._parser
        size = len(body)
        if size < _COPIED:
            cast(LateWriter, protocol).write_late(b"%b%d\r\n\r\n%b" % (head, size, body))
        else:
            transport.write(b"%b%d\r\n\r\n" % (head, size))
            transport.write(body)
        message, content = await protocol.read()
        try:
            while 100 <= message.code < 200 and message.code != 101:
                message, content = await protocol.read()
        except (aiohttp.ClientConnectionError, OSError) as exc:
            # The request has been taken: with a head to tell it, this is no stale connection.
            raise aiohttp.ServerDisconnectedError(message) from exc
        return DirectResponse(connection, message.code, message.headers, content)
