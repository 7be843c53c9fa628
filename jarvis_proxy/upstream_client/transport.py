"""The transport to one upstream: its address, key, and the headers of every request. IO.

This module overrides every default of ClientSession that would harm a stream or leak a secret: the
total timeout (cuts long answers), the pool limit (silently queues the 101st stream), cookies, and
proxies from the environment.
"""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from jarvis_proxy import __version__
from jarvis_proxy.aiohttp_ext.websockets import WebSocketPeer
from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.config.addresses import is_socks
from jarvis_proxy.config.upstreams import UpstreamSettings
from jarvis_proxy.upstream_client.client import Body, PoolRequest, UpstreamClient
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS, map_send_error
from jarvis_proxy.upstream_client.response import Sink, UpstreamResponse
from jarvis_proxy.upstream_client.tls import default_context
from jarvis_proxy.upstream_client.websocket import keep_refusal, open_websocket

_MAX_CACHED: Final = 512
_MAX_CACHED_HEAD: Final = 2048
"""Largest cached head, in bytes; longer ones are rare and never repeat."""
_KEEPALIVE: Final = 15.0
"""Seconds that an idle connection stays in the pool."""


BEARER: Final[Mapping[str, str]] = MappingProxyType({"Authorization": "Bearer "})
"""The header that carries an upstream's key, and the prefix of its value."""
_ANTHROPIC: Final = "api.anthropic.com"


def key_headers(upstream: UpstreamSettings, url: str = "") -> Mapping[str, str]:
    """Return the headers that carry *upstream*'s key, or those of its Messages API at *url*."""
    match "messages" if url else upstream.api:
        case "gemini":
            # Keys belong in a header: URLs end up in logs.
            return {"x-goog-api-key": ""}
        case "messages":
            is_anthropic = is_anthropics(url or upstream.base_url)
            # Compatible services accept either header.
            return {"x-api-key": ""} if is_anthropic else {"x-api-key": "", **BEARER}
        case _:
            return BEARER


def is_anthropics(url: str) -> bool:
    """Tell whether the Messages API at *url* is Anthropic's own, not a compatible service's."""
    return urlsplit(url).hostname == _ANTHROPIC


class TransportResponse(Protocol):
    """A response whose head has arrived."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields, their names in lower case."""

    async def readany(self) -> bytes:
        """Wait for data and return all that has arrived; ``b""`` at the end.

        Raises one of NETWORK_ERRORS when the response is cut.
        """

    def drop_headers(self) -> None:
        """Free the headers: they are no longer needed."""

    def buffered_body(self) -> bytes | None:
        """Return the whole body if it has fully arrived and none of it was read, else None."""

    async def stream_to(self, sink: Sink) -> bool:
        """Give *sink* data as it arrives, until it returns True or the response ends.

        Returns whether more may follow. Raises as ``readany`` does.
        """

    def release_at_end(self) -> None:
        """Return the connection to the pool if the response ends soon, else close it."""

    def close(self) -> None:
        """Close the connection at once, unless the response is finished."""


class UpstreamTransport(Protocol):
    """Sends requests to one upstream."""

    async def send(
        self, request: UpstreamRequest, key: str | None, body: Body | None = None
    ) -> TransportResponse:
        """Send *request*, with *body* in place of its own if given; return once the head arrives.

        Raises:
            ProxyError: 502 or 504 (see ``map_send_error``), or whatever *body* raised.
        """

    async def close(self) -> None:
        """Close every connection."""


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """How to reach upstreams. Times are in seconds."""

    connect_timeout: float = 5.0
    proxy: str | None = None


class HttpTransport:
    """One upstream behind a pooled ClientSession."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        key_headers: Mapping[str, str] = BEARER,
        options: TransportOptions | None = None,
        resolver: aiohttp.abc.AbstractResolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._key_headers = key_headers
        self._heads: dict[tuple[object, ...], bytes] = {}
        options = options or TransportOptions()
        self._proxy = _http_proxy(options)
        self.session = _new_session(options, resolver, ssl_context or default_context())
        self._client = UpstreamClient(
            self.session,
            URL(base_url, encoded=True),
            proxy=self._proxy,
        )

    async def send(
        self, request: UpstreamRequest, key: str | None, body: Body | None = None
    ) -> UpstreamResponse:
        """Send *request* with *key*; see ``UpstreamClient.send`` for the one re-send.

        Raises:
            ProxyError: 502 or 504, see ``map_send_error``; or whatever reading *body* raised.
            ValueError: a control character in the path, the key or a header.
        """
        # Heads of uploads are not cached: length and boundary differ.
        head = self._head(request, key) if body is None else self._encoded(request, key)
        data = request.body if body is None else body
        try:
            return await self._client.send(head, data, has_body=request.method != "HEAD")
        except NETWORK_ERRORS as exc:
            raise map_send_error(exc) from exc

    def _head(self, request: UpstreamRequest, key: str | None) -> bytes:
        # Heads are cached, as there are few combinations of path, key and forwarded headers.
        kind = (request.method, request.path, key, *request.headers.items())
        head = self._heads.get(kind)
        if head is None:
            head = self._encoded(request, key)
            if len(head) <= _MAX_CACHED_HEAD:
                if len(self._heads) >= _MAX_CACHED:
                    self._heads.clear()
                self._heads[kind] = head
        return head

    def _encoded(self, request: UpstreamRequest, key: str | None) -> bytes:
        url = URL(self._base_url + request.path, encoded=True)
        headers = self._request_headers(request.headers, key)
        return self._client.encode_head(request.method, url, headers)

    def _request_headers(
        self, crossing: Mapping[str, str], key: str | None
    ) -> CIMultiDictProxy[str]:
        headers = CIMultiDict({"Accept": "*/*", "User-Agent": f"jarvis-proxy/{__version__}"})
        for name, value in crossing.items():
            headers[name] = value  # replaces ours, in any case
        # A compressor at the upstream would delay events.
        headers["Accept-Encoding"] = "identity"
        if key:
            for name, prefix in self._key_headers.items():
                headers[name] = prefix + key
        return CIMultiDictProxy(headers)

    async def open_socket(
        self,
        request: UpstreamRequest,
        key: str | None,
        *,
        protocols: Sequence[str],
        max_size: int,
        stall: float,
    ) -> tuple[WebSocketPeer, str | None]:
        """Open a WebSocket with *request* and *key*; see ``open_websocket``.

        Raises:
            HandshakeRefused: the upstream answered with HTTP.
            ProxyError: 502 or 504, see ``map_send_error``.
        """
        return await open_websocket(
            self.session,
            URL(self._base_url + request.path, encoded=True),
            self._request_headers(request.headers, key),
            protocols=protocols,
            proxy=self._proxy,
            max_size=max_size,
            stall=stall,
        )

    async def close(self) -> None:
        """Close every connection, including those in use."""
        await self.session.close()


def _new_session(
    options: TransportOptions,
    resolver: aiohttp.abc.AbstractResolver | None,
    ssl_context: ssl.SSLContext,
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=_new_connector(options, resolver, ssl_context),
        request_class=PoolRequest,
        middlewares=(keep_refusal,),
        # `connect` bounds a new connection as a whole, name lookup included.
        timeout=aiohttp.ClientTimeout(
            total=None, connect=options.connect_timeout + 1, sock_connect=options.connect_timeout
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def _new_connector(
    options: TransportOptions,
    resolver: aiohttp.abc.AbstractResolver | None,
    ssl_context: ssl.SSLContext,
) -> aiohttp.TCPConnector:
    if options.proxy is not None and is_socks(options.proxy):
        # Imported here because its package is optional.
        from jarvis_proxy.upstream_client.socks import SocksConnector

        return SocksConnector.to(
            options.proxy, limit=0, ssl=ssl_context, keepalive_timeout=_KEEPALIVE
        )
    return aiohttp.TCPConnector(
        limit=0,
        ttl_dns_cache=60,
        ssl=ssl_context,
        resolver=resolver,
        keepalive_timeout=_KEEPALIVE,
    )


def _http_proxy(options: TransportOptions) -> URL | None:
    """Return the proxy for the session; a SOCKS proxy is the connector's matter instead."""
    if options.proxy is None or is_socks(options.proxy):
        return None
    return URL(options.proxy)
