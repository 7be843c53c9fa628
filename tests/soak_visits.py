"""Calls of other kinds than streams, for the soak: forms, early refusals, resets. IO.

What a visit is follows from the seed and its number, as with streams.
"""

import asyncio
import contextlib
import json
import random
import re
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from tests.conftest import BEARER
from tests.support.oracle import DONE, Outcome
from tests.support.raw_client import RawConnection, RawResponse, connect
from tests.support.raw_upstream import Peer, Received, chat_chunk, completion

KINDS: Final = (
    "form",
    "form, file first",
    "form refused early",
    "form refused early, reset",
    "packed form",
    "body too large",
    "wrong key with a body",
    "error in a 200",
    "error in a 200, stream",
    "whole answer to a stream",
    "text error",
    "client resets a stream",
    "client resets a body",
    "client closes after its request",
)
SHARE: Final = 0.3
"""How many of all calls are visits."""
_LEAVERS: Final = KINDS[-3:]
_MODEL: Final = re.compile(rb"(?:gpt|early)-visit-(\d+)")
_CHAT: Final = "/v1/chat/completions"
_FORM: Final = "/v1/audio/transcriptions"
_SDK: Final = {**BEARER, "x-stainless-retry-count": "0"}
_SAID: Final = "what was said"
_MOST_FILE: Final = 200_000
_RST: Final = struct.pack("ii", 1, 0)
EXPECTED: Final[dict[str, tuple[int, ...]]] = {
    "form": (200,),
    "form, file first": (200,),
    "form refused early": (413,),
    "form refused early, reset": (413, 502),  # a reset may overtake the answer
    "packed form": (415,),
    "body too large": (413,),
    "wrong key with a body": (401, 429),
    "error in a 200": (429,),
    "error in a 200, stream": (429,),
    "whole answer to a stream": (200,),
    "text error": (503,),
}


@dataclass(frozen=True)
class Visit:
    """One call."""

    number: int
    kind: str
    size: int
    pause: float

    @property
    def model(self) -> str:
        """The model that the client asks for."""
        return f"{'early' if 'refused early' in self.kind else 'gpt'}-visit-{self.number}"


def visit(seed: int, number: int) -> Visit | None:
    """Return what call *number* is; None: a stream."""
    rng = random.Random(f"{seed}:visit:{number}")
    if rng.random() >= SHARE:
        return None
    return Visit(number, rng.choice(KINDS), rng.randrange(_MOST_FILE), rng.uniform(0, 0.02))


async def answer(seed: int, peer: Peer, request: Received) -> bool:
    """Answer a visit at the upstream; return False if the request is none."""
    found = _MODEL.search(request.body)
    one = None if found is None else visit(seed, int(found[1]))
    if one is None:
        return False
    if one.kind.startswith("form"):
        whole = len(request.body) > one.size
        await peer.reply(json.dumps({"text": _SAID if whole else "cut"}).encode())
    elif one.kind.startswith("error in a 200"):
        await peer.reply(b'{"error":{"message":"slow","code":"rate_limit_exceeded"}}')
    elif one.kind == "text error":
        await peer.reply(b"no healthy upstream", 503, "text/plain")
    elif one.kind == "client resets a stream":
        await peer.head()
        with contextlib.suppress(ConnectionError):
            while not peer.reader.at_eof():
                await peer.chunk(chat_chunk("word " * 50))
                await asyncio.sleep(0.002)
    else:
        await peer.reply(completion(_SAID))
    return True


@contextlib.asynccontextmanager
async def early_upstream() -> AsyncIterator[str]:
    """Yield the base URL of an upstream that refuses forms before it has read them."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            body = b'{"error":{"message":"too large","code":"too_large"}}'
            lines = b"HTTP/1.1 413 X\r\nContent-Type: application/json\r\nConnection: close\r\n"
            writer.write(lines + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            if b"x-client-request-id: reset" not in head.lower():
                async with asyncio.timeout(2):
                    while await reader.read(65536):
                        pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


def _form(one: Visit) -> bytes:
    head = '--B\r\nContent-Disposition: form-data; name="'
    model = f'{head}model"\r\n\r\n{one.model}\r\n'.encode()
    file = f'{head}file"; filename="a.mp3"\r\n\r\n'.encode() + b"x" * one.size + b"\r\n"
    return (file + model if one.kind == "form, file first" else model + file) + b"--B--\r\n"


def _request(one: Visit) -> tuple[str, bytes, dict[str, str]]:
    """Return path, body and headers of the client's request."""
    if "form" in one.kind:
        headers = {**_SDK, "Content-Type": "multipart/form-data; boundary=B"}
        if one.kind == "packed form":
            headers["Content-Encoding"] = "gzip"
        if one.kind.endswith("reset"):
            headers["x-client-request-id"] = "reset"
        return _FORM, _form(one), headers
    wants_stream = one.kind in ("error in a 200, stream", "whole answer to a stream", *_LEAVERS)
    body: dict[str, Any] = {"model": one.model, "stream": wants_stream, "messages": []}
    body["messages"] = [{"role": "user", "content": "x" * one.size}]
    headers = {**_SDK, "Content-Type": "application/json"}
    if one.kind == "wrong key with a body":
        headers["Authorization"] = "Bearer wrong"
    if one.kind == "body too large":
        headers["Content-Length"] = str(10**9)
    return _CHAT, json.dumps(body).encode(), headers


async def play(port: int, one: Visit) -> Outcome:
    """Make the call and tell what came."""
    path, body, headers = _request(one)
    try:
        async with asyncio.timeout(60), connect(port) as connection:
            if one.kind in _LEAVERS:
                return await _leave(connection, one, path, body, headers)
            sending = asyncio.create_task(connection.post(path, body, headers))
            try:
                response = await connection.response()
            finally:
                sending.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await sending
    except TimeoutError:
        return Outcome("wrong", why="no end in 60 seconds")
    except (OSError, asyncio.IncompleteReadError) as exc:
        return Outcome("cut", why=f"no answer: {type(exc).__name__}")
    return judged(one, response)


async def _leave(
    connection: RawConnection, one: Visit, path: str, body: bytes, headers: dict[str, str]
) -> Outcome:
    if one.kind == "client resets a body":
        headers["Content-Length"] = str(len(body) + 1000)
    await connection.post(path, body, headers)
    if one.kind == "client resets a stream":
        await connection.head()
        await connection.chunk()
    await asyncio.sleep(one.pause)
    if one.kind.startswith("client resets"):
        sock: socket.socket = connection.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        connection.writer.transport.abort()
    return Outcome("complete")


def judged(one: Visit, response: RawResponse) -> Outcome:
    """Return whether *response* is the right one for *one*."""
    expected = EXPECTED[one.kind]
    if response.status not in expected or not response.whole:
        return Outcome("wrong", why=f"status {response.status}, {response.body[-200:]!r}")
    if response.status >= 400:
        return Outcome("refused", str(response.error()["code"]))
    is_good = _SAID.encode() in response.body
    if one.kind == "whole answer to a stream":
        is_good = is_good and response.body.endswith(DONE)
    return Outcome("complete") if is_good else Outcome("wrong", why=f"{response.body[-200:]!r}")
