"""Steps that a scripted upstream plays, one after the other. IO (sockets of the tests).

A script is a tuple of steps. It is played once for each request; between requests the connection
stays open unless a step closed it.
"""

import asyncio
import contextlib
import gzip
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.faults.dialects import Dialect, response_object, responses_event
from tests.support.raw_upstream import Peer

_GOOGLE: Final = (
    '{"error":{"code":%d,"message":"no luck","status":"%s","details":[%s]}}'  # as Google sends it
)
_FLOOD: Final = 64 * 1024
_TURNS: Final = 30


@dataclass
class Stage:
    """Where a script is played: one request's connection, and the how-manieth request it is."""

    peer: Peer
    dialect: Dialect
    turn: int = 0
    sent: bytearray = field(default_factory=bytearray)
    """What went into a chunked body so far."""

    async def chunk(self, data: bytes) -> None:
        """Send one chunk of the body."""
        self.sent += data
        await self.peer.chunk(data)


Step = Callable[[Stage], Awaitable[None]]
Script = tuple[Step, ...]


async def head(on: Stage) -> None:
    """Send a good stream's head."""
    await on.peer.head()


def head_with(*extra: str, content_type: str | None = "text/event-stream") -> Step:
    """Send a stream's head with further header lines."""

    async def step(on: Stage) -> None:
        await on.peer.head(200, content_type, extra=extra)

    return step


def events(*numbers: int) -> Step:
    """Send some of the good answer's three events, in one piece."""

    async def step(on: Stage) -> None:
        await on.chunk(b"".join(on.dialect.events[number] for number in numbers))

    return step


def part(number: int, share: float) -> Step:
    """Send the first part of an event."""

    async def step(on: Stage) -> None:
        whole = on.dialect.events[number]
        await on.chunk(whole[: max(1, int(len(whole) * share))])

    return step


def chunk(data: bytes) -> Step:
    """Send exact bytes as one chunk of the body."""

    async def step(on: Stage) -> None:
        await on.chunk(data)

    return step


def send(data: bytes) -> Step:
    """Send exact bytes on the connection, outside of any framing."""

    async def step(on: Stage) -> None:
        await on.peer.send(data)

    return step


async def seen(on: Stage) -> None:
    """Let the proxy take what was sent: it runs on the same event loop, so turns suffice."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def pause(seconds: float) -> Step:
    """Send nothing for a while."""

    async def step(on: Stage) -> None:
        await asyncio.sleep(seconds)

    return step


async def end_mark(on: Stage) -> None:
    """Send ``[DONE]`` where the dialect has it."""
    if on.dialect.end:
        await on.chunk(on.dialect.end)


def later_part(number: int, share: float) -> Step:
    """Send what ``part`` left of an event."""

    async def step(on: Stage) -> None:
        whole = on.dialect.events[number]
        await on.chunk(whole[max(1, int(len(whole) * share)) :])

    return step


async def everything(on: Stage) -> None:
    """Send the three events and the end mark, but not the end of the body."""
    await on.chunk(on.dialect.stream)


async def last_events(on: Stage) -> None:
    """Send the last event, the end mark and the end of the body."""
    await on.chunk(on.dialect.events[2] + on.dialect.end)
    await on.peer.last_chunk()


def bare(*numbers: int) -> Step:
    """Send events without framing, as HTTP/1.0 does; the third brings the end mark along."""

    async def step(on: Stage) -> None:
        data = b"".join(on.dialect.events[number] for number in numbers)
        await on.peer.send(data + (on.dialect.end if 2 in numbers else b""))

    return step


async def failed_response(on: Stage) -> None:
    """Send the Responses API's own end of a failed answer."""
    failed = {**response_object("failed"), "error": {"code": "server_error", "message": "no luck"}}
    await on.chunk(responses_event("response.failed", 2, response=failed))


async def rest(on: Stage) -> None:
    """Send the second and the last event, the end mark and the end of the body."""
    await on.chunk(on.dialect.events[1] + on.dialect.events[2] + on.dialect.end)
    await on.peer.last_chunk()


async def good(on: Stage) -> None:
    """Send the whole good answer."""
    if on.dialect.surface == "whole":
        await on.peer.reply(on.dialect.events[1])
        return
    await on.peer.head()
    await on.chunk(on.dialect.stream)
    await on.peer.last_chunk()


async def bytewise(on: Stage) -> None:
    """Send the whole good answer one byte a chunk."""
    await on.peer.head()
    for byte in on.dialect.stream:
        await on.chunk(bytes([byte]))
    await on.peer.last_chunk()


def line_ends(mark: bytes) -> Step:
    """Send the whole good answer with other line ends."""

    async def step(on: Stage) -> None:
        await on.peer.head()
        await on.chunk(on.dialect.stream.replace(b"\r\n", b"\n").replace(b"\n", mark))
        await on.peer.last_chunk()

    return step


async def odd_events(on: Stage) -> None:
    """Send the good answer behind a BOM and with data over several lines, without the space."""
    await on.peer.head()
    stream = on.dialect.stream.replace(b"\r\n", b"\n")
    # A line break is allowed between any two tokens of JSON; each line is then data of its own.
    split = stream.replace(b"data: {", b"data:{\ndata:")
    await on.chunk(b"\xef\xbb\xbf: hello\n\n" + split)
    await on.peer.last_chunk()


def decorated(*lines: bytes) -> Step:
    """Send the good answer with further lines, each an event of its own, between its events."""

    async def step(on: Stage) -> None:
        await on.peer.head()
        for whole in on.dialect.events:
            await on.chunk(b"".join(line + b"\n\n" for line in lines) + whole)
        await end_mark(on)
        await on.peer.last_chunk()

    return step


def numbered(*lines: bytes) -> Step:
    """Send the good answer with further lines inside each of its events."""

    async def step(on: Stage) -> None:
        await on.peer.head()
        extra = b"".join(line + b"\n" for line in lines)
        for whole in on.dialect.events:
            await on.chunk(extra + whole)
        await end_mark(on)
        await on.peer.last_chunk()

    return step


async def eof(on: Stage) -> None:
    """End the body in order."""
    await on.peer.last_chunk()


async def fin(on: Stage) -> None:
    """Close the connection in order (FIN), the body's end unsaid."""
    on.peer.close()


async def rst(on: Stage) -> None:
    """Reset the connection (RST) once what was sent has been read."""
    await seen(on)
    on.peer.reset()


async def hold(on: Stage) -> None:
    """Say nothing more, until the proxy closes."""
    await on.peer.closed()


async def drip(on: Stage) -> None:
    """Send good events for ever."""
    with contextlib.suppress(ConnectionError):
        while True:
            await on.chunk(on.dialect.events[0])
            await asyncio.sleep(0.05)


async def flood(on: Stage) -> None:
    """Send one event that never ends, past every limit."""
    with contextlib.suppress(ConnectionError):
        await on.chunk(b"data: {")
        for _ in range(40 * 1024 * 1024 // _FLOOD):
            await on.chunk(b"x" * _FLOOD)
        await on.peer.closed()


def large(size: int) -> Step:
    """Send the good answer with a comment-free event of *size* bytes in it."""

    async def step(on: Stage) -> None:
        await on.peer.head()
        first = on.dialect.events[0]
        at = first.rindex(b"}")  # blank space before the closing brace: JSON does not mind
        await on.chunk(first[:at] + b" " * size + first[at:] + b"".join(on.dialect.events[1:]))
        await end_mark(on)
        await on.peer.last_chunk()

    return step


def reply(
    status: int,
    body: bytes,
    content_type: str | None = "application/json",
    extra: Sequence[str] = (),
) -> Step:
    """Send a whole answer with its length."""

    async def step(on: Stage) -> None:
        await on.peer.reply(body, status, content_type, extra)

    return step


def refusal(
    status: int, code: str, google: str = "", details: str = "", extra: Sequence[str] = ()
) -> Step:
    """Refuse with *status*, in the words of the dialect; *google* is Google's name for it."""

    async def step(on: Stage) -> None:
        body = error_text(on.dialect, status, code, google, details)
        await on.peer.reply(body, status, extra=extra)

    return step


def error_event(status: int, code: str, google: str = "", details: str = "") -> Step:
    """Send an error where an event is due."""

    async def step(on: Stage) -> None:
        text = error_text(on.dialect, status, code, google, details)
        named = b"event: error\n" if on.dialect.upstream == "anthropic" else b""
        await on.chunk(named + b"data: " + text + b"\n\n")

    return step


def error_text(dialect: Dialect, status: int, code: str, google: str, details: str) -> bytes:
    """Return an error body as this dialect's upstreams write it."""
    if dialect.upstream == "google":
        return (_GOOGLE % (status, google, details)).encode()
    if dialect.upstream == "anthropic":
        return b'{"type":"error","error":{"type":"%s","message":"no luck"}}' % code.encode()
    return b'{"error":{"message":"no luck","type":"x","param":null,"code":"%s"}}' % code.encode()


def redirect(status: int) -> Step:
    """Point to another address of the same upstream, which must not be asked."""

    async def step(on: Stage) -> None:
        port = on.peer.writer.get_extra_info("sockname")[1]
        location = f"Location: http://127.0.0.1:{port}/elsewhere"
        await on.peer.reply(b"", status, None, [location])

    return step


def gzipped(share: float) -> Step:
    """Send the first part of the good stream, compressed."""

    async def step(on: Stage) -> None:
        packed = gzip.compress(on.dialect.stream)
        await on.chunk(packed[: int(len(packed) * share)])

    return step


def gzipped_reply(share: float) -> Step:
    """Send a compressed whole answer that ends too early, with a length that is right."""

    async def step(on: Stage) -> None:
        packed = gzip.compress(on.dialect.events[1])
        cut = packed[: int(len(packed) * share)]
        await on.peer.reply(cut, extra=["Content-Encoding: gzip"])

    return step


def in_turn(*scripts: Script) -> Step:
    """Play the first script for the first request, and so on; the last one for the rest."""

    async def step(on: Stage) -> None:
        await play(scripts[min(on.turn, len(scripts) - 1)], on)

    return step


async def play(script: Script, on: Stage) -> None:
    """Play a script's steps."""
    for step in script:
        await step(on)
