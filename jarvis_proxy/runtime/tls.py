"""TLS for clients: the certificate, and an acceptor that counts connections early. IO.

The event loop's own server reports a connection only after its handshake. So connections without a
handshake would escape every limit, and one client could use up all descriptors.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.observability.line_quota import ANONYMOUS

# A wrong certificate is reported before aiohttp is loaded.
if TYPE_CHECKING:
    from jarvis_proxy.aiohttp_ext.server_connection import ClientConnection

_LOG: Final = logging.getLogger(__name__)
_SHUTDOWN_TIMEOUT: Final = 2.0
_ACCEPT_PAUSE: Final = 1.0
"""Seconds without accepting when no descriptor is free, as in asyncio's server."""


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context for the certificate in the settings, None without one.

    Raises:
        SettingsError: the files do not hold a certificate and its key.
    """
    if not settings.tls_cert_file:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, settings)
    return context


def load_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    """Use the certificate in the settings in *context*, for new handshakes.

    Raises:
        SettingsError: the files do not hold a certificate and its key; *context* may be unusable.
    """
    try:
        # Without a password, OpenSSL would ask the terminal for that of an encrypted key.
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file, password="")
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        raise SettingsError(
            (
                "TLS_CERT_FILE: must be a certificate with its chain, and TLS_KEY_FILE its private"
                " key without a password, both in PEM.",
            )
        ) from None


class TlsAcceptor:
    """Accepts connections on *sock* and starts TLS on them.

    *admit* takes the address of an accepted connection and returns its protocol, which is counted
    from then on, or None at a connection limit. A handshake may take *handshake_timeout* seconds.
    """

    def __init__(
        self,
        sock: socket.socket,
        tls: ssl.SSLContext,
        admit: Callable[[object], "ClientConnection | None"],
        handshake_timeout: float,
    ) -> None:
        self._sock = sock
        self._tls = tls
        self._admit = admit
        self._handshake_timeout = handshake_timeout
        self._accepting: asyncio.Task[None] | None = None
        self._in_progress: set[asyncio.Task[None]] = set()

    def start(self, backlog: int) -> None:
        """Start accepting."""
        self._sock.setblocking(False)
        self._sock.listen(backlog)
        self._accepting = asyncio.create_task(self._accept(), name="accept")

    async def stop(self) -> None:
        """Stop accepting and close the socket; handshakes in progress continue."""
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
                # The client has already closed.
                continue
            except OSError as exc:
                # A client with many connections may cause this.
                extra = {ANONYMOUS: "accept"}
                _LOG.error("connections cannot be accepted", exc_info=exc, extra=extra)
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            connection = self._admit(address)
            if connection is None:
                # An error message would need a handshake, which is the most expensive part.
                sock.close()
            else:
                task = asyncio.create_task(self._shake_hands(sock, address, connection))
                self._in_progress.add(task)
                task.add_done_callback(self._in_progress.discard)
            # sock_accept may return at once, so let the event loop run.
            await asyncio.sleep(0)

    async def _shake_hands(
        self, sock: socket.socket, address: object, connection: "ClientConnection"
    ) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=self._handshake_timeout,
                ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT,
            )
        except ConnectionResetError:
            # The client left, as port scanners do.
            pass
        except OSError as exc:
            name = type(exc).__name__
            where = address[0] if isinstance(address, tuple) else address
            extra = {ANONYMOUS: f"tls {name}"}
            _LOG.info("refused from %s: no TLS (%s)", where, name, extra=extra)
        finally:
            if connection.transport is None:
                connection.release()
