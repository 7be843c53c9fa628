"""A proxy, an upstream and clients on one event loop, moved step by step. IO.

Time is moved by hand: the proxy's clock reads what ``World.now`` says.
"""

import asyncio
import contextlib
import io
import json
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Final, Literal

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.observability.logging import ThreadedLineWriter, configure_logging
from jarvis_proxy.runtime.listeners import TlsBoundedSite
from jarvis_proxy.runtime.reload import ConfigReloader
from jarvis_proxy.runtime.serve import ShutdownRequest, drain
from jarvis_proxy.server.relay.deadlines import DeadlineMonitor
from tests.conftest import BEARER, GEMINI_KEY, KEY, OPENAI_KEY
from tests.faults.dialects import DIALECTS, Dialect, Surface, chat_event, gemini_event, text_delta
from tests.support.eventually import eventually
from tests.support.oracle import Outcome, outcome, same, translated
from tests.support.raw_client import RawConnection, RawResponse
from tests.support.raw_upstream import Peer, RawUpstream, Received

End = Literal["fin", "rst", "eof", "bad frame", "error event"]
Way = Literal["FIN", "RST", "half-close"]
PATIENCE: Final = 10.0
_TURNS: Final = 20
_LARGE: Final = "x" * 256 * 1024
_ERROR: Final = b'data: {"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}\n\n'
_HEADERS: Final = {**BEARER, "Content-Type": "application/json", "Connection": "close"}


@dataclass
class Stream:
    """One call: the upstream's end, the client's end, what was sent, what came."""

    number: int
    dialect: Dialect
    model: str
    peer: Peer | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[bytes] = field(default_factory=list)
    sending: set[asyncio.Task[None]] = field(default_factory=set)
    connection: RawConnection | None = None
    reading: asyncio.Task[RawResponse] | None = None
    is_paused: bool = False
    was_paused: bool = False
    is_finished: bool = False
    quiet: float = 0.0
    """Seconds, at the most, for which the upstream has been silent."""

    @property
    def rest(self) -> bytes:
        """What completes the answer."""
        return self.dialect.events[2] + self.dialect.end

    def next_event(self, text: str) -> bytes:
        """Return an event with *text* in it."""
        match self.dialect.surface:
            case "gemini":
                return gemini_event(text)
            case "responses":
                return text_delta(text, len(self.sent))
            case _:
                return chat_event(text)

    def good(self) -> Callable[[bytes], bytes]:
        """Return what the whole answer is, or would have been."""
        stream = b"".join(self.sent) + self.rest
        if self.dialect.surface != "gemini":
            return same(stream)
        return translated(self.model, json.dumps(self.request()).encode(), stream)

    def request(self) -> dict[str, object]:
        """Return the client's request."""
        return self.dialect.request(self.model)


class World:
    """Everything, to be used inside of one event loop."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.live: list[Stream] = []
        self.is_draining = False
        self._count = 0
        self._known: dict[str, Stream] = {}
        self._upstream = RawUpstream(self._play)
        self._stack = contextlib.AsyncExitStack()
        self._reloader: ConfigReloader
        self._sites: list[TlsBoundedSite]
        self._port = 0
        self._writer: ThreadedLineWriter
        self._tasks = 0

    async def open(self) -> None:
        """Start the upstream and the proxy."""
        await self._stack.enter_async_context(self._upstream.running())
        settings = self._settings()
        self._writer, log = configure_logging("text", "error", io.StringIO())
        self._reloader = ConfigReloader(settings, log)
        await self._reloader.start()
        self._take_clock()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self._port = listener.getsockname()[1]
        self._sites = [TlsBoundedSite(self._reloader.runner, listener, None)]
        await self._sites[0].start()
        self._tasks = len(asyncio.all_tasks())

    def _settings(self) -> Settings:
        return Settings.from_env(
            {
                "PROXY_API_KEYS": f"tester:{KEY}",
                "HOST": "127.0.0.1",
                "OPENAI_API_KEY": OPENAI_KEY,
                "OPENAI_BASE_URL": self._upstream.base_url,
                "GEMINI_API_KEY": GEMINI_KEY,
                "GEMINI_BASE_URL": self._upstream.base_url,
                "STREAM_TOTAL_TIMEOUT": "86400",
                "STATE_DIR": "",
            }
        )

    def _take_clock(self) -> None:
        context = self._reloader.context
        context.deadline_monitor = DeadlineMonitor(
            context.deadline_monitor.limits, lambda: self.now
        )

    async def close(self) -> None:
        """End everything, in order, and wait for it."""
        for stream in tuple(self.live):
            await self.leave(stream, "FIN")
        await self.settled()
        if not self.is_draining:
            await eventually(lambda: len(asyncio.all_tasks()) <= self._tasks, PATIENCE)
        await self._reloader.close()
        self._writer.close()
        await self._stack.aclose()
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()}, PATIENCE)

    # -- what may happen ---------------------------------------------------------------------

    async def begin(self, surface: Surface) -> None:
        """Let a client ask for a stream, and the upstream send the head of its answer."""
        self._count += 1
        name = f"world-{self._count}x"
        model = f"gemini-{name}" if surface == "gemini" else f"gpt-{name}"
        stream = Stream(self._count, DIALECTS[surface], model)
        self._known[name] = stream
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**26)
        stream.connection = RawConnection(reader, writer)
        body = json.dumps(stream.request()).encode()
        await stream.connection.post(stream.dialect.path, body, _HEADERS)
        async with asyncio.timeout(PATIENCE):
            await stream.asked.wait()
        stream.reading = asyncio.create_task(stream.connection.response())
        self.live.append(stream)
        await turns()

    async def emit(self, stream: Stream, text: str) -> None:
        """Let the upstream send an event."""
        await self._send(stream, stream.next_event(text))

    async def flood(self, stream: Stream) -> None:
        """Let the upstream send more than all buffers on the way hold."""
        for _ in range(8):
            await self._send(stream, stream.next_event(_LARGE))

    async def _send(self, stream: Stream, data: bytes) -> None:
        assert stream.peer is not None
        stream.sent.append(data)
        if not stream.was_paused:  # else it may not have come through
            stream.quiet = 0.0
        # Not awaited: where the client does not read, the upstream has to wait.
        task = asyncio.create_task(_quietly(stream.peer.chunk(data)))
        stream.sending.add(task)
        task.add_done_callback(stream.sending.discard)
        await turns()

    def stop_reading(self, stream: Stream) -> None:
        """Let the client read nothing for now."""
        assert stream.connection is not None
        stream.is_paused = stream.was_paused = True
        stream.connection.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def go_on_reading(self, stream: Stream) -> None:
        """Let the client read again."""
        assert stream.connection is not None
        if stream.is_paused:
            stream.is_paused = False
            with contextlib.suppress(RuntimeError):  # the reader itself had it resumed
                stream.connection.writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def finish(self, stream: Stream) -> Outcome:
        """Let the upstream complete the answer, and the client read it to its end."""
        self.go_on_reading(stream)
        await self._sent(stream)
        assert stream.peer is not None
        stream.is_finished = True
        await _quietly(stream.peer.chunk(stream.rest))
        await _quietly(stream.peer.last_chunk())
        return await self._outcome(stream)

    async def break_off(self, stream: Stream, end: End) -> Outcome:
        """Let the upstream end the answer in a bad way."""
        self.go_on_reading(stream)
        await self._sent(stream)
        peer = stream.peer
        assert peer is not None
        match end:
            case "fin":
                peer.close()
            case "rst":
                peer.reset()
            case "eof":
                await _quietly(peer.last_chunk())
            case "bad frame":
                await _quietly(peer.chunk(b"data: {oops}\n\n"))
            case "error event":
                await _quietly(peer.chunk(_ERROR))
        return await self._outcome(stream)

    async def leave(self, stream: Stream, way: Way) -> None:
        """Let the client go."""
        assert stream.connection is not None
        assert stream.reading is not None
        writer = stream.connection.writer
        if way == "half-close":
            self.go_on_reading(stream)
            with contextlib.suppress(OSError):
                writer.write_eof()
            await turns()
        elif way == "RST":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        await self._forget(stream)

    @property
    def may_beat(self) -> bool:
        """Whether every stream survives the silence of one more heartbeat."""
        limits = self._reloader.context.deadline_monitor.limits
        return all(
            stream.quiet + self._beat < (limits.write_stall if stream.was_paused else limits.idle)
            for stream in self.live
        )

    @property
    def _beat(self) -> float:
        limits = self._reloader.context.deadline_monitor.limits
        return max(limits.heartbeat, limits.headers_after) + 1

    async def beat(self) -> None:
        """Let the time of a heartbeat pass in silence."""
        await self._pass(self._beat)
        for stream in self.live:
            stream.quiet += self._beat

    async def fall_silent(self) -> list[Outcome]:
        """Let so much time pass that nothing in progress survives; return what becomes of it."""
        limits = self._reloader.context.deadline_monitor.limits
        await self._pass(max(limits.idle, limits.first_byte, limits.write_stall) + 1)
        return [await self._ended(stream) for stream in tuple(self.live)]

    async def _pass(self, seconds: float) -> None:
        self._tick()  # what came so far counts from now
        self.now += seconds
        self._tick()
        await turns()

    def _tick(self) -> None:
        for context in self._reloader._contexts():
            context.deadline_monitor.tick()

    async def _ended(self, stream: Stream) -> Outcome:
        assert stream.peer is not None
        self.go_on_reading(stream)
        return await self._outcome(stream)

    async def reload(self) -> None:
        """Let the settings be read again: calls in progress end in the old ones."""
        await self._reloader.replace(self._settings())
        self._take_clock()

    async def drain(self) -> list[Outcome]:
        """Let the server go; return what becomes of what is in progress."""
        self.is_draining = True
        stopping = asyncio.create_task(drain(self._reloader, self._sites, ShutdownRequest(), 0.0))
        ends = [await self._ended(stream) for stream in tuple(self.live)]
        await stopping
        return ends

    # -- what must hold ----------------------------------------------------------------------

    async def settled(self) -> None:
        """Wait until the calls and the upstream's connections are as many as live streams."""
        live = len(self.live)
        await eventually(lambda: len(self._reloader) == live, PATIENCE)
        await eventually(lambda: self._upstream.open_connections == live, PATIENCE)

    # -- inside ------------------------------------------------------------------------------

    async def _play(self, peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[],"models":[]}')
            peer.close()
            return
        text = request.path + request.body.decode()
        stream = self._known[next(name for name in self._known if name in text)]
        if stream.peer is not None:
            # Gemini's answer of nothing is worth another try, which ends the same way.
            await peer.head(extra=["Connection: close"])
            if stream.is_finished:
                await peer.chunk(b"".join(stream.sent) + stream.rest)
            await peer.last_chunk()
            await peer.closed()
            return
        stream.peer = peer
        # Without a pool of idle connections each one that is open belongs to a live stream.
        await peer.head(extra=["Connection: close"])
        stream.asked.set()
        await peer.closed()
        stream.over.set()
        peer.close()

    async def _sent(self, stream: Stream) -> None:
        """Wait until everything is on its way; a client that reads makes that come true."""
        if stream.sending:
            await asyncio.wait(stream.sending, timeout=PATIENCE)
        assert not stream.sending

    async def _outcome(self, stream: Stream) -> Outcome:
        assert stream.reading is not None
        try:
            async with asyncio.timeout(PATIENCE):
                response = await stream.reading
        except (ConnectionError, asyncio.IncompleteReadError):
            seen = Outcome("cut")
        else:
            seen = outcome(response, stream.good())
        await self._forget(stream)
        return seen

    async def _forget(self, stream: Stream) -> None:
        assert stream.connection is not None
        assert stream.reading is not None
        self.live.remove(stream)
        stream.reading.cancel()
        for task in (stream.reading, *stream.sending):
            task.cancel()
        await asyncio.gather(stream.reading, *stream.sending, return_exceptions=True)
        stream.connection.writer.close()
        with contextlib.suppress(ConnectionError):
            await stream.connection.writer.wait_closed()


def open_files() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))


async def turns() -> None:
    """Let everything that can happen now happen."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def _quietly(sending: Coroutine[None, None, None]) -> None:
    """Send to a connection that may be gone."""
    with contextlib.suppress(ConnectionError):
        await sending
