"""Forms with a model and a file, and an upstream that takes them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import RawConnection, RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

SPEECH = "/v1/audio/transcriptions"
TYPE = "multipart/form-data; boundary=xYzZy"
FORM = {**BEARER, "Content-Type": TYPE}
MIB = 1024 * 1024
TEXT = b'{"text":"hello"}'


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(TEXT)


def field(name: str, value: bytes, filename: str | None = None) -> bytes:
    named = f'; filename="{filename}"' if filename else ""
    head = f'Content-Disposition: form-data; name="{name}"{named}\r\n'
    kind = "Content-Type: application/octet-stream\r\n" if filename else ""
    return b"--xYzZy\r\n" + head.encode() + kind.encode() + b"\r\n" + value + b"\r\n"


def form(*fields: bytes) -> bytes:
    return b"".join(fields) + b"--xYzZy--\r\n"


def model(name: str) -> bytes:
    return field("model", name.encode())


def file(size: int) -> bytes:
    return field("file", (bytes(range(256)) * (size // 256 + 1))[:size], "speech.mp3")


async def uploaded(
    body: bytes, path: str = SPEECH, **env: str
) -> tuple[RawResponse, list[Received], str]:
    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        response = await asyncio.wait_for(fetch(proxy.port, path, body, FORM), 10)
        return response, upstream.received, proxy.logged()


async def send(connection: RawConnection, body: bytes, *, sized: bool = True) -> None:
    """Send a form whole, with its length or in chunks."""
    if sized:
        await connection.post(SPEECH, body, FORM)
        return
    lines = [f"{n}: {v}" for n, v in {"Host": "x", **FORM, "Transfer-Encoding": "chunked"}.items()]
    await connection.send("\r\n".join([f"POST {SPEECH} HTTP/1.1", *lines, "", ""]).encode())
    for at in range(0, len(body), 60_000):
        piece = body[at : at + 60_000]
        await connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    await connection.send(b"0\r\n\r\n")


class Sink:
    """An upstream that reads requests without keeping them, and notes whether one was cut."""

    def __init__(self) -> None:
        self.bytes = 0
        self.connections = 0
        self.cut = asyncio.Event()
        self.base_url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = head.partition("content-length: ")[2].partition("\r\n")[0]
        left = int(length) if length else 2**40
        with contextlib.suppress(ConnectionError):
            while left and (data := await reader.read(min(left, 65536))):
                left -= len(data)
                self.bytes += len(data)
        if left:
            self.cut.set()
        else:
            writer.write(
                b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(TEXT), TEXT)
            )
        writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Sink"]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server:
            yield self
