"""Opens listening sockets, or adopts the service manager's. IO.

Sources: https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html (read 2026-11).
"""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import MutableMapping, Sequence
from typing import Final, cast

from aiohttp import web

from jarvis_proxy.aiohttp_ext.server import ProxyRunner
from jarvis_proxy.config.addresses import WILDCARDS, stands_for
from jarvis_proxy.runtime.tls import TlsAcceptor

BACKLOG: Final = 4096
"""With 128, some of ten thousand simultaneous clients would wait tens of seconds."""
_FIRST_FD: Final = 3
_HANDSHAKE_TIMEOUT: Final = 5.0
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds of silence before the first probe, seconds between probes, and failed probes allowed."""
_HINTS: Final = {
    errno.EADDRINUSE: "{owner} has the port; stop it first, or set PORT",
    errno.EACCES: "this user may not use the port; set PORT to 1024 or more",
    errno.EADDRNOTAVAIL: "this machine does not have the address; set HOST",
}
_Address = tuple[int, tuple[object, ...]]
"""A socket family and an address in it."""


def systemd_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the listening sockets that the service manager passed to this process.

    This removes their variables from *environ*, as the protocol requires.
    """
    values = [environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")]
    pid, count = (text if text.isascii() and text.isdecimal() else "0" for text in values[:2])
    if int(pid) != os.getpid():
        return []
    numbers = range(_FIRST_FD, _FIRST_FD + int(count))
    return [sock for number in numbers if (sock := adopt_listener(number)) is not None]


def adopt_listener(number: int) -> socket.socket | None:
    """Return the socket of a file descriptor, None if it is not a listening stream socket."""
    try:
        sock = socket.socket(fileno=number)
        is_listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        return None
    if sock.type != socket.SOCK_STREAM or not is_listening:
        sock.detach()
        return None
    sock.setblocking(False)
    sock.set_inheritable(False)
    return sock


async def open_listeners(
    hosts: Sequence[str], port: int, environ: MutableMapping[str, str], reuseport_count: int = 0
) -> list[socket.socket]:
    """Return the service manager's sockets, or new ones from ``bind``.

    Raises:
        OSError: as ``bind`` does.
    """
    return systemd_sockets(environ) or await bind(hosts, port, reuseport_count)


async def bind(hosts: Sequence[str], port: int, reuseport_count: int = 0) -> list[socket.socket]:
    """Return a listening socket for each address of *hosts*; ``::`` includes IPv4.

    With *reuseport_count*, return that many per address; the kernel distributes connections.

    Raises:
        OSError: no address of a host is available, or another program has one. Its ``filename``
            is that host.
    """
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as opened:
        for host, addresses in (await _resolve(hosts, port)).items():
            try:
                bound = _bind_each(addresses, reuseport_count)
            except OSError as exc:
                exc.filename = host
                raise
            for sock in bound:
                opened.callback(sock.close)
                sock.listen(BACKLOG)
            sockets += bound
        opened.pop_all()
    return sockets


async def _resolve(hosts: Sequence[str], port: int) -> dict[str, list[_Address]]:
    """Return the addresses of each host, without duplicates and those that a wildcard covers."""
    found: dict[str, list[_Address]] = {}
    loop = asyncio.get_running_loop()
    for host in hosts:
        found[host] = []
        for one in stands_for(host):
            try:
                infos = await loop.getaddrinfo(
                    one or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
                )
            except OSError as exc:
                exc.filename = host
                raise
            found[host] += [(family, address) for family, _, _, _, address in infos]
    wildcard_families = {
        family
        for addresses in found.values()
        for family, address in addresses
        if address[0] in WILDCARDS
    }
    seen: set[_Address] = set()
    for addresses in found.values():
        remaining = [
            (family, address)
            for family, address in dict.fromkeys(addresses)
            if (family, address) not in seen
            and (family not in wildcard_families or address[0] in WILDCARDS)
        ]
        seen.update(remaining)
        addresses[:] = remaining
    return found


def _bind_each(addresses: Sequence[_Address], reuseport_count: int) -> list[socket.socket]:
    """Return one host's sockets, skipping unavailable addresses, such as IPv6 on some machines.

    Raises:
        OSError: no address is available, or another program has one of them.
    """
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    with contextlib.ExitStack() as opened:
        for family, address in addresses:
            try:
                bound = _bind_all(family, address, reuseport_count)
            except OSError as exc:
                if exc.errno == errno.EADDRINUSE:
                    raise
                failure = failure or exc
            else:
                for sock in bound:
                    opened.callback(sock.close)
                sockets += bound
        if not sockets and failure is not None:
            raise failure
        opened.pop_all()
    return sockets


def _bind_all(family: int, address: tuple[object, ...], count: int) -> list[socket.socket]:
    """Return one socket, or *count* sockets that share the address unless *count* is 0."""
    if not count:
        return [_bind_one(family, address)]
    # A socket with SO_REUSEPORT would not notice another server of this user on the port.
    _bind_one(family, address).close()
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sockets.append(_bind_one(family, address, reuseport=True))
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bind_one(
    family: int, address: tuple[object, ...], *, reuseport: bool = False
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A port with connections in TIME_WAIT may be reused.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuseport:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def distribute_sockets(
    sockets: Sequence[socket.socket], worker_count: int
) -> list[list[socket.socket]]:
    """Distribute *sockets* among workers: each gets at least one per address."""
    same: dict[object, list[socket.socket]] = {}
    for sock in sockets:
        same.setdefault((sock.family, sock.getsockname()), []).append(sock)
    shares: list[list[socket.socket]] = [[] for _ in range(worker_count)]
    for of_one in same.values():
        for number, share in enumerate(shares):
            share += of_one[number::worker_count] or [of_one[number % len(of_one)]]
    return shares


def bind_error_hint(error: OSError, owner: str = "") -> str:
    """Return one line that says why listening failed and what to do.

    *owner* is the program that has the port, if known.
    """
    reason = (error.strerror or str(error)).lower()
    hint = _HINTS.get(error.errno or 0)
    if isinstance(error, socket.gaierror):
        hint = "HOST must be an address of this machine, such as 0.0.0.0 or 127.0.0.1"
    return f"{reason}: {hint.format(owner=owner or 'another program')}" if hint else reason


def listener_urls(sockets: Sequence[socket.socket], *, tls: bool) -> str:
    """Return the addresses of *sockets* as URLs for the log."""
    return ", ".join(dict.fromkeys(_url(sock, "https" if tls else "http") for sock in sockets))


def _url(sock: socket.socket, scheme: str) -> str:
    if sock.family == socket.AF_UNIX:
        return f"{scheme}+unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def enable_tcp_keepalive(sock: socket.socket) -> None:
    """Detect clients without power after one minute instead of two hours.

    Accepted sockets inherit these times; aiohttp enables keep-alive on each.
    """
    if sock.family == socket.AF_UNIX:
        return
    for name, value in _KEEPALIVE.items():
        if (option := getattr(socket, name, None)) is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


class TlsBoundedSite(web.SockSite):
    """A SockSite that counts TLS connections from their accept on, and limits handshakes' time."""

    __slots__ = ("_acceptor", "_handshake_timeout")

    def __init__(
        self,
        runner: ProxyRunner,
        sock: socket.socket,
        tls: ssl.SSLContext | None,
        *,
        handshake_timeout: float = _HANDSHAKE_TIMEOUT,
    ) -> None:
        super().__init__(runner, sock, ssl_context=tls, backlog=BACKLOG)
        self._handshake_timeout = handshake_timeout
        self._acceptor: TlsAcceptor | None = None

    async def start(self) -> None:
        """Begin to accept connections."""
        enable_tcp_keepalive(self._sock)
        if self._ssl_context is None:
            await super().start()
            return
        await web.BaseSite.start(self)
        admit = cast(ProxyRunner, self._runner).server.admit
        self._acceptor = TlsAcceptor(self._sock, self._ssl_context, admit, self._handshake_timeout)
        self._acceptor.start(self._backlog)

    async def stop(self) -> None:
        """Stop accepting connections; open ones continue."""
        await super().stop()
        if self._acceptor is not None:
            await self._acceptor.stop()
