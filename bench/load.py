"""The load: raw connections that ask again as soon as an answer is whole. IO."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Final, cast

from bench.upstream import now

_DONE: Final = b"data: [DONE]\n\n"
_SENT: Final = re.compile(rb"@(\d+)@")


@dataclass(slots=True)
class Tally:
    """What came back while the tally was open."""

    requests: int = 0
    frames: int = 0
    errors: int = 0
    latencies: list[float] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    """Seconds that frames were on their way; the upstream writes into each when it was sent."""
    counting: bool = False
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Load:
    """What to ask for: *connections* at the same time; *frames* 0 means whole answers."""

    port: int
    path: str
    headers: tuple[str, ...]
    model: str
    connections: int
    frames: int = 0
    pause: float = 0.0
    body_bytes: int = 0

    @property
    def is_geminis(self) -> bool:
        """Whether Gemini's own address is asked, whose streams have no mark at their end."""
        return self.path.endswith("alt=sse")

    def request(self) -> bytes:
        """Return the request, byte for byte."""
        # What the upstream shall do stands in the message, which every translation keeps.
        content = f"frames={self.frames};pause={self.pause} " + "x" * self.body_bytes
        body: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
        }
        if self.frames:
            body["stream"] = True
        raw = json.dumps(body, separators=(",", ":")).encode()
        lines = [
            f"POST {self.path} HTTP/1.1",
            "Host: 127.0.0.1",
            "Content-Type: application/json",
            f"Content-Length: {len(raw)}",
            *self.headers,
        ]
        return "\r\n".join([*lines, "", ""]).encode() + raw


class Client(asyncio.Protocol):
    """One connection that asks again and again."""

    def __init__(self, load: Load, request: bytes, tally: Tally) -> None:
        self._load = load
        self._request = request
        self._tally = tally
        self._buffer = b""
        self._asked = 0.0
        self._first = True
        self._has_token = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask at once."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a connection that the other side ended."""
        if self._tally.counting:
            self._tally.errors += 1

    def data_received(self, data: bytes) -> None:
        """Count frames; ask again when the answer is whole."""
        if self._first:
            self._first = False
            if not data.startswith(b"HTTP/1.1 200"):
                self._tally.errors += 1
        if self._load.frames:
            self._take_stream(data)
        else:
            self._take_whole(data)

    def _take_stream(self, data: bytes) -> None:
        if not self._has_token and b"data: {" in data:
            self._has_token = True
            if self._tally.counting:
                self._tally.first_tokens.append(time.perf_counter() - self._asked)
        if self._tally.counting:
            self._tally.frames += data.count(b"data: {")
            moment = now()
            self._tally.delays += [(moment - int(sent)) / 1e6 for sent in _SENT.findall(data)]
        self._buffer = (self._buffer + data)[-64:]
        if self._buffer.endswith(b"0\r\n\r\n"):
            if _DONE not in self._buffer and not self._load.is_geminis:
                self._tally.errors += 1
            self._ended()

    def _take_whole(self, data: bytes) -> None:
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if blank and len(body) >= int(
            head.lower().partition(b"content-length: ")[2][:8].split()[0]
        ):
            self._ended()

    def _ended(self) -> None:
        if self._tally.counting:
            self._tally.requests += 1
            self._tally.latencies.append(time.perf_counter() - self._asked)
        self._ask()

    def _ask(self) -> None:
        self._buffer = b""
        self._first = True
        self._has_token = False
        self._asked = time.perf_counter()
        self._transport.write(self._request)

    def close(self) -> None:
        """End the connection."""
        self._transport.abort()


async def run(load: Load, warm: float, seconds: float, tally: Tally) -> None:
    """Put the load on for *warm* seconds uncounted and *seconds* counted."""
    loop = asyncio.get_running_loop()
    request = load.request()
    clients: list[Client] = []
    gap = min(0.002, 2.0 / load.connections)
    for _ in range(load.connections):
        _, client = await loop.create_connection(
            lambda: Client(load, request, tally), "127.0.0.1", load.port
        )
        clients.append(client)
        await asyncio.sleep(gap)
    await asyncio.sleep(warm)
    tally.counting = True
    tally.opened.set()
    await asyncio.sleep(seconds)
    tally.counting = False
    tally.closed.set()
    for client in clients:
        client.close()
    await asyncio.sleep(0.05)
