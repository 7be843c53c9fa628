"""Answers that are handed on as they arrive, without a task step for each piece. IO.

Waking a task for every frame is a quarter of what relaying a frame costs. A response's reader is
made by aiohttp's parser and cannot be chosen, so it changes its class while it is pushed from.
"""

import asyncio
import collections
import contextlib
import struct
from collections.abc import Callable
from typing import Final, cast

from aiohttp.client_exceptions import ClientError, ClientPayloadError
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import _EXC_SENTINEL, BaseTimerContext, set_exception
from aiohttp.streams import StreamReader

from jarvis_proxy.turns import LateWriter, Turn

try:
    import fcntl
    import termios
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_INT: Final = struct.Struct("i")
Sink = Callable[[bytes], bool]
"""Takes a piece of an answer; returns True to be given no more for now. It must not raise."""

_BROKEN: Final = "the answer broke off"
_BETWEEN: Final[collections.deque[int]] = collections.deque(maxlen=0)
_LONGEST_SIZE: Final = 8  # digits of a chunk's size and the line's end
_JOINED: Final = 16 * 1024
"""So many bytes are handed on as one piece, if they come in smaller ones."""


class PushingProtocol(LateWriter, ResponseHandler):
    """An upstream's connection that hands on what one read brought, as one piece.

    The parser gives chunk after chunk; a busy upstream sends hundreds at once, and each would be
    a write to the client.
    """

    pushed_from: StreamReader | None = None

    def __init__(self, turn: Turn, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.turn = turn
        self.unsent = b""

    def close(self) -> None:
        """Close now: what of a request is not sent yet is wanted by nobody any more.

        Else a body would stay in memory, and the connection open, until the upstream has read it.
        """
        if self.transport is not None and has_unsent(self.transport):
            self.abort()
        else:
            super().close()

    @property
    def should_close(self) -> bool:
        """Whether no other request may follow; none may behind one that is not sent to its end."""
        return super().should_close or (self.transport is not None and has_unsent(self.transport))

    def set_exception(self, exc: BaseException, exc_cause: BaseException = _EXC_SENTINEL) -> None:
        """Tell it to whoever reads an answer too: that will not go on.

        aiohttp tells who waits for a head. At a malformed chunk size it closes the connection,
        and who reads the body would wait for ever.
        """
        payload = self._payload
        super().set_exception(exc, exc_cause)
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            set_exception(payload, ClientPayloadError(_BROKEN), exc)

    def data_received(self, data: bytes) -> None:
        """Parse; what came of it is handed on when all that can be read now has been."""
        content = self.pushed_from
        if content is None:
            ResponseHandler.data_received(self, data)
            return
        if content._http_chunk_splits is _BETWEEN and (payload := whole_chunk(data)) is not None:
            # Nearly every read of an answer that is paced is one chunk. Between two, the parser is
            # in the same state before and after it; leaving it out saves a fifth of a frame.
            content._buffer.append(payload)
        else:
            ResponseHandler.data_received(self, data)
            # Without a line's end the parser may have seen a part of the next chunk's head.
            if type(content) is _PushReader and (content._eof or not data.endswith(b"\r\n")):
                content._http_chunk_splits = None
        if not content._buffer or type(content) is not _PushReader:
            return
        if len(data) >= _JOINED:
            # More is likely to lie behind it, and the loop goes on to read that, up to the
            # connection's end, before anything else has its turn: whoever has enough says so now.
            self.hand_on()
        else:
            self.turn.add(self.hand_on)

    def hand_on(self) -> bool:
        """Hand on what has come; return whether whoever takes it has enough."""
        content = self.pushed_from
        if content is None or not content._buffer or type(content) is not _PushReader:
            return False
        # The sink lies in the slot of the read timer, which is not used meanwhile.
        sink: Sink = content._timer  # type: ignore[assignment]
        rest: tuple[bytes, ...] = ()
        if len(content._buffer) == 1:  # as of nearly every read of an answer that is paced
            if not sink(content._buffer.popleft()):
                return False
        else:
            pieces = tuple(content._buffer)
            content._buffer.clear()
            taken = _hand_on(pieces, sink)
            if taken is None:
                return False
            rest = pieces[taken:]
        buffer_again(content)
        content._buffer.extend(rest)
        content._size += sum(map(len, rest))
        is_full = content._size > content._high_water and not content.is_eof()
        if is_full and not self._reading_paused:
            # Not pause_reading(): the parser, which is not at work now, would pause at the next
            # chunk that it sees, and keep back what came with it until more comes.
            self._reading_paused = True
            self._pause_transport_reading()
        waiter, content._waiter = content._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        return True


def whole_chunk(data: bytes) -> bytes | None:
    """Return what is in *data* if that is exactly one chunk, in the common form, else None.

    RFC 9112, 7.1; here without extensions and leading zeros. The last chunk is none.
    """
    end = data.find(b"\r\n", 0, _LONGEST_SIZE)
    size = len(data) - end - 4
    if end > 0 and size > 0 and data.endswith(b"\r\n") and data[:end].lower() == b"%x" % size:
        return data[end + 2 : -2]
    return None


def _hand_on(pieces: tuple[bytes, ...], sink: Sink) -> int | None:
    """Give *pieces* to *sink*, many as one; return how many it took until it had enough, or None.

    One read may bring a quarter of a megabyte: joined as a whole it would lie in memory several
    times for each client that reads slowly.
    """
    start = size = 0
    for end, piece in enumerate(pieces, 1):
        size += len(piece)
        if size < _JOINED and end < len(pieces):
            continue
        if sink(pieces[start] if end - start == 1 else b"".join(pieces[start:end])):
            return end
        start, size = end, 0
    return None


def has_unsent(transport: asyncio.Transport) -> bool:
    """Tell whether a part of what was written has not left this machine."""
    if transport.get_write_buffer_size():
        return True
    if transport.get_extra_info("ssl_object") is None:
        return False
    # Below TLS is another buffer, which cannot be seen; what lies in it waits for the system's.
    if fcntl is None:
        return False
    waiting = b"\0" * _INT.size
    with contextlib.suppress(OSError):  # not every system tells
        waiting = fcntl.ioctl(transport.get_extra_info("socket"), termios.TIOCOUTQ, waiting)
    return bool(_INT.unpack(waiting)[0])


class _PushReader(StreamReader):
    """A StreamReader that wakes nobody: its connection takes what is in it."""

    # Where chunks begin matters only to who reads them one by one. In the list of those places is
    # noted instead whether the parser is between two of them.
    __slots__ = ()

    def begin_http_chunk_receiving(self) -> None:
        """Note that the parser is in a chunk."""
        self._http_chunk_splits = None

    def end_http_chunk_receiving(self) -> None:
        """Note that it is behind one."""
        self._http_chunk_splits = _BETWEEN

    def feed_data(self, data: bytes, size: int = 0) -> bool:
        """Keep *data* until the connection has parsed all that it read."""
        self._buffer.append(data)
        return False


def buffer_again(content: StreamReader) -> None:
    """Let *content* be read as usual."""
    content.__class__ = StreamReader
    if content._http_chunk_splits is None or content._http_chunk_splits is _BETWEEN:
        content._http_chunk_splits = collections.deque()  # a chunk may be in progress


async def push(content: StreamReader, sink: Sink) -> bool:
    """Give *sink* what arrives until it has enough, or the answer ends; return if more may come.

    Raises what reading raises when the answer is cut.
    """
    if (exception := content.exception()) is not None:
        raise exception
    if content._buffer:
        # What came before: taken the usual way, which lets the peer go on.
        sink(content.read_nowait())
        return True
    if content.is_eof():
        return False
    protocol = cast(PushingProtocol, content._protocol)
    timer = content._timer
    content._waiter = waiter = asyncio.get_running_loop().create_future()
    content._timer = cast(BaseTimerContext, sink)
    content.__class__ = _PushReader
    # A list is half a kilobyte; and a chunk may be in progress.
    content._http_chunk_splits = None
    protocol.pushed_from = content
    try:
        await waiter  # the reader's own signals end it too: the body's end, and an error
    except (ClientError, OSError):
        # What came before the error comes first: it may be all that was waited for.
        if protocol.pushed_from is content:
            protocol.hand_on()
        if type(content) is _PushReader:
            raise
    finally:
        if protocol.pushed_from is content:  # else the connection has gone on to another answer
            protocol.hand_on()  # the end came with it
            protocol.pushed_from = None
        buffer_again(content)
        content._timer, content._waiter = timer, None
    return True
