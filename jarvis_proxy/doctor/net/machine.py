"""The network and the clock of this machine: names, connections, TLS. IO."""

import asyncio
import contextlib
import errno
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver

_ERRORS: Final = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "cut",
    **dict.fromkeys((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL), "no route"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "forbidden on this machine"),
}


def own_address() -> str | None:
    """Return this machine's address on its network, None without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            # For UDP this only chooses the route: nothing is sent.
            sock.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(sock.getsockname()[0])


@dataclass(frozen=True, slots=True)
class ProbeEnv:
    """The machine functions that the doctor uses; tests replace them."""

    resolver: Callable[[], AbstractResolver] = ThreadedResolver
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context
    now: Callable[[], float] = time.time
    own_address: Callable[[], str | None] = own_address


async def connect(
    address: str, port: int, timeout_s: float, *, tls: ssl.SSLContext | None = None, host: str = ""
) -> tuple[str, dict[str, Any]]:
    """Connect and disconnect; with *tls*, perform a handshake with *host*.

    Returns the TLS version and the certificate in the form of ``getpeercert``, both empty without
    TLS.

    Raises:
        OSError: the connection failed; ``ssl.SSLError`` and TimeoutError are OSErrors.
    """
    async with asyncio.timeout(timeout_s):
        _, writer = await asyncio.open_connection(
            address, port, ssl=tls, server_hostname=host if tls else None
        )
    found = writer.get_extra_info("ssl_object")
    agreed = ("", {}) if found is None else (found.version(), found.getpeercert())
    writer.close()
    # TimeoutError is an OSError; some peers reset the connection.
    with contextlib.suppress(OSError):
        async with asyncio.timeout(1):
            await writer.wait_closed()
    return agreed


def describe_os_error(exc: OSError) -> str:
    """Return a short reason why a connection failed."""
    if isinstance(exc, TimeoutError):
        return "no answer"
    return _ERRORS.get(exc.errno or 0) or (exc.strerror or type(exc).__name__).lower()
