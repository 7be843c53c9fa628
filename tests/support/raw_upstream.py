"""A scripted upstream of raw sockets: it sends given bytes, with pauses and faults."""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field


@dataclass
class Received:
    """One request as the upstream saw it: its head, byte for byte, and its body."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header's value, None when it was not sent."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


class Peer:
    """The upstream's end of one connection, for a script to act on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes now."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(
        self,
        status: int = 200,
        content_type: str | None = "text/event-stream",
        *,
        extra: Sequence[str] = (),
        length: int | None = None,
    ) -> None:
        """Send a response head: chunked, or with a length."""
        lines = [f"HTTP/1.1 {status} X", *extra]
        if content_type is not None:
            lines.append(f"Content-Type: {content_type}")
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        await self.send("\r\n".join([*lines, framing, "", ""]).encode())

    async def chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def last_chunk(self) -> None:
        """End a chunked body."""
        await self.send(b"0\r\n\r\n")

    async def reply(
        self,
        body: bytes,
        status: int = 200,
        content_type: str | None = "application/json",
        extra: Sequence[str] = (),
    ) -> None:
        """Send a whole answer with its length."""
        await self.head(status, content_type, extra=extra, length=len(body))
        await self.send(body)

    def close(self) -> None:
        """Close the connection with FIN."""
        self.writer.close()

    def reset(self) -> None:
        """Close with a reset (RST)."""
        reset(self.writer)

    async def closed(self) -> None:
        """Wait until the proxy has closed its end."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset (RST): without it, ``abort`` sends a FIN where all input was read."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:  # the other end was faster
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


Script = Callable[[Peer, Received], Awaitable[None]]


@dataclass
class RawUpstream:
    """Plays *script* for each request; keeps what it received."""

    script: Script
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    port: int = 0
    base_path: str = "/v1"
    plays_lists: bool = False
    """Whether the lists of models, which the proxy asks for behind its clients' backs a second
    after its start, are left to *script* too; otherwise there are none, and none is kept."""

    @property
    def base_url(self) -> str:
        """The base URL for the proxy's settings."""
        return f"http://127.0.0.1:{self.port}{self.base_path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        peer = Peer(reader, writer)
        try:
            while (request := await _read_request(reader)) is not None:
                if _is_list(request) and not self.plays_lists:
                    await peer.send(_NO_LIST)
                    return  # a connection that scripts did not see must not come from a pool
                self.received.append(request)
                await self.script(peer, request)
                if writer.is_closing():
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_connections -= 1
            writer.close()

    @contextlib.asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["RawUpstream"]:
        """Listen on a free port of loopback."""
        server = await asyncio.start_server(
            self.serve, "127.0.0.1", self.port, backlog=4096, ssl=tls
        )
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            if hasattr(server, "close_clients"):
                server.close_clients()


_NO_LIST = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def _is_list(request: Received) -> bool:
    return request.method == "GET" and request.path.partition("?")[0].endswith("/models")


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines)]
    names = {name.lower(): value for name, value in headers}
    if "content-length" in names:
        body = await reader.readexactly(int(names["content-length"]))
    elif names.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    else:
        body = b""
    return Received(method, path, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while size := int(await reader.readuntil(b"\n"), 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(pieces)


def chat_chunk(content: str | None = None, finish: str | None = None, **more: object) -> bytes:
    """Return one event of an OpenAI chat stream."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "gpt-4o-mini",
        "choices": [choice],
        **more,
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def completion(content: str = "Hello!") -> bytes:
    """Return a whole OpenAI chat answer."""
    message = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-4o-mini",
        "choices": [choice],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    return json.dumps(body).encode()
