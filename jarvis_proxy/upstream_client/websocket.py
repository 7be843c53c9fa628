"""WebSockets to an upstream, over the session of its other requests. IO.

That session gives them the same name resolution, TLS and outbound proxies. The body of a refused
handshake is kept, and redirects are not followed.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp
from yarl import URL

from jarvis_proxy.aiohttp_ext.websockets import WebSocketPeer, peer_of
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS, map_send_error

_SWITCHING: Final = 101
_MAX_BODY: Final = 1024 * 1024
_BODY_TIMEOUT: Final = 10.0
_TIMEOUTS: Final = aiohttp.ClientWSTimeout(ws_receive=None, ws_close=1.0)


class HandshakeRefused(Exception):
    """The upstream answered the handshake with an HTTP response: *status*, *headers*, *body*.

    The names of the headers are in lower case.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body


class _HandshakeLost(Exception):
    """The upstream received a handshake and closed the connection; ``__cause__`` says how.

    After its own errors aiohttp sends a request again. This one prevents that: the handshake may
    already have opened a session, which is billed.
    """


async def keep_refusal(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send *request*; a session middleware for WebSocket handshakes.

    Raises:
        HandshakeRefused: the response does not switch to a WebSocket.
    """
    try:
        response = await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # nothing was sent, so aiohttp may retry
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise _HandshakeLost from exc
    if response.status == _SWITCHING:
        return response
    body = bytearray()
    try:
        with contextlib.suppress(*NETWORK_ERRORS):
            async with asyncio.timeout(_BODY_TIMEOUT):
                while len(body) < _MAX_BODY and (data := await response.content.read(65536)):
                    body += data
    finally:
        response.close()
    headers = {name.lower(): value for name, value in response.headers.items()}
    raise HandshakeRefused(response.status, headers, bytes(body[:_MAX_BODY]))


async def open_websocket(
    session: aiohttp.ClientSession,
    url: URL,
    headers: Mapping[str, str],
    *,
    protocols: Sequence[str],
    proxy: URL | None,
    max_size: int,
    stall: float,
) -> tuple[WebSocketPeer, str | None]:
    """Return the server at *url*, and the subprotocol that it chose.

    *max_size* is the most bytes of a message. *session* must have ``keep_refusal`` among its
    middlewares.

    Raises:
        HandshakeRefused: the server answered with an HTTP response.
        ProxyError: 502 or 504, see ``map_send_error``.
    """
    try:
        connection = await session.ws_connect(
            url,
            headers=headers,
            protocols=protocols,
            proxy=proxy,
            timeout=_TIMEOUTS,
            autoclose=False,
            autoping=False,
            max_msg_size=max_size + 1,
            decode_text=False,
        )
        return peer_of(connection, stall=stall), connection.protocol
    except _HandshakeLost as exc:
        raise map_send_error(exc.__cause__ or exc) from exc
    except NETWORK_ERRORS as exc:
        raise map_send_error(exc) from exc
