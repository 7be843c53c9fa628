"""The client's side of one answer: streamed, or delivered as a whole. IO.

Of a stream only whole SSE events are written: a heartbeat or an error event is in place any time.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Mapping
from typing import Final, Protocol

from aiohttp import HttpVersion11, web

from jarvis_proxy.aiohttp_ext.server_connection import connection_of
from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.client_apis import client_api
from jarvis_proxy.server.context import ADMITTED_CALL, RECORD
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.server.responses import common_headers
from jarvis_proxy.wire.response_events import SequenceNumbers
from jarvis_proxy.wire.sse import DONE

SSE_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}

_BUFFERED_LIMIT: Final = 32 * 1024
"""A smaller answer fits into the connection's buffer, whether or not it is read."""
_CHUNK_SIZE: Final = 64 * 1024
_RST: Final = struct.pack("ii", 1, 0)  # linger for no time


class Source(Protocol):
    """What a stream is made from."""

    @property
    def is_settled(self) -> bool:
        """Whether all of the answer has come, though its end has not."""


class ClientStream:
    """A streamed answer: its head is held back until there is something to say.

    *headers* are those of the answer itself; they may still change until it is committed.
    """

    __slots__ = (
        "_chunked",
        "_connection",
        "_content_begun",
        "_form",
        "_headers_task",
        "_record",
        "_request",
        "_response",
        "_transport",
        "_unread_bytes",
        "ended",
        "has_content",
        "headers",
        "headers_sent",
        "source",
        "stalled",
        "status",
    )

    def __init__(self, request: web.Request, call: Call) -> None:
        self._request = request
        self._form = client_api(request).stream_form(call, request.headers)
        self._content_begun = False
        self._record: CallRecord = request[RECORD]
        self._unread_bytes = request[ADMITTED_CALL].open_reservation()  # for the client to read
        self._response: web.StreamResponse | None = None
        self._headers_task: asyncio.Task[None] | None = None
        self._chunked = True
        self.headers: dict[str, str] = {**SSE_HEADERS, "Content-Type": self._form.content_type}
        self.status = 200
        self.source: Source | None = None
        self.headers_sent = False
        self.has_content = False
        """Something of the answer, more than heartbeats, is out: there is no way back."""
        self.stalled = False
        self.ended = False
        self._connection = connection_of(request)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        self._transport = transport

    def number_events(self, *, relayed: bool) -> SequenceNumbers | None:
        """Return the numbers for the events of an answer that is to begin; None if they have none.

        *relayed*: they come with numbers of the upstream's.
        """
        return self._form.number_events(relayed=relayed)

    @property
    def head_promised(self) -> bool:
        """Whether the head is out or on its way: no other answer can take its place."""
        return self.headers_sent or self._headers_task is not None

    async def send_headers(self) -> None:
        """Send status and headers."""
        if self._headers_task is not None:
            await self._headers_task
        if not self.headers_sent:
            await self._send_headers()

    async def begin_content(self) -> None:
        """Commit, and know that what follows is the answer."""
        self._content_begun = True
        if not self.headers_sent:
            await self.send_headers()
        self.has_content = True

    async def _send_headers(self) -> None:
        headers = {**common_headers(self._request), **self.headers}
        response = web.StreamResponse(status=self.status, headers=headers)
        # An HTTP/1.0 client gets the bare bytes; the end of the connection is the end.
        self._chunked = self._request.version >= HttpVersion11
        if self._chunked:
            response.enable_chunked_encoding()
        else:
            response.force_close()  # even if it asked for keep-alive: nothing else marks the end
        await response.prepare(self._request)
        response.headers.clear()  # they are out, and would stay as long as the stream lasts
        self.headers = {}
        self._response = response
        self.headers_sent = True
        self._record.status = self.status
        self._record.first_byte_sent_at = time.monotonic()
        self._record.streamed = True

    def send_headers_in_background(self) -> None:
        """Send the head from a task of its own, while the call goes on waiting."""
        if self._headers_task is None:
            self._headers_task = asyncio.create_task(self._send_headers_and_heartbeat())

    async def _send_headers_and_heartbeat(self) -> None:
        with contextlib.suppress(ConnectionError):
            if not self.headers_sent:
                await self._send_headers()
                self.send_heartbeat()

    def send_heartbeat(self, *, is_long: bool = False) -> None:
        """Write a heartbeat; after a long silence in the shape that this client needs."""
        waits = self._content_begun and not self.has_content
        self._write_chunk(self._form.heartbeat(is_long=is_long, first_events_wait=waits))

    def write(self, events: bytes) -> bool:
        """Write whole events; return True if the client's buffer is full: ``await wait_drained()``.

        To be called only once committed.
        """
        self._form.passed(events)
        self._write_chunk(events)
        return self._connection.is_write_paused

    def is_write_paused(self) -> bool:
        """Tell whether the client has to read before more is written."""
        return self._connection.is_write_paused

    async def send(self, events: bytes) -> None:
        """Write whole events, whatever has to be done first."""
        await self.begin_content()
        if self.write(events):
            await self.wait_drained()

    def _write_chunk(self, data: bytes) -> None:
        if self._transport.is_closing():
            # The client has left, and its call is about to be cancelled. asyncio's transports drop
            # what comes now; uvloop's raise RuntimeError, which would look like a fault of ours.
            return
        self._record.bytes_out += len(data)
        if self._chunked:
            # One write with the chunk's frame around it: half the system calls.
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._transport.write(data)

    async def wait_drained(self) -> None:
        """Wait until the client has read enough. Meanwhile nothing is read upstream."""
        self.stalled = True
        self._unread_bytes.set_unchecked(self.pending())
        try:
            await self._connection.drain()
        finally:
            self.stalled = False
            self._unread_bytes.set_unchecked(0)

    async def fail(self, error: ProxyError) -> web.StreamResponse:
        """Say *error* in the stream, and end it cleanly: SDKs then raise it with its code."""
        await self.send_headers()
        if self._form.error_pause and self.has_content:
            await self.wait_drained()
            await asyncio.sleep(self._form.error_pause)
        self._write_chunk(self._form.failure(error))
        return await self.end()

    @property
    def is_settled(self) -> bool:
        """Whether the client has all of the answer but ``[DONE]``: no failure can harm it."""
        return self.has_content and self.source is not None and self.source.is_settled

    async def finish_settled(self) -> web.StreamResponse:
        """Say ``[DONE]``, which the upstream did not come to, and end the answer."""
        self._write_chunk(DONE)
        return await self.end()

    async def end(self) -> web.StreamResponse:
        """End the answer."""
        await self.send_headers()
        assert self._response is not None  # noqa: S101 - commit() made it
        if self._connection.is_write_paused:
            await self.wait_drained()  # under the clock, which write_eof would not be
        self.ended = True
        await self._response.write_eof()
        return self._response

    def pending(self) -> int:
        """Return how many bytes wait for the client to read."""
        return self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Cut the connection, so that the client sees that the answer is not whole."""
        self._transport.abort()

    def reset(self) -> None:
        """Cut the connection at once, with what waits for the client to read."""
        _reset(self._transport)


class BufferedDelivery:
    """An answer that is no stream, as the clock sees it: it has no heartbeats, but may stall."""

    headers_sent = False

    def __init__(self, request: web.Request) -> None:
        self._connection = connection_of(request)
        self._transport = request.transport

    @property
    def stalled(self) -> bool:
        """Whether the client has to read before more can be written."""
        return self._connection.is_write_paused

    def pending(self) -> int:
        """Return how many bytes wait for the client to read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send_headers_in_background(self) -> None:
        """Do nothing: the answer is begun when it is there."""

    def send_heartbeat(self, *, is_long: bool = False) -> None:
        """Do nothing: there is no room for a comment."""

    def abort(self) -> None:
        """Cut the connection, so that the client sees that the answer is not whole."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Cut the connection at once, with what waits for the client to read."""
        if self._transport is not None:
            _reset(self._transport)


def check_client_connected(request: web.Request) -> None:
    """Tell a client that has left from an upstream that failed: both are network errors.

    Raises:
        ConnectionResetError: the client's connection is closed.
    """
    if request.transport is None or request.transport.is_closing():
        raise ConnectionResetError("the client is gone")


def _reset(transport: asyncio.Transport) -> None:
    """Close with RST: else the system would go on to offer megabytes to who does not read them."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    transport.abort()


async def send_buffered(
    request: web.Request, response: web.StreamResponse, deadlines: CallDeadlines
) -> web.StreamResponse:
    """Send a large whole answer from here, under the clock; leave any other to aiohttp.

    aiohttp would wait without end for a client that does not read.
    """
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes) or len(body) < _BUFFERED_LIMIT:
        return response
    streamed = web.StreamResponse(status=response.status, headers=response.headers)
    streamed.content_length = len(body)
    delivery = deadlines.client_side = BufferedDelivery(request)
    deadlines.upstream_done = True
    try:
        await streamed.prepare(request)
        # In pieces: all that is written at once TLS takes at once, into a buffer that nobody sees.
        for start in range(0, len(body), _CHUNK_SIZE):
            await streamed.write(memoryview(body)[start : start + _CHUNK_SIZE])
        await streamed.write_eof()
    except asyncio.CancelledError:
        delivery.abort()  # half of it may be out: nothing may follow, not even an error
        raise
    return streamed


def stream_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return an SSE answer's headers with those that crossed from the upstream."""
    merged = {name: value for name, value in headers.items() if name != "content-type"}
    content_type = headers.get("content-type")
    merged.update(SSE_HEADERS)
    if content_type is not None:
        merged["Content-Type"] = content_type
    return merged
