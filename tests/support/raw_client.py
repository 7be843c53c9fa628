"""A client of raw sockets: sends exact bytes, keeps exact bytes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass


@dataclass
class RawResponse:
    """A response as it came: *framed* is the body before de-chunking, *whole* whether it ended."""

    status: int
    headers: dict[str, str]
    body: bytes
    framed: bytes
    whole: bool

    def error(self) -> dict[str, object]:
        """Return the error object of a JSON body."""
        error = json.loads(self.body)["error"]
        assert isinstance(error, dict)
        return error


class RawConnection:
    """One connection to the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send exact bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def post(
        self,
        path: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> None:
        """Send a whole request."""
        merged = {"Host": "proxy", "Content-Length": str(len(body)), **(headers or {})}
        lines = [f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in merged.items()), "", ""]
        await self.send("\r\n".join(lines).encode() + body)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read a response's head."""
        raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw[:-4].decode("latin-1").split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        return int(first.split(" ")[1]), headers

    async def chunk(self) -> bytes | None:
        """Read one chunk of a chunked body; b"" is the last one, None a cut connection."""
        try:
            size = int(await self.reader.readline() or b"x", 16)
            data = await self.reader.readexactly(size + 2)
        except (ValueError, asyncio.IncompleteReadError, ConnectionError):
            return None
        return data[:-2]

    async def response(self) -> RawResponse:
        """Read a whole response, as whole as it comes."""
        status, headers = await self.head()
        if headers.get("transfer-encoding") != "chunked":
            return await self._sized(status, headers)
        body, framed = b"", b""
        while True:
            chunk = await self.chunk()
            if chunk is None:
                return RawResponse(status, headers, body, framed, whole=False)
            framed += b"%x\r\n%b\r\n" % (len(chunk), chunk)
            if not chunk:
                return RawResponse(status, headers, body, framed, whole=True)
            body += chunk

    async def _sized(self, status: int, headers: dict[str, str]) -> RawResponse:
        if "content-length" not in headers:
            body = b"" if status in (204, 304) else await self.reader.read()
            return RawResponse(status, headers, body, body, whole=True)
        try:
            body = await self.reader.readexactly(int(headers["content-length"]))
        except asyncio.IncompleteReadError as exc:
            return RawResponse(status, headers, exc.partial, exc.partial, whole=False)
        return RawResponse(status, headers, body, body, whole=True)


@contextlib.asynccontextmanager
async def connect(port: int) -> AsyncIterator[RawConnection]:
    """Open a connection to the proxy on loopback."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def fetch(
    port: int,
    path: str,
    body: bytes | dict[str, object] = b"",
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
) -> RawResponse:
    """Send one request on a connection of its own and return the response."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
    async with connect(port) as connection:
        await connection.post(path, body, headers, method)
        return await connection.response()
