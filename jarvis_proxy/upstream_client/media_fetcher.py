"""Downloads a client's http(s) attachments from public addresses only. IO.

The address is checked where the socket is made, for every connection. So no spelling of a URL, no
resolver that changes its answer and no redirect can bypass the check.
"""

import asyncio
import errno
import re
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from jarvis_proxy import __version__
from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.ip_policy import is_public
from jarvis_proxy.wire.media_types import sniff_media_type

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """Limits of one download, and of all downloads of one call, in bytes and seconds."""

    max_bytes: int = 20 * _MIB
    # Gemini accepts 100 MB per request, and base64 adds a third.
    max_call_bytes: int = 75 * _MIB
    seconds: float = 10
    """Limit for everything from the first lookup to the last byte, redirects included."""
    # Without this, a long list of slow addresses could hold a call for minutes.
    call_seconds: float = 30
    concurrency: int = 4
    redirects: int = 3
    ports: frozenset[int] = frozenset((80, 443, 8080, 8443))


_PROCESS_CONNECTIONS: Final = 32
_RESOLVER_THREADS: Final = 4
_MAX_URL_CHARS: Final = 8192
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_NOT_IN_URLS: Final = re.compile(r"[\x00-\x1f\x7f\\]")
# The pattern excludes percent signs (encoded hosts, zone ids) and anything beyond ASCII.
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_HEADERS: Final = {
    "User-Agent": f"jarvis-proxy/{__version__}",
    "Accept": "image/*, audio/*, video/*, application/pdf",
    "Accept-Encoding": "identity",
}


class _FetchDenied(Exception):
    """The guard refused a URL. It stays inside this module: the client sees a general error."""


# Failures that the network, a server or a URL can cause. Bugs of ours are not among them.
_FAILURES: Final = (_FetchDenied, aiohttp.ClientError, OSError, ValueError)


class MediaFetcher:
    """Downloads attachments. Create one per process on the running loop; close it once.

    *allow* judges a textual address before it is dialled. *allow*, *resolver* (which the caller
    closes) and *limits* exist for tests; no setting changes them.
    """

    def __init__(
        self,
        *,
        resolver: AbstractResolver | None = None,
        allow: Callable[[str], bool] = is_public,
        limits: FetchLimits | None = None,
    ) -> None:
        self._allow = allow
        self._limits = limits or FetchLimits()
        self._own_resolver = ThreadResolver() if resolver is None else None
        connector = aiohttp.TCPConnector(
            resolver=resolver or self._own_resolver,
            socket_factory=self._guarded_socket,
            use_dns_cache=False,
            # Connections to unknown servers are not worth pooling.
            force_close=True,
            limit=_PROCESS_CONNECTIONS,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            # A proxy or netrc would bypass the address check.
            trust_env=False,
            auto_decompress=False,
            # FetchLimits sets the limits on time.
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=64 * 1024,
        )

    async def fetch_all(
        self, urls: Sequence[str], hold: Callable[[int], None] = lambda size: None
    ) -> dict[str, Media | ProxyError]:
        """Return, for each distinct URL, its media or the one error that all failures share.

        The error is 400 `invalid_image_url` without address, status or reason, so that it reveals
        nothing about the proxy's network. No URL makes this method raise.

        *hold* is called with the size of received data before the data is kept, and with a negative
        size when data is freed. It may raise a ProxyError, which ends all downloads.
        """
        wanted = list(dict.fromkeys(urls))
        deadline = asyncio.get_running_loop().time() + self._limits.call_seconds
        gate = asyncio.Semaphore(self._limits.concurrency)
        budget = _Budget(self._limits.max_call_bytes, hold)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._fetch(url, deadline, gate, budget)) for url in wanted
                ]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return {url: task.result() for url, task in zip(wanted, tasks, strict=True)}

    async def close(self) -> None:
        """Close every connection. Running lookups end in their threads; nobody awaits them."""
        await self._session.close()
        if self._own_resolver is not None:
            await self._own_resolver.close()

    async def _fetch(
        self, url: str, deadline: float, semaphore: asyncio.Semaphore, budget: "_Budget"
    ) -> Media | ProxyError:
        try:
            async with (
                asyncio.timeout_at(deadline),
                semaphore,
                asyncio.timeout(self._limits.seconds),
            ):
                return await self._follow(self._checked(_parse(url)), budget)
        except _FAILURES:
            return _fetch_error()

    async def _follow(self, url: URL, budget: "_Budget") -> Media:
        for _ in range(1 + self._limits.redirects):
            async with self._session.get(url, allow_redirects=False) as reply:
                if reply.status not in _REDIRECTS:
                    return await self._read(reply, budget)
                url = self._checked(url.join(_parse(reply.headers.get("Location", ""))))
        raise _FetchDenied("too many redirects")

    async def _read(self, reply: aiohttp.ClientResponse, budget: "_Budget") -> Media:
        declared = reply.headers.get("Content-Type", "").strip()
        encoding = reply.headers.get("Content-Encoding", "").strip().lower()
        # The request asks for identity: a compressed response may be a decompression bomb.
        if reply.status != 200 or encoding not in ("", "identity"):
            raise _FetchDenied("not a plain 200")
        if declared.lower().startswith("text/"):
            raise _FetchDenied("a page")
        limit = self._limits.max_bytes
        if (reply.content_length or 0) > min(limit, budget.left):
            raise _FetchDenied("declared too large")
        parts: list[bytes] = []
        try:
            async for data in reply.content.iter_any():
                limit -= len(data)
                budget.take(len(data))
                parts.append(data)
                if limit < 0 or budget.left < 0:
                    raise _FetchDenied("too large")
            whole = b"".join(parts)
            mime_type = sniff_media_type(whole, declared)
            if mime_type is None:
                raise _FetchDenied("no media")
        except BaseException:
            budget.hold(-sum(map(len, parts)))
            raise
        return Media(mime_type, whole)

    def _checked(self, url: URL) -> URL:
        """Return *url* if it is plain http(s) to an allowed port, without userinfo."""
        if url.scheme not in ("http", "https") or url.port not in self._limits.ports:
            raise _FetchDenied("scheme or port")
        if url.raw_user is not None or url.raw_password is not None:
            raise _FetchDenied("userinfo")
        if _HOST.fullmatch(url.raw_host or "") is None:
            raise _FetchDenied("host")
        return url

    def _guarded_socket(self, addr_info: aiohttp.AddrInfoType) -> socket.socket:
        """Return a socket for the address that is about to be dialled, if that is allowed.

        aiohttp calls this for each candidate address of each connection.

        Raises:
            OSError: it is not allowed; aiohttp then tries the next candidate.
        """
        family, kind, protocol, _, address = addr_info
        # Check the port too: aiohttp dials the resolver's port, not the one in the URL.
        if address[1] not in self._limits.ports or not self._allow(str(address[0])):
            raise OSError(errno.EACCES, "address refused")
        return socket.socket(family, kind, protocol)


@dataclass(slots=True)
class _Budget:
    """Bytes that one call's downloads may still take; *hold* counts them elsewhere as well."""

    left: int
    hold: Callable[[int], None]

    def take(self, size: int) -> None:
        """Count *size* bytes. Raises whatever ``hold`` raises."""
        self.left -= size
        self.hold(size)


class ThreadResolver(AbstractResolver):
    """The system's resolver on a few threads of its own.

    A lookup cannot be interrupted. On the loop's shared threads, a client's hanging names would
    delay lookups for the upstreams.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="media-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of *host*. Raises OSError if there are none."""
        look_up = partial(
            socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Accept no more lookups; do not wait for running ones."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _parse(text: str) -> URL:
    """Return the URL that is checked and then dialled: *text* is parsed only once."""
    text = text.strip(" \t\r\n")
    if len(text) > _MAX_URL_CHARS or _NOT_IN_URLS.search(text) is not None:
        raise _FetchDenied("characters")
    return URL(text)


def _fetch_error() -> ProxyError:
    return ProxyError(
        400,
        "The URL could not be fetched. It must be a public http(s) address that gives an image, "
        "audio, video or PDF file of at most 20 MiB within 10 seconds.",
        code="invalid_image_url",
    )
