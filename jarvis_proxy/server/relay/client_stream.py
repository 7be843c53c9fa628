"""The client's side of one answer: streamed, or buffered. IO.

A stream consists of whole SSE events, so a heartbeat or an error event may follow at any time.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Mapping
from typing import Final, Protocol, runtime_checkable

from aiohttp import HttpVersion11, web

from jarvis_proxy.aiohttp_ext.server_connection import connection_of
from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.translation import TranslatedStream
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.client_apis import client_api
from jarvis_proxy.server.context import ADMITTED_CALL, RECORD
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.server.responses import common_headers
from jarvis_proxy.wire.response_events import SequenceNumbers

SSE_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",  # otherwise nginx buffers events
}

_BUFFERED_LIMIT: Final = 32 * 1024
"""A smaller answer fits into the connection's buffer."""
_CHUNK_SIZE: Final = 64 * 1024
_RST: Final = struct.pack("ii", 1, 0)  # linger for 0 seconds


@runtime_checkable
class Source(Protocol):
    """The source of a stream's events."""

    @property
    def is_settled(self) -> bool:
        """Whether the answer is complete but for its end marker."""


class ClientStream:
    """A streamed answer: its headers wait for the first content.

    *headers* are the answer's own; they may change until they are sent.
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
        self._unread_bytes = request[ADMITTED_CALL].open_reservation()  # not yet read by the client
        self._response: web.StreamResponse | None = None
        self._headers_task: asyncio.Task[None] | None = None
        self._chunked = True
        self.headers: dict[str, str] = {**SSE_HEADERS, "Content-Type": self._form.content_type}
        self.status = 200
        self.source: Source | None = None
        self.headers_sent = False
        self.has_content = False
        """Content was sent, not only heartbeats: no other attempt may follow."""
        self.stalled = False
        self.ended = False
        self._connection = connection_of(request)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        self._transport = transport

    def answer_headers(self, crossing: Mapping[str, str]) -> dict[str, str]:
        """Return a streamed answer's headers, including *crossing*, those of the upstream."""
        return stream_headers({"content-type": self._form.content_type, **crossing})

    def number_events(self, *, relayed: bool) -> SequenceNumbers | None:
        """Return the sequence numbers for a new answer's events; None if events have none.

        *relayed*: the events keep the upstream's numbers.
        """
        return self._form.number_events(relayed=relayed)

    @property
    def head_promised(self) -> bool:
        """Whether headers are sent or being sent: no other answer may replace this one."""
        return self.headers_sent or self._headers_task is not None

    async def send_headers(self) -> None:
        """Send status and headers."""
        if self._headers_task is not None:
            await self._headers_task
        if not self.headers_sent:
            await self._send_headers()

    async def begin_content(self) -> None:
        """Send the headers; what follows is content."""
        self._content_begun = True
        if not self.headers_sent:
            await self.send_headers()
        self.has_content = True

    async def _send_headers(self) -> None:
        headers = {**common_headers(self._request), **self.headers}
        response = web.StreamResponse(status=self.status, headers=headers)
        # HTTP/1.0 has no chunks: the end of the connection ends the answer.
        self._chunked = self._request.version >= HttpVersion11
        if self._chunked:
            response.enable_chunked_encoding()
        else:
            response.force_close()  # only this marks the end, even with keep-alive
        await response.prepare(self._request)
        response.headers.clear()  # frees memory, because the stream may last long
        self.headers = {}
        self._response = response
        self.headers_sent = True
        self._record.status = self.status
        self._record.first_byte_sent_at = time.monotonic()
        self._record.streamed = True

    def send_headers_in_background(self) -> None:
        """Send the headers in a task, while the call waits."""
        if self._headers_task is None and not self._form.silent:
            self._headers_task = asyncio.create_task(self._send_headers_and_heartbeat())

    async def _send_headers_and_heartbeat(self) -> None:
        with contextlib.suppress(ConnectionError):
            if not self.headers_sent:
                await self._send_headers()
                self.send_heartbeat()

    def send_heartbeat(self, *, is_long: bool = False) -> None:
        """Write a heartbeat; after a long silence in the format that this client needs."""
        if not self._form.silent:
            waits = self._content_begun and not self.has_content
            self._write_chunk(self._form.heartbeat(is_long=is_long, first_events_wait=waits))

    def write(self, events: bytes) -> bool:
        """Write whole events; return True if the client's buffer is full: ``await wait_drained()``.

        Call it only after the headers are sent.
        """
        self._form.passed(events)
        self._write_chunk(events)
        return self._connection.is_write_paused

    def is_content(self, events: bytes) -> bool:
        """Return whether complete *events* contain content, and not only heartbeats."""
        return self._form.has_content(events)

    def is_write_paused(self) -> bool:
        """Return whether writing waits for the client to read."""
        return self._connection.is_write_paused

    async def send(self, events: bytes) -> None:
        """Write whole events, after the headers, and wait while the buffer is full."""
        await self.begin_content()
        if self.write(events):
            await self.wait_drained()

    def _write_chunk(self, data: bytes) -> None:
        if self._transport.is_closing():
            # The client has left, and its call will be cancelled. asyncio's transports drop this
            # write; uvloop's raise RuntimeError, which would look like an internal error.
            return
        self._record.bytes_out += len(data)
        if self._chunked:
            # One write for chunk size and data: half the system calls.
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._transport.write(data)

    async def wait_drained(self) -> None:
        """Wait until the client has read enough; the upstream is paused meanwhile."""
        self.stalled = True
        self._unread_bytes.set_unchecked(self.pending())
        try:
            await self._connection.drain()
        finally:
            self.stalled = False
            self._unread_bytes.set_unchecked(0)

    async def fail(self, error: ProxyError) -> web.StreamResponse:
        """Send *error* in the stream, and end it cleanly: SDKs then raise it with its code."""
        await self.send_headers()
        if self._form.error_pause and self.has_content:
            await self.wait_drained()
            await asyncio.sleep(self._form.error_pause)
        if self._form.silent:
            assert self._response is not None  # noqa: S101 - the headers are sent
            self.abort()  # only a truncated stream can report the failure now
            self.ended = True
            return self._response
        self._write_chunk(self._form.failure(error))
        return await self.end()

    @property
    def is_settled(self) -> bool:
        """Whether the client has the whole answer except for its end marker."""
        return self.has_content and self.source is not None and self.source.is_settled

    async def finish_settled(self) -> web.StreamResponse:
        """Write the end marker that the upstream did not send, and end the answer."""
        source = self.source
        ending = source.feed_eof() if isinstance(source, TranslatedStream) else self._form.end_mark
        if ending:
            self._write_chunk(ending)
        return await self.end()

    async def end(self) -> web.StreamResponse:
        """End the answer."""
        await self.send_headers()
        assert self._response is not None  # noqa: S101 - commit() made it
        if self._connection.is_write_paused:
            await self.wait_drained()  # this observes the stall timeout, which write_eof does not
        self.ended = True
        await self._response.write_eof()
        return self._response

    def pending(self) -> int:
        """Return how many written bytes the client has not read yet."""
        return self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Close the connection, so that the client notices the truncation."""
        self._transport.abort()

    def reset(self) -> None:
        """Reset the connection and discard unread bytes."""
        _reset(self._transport)


class BufferedDelivery:
    """A buffered answer for the deadline monitor: no heartbeats, but it may stall."""

    headers_sent = False

    def __init__(self, request: web.Request) -> None:
        self._connection = connection_of(request)
        self._transport = request.transport

    @property
    def stalled(self) -> bool:
        """Whether writing waits for the client to read."""
        return self._connection.is_write_paused

    def pending(self) -> int:
        """Return how many written bytes the client has not read yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send_headers_in_background(self) -> None:
        """Do nothing: headers come with the answer."""

    def send_heartbeat(self, *, is_long: bool = False) -> None:
        """Do nothing: such an answer has no comments."""

    def abort(self) -> None:
        """Close the connection, so that the client notices the truncation."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Reset the connection and discard unread bytes."""
        if self._transport is not None:
            _reset(self._transport)


def check_client_connected(request: web.Request) -> None:
    """Distinguish a client that has left from a failed upstream: both are network errors.

    Raises:
        ConnectionResetError: the client's connection is closed.
    """
    if request.transport is None or request.transport.is_closing():
        raise ConnectionResetError("the client is gone")


def _reset(transport: asyncio.Transport) -> None:
    """Close with RST: otherwise the kernel keeps megabytes for a client that does not read."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    transport.abort()


async def send_buffered(
    request: web.Request, response: web.StreamResponse, deadlines: CallDeadlines
) -> web.StreamResponse:
    """Send a large buffered answer within the stall timeout; leave smaller ones to aiohttp.

    aiohttp waits for a client that does not read for ever.
    """
    body = getattr(response, "body", None)  # a check of aiohttp's ABC costs ten times this
    if not isinstance(body, bytes) or len(body) < _BUFFERED_LIMIT:
        return response
    streamed = web.StreamResponse(status=response.status, headers=response.headers)
    streamed.content_length = len(body)
    delivery = deadlines.client_side = BufferedDelivery(request)
    deadlines.upstream_done = True
    try:
        await streamed.prepare(request)
        # In chunks: TLS takes a large write at once, into a buffer that is not visible here.
        for start in range(0, len(body), _CHUNK_SIZE):
            await streamed.write(memoryview(body)[start : start + _CHUNK_SIZE])
        await streamed.write_eof()
    except asyncio.CancelledError:
        delivery.abort()  # after a partial answer nothing may follow, not even an error
        raise
    return streamed


def stream_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return an SSE answer's headers, with those forwarded from the upstream."""
    merged = {name: value for name, value in headers.items() if name != "content-type"}
    content_type = headers.get("content-type")
    merged.update(SSE_HEADERS)
    if content_type is not None:
        merged["Content-Type"] = content_type
    return merged
