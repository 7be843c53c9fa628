"""One response of an upstream: its head, then its body, whole, in pieces or to a sink. IO.

A parser serves one response. Any byte after the response's end closes the connection, so it can
never reach another client.

Sources: RFC 9112 (framing, section 6.3), RFC 9110, section 15.2 (interim responses).
"""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import aiohttp
import httptools

from jarvis_proxy.upstream_client.connection import UpstreamConnection
from jarvis_proxy.upstream_client.errors import malformed_error, truncated_error

Sink = Callable[[bytes], bool]
"""Takes a piece of a body; returns True to pause delivery. It must not raise."""

_PIECE: Final = 16 * 1024
"""Small pieces are joined to about this size, so that a sink can apply backpressure."""
_READ_BUFFER: Final = 64 * 1024
_MAX_HEADERS: Final = 128
_MAX_FIELD: Final = 8190
_MAX_OVERHEAD: Final = 64 * 1024
"""Most consecutive bytes outside a body: head, interim responses, chunk extensions, trailers."""
_DRAIN_SECONDS: Final = 1.0
_BODILESS: Final = frozenset({204, 304})
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_PARSE_ERRORS: Final = (httptools.HttpParserError, httptools.HttpParserUpgrade)
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_MAX_NAMES: Final = 256


class _FieldNames(dict[bytes, str]):
    """Names of fields in lower case, made once: upstreams send the same few with every answer."""

    def __missing__(self, raw: bytes) -> str:
        if len(self) >= _MAX_NAMES:
            self.clear()
        name = self[raw] = raw.decode("latin-1").lower()
        return name


_NAMES: Final = _FieldNames()


class UpstreamResponse:
    """A response: ``await head()`` first, then read the body in one of three ways.

    ``buffered_body()`` returns a body that arrived with its head, ``readany()`` reads pieces,
    ``stream_to()`` pushes them to a sink. The connection goes back to the pool when the response
    has ended. *has_body* is False for the response to a HEAD request.
    """

    __slots__ = (
        "_buffered",
        "_connection",
        "_drain_timer",
        "_error",
        "_fields",
        "_finished",
        "_has_body",
        "_is_reading_paused",
        "_is_reusable",
        "_lease",
        "_overhead",
        "_parser",
        "_pieces",
        "_sink",
        "_started",
        "_until_closed",
        "_upload",
        "_waiter",
        "has_received",
        "headers",
        "is_complete",
        "on_body",
        "status",
    )

    def __init__(
        self,
        lease: aiohttp.connector.Connection,
        connection: UpstreamConnection,
        *,
        has_body: bool,
    ) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = _NO_HEADERS
        """Names are in lower case; of a field that came twice, the last value."""
        self.has_received = False
        """Whether any byte has arrived; if so, the request must not be sent again."""
        self.is_complete = False
        self._lease: aiohttp.connector.Connection | None = lease
        self._connection = connection
        connection.response = self
        self._has_body = has_body
        self._pieces: list[bytes] = []
        # The parser calls this for each piece of the body.
        self.on_body = self._pieces.append
        self._parser = httptools.HttpResponseParser(self)
        # As lenient as other HTTP clients. A parser per response makes this safe: neither leniency
        # can smuggle a second response.
        self._parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._fields: list[tuple[bytes, bytes]] = []
        self._started = False
        self._is_reusable = False
        self._until_closed = False
        self._overhead = 0
        self._buffered = 0
        self._is_reading_paused = False
        self._sink: Sink | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._upload: asyncio.Task[None] | None = None
        self._drain_timer: asyncio.TimerHandle | None = None
        self._finished = False

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Reject a second response, which ends the connection."""
        if self.is_complete:
            raise ValueError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a field of the head; drop trailers."""
        if self._started:
            return
        if len(name) + len(value) > _MAX_FIELD:
            raise ValueError("a field of the head is too large")
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Read the head; skip the heads of interim responses (1xx)."""
        parser = self._parser
        fields, self._fields = self._fields, []
        if len(fields) > _MAX_HEADERS:
            raise ValueError("the head has too many fields")
        status = parser.get_status_code()
        if status < 200:
            if status == 101:
                raise ValueError("an upgrade that nobody asked for")
            return
        if parser.get_http_version() not in _VERSIONS:
            raise ValueError("not HTTP/1")
        self.status = status
        headers = {_NAMES[n]: v.decode("utf-8", "surrogateescape") for n, v in fields}
        self.headers = headers
        coding = headers.get("transfer-encoding")
        # The parser does not know about HEAD: it would silently swallow chunks after the head.
        self._is_reusable = parser.should_keep_alive() and (self._has_body or coding is None)
        self._until_closed = (
            "content-length" not in headers
            if coding is None
            else coding.rpartition(",")[2].strip().lower() != "chunked"
        )
        self._started = True
        if status in _BODILESS:
            self._has_body = False
        self.is_complete = not self._has_body
        if status >= 300:
            # The upstream has already decided, so it needs no more of the body.
            self._stop_upload()

    def on_message_complete(self) -> None:
        """Note the end of the body."""
        self.is_complete = self._started

    # Called by the connection.

    def feed(self, data: bytes) -> None:
        """Parse *data* and deliver the pieces of the body in it."""
        self.has_received = True
        try:
            self._parser.feed_data(data)
        except _PARSE_ERRORS as exc:
            self._is_reusable = False
            if not self.is_complete:
                self._fail(truncated_error() if self._started else malformed_error(), exc)
                return
        if self._pieces:
            self._overhead = 0
            if self._sink is None:
                self._take_pieces(len(data))
            else:
                self._deliver()
        else:
            self._overhead += len(data)
            if self._overhead > _MAX_OVERHEAD and not self.is_complete:
                self._fail(truncated_error() if self._started else malformed_error())
                return
            if self._started and self._sink is None:
                self._wake()
        if self.is_complete:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection, which also ends a response without a length."""
        if self.is_complete:
            return
        if self._started:
            if exc is None and self._until_closed:
                self.is_complete, self._is_reusable = True, False
                self._end()
            else:
                self._fail(truncated_error(), exc)
        elif isinstance(exc, OSError) and not self.has_received:
            self._fail(aiohttp.ClientOSError(*exc.args), exc)
        else:
            self._fail(aiohttp.ServerDisconnectedError(), exc)

    def _take_pieces(self, size: int) -> None:
        if not self._has_body:
            self._pieces.clear()
            self._is_reusable = False
            return
        self._buffered += size
        if self._buffered > _READ_BUFFER and not self.is_complete:
            self._pause_reading()
        self._wake()

    def _deliver(self) -> None:
        """Give the sink the received data in pieces small enough to buffer for a slow client."""
        pieces, sink = self._pieces, self._sink
        if sink is None or not pieces:
            return
        # Nearly every read of a paced stream is one piece.
        if len(pieces) == 1:
            if sink(pieces.pop()):
                self._stop_streaming()
            return
        start = size = 0
        for end, piece in enumerate(pieces, 1):
            size += len(piece)
            if size < _PIECE and end < len(pieces):
                continue
            if sink(b"".join(pieces[start:end])):
                del pieces[:end]
                self._buffered = sum(map(len, pieces))
                self._stop_streaming()
                return
            start, size = end, 0
        pieces.clear()

    def _stop_streaming(self) -> None:
        self._sink = None
        if not self.is_complete:
            self._pause_reading()
        self._wake()

    def _pause_reading(self) -> None:
        transport = self._connection.transport
        if not self._is_reading_paused and not transport.is_closing():
            self._is_reading_paused = True
            transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_reading_paused:
            self._is_reading_paused = False
            if not self._connection.transport.is_closing():
                self._connection.transport.resume_reading()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, error: BaseException, cause: BaseException | None = None) -> None:
        if self._error is None:
            error.__cause__ = cause or error.__cause__
            self._error = error
        self._is_reusable = False
        self._end()

    def _end(self) -> None:
        """Deliver the rest, then release or close the connection."""
        self._deliver()
        self._wake()
        lease, self._lease = self._lease, None
        if lease is None:
            return
        connection = self._connection
        connection.response = None
        connection.response_ended()
        self._stop_upload()
        if self._drain_timer is not None:
            self._drain_timer.cancel()
        if connection.has_unsent():
            # Abort if request bytes are still buffered: nobody awaits the response.
            connection.transport.abort()
            lease.close()
        elif self._is_reusable and not connection.transport.is_closing():
            self._resume_reading()
            lease.release()
        else:
            lease.close()
        # Break the reference cycle between the parser and this object.
        del self._parser

    # Called by the sender of the request.

    def upload(self, task: asyncio.Task[None]) -> None:
        """Tie *task*, which writes the request body, to this response, whose end cancels it."""
        self._upload = task

    def upload_failed(self, error: BaseException) -> None:
        """Fail with *error*: the request body cannot be read to its end."""
        if not self.is_complete:
            self._fail(error)

    def _stop_upload(self) -> None:
        if self._upload is not None and not self._upload.done():
            self._upload.cancel()
            self._is_reusable = False

    async def head(self) -> None:
        """Wait for the head: ``status`` and ``headers``. Without one, the connection is closed.

        Raises:
            aiohttp.ClientError: the response is not HTTP, or the connection ended.
            BaseException: whatever reading the request body raised.
        """
        try:
            while not self._started:
                if self._error is not None:
                    raise self._error
                await self._wait()
        except BaseException:
            self.close()
            raise

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def drop_headers(self) -> None:
        """Free the headers: they take kilobytes that a stream no longer needs."""
        self.headers = _NO_HEADERS

    def buffered_body(self) -> bytes | None:
        """Return the whole body if it has fully arrived and none of it was read, else None."""
        if not self.is_complete or self._error is not None or not self._pieces:
            return None
        return self._take()

    def _take(self) -> bytes:
        # Joining a single piece does not copy it.
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        return data

    async def readany(self) -> bytes:
        """Wait for data and return all that has arrived; ``b""`` at the end.

        Raises:
            aiohttp.ClientPayloadError: the response was cut, or its rest is malformed.
        """
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.is_complete:
                return b""
            self._resume_reading()
            await self._wait()
        return self._take()

    async def stream_to(self, sink: Sink) -> bool:
        """Push data to *sink* until it returns True or the response ends.

        Returns whether more may follow. Raises as ``readany`` does.
        """
        if self._pieces:
            self._sink = sink
            self._deliver()
            self._sink = None
            return True
        if self._error is not None:
            raise self._error
        if self.is_complete:
            return False
        self._sink = sink
        self._resume_reading()
        try:
            await self._wait()
            if self._error is not None and self._sink is sink:
                raise self._error
        finally:
            self._deliver()
            self._sink = None
        return True

    def release_at_end(self) -> None:
        """Stop delivering: release the connection if the response ends within a second, else close
        it.

        Closing at once would cost the next call a TLS handshake, and the end of a chunked body is
        nearly always in the next packet.
        """
        self._finished = True
        self._take()
        if self._lease is not None:
            self._resume_reading()
            loop = asyncio.get_running_loop()
            self._drain_timer = loop.call_later(_DRAIN_SECONDS, self._abort)

    def close(self) -> None:
        """Close the connection at once, unless the response is finished."""
        if not self._finished:
            self._abort()

    def _abort(self) -> None:
        if self._lease is not None:
            self._fail(aiohttp.ClientConnectionError("the answer was closed"))
