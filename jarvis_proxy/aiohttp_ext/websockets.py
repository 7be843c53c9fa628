"""WebSockets to clients and upstreams, frame by frame, without automatic replies. IO.

aiohttp's own objects answer pings, close when they read a close frame, and wait for the peer where
a relay must not. So this module uses aiohttp's reader and writer directly. Source: RFC 6455.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

import aiohttp
from aiohttp import WSMsgType, web

from jarvis_proxy.errors import ProxyError

DATA: Final = (WSMsgType.TEXT, WSMsgType.BINARY)
NO_CODE: Final = 1005
"""The code of a close frame without a code (RFC 6455, 7.4.1); it is never sent."""
_CODE: Final = struct.Struct("!H")
_FLUSH: Final = 1.0
"""Seconds that a peer has to receive the last frames before the connection is aborted."""
_MAX_REASON: Final = 123
_PROBES: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds of silence before a peer is probed, seconds between the probes, and how many there are.

A session may be silent for long. Its peer may have lost its power meanwhile, or its way here.
"""
_HANDSHAKE: Final = ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")


class Frame(NamedTuple):
    """A message or a control frame; a close frame's *data* is its code and reason."""

    kind: WSMsgType
    data: bytes

    @property
    def close_code(self) -> int:
        """The code of a close frame."""
        return _CODE.unpack_from(self.data)[0] if len(self.data) >= _CODE.size else NO_CODE


class PeerLost(ConnectionError):
    """The peer left without a close frame, or stopped reading."""


class PeerBroken(Exception):
    """The peer sent invalid or too large data; *code* is the code to close with."""

    def __init__(self, close_code: int) -> None:
        super().__init__(close_code)
        self.code = close_code


class WebSocketPeer:
    """One end of a relay over *transport*; *close* closes the connection.

    *stall* is how many seconds the peer may go without reading.
    """

    __slots__ = ("_close", "_owner", "_stall", "_transport")

    def __init__(
        self,
        owner: "web.WebSocketResponse[bool] | aiohttp.ClientWebSocketResponse[bool]",
        transport: asyncio.WriteTransport,
        *,
        close: Callable[[], object],
        stall: float,
    ) -> None:
        self._owner: Any = owner
        self._transport = transport
        self._close = close
        self._stall = stall
        _find_dead_peer(transport, stall)

    @property
    def is_open(self) -> bool:
        """Whether the connection is open."""
        return not self._transport.is_closing()

    async def receive(self) -> Frame:
        """Return the next frame; between calls the connection is not read.

        Raises:
            PeerLost: the peer is gone.
            PeerBroken: the data is not valid, or a message is too large.
        """
        try:
            message = await self._owner._reader.read()
        except aiohttp.WebSocketError as exc:
            raise PeerBroken(exc.code) from exc
        except (aiohttp.EofStream, aiohttp.ClientError, OSError) as exc:
            raise PeerLost from exc
        if message.type is WSMsgType.CLOSE:
            return Frame(WSMsgType.CLOSE, close_data(message.data or NO_CODE, message.extra))
        return Frame(message.type, bytes(message.data))

    async def send(self, frame: Frame) -> None:
        """Send *frame*; return when the peer has read enough for another one.

        Raises:
            PeerLost: the peer is gone, or has not read for *stall* seconds.
        """
        try:
            async with asyncio.timeout(self._stall):
                await self._owner.send_frame(frame.data, frame.kind)
        except (OSError, aiohttp.ClientError) as exc:  # TimeoutError is an OSError
            raise PeerLost from exc

    async def send_last(self, *frames: Frame) -> None:
        """Send *frames*; stop if the peer is lost."""
        with contextlib.suppress(PeerLost):
            for frame in frames:
                await self.send(frame)

    async def wait_for_end(self) -> None:
        """Read and drop frames until the peer has closed.

        Closing with unread input resets the connection, and the last frames sent would be lost.
        """
        with contextlib.suppress(PeerLost, PeerBroken):
            while (await self.receive()).kind is not WSMsgType.CLOSE:
                pass
            return
        while self.is_open:  # noqa: ASYNC110 - there is no event, and it takes a second at most
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Close the connection without a close frame; abort soon if the peer does not read."""
        is_taken = not self._transport.get_write_buffer_size()
        self._close()
        if not is_taken:
            asyncio.get_running_loop().call_later(_FLUSH, self._transport.abort)


def _find_dead_peer(transport: asyncio.BaseTransport, stall: float) -> None:
    """Make the system close a connection whose peer acknowledges nothing for *stall* seconds.

    Otherwise the system's buffers accept data for a dead machine for a quarter of an hour.
    """
    sock = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # the socket may not be TCP, but a Unix socket
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in {**_PROBES, "TCP_USER_TIMEOUT": round(stall * 1000)}.items():
            if (option := getattr(socket, name, None)) is not None:  # some systems lack it
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


def close_data(code: int, reason: str = "") -> bytes:
    """Return the data of a close frame."""
    if code == NO_CODE:
        return b""
    text = reason.encode("utf-8", "replace")[:_MAX_REASON]
    return _CODE.pack(code) + text.decode("utf-8", "ignore").encode()


def close_frame(code: int, reason: str = "") -> Frame:
    """Return a close frame."""
    return Frame(WSMsgType.CLOSE, close_data(code, reason))


def check_handshake(request: web.Request) -> None:
    """Reject a request that is not the opening handshake of a WebSocket.

    Raises:
        ProxyError: 426 `websocket_required`, it is a plain request or of another version.
        ProxyError: 400 `bad_request`, its key is not valid.
    """
    headers = request.headers
    is_upgrade = headers.get("Upgrade", "").strip().lower() == "websocket"
    if not is_upgrade or headers.get("Sec-WebSocket-Version", "").strip() != "13":
        raise ProxyError(
            426,
            "This address is a WebSocket: connect to it with one (ws:// or wss://, version 13).",
            code="websocket_required",
            should_retry=False,
            headers=(("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")),
        )
    if not _ready(request):
        raise ProxyError(400, "The opening handshake is not valid.", code="bad_request")


def _ready(request: web.Request) -> bool:
    try:
        return bool(web.WebSocketResponse().can_prepare(_bare(request, None)))
    except ValueError:
        # The key is not ASCII.
        return False


def _bare(request: web.Request, protocol: str | None) -> web.Request:
    """Return *request* with the headers of its handshake only.

    aiohttp logs the offered subprotocols when it has to choose; one of them holds a key.
    """
    headers = {name: request.headers[name] for name in _HANDSHAKE if name in request.headers}
    headers = {name: value.encode("ascii", "replace").decode() for name, value in headers.items()}
    if protocol is not None:
        headers["Sec-WebSocket-Protocol"] = protocol
    return request.clone(headers=headers)


async def accept(
    request: web.Request,
    *,
    protocol: str | None,
    headers: Mapping[str, str],
    max_size: int,
    stall: float,
) -> tuple[web.StreamResponse, WebSocketPeer]:
    """Complete the handshake with the client; return aiohttp's response and the client.

    *protocol* is the chosen subprotocol, *max_size* the most bytes of a message. The handler
    returns the response to aiohttp when the session is over.
    """
    response = web.WebSocketResponse(
        autoclose=False,
        autoping=False,
        compress=False,
        protocols=() if protocol is None else (protocol,),
        max_msg_size=max_size + 1,
        writer_limit=0,
        decode_text=False,
        timeout=0.1,
    )
    response.headers.update(headers)
    await response.prepare(_bare(request, protocol))
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client is gone")
    return response, WebSocketPeer(response, transport, close=transport.close, stall=stall)


def peer_of(connection: "aiohttp.ClientWebSocketResponse[bool]", *, stall: float) -> WebSocketPeer:
    """Return the server at the other end of *connection*, which must not be used otherwise.

    Raises:
        aiohttp.ServerDisconnectedError: the connection is already closed.
    """
    response = connection._response
    transport = None if response.connection is None else response.connection.transport
    if transport is None:
        raise aiohttp.ServerDisconnectedError
    return WebSocketPeer(
        connection, cast(asyncio.WriteTransport, transport), close=response.close, stall=stall
    )
