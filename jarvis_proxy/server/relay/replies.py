"""An upstream's answer as bytes: peeked, decompressed, buffered. IO."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS, bad_response, map_read_error
from jarvis_proxy.upstream_client.response import Sink
from jarvis_proxy.upstream_client.transport import TransportResponse
from jarvis_proxy.upstreams.answer_kinds import First, first_bytes
from jarvis_proxy.wire.content_coding import Decompressor, InvalidCoding, is_known
from jarvis_proxy.wire.pieces import ByteBuffer

MAX_BUFFERED_BODY: Final = 64 * 1024 * 1024
"""A larger answer that must be buffered is an error, compressed or not."""


class PeekedResponse:
    """A response whose first bytes can be peeked, decompressed if necessary."""

    __slots__ = ("_inflater", "_peeked", "_reply", "headers", "status")

    def __init__(self, reply: TransportResponse) -> None:
        """Take an unread answer.

        Raises:
            ProxyError: 502 `upstream_bad_response`, its content coding is unknown.
        """
        self._reply = reply
        self._peeked = b""
        self._inflater: Decompressor | None = None
        self.status = reply.status
        self.headers: Mapping[str, str] = reply.headers
        if coding := content_coding(reply):
            if not is_known(coding):
                raise bad_response()
            self._inflater = Decompressor(coding)
            dropped = ("content-encoding", "content-length")
            self.headers = {n: v for n, v in reply.headers.items() if n not in dropped}

    async def peek(self, deadlines: CallDeadlines) -> First | None:
        """Return the kind of the first bytes, None for an empty answer; nothing is consumed.

        Raises:
            ProxyError: 502, it is truncated, or its compression is damaged.
        """
        first: First | None = None
        try:
            while (first := first_bytes(self._peeked)) is None and (data := await self._read()):
                deadlines.saw_data = True
                self._peeked += data
        except NETWORK_ERRORS as exc:
            raise map_read_error(exc) from exc
        return first

    def rest(self) -> TransportResponse:
        """Return the response to read the rest from, without this wrapper if possible."""
        return self if self._peeked or self._inflater is not None else self._reply

    async def _read(self) -> bytes:
        if self._inflater is None:
            # A small answer is complete already, and asking for it is cheaper than reading.
            return self._reply.buffered_body() or await self._reply.readany()
        return await self._decompress(self._inflater)

    async def _decompress(self, inflater: Decompressor) -> bytes:
        try:
            while not (piece := inflater.read()):
                data = await self._reply.readany()
                if not data:
                    break
                inflater.feed(data)
            else:
                await asyncio.sleep(0)  # little input may expand to much output: let others run
        except InvalidCoding as exc:
            raise bad_response() from exc
        if not piece and not inflater.is_complete:
            raise map_read_error(EOFError())
        return piece

    async def readany(self) -> bytes:
        """Return available bytes, at least one; ``b""`` at the end."""
        peeked, self._peeked = self._peeked, b""
        return peeked or await self._read()

    def drop_headers(self) -> None:
        """Free the headers."""
        self.headers = {}
        self._reply.drop_headers()

    def buffered_body(self) -> bytes | None:
        """Return None: its first bytes may have been read."""

    async def stream_to(self, sink: Sink) -> bool:
        """Pass the next bytes to *sink*; return False at the end."""
        data = await self.readany()
        if data:
            sink(data)
        return bool(data)

    def release_at_end(self) -> None:
        """Return the connection to the pool."""
        self._reply.release_at_end()

    def close(self) -> None:
        """Close the connection at once, unless the answer is finished."""
        self._reply.close()


def decoded(reply: TransportResponse) -> TransportResponse:
    """Return *reply* without a content coding that was not requested.

    Raises:
        ProxyError: 502 `upstream_bad_response`, its coding is unknown.
    """
    return PeekedResponse(reply) if content_coding(reply) else reply


def without_peeking(reply: TransportResponse) -> TransportResponse:
    """Return the response to read the rest of *reply* from."""
    return reply.rest() if isinstance(reply, PeekedResponse) else reply


async def read_response_body(
    reply: TransportResponse, limit: int, deadlines: CallDeadlines, reserve: Callable[[int], None]
) -> bytes:
    """Return an answer's body; *reserve* counts the bytes as they arrive.

    Raises:
        ProxyError: 502, it is truncated or exceeds *limit*; what *reserve* raises.
    """
    deadlines.saw_data = True
    if (body := reply.buffered_body()) is not None:
        if len(body) > limit:
            raise bad_response()
        reply.release_at_end()
        return body
    pieces = ByteBuffer()
    try:
        while data := await reply.readany():
            deadlines.saw_data = True
            if pieces.size + len(data) > limit:
                raise bad_response()
            reserve(len(data))
            pieces.add(data)
    except NETWORK_ERRORS as exc:
        raise map_read_error(exc) from exc
    reply.release_at_end()
    return pieces.join()


def decompress(
    reply: TransportResponse,
    body: bytes,
    reserve: Callable[[int], None],
    limit: int = MAX_BUFFERED_BODY,
) -> bytes:
    """Return *body* without an unrequested content coding; *reserve* counts the output.

    Raises:
        ProxyError: 502 `upstream_truncated`, the compressed data ends too early;
            `upstream_bad_response` for one that is damaged, too large or of another kind.
    """
    coding = content_coding(reply)
    if not coding or not body:
        return body
    if not is_known(coding):
        raise bad_response()
    inflater, pieces, size = Decompressor(coding), [], 0
    inflater.feed(body)
    try:
        while piece := inflater.read():
            pieces.append(piece)
            size += len(piece)
            reserve(len(piece))
            if size > limit:
                raise bad_response()
    except InvalidCoding as exc:
        raise bad_response() from exc
    if not inflater.is_complete:
        raise map_read_error(EOFError())
    return b"".join(pieces)


def content_coding(reply: TransportResponse) -> str:
    """Return an answer's content coding, lower-cased; ``""`` for none."""
    coding = reply.headers.get("content-encoding", "").strip().lower()
    return "" if coding == "identity" else coding
