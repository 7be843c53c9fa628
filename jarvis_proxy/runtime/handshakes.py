"""TLS for clients: connections are counted when they are accepted, not after the handshake. IO.

The event loop's own server tells nobody of a connection before its handshake is done: those that
never do it would be counted by no limit, and one stranger could take every descriptor.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from jarvis_proxy.aiohttp_ext.server_connection import ClientConnection
from jarvis_proxy.observability.line_quota import STRANGER

_LOG: Final = logging.getLogger(__name__)
_TLS_CLOSE: Final = 2.0
_PAUSE: Final = 1.0
"""Seconds without accepting when there are no more descriptors, as asyncio's server has it."""


class TlsAcceptor:
    """Accepts connections on *sock*, and makes TLS connections of them.

    *admit* is asked with the address of one that is accepted: it returns the protocol for it, which
    is counted then, or None if there is no room. A handshake may take *patience* seconds.
    """

    def __init__(
        self,
        sock: socket.socket,
        tls: ssl.SSLContext,
        admit: Callable[[object], ClientConnection | None],
        patience: float,
    ) -> None:
        self._sock = sock
        self._tls = tls
        self._admit = admit
        self._patience = patience
        self._accepting: asyncio.Task[None] | None = None
        self._in_progress: set[asyncio.Task[None]] = set()

    def start(self, backlog: int) -> None:
        """Begin to accept."""
        self._sock.setblocking(False)
        self._sock.listen(backlog)
        self._accepting = asyncio.create_task(self._accept(), name="accept")

    async def stop(self) -> None:
        """Accept no more, and close the socket; handshakes in progress go on."""
        if self._accepting is not None:
            self._accepting.cancel()
            with suppress(asyncio.CancelledError):
                await self._accepting
        self._sock.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(self._sock)
            except ConnectionError:
                continue  # it is gone already
            except OSError as exc:
                extra = {STRANGER: "accept"}  # whoever opens many connections causes it
                _LOG.error("connections cannot be accepted", exc_info=exc, extra=extra)
                await asyncio.sleep(_PAUSE)
                continue
            connection = self._admit(address)
            if connection is None:
                sock.close()  # no word can be said without a handshake, which costs the most
            else:
                task = asyncio.create_task(self._shake_hands(sock, address, connection))
                self._in_progress.add(task)
                task.add_done_callback(self._in_progress.discard)
            await asyncio.sleep(0)  # accepting may find the next one without a turn of the loop

    async def _shake_hands(
        self, sock: socket.socket, address: object, connection: ClientConnection
    ) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=self._patience,
                ssl_shutdown_timeout=_TLS_CLOSE,
            )
        except ConnectionResetError:
            pass  # it left, as those who only look whether the port is open do
        except OSError as exc:
            name = type(exc).__name__
            where = address[0] if isinstance(address, tuple) else address
            extra = {STRANGER: f"tls {name}"}
            _LOG.info("refused from %s: no TLS (%s)", where, name, extra=extra)
        finally:
            if connection.transport is None:
                connection.release()
