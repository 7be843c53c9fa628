"""Where the upstreams of the matrix are: a scripted one, and places that are none. IO."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import trustme

from jarvis_proxy.upstream_client.transport import HttpTransport, TransportOptions
from tests.faults.rows import Address
from tests.support.raw_site import FakeResolver
from tests.upstream_client.test_errors import BrokenResolver

_ORDINARY: Final = ("scripted", "closed port")
_TIMED: Final = ("swallows packets", "name never resolves")
_BY_NAME: Final = ("unknown name", "name never resolves")
_PLAIN: Final = ("scripted", "closed port", "swallows packets")
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Addresses:
    """The port of each address, and whose signature is trusted behind it."""

    ports: Mapping[Address, int]
    trusted: ssl.SSLContext

    def base_url(self, address: Address, path: str) -> str:
        """Return the base URL of an upstream at *address*."""
        if address in _BY_NAME:
            return f"http://nowhere.test/{path}"
        if address in _PLAIN:
            return f"http://127.0.0.1:{self.ports[address]}/{path}"
        return f"https://api.test:{self.ports[address]}/{path}"

    def transport(self, address: Address, path: str) -> HttpTransport | None:
        """Return the way to *address* with names and trust of its own; None: the usual one."""
        if address in _ORDINARY:
            return None
        resolver = FakeResolver({"api.test": ["127.0.0.1"]})
        if address in _BY_NAME:
            resolver = BrokenResolver(hangs=address == "name never resolves")
        return HttpTransport(
            path,
            self.base_url(address, path),
            options=TransportOptions(connect_timeout=0.5 if address in _TIMED else 10),
            resolver=resolver,
            ssl_context=None if address == "unknown authority" else self.trusted,
        )


async def _alert(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"\x15\x03\x01\x00\x02\x02\x46")  # fatal: protocol version
    await reader.read()
    writer.close()


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.close()


@contextlib.asynccontextmanager
async def opened(scripted: int) -> AsyncIterator[Addresses]:
    """Open what a connection can fail at, beside the scripted upstream's port."""
    authority = trustme.CA()
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    async with contextlib.AsyncExitStack() as stack:

        async def listening(answer: Answer, certificate: trustme.LeafCert | None = None) -> int:
            context = None
            if certificate is not None:
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                certificate.configure_cert(context)
            server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
            stack.callback(server.close)
            return int(server.sockets[0].getsockname()[1])

        expired = authority.issue_cert("api.test", not_after=yesterday)
        ports: dict[Address, int] = {
            "scripted": scripted,
            "closed port": _closed(stack),
            "swallows packets": _swallowing(stack),
            "expired certificate": await listening(_hang_up, expired),
            "wrong certificate": await listening(_hang_up, authority.issue_cert("other.test")),
            "unknown authority": await listening(_hang_up, authority.issue_cert("api.test")),
            "old TLS": await listening(_alert),
            "cut handshake": await listening(_hang_up),
        }
        yield Addresses(ports, trusted)


def _closed(stack: contextlib.ExitStack | contextlib.AsyncExitStack) -> int:
    """Return a port that nobody listens on and that nobody else can take."""
    bound = stack.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))
    return int(bound.getsockname()[1])


def _swallowing(stack: contextlib.ExitStack | contextlib.AsyncExitStack) -> int:
    """Return the port of a listener whose queue is full: it drops new connections."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(4):
        knocking = stack.enter_context(socket.socket())
        knocking.setblocking(False)
        knocking.connect_ex(listener.getsockname())
    return int(listener.getsockname()[1])
