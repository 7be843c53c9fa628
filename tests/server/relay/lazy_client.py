"""A client that reads only when the test asks it to, and what it asks for."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

from tests.conftest import BEARER
from tests.support.raw_upstream import chat_chunk

CHAT = "/v1/chat/completions"
JSON = {**BEARER, "Content-Type": "application/json"}
DONE = b"data: [DONE]\n\n"
ASK = b'{"model":"gpt-4o","stream":true,"messages":[]}'
WHOLE = chat_chunk("Hi") + chat_chunk(None, "stop") + DONE


class Lazy:
    """A client that sends a request and reads only when the test asks it to."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def ask(self, body: bytes) -> None:
        lines = [f"{n}: {v}" for n, v in {"Host": "x", **JSON}.items()]
        head = "\r\n".join([f"POST {CHAT} HTTP/1.1", *lines, f"Content-Length: {len(body)}"])
        await self._loop.sock_sendall(self._sock, head.encode() + b"\r\n\r\n" + body)

    def leave_with_reset(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    async def was_reset(self) -> bool:
        """Read until the connection ends; return whether it was by a reset."""
        try:
            while await self._loop.sock_recv(self._sock, 2**20):
                pass
        except ConnectionResetError:
            return True
        return False

    async def read(self, end: bytes = b"") -> bytes:
        """Read until the connection ends, or until *end* has come."""
        pieces: list[bytes] = []
        with contextlib.suppress(ConnectionError):
            while data := await self._loop.sock_recv(self._sock, 2**20):
                pieces.append(data)
                if end and data.endswith(end):
                    break
        return b"".join(pieces)


@contextlib.asynccontextmanager
async def lazy(port: int) -> AsyncIterator[Lazy]:
    with socket.socket() as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        yield Lazy(sock)
