"""Hand-over: a server that is started anew takes the port from the one that runs. IO.

The running server offers its listening sockets, in Linux's abstract namespace, to processes of the
same user. A new one takes them and serves, and only then tells the old one to go. So a restart is
one command, no client is refused, and no connection that waits to be accepted is lost, as it would
be with two sockets on one port. Where it is not to be had, the port is simply in use.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final

from jarvis_proxy.runtime.listeners import adopted, bind, systemd_sockets

_LOG: Final = logging.getLogger(__name__)
_GREETING: Final = b"jarvis-proxy hand-over 1\n"
_GO: Final = b"go\n"
MAX_SOCKETS: Final = 128
"""Several for each address, where there are several workers; Linux passes 253 at once."""
_PATIENCE: Final = 2.0
_START: Final = 30.0
"""Seconds that a new server may take from having the sockets to serving."""
_PEER: Final = struct.Struct("3i")  # pid, user, group


def offer_name(hosts: Sequence[str], port: int) -> bytes:
    """Return where in the abstract namespace the server of these addresses offers its sockets."""
    place = f"{os.geteuid()} {','.join(hosts)} {port}".encode()
    return b"\0jarvis-proxy-" + hashlib.sha256(place).hexdigest()[:32].encode()


@dataclass(frozen=True, slots=True)
class Taken:
    """Listening sockets that a running server shares."""

    sockets: list[socket.socket]
    connection: socket.socket
    pid: int

    async def confirm(self) -> None:
        """Tell the other server to take no more connections; return when it will not."""
        loop = asyncio.get_running_loop()
        with contextlib.closing(self.connection), contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await loop.sock_sendall(self.connection, _GO)
                await loop.sock_recv(self.connection, 1)  # it closes


@dataclass(frozen=True, slots=True)
class Port:
    """Listening sockets; *name* is where they are to be offered, None: they are not ours to give.

    *taken* has the server that had them so far.
    """

    sockets: list[socket.socket]
    name: bytes | None = None
    taken: Taken | None = None


async def acquire(
    hosts: Sequence[str], port: int, environ: MutableMapping[str, str], shares: int = 0
) -> Port:
    """Return the sockets of the service manager, of a running server, or new ones.

    *shares* is how many new ones there are to be for each address, as ``bind`` has it.

    Raises:
        OSError: the address cannot be listened on.
    """
    if sockets := systemd_sockets(environ):
        return Port(sockets)
    name = offer_name(hosts, port)
    taken = await take(name)
    if taken is not None:
        return Port(taken.sockets, name, taken)
    # A host has two addresses at most, one of each IP version, but for a name with more.
    most = MAX_SOCKETS // (2 * len(hosts))
    return Port(await bind(hosts, port, min(shares, most)), name)


async def take(
    name: bytes, *, user: Callable[[], int] = os.geteuid, patience: float = _PATIENCE
) -> Taken | None:
    """Return the sockets of the server that offers them under *name*, None if there is none.

    Only a server of *user* is believed, and only one that answers within *patience* seconds.
    """
    if sys.platform != "linux":
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    taken: Taken | None = None
    try:
        async with asyncio.timeout(patience):
            taken = await _take(connection, name, user())
    except (OSError, TimeoutError):
        return None
    finally:
        if taken is None:
            connection.close()
    return taken


async def _take(connection: socket.socket, name: bytes, user: int) -> Taken | None:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, name)
    pid, other = _peer(connection)
    if other != user:
        return None  # anybody can offer under any name
    await _readable(connection)
    greeting, numbers, _, _ = socket.recv_fds(connection, len(_GREETING), MAX_SOCKETS)
    sockets = [sock for number in numbers if (sock := adopted(number)) is not None]
    if greeting != _GREETING or not sockets:
        for sock in sockets:
            sock.close()
        return None
    return Taken(sockets, connection, pid)


class Offer:
    """Offers *sockets* under *name*; calls *go* when another server has taken over."""

    def __init__(
        self,
        name: bytes,
        sockets: Sequence[socket.socket],
        go: Callable[[], None],
        *,
        user: Callable[[], int] = os.geteuid,
    ) -> None:
        self._name = name
        self._user = user
        self._numbers = [sock.fileno() for sock in sockets]
        self._go = go
        self._task: asyncio.Task[None] | None = None
        self._listening: socket.socket | None = None

    def start(self) -> None:
        """Begin to offer; where the system has no such thing, do nothing."""
        if sys.platform != "linux":
            return
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(self._name)
            listening.listen(4)
        except OSError as exc:
            listening.close()
            _LOG.debug("no hand-over: %s", exc.strerror)
            return
        listening.setblocking(False)
        self._listening = listening
        self._task = asyncio.create_task(self._serve(listening), name="hand-over")

    async def stop(self) -> None:
        """Offer no longer."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._listening is not None:
            self._listening.close()

    async def _serve(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError:  # no file to be had
                await asyncio.sleep(_PATIENCE)
                continue
            with contextlib.closing(connection), contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_START):
                    if await self._give(connection):
                        # Before the new server is told, so that it can offer in its turn.
                        listening.close()
                        self._go()
                        return

    async def _give(self, connection: socket.socket) -> bool:
        pid, other = _peer(connection)
        if other != self._user():
            return False
        socket.send_fds(connection, [_GREETING], self._numbers)
        if await asyncio.get_running_loop().sock_recv(connection, len(_GO)) != _GO:
            return False  # it did not come to serve
        _LOG.info("process %d takes over", pid)
        return True


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Return the process and the user at the other end."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    pid, user, _ = _PEER.unpack(raw)
    return pid, user


async def _readable(connection: socket.socket) -> None:
    """Wait until there is something to receive."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection)
