"""Listeners on loopback for tests that dial, and a resolver that asks no network."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from aiohttp.abc import AbstractResolver, ResolveResult

from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.media_fetcher import FetchLimits, MediaFetcher

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"

SITE = "127.0.0.1"
"""What the tests let the fetcher dial; the canary listens next to it."""
CANARY = "127.0.0.2"


def anything_here(address: str) -> bool:
    """Stand in for the guard: off, save that nothing may leave this machine."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address in ("localhost", "127.1")
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_loopback or ip.is_unspecified


def only_site(address: str) -> bool:
    """Stand in for the guard: the site is "public", all else is not."""
    return address == SITE


class FakeResolver(AbstractResolver):
    """Knows the names it is given, and what the C library reads as a number. Asks no network."""

    def __init__(self, names: dict[str, list[str]] | None = None) -> None:
        self.names = names or {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answers = self.names.get(host.rstrip("."))
        if answers is None:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=4)  # NUMERICHOST
            answers = [str(info[4][0]) for info in infos]
        return [self.answer(host, address, port) for address in answers]

    @staticmethod
    def answer(host: str, address: str, port: int) -> ResolveResult:
        return ResolveResult(hostname=host, host=address, port=port, family=0, proto=0, flags=0)

    async def close(self) -> None:
        """Hold nothing."""


class Request(NamedTuple):
    """What the site was asked: the target and the header lines, as sent."""

    target: str
    headers: dict[str, str]


Answer = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


class Site:
    """A raw HTTP server that answers each path with the given bytes, or with a coroutine."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Answer] = {}
        self.requests: list[Request] = []
        self.connections = 0
        self.closed_by_peer = asyncio.Event()
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.rstrip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            request = Request(first.split(" ")[1], headers)
            self.requests.append(request)
            answer = self.answers.get(request.target, b"HTTP/1.1 404 No\r\n\r\n")
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                closed = asyncio.create_task(self._watch(reader))
                try:
                    await answer(request, writer)
                finally:
                    closed.cancel()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):  # left with our bytes unread: a reset
            await reader.read()
        self.closed_by_peer.set()

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def listening(
    hosts: tuple[str, ...], port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Site]:
    """Serve a Site on one port of every one of *hosts*."""
    site = Site()
    servers: list[asyncio.Server] = []
    try:
        for host in hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
            port = sock.getsockname()[1]
            servers.append(await asyncio.start_server(site.handle, sock=sock, ssl=tls))
        site.port = port
        yield site
    finally:
        for server in servers:
            server.close()
        site.close()


@asynccontextmanager
async def fetching(
    port: int,
    *,
    allow: Callable[[str], bool] | None = only_site,
    names: dict[str, list[str]] | None = None,
    resolver: AbstractResolver | None = None,
    limits: FetchLimits | None = None,
) -> AsyncIterator[MediaFetcher]:
    """Make a fetcher that may use *port*; with *allow* None, the guard is production's."""
    limits = limits or FetchLimits(ports=frozenset((port,)))
    resolver = resolver or FakeResolver(names)
    if allow is None:
        fetcher = MediaFetcher(resolver=resolver, limits=limits)
    else:
        fetcher = MediaFetcher(resolver=resolver, allow=allow, limits=limits)
    try:
        yield fetcher
    finally:
        await fetcher.close()


def reply(
    body: bytes = PNG, *headers: str, status: str = "200 OK", mime_type: str = "image/png"
) -> bytes:
    """Return a whole HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    if mime_type:
        lines.append(f"Content-Type: {mime_type}")
    return "\r\n".join((*lines, "", "")).encode() + body


def redirect(target: str, status: int = 302) -> bytes:
    """Return a redirect to *target*, as raw as it is."""
    head = f"HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
    return head.encode("utf-8", "surrogateescape")


async def fetch(fetcher: MediaFetcher, url: str) -> Media | ProxyError:
    (result,) = (await fetcher.fetch_all([url])).values()
    return result


def is_refusal(result: Media | ProxyError) -> bool:
    """Return whether *result* is the one error that all failures share, to the byte."""
    return (
        isinstance(result, ProxyError)
        and result.status == 400
        and result.code == "invalid_image_url"
        and result.body() == REFUSAL_BODY
        and result.headers == ()
        and result.retry_after is None
    )


REFUSAL_BODY = (
    b'{"error":{"message":"The URL could not be fetched. It must be a public http(s) address that '
    b"gives an image, audio, video or PDF file of at most 20 MiB within 10 seconds."
    b'","type":"invalid_request_error","param":null,"code":"invalid_image_url"}}'
)
