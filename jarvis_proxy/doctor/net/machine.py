"""The network and the clock as the doctor uses them: names, connections, TLS. IO."""

import asyncio
import contextlib
import errno
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_CLOSE_TIMEOUT: Final = 1.0
_FAULTS: Final = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "cut",
    errno.ENETUNREACH: "no route",
    errno.EHOSTUNREACH: "no route",
    errno.EADDRNOTAVAIL: "no route",
    errno.EACCES: "forbidden on this machine",
    errno.EPERM: "forbidden on this machine",
}
_DOCUMENTATION_ADDRESS: Final = "192.0.2.1"


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of *host*, in the order in which they should be tried.

    Raises:
        OSError: the name cannot be resolved.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(info[4][0]) for info in found))


def own_address() -> str | None:
    """Return this machine's address on its network, None without a network.

    A UDP socket is only told where it would send to: nothing is sent.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((_DOCUMENTATION_ADDRESS, 9))
        except OSError:
            return None
        return str(sock.getsockname()[0])


@dataclass(frozen=True, slots=True)
class ProbeEnv:
    """What the doctor takes from the machine that it runs on; tests give another one."""

    resolve: Resolve = resolve
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    own_address: Callable[[], str | None] = own_address


class EnvResolver(AbstractResolver):
    """Resolves names for aiohttp the way the doctor does."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of *host* in aiohttp's form."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._resolve(host, port)
        ]

    async def close(self) -> None:
        """Do nothing: nothing is held."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to connect; *fault* is ``""`` when it worked, else a few words."""

    address: str
    fault: str = ""


async def connect(address: str, port: int, timeout_s: float) -> Attempt:
    """Connect and close again; return how it went."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return Attempt(address, "no answer")
    except OSError as exc:
        return Attempt(address, describe_os_error(exc))
    await _close(writer)
    return Attempt(address)


@dataclass(frozen=True, slots=True)
class Handshake:
    """A TLS handshake that succeeded: its version, and when the certificate ends (epoch)."""

    version: str
    not_after: float


async def tls_handshake(
    address: str, port: int, host: str, *, context: ssl.SSLContext, timeout_s: float
) -> Handshake:
    """Connect with TLS to *address* as *host*, verify the certificate, close again.

    Raises:
        OSError: it failed; ``ssl.SSLError`` and TimeoutError are among its kinds.
    """
    async with asyncio.timeout(timeout_s):
        _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=host)
    tls = writer.get_extra_info("ssl_object")
    certificate = tls.getpeercert()
    handshake = Handshake(str(tls.version()), ssl.cert_time_to_seconds(certificate["notAfter"]))
    await _close(writer)
    return handshake


def describe_os_error(exc: OSError) -> str:
    """Return in a few words why a connection failed."""
    words = _FAULTS.get(exc.errno or 0)
    return words or (exc.strerror or type(exc).__name__).lower()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):  # TimeoutError is one; the other side may be rude
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await writer.wait_closed()
