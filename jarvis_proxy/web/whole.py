"""A whole answer: head and body in one write. IO.

aiohttp's Response prepares a writer and a multidict for what may still come: cookies, compression,
chunks, signals. An answer whose bytes are all here needs none of it, and without it costs a third.
"""

from collections.abc import Mapping
from typing import Final, cast

from aiohttp import ClientConnectionResetError, HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_writer import StreamWriter
from multidict import CIMultiDict

from jarvis_proxy.headers import RATE_LIMIT_PREFIX
from jarvis_proxy.turns import LateWriter
from jarvis_proxy.web.keys import ADMISSION

_LINE: Final = ": ".join
_COPIED: Final = 64 * 1024
"""A body so large is written by itself: joining it to its head would copy it."""


class WholeAnswer(web.Response):
    """A Response of *body*, bytes, with *headers*, which name its type."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        # Not aiohttp's: it makes a multidict, which is made here for who asks for it.
        self._state = {}
        self._set_status(status, None)
        self._body = self.content = body
        self._given = headers
        self._made: CIMultiDict[str] | None = None

    @property
    def headers(self) -> CIMultiDict[str]:
        """The headers, to be read or changed before the answer is sent."""
        if self._made is None:
            self._made = CIMultiDict(self._given)
        return self._made

    @property
    def _headers(self) -> CIMultiDict[str]:  # type: ignore[override]  # an attribute in aiohttp
        return self.headers

    async def _start(self, request: web.BaseRequest) -> AbstractStreamWriter:
        if self._must_be_empty_body or request.version != HttpVersion11:
            return await super()._start(request)
        writer = cast(StreamWriter, request.writer)  # no other one is ever made
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive
        if isinstance(request, web.Request):
            tell_limits(request, self)
        body = self.content
        head = self._head(len(body))
        if len(body) < _COPIED:
            self._write(request, writer, head + body)
        else:
            writer._write(head)
            await _write_large(writer, body)
        self._eof_sent = True  # so that nothing is left for write_eof
        await writer.drain()
        return writer

    def _write(self, request: web.BaseRequest, writer: StreamWriter, data: bytes) -> None:
        connection = request.protocol
        # Only where another request may follow: else the connection is about to be closed.
        if self._keep_alive and request.content.is_eof() and isinstance(connection, LateWriter):
            if connection.transport is None or connection.transport.is_closing():
                raise ClientConnectionResetError("the client is gone")
            connection.write_late(data)
            writer.output_size += len(data)
        else:
            writer._write(data)

    def _head(self, size: int) -> bytes:
        headers = self._given if self._made is None else self._made
        lines = [
            f"HTTP/1.1 {self._status} {self._reason}",
            *map(_LINE, headers.items()),
            f"Content-Length: {size}",
            f"Date: {rfc822_formatted_time()}",
        ]
        if not self._keep_alive:
            lines.append("Connection: close")
        text = "\n".join(lines)
        if text.count("\n") != len(lines) - 1 or "\r" in text or "\0" in text:
            raise ValueError("a control character in the head of an answer")
        return f"{text}\n\n".replace("\n", "\r\n").encode("utf-8", "surrogateescape")


async def _write_large(writer: StreamWriter, body: bytes) -> None:
    transport = writer.transport
    if transport is None or transport.get_extra_info("ssl_object") is None:
        writer._write(body)
        return
    # All that is written at once TLS hands on at once, to a buffer that cannot be seen: the answer
    # would count as sent, and the connection be closed as an idle one, while the client reads.
    rest = memoryview(body)
    while rest:
        writer._write(rest[:_COPIED])
        await writer.drain()
        rest = rest[_COPIED:]


def tell_limits(request: web.Request, response: web.StreamResponse) -> None:
    """Tell the holder of a key with limits how they stand, on every answer that was counted.

    An upstream's own limits are then left out: they are of our account, which others use too.
    """
    admission = request.get(ADMISSION)
    if admission is None or admission.verdict is None:
        return
    headers = response.headers
    for name in [name for name in headers if name.lower().startswith(RATE_LIMIT_PREFIX)]:
        headers.popall(name, None)
    headers.update(admission.verdict.headers())
