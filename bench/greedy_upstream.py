"""An upstream whose answers take memory: events without end, whole answers, packed ones. IO."""

import asyncio
import contextlib
import gzip
import re
from typing import Final

from bench.shapes import Answer

_MIB: Final = 1024 * 1024
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_EVENTS: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_CHUNK: Final = b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
_PIECE: Final = b"x" * _MIB
_FULL_EVENT: Final = 20
_ALMOST_ALL: Final = 31
_PICTURE: Final = b"\x89PNG\r\n\x1a\n" + b"\0" * (4 * _MIB)


class GreedyUpstream:
    """Plays *answer* to each request; a path that ends in ``.png`` is a picture of 4 MiB."""

    def __init__(self) -> None:
        self.answer: Answer = "none"
        self._packed = _packed(60)
        self._gemini = b'{"candidates":[{"content":{"parts":[{"text":"%b"}]},' % (_PIECE * 30)
        self._gemini += b'"finishReason":"STOP"}]}'

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the connection's requests."""
        left = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*left):
            head = await reader.readuntil(b"\r\n\r\n")
            if b".png" in head.partition(b"\r\n")[0]:
                await _whole(writer, _PICTURE, "image/png")
            elif head.startswith(b"GET "):
                await _whole(writer, b'{"data":[]}')
            elif self.answer != "none":
                found = _LENGTH.search(head)
                await reader.readexactly(int(found[1]) if found else 0)
                await self._play(writer)
            # The body of a request that is not answered is not read either.
            await asyncio.sleep(60)
        writer.close()

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        match self.answer:
            case "event":
                await _chunks(writer, _CHUNK + b'data: "', _ALMOST_ALL)
            case "events":
                await _chunks(writer, _CHUNK + b'data: {"a":"', _FULL_EVENT, b'"}\n\n' + _CHUNK)
            case "frame":
                await _chunks(writer, b'data: {"candidates":[{"content":"', _ALMOST_ALL)
            case "whole":
                await _whole(writer, b'{"a":"%b"}' % (_PIECE * 60))
            case "packed":
                await _whole(writer, self._packed, coding="gzip")
            case "gemini":
                await _whole(writer, self._gemini)
            case _:
                await _whole(writer, b"{}")


async def _chunks(writer: asyncio.StreamWriter, first: bytes, count: int, end: bytes = b"") -> None:
    writer.write(_EVENTS)
    for piece in (first, *[_PIECE] * count, end):
        if piece:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()


async def _whole(
    writer: asyncio.StreamWriter, body: bytes, kind: str = "application/json", coding: str = ""
) -> None:
    lines = [f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}"]
    if coding:
        lines.append(f"Content-Encoding: {coding}")
    writer.write("\r\n".join((*lines, "", "")).encode())
    for at in range(0, len(body), _MIB):
        writer.write(body[at : at + _MIB])
        await writer.drain()


def _packed(mebibytes: int) -> bytes:
    return gzip.compress(b'{"a":"%b"}' % (_PIECE * mebibytes), 1)
