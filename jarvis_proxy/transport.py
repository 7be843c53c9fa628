"""Upstream IO: pooled sessions, sending, and network errors as ProxyError. IO.

Every default of ClientSession that would hurt a stream or leak a secret is overridden here: the
total timeout (cuts long answers), the pool limit (queues the 101st stream in silence), redirects
(would carry a key and the prompt to another host), cookies, proxies from the environment.
"""

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from jarvis_proxy import __version__
from jarvis_proxy.direct import DirectResponse, DirectSender, taken_whole
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.push import PushingProtocol, Sink, push
from jarvis_proxy.turns import Turn
from jarvis_proxy.upstreams import echo
from jarvis_proxy.upstreams.base import UpstreamRequest

NETWORK_ERRORS: Final = (aiohttp.ClientError, OSError, asyncio.TimeoutError)
"""What reading from an upstream may raise; give it to ``read_error``."""

_MAX_CACHED: Final = 512
_DRAIN_AFTER_END: Final = 1.0
Body = bytes | AsyncIterable[bytes]
_Response = aiohttp.ClientResponse | DirectResponse


class UpstreamReply(Protocol):
    """An answer whose head has come."""

    status: int
    headers: Mapping[str, str]

    async def readany(self) -> bytes:
        """Return what has arrived, waiting for something; ``b""`` at the end.

        Raises one of NETWORK_ERRORS when the answer is cut.
        """

    def forget_headers(self) -> None:
        """Let go of the headers: nobody will ask for them any more."""

    def whole(self) -> bytes | None:
        """Return the whole answer if all of it is here already, and nothing of it has been read."""

    async def push(self, sink: "Sink") -> bool:
        """Give *sink* what arrives, as it arrives, until it wants attention or the answer ends.

        Returns whether more may come. Raises as ``readany`` does.
        """

    def finish(self) -> None:
        """Let the connection go back to the pool if the answer ends now, else close it soon."""

    def close(self) -> None:
        """Close the connection at once, unless the answer is finished."""


class Door(Protocol):
    """The way to one upstream."""

    async def send(
        self, request: UpstreamRequest, key: str | None, body: Body | None = None
    ) -> UpstreamReply:
        """Send *request* (with *body* in place of its own, if given); return when the head is here.

        Raises:
            ProxyError: 502 or 504, by what went wrong; see ``send_error``.
        """

    async def close(self) -> None:
        """Close every connection."""


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """How upstreams are reached. Times in seconds."""

    connect_timeout: float = 5.0
    proxy: str | None = None


class HttpReply:
    """An UpstreamReply over HTTP."""

    __slots__ = ("_finished", "_finishing", "_response", "headers", "readany", "status")

    def __init__(self, response: _Response, finishing: set[_Response]) -> None:
        self._response = response
        self._finished = False
        self._finishing = finishing
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        # Bound once: a stream reads thousands of times, and a wrapper would cost each time.
        self.readany = response.content.readany

    def forget_headers(self) -> None:
        """Let go of the headers, kilobytes that a stream has no more use for."""
        self.headers = {}
        if isinstance(self._response, DirectResponse):
            self._response.headers = {}

    def whole(self) -> bytes | None:
        """Return the body that came with its head, as small ones do."""
        return taken_whole(self._response.content)

    async def push(self, sink: Sink) -> bool:
        """Give *sink* what arrives, without a task step for each piece."""
        return await push(self._response.content, sink)

    def finish(self) -> None:
        """Release the connection at the answer's end, which gets a moment to arrive."""
        self._finished = True
        content = self._response.content
        if content.is_eof():
            self._response.release()
            return
        # Closing now would cost the next call a new TLS handshake, and the end of the chunked
        # body is nearly always in the next packet. StreamReader stops a flood meanwhile.
        self._finishing.add(self._response)
        timer = asyncio.get_running_loop().call_later(_DRAIN_AFTER_END, self._give_up)
        content.on_eof(timer.cancel)
        content.on_eof(partial(self._finishing.discard, self._response))

    def _give_up(self) -> None:
        self._finishing.discard(self._response)
        self._response.close()

    def close(self) -> None:
        """Close the connection, unless it is about to go back to the pool."""
        if not self._finished:
            self._response.close()


class _Attempt:
    """One request on its way: whether it went over a connection made for it."""

    __slots__ = ("is_fresh",)

    def __init__(self) -> None:
        self.is_fresh = False


_ATTEMPT: Final[ContextVar[_Attempt]] = ContextVar("attempt")


class _Connector(aiohttp.TCPConnector):
    """A pool that tells a request whether its connection is new.

    TraceConfig tells it too, but costs each request as much as two middlewares.
    """

    connect_limit: float | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        loop = asyncio.get_running_loop()
        made = partial(PushingProtocol, Turn(loop), loop)
        self._factory = cast("partial[ResponseHandler]", made)

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> ResponseHandler:
        _ATTEMPT.get().is_fresh = True
        # Only a new connection is timed as a whole, name lookup included: ClientTimeout(connect=)
        # would arm a timer for every request, those on pooled connections too.
        try:
            async with asyncio.timeout(self.connect_limit):
                return await super()._create_connection(req, traces, timeout)
        except TimeoutError as exc:
            raise aiohttp.ConnectionTimeoutError from exc


class HttpDoor:
    """One upstream behind a pooled ClientSession."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        key_header: str = "Authorization",
        key_prefix: str = "Bearer ",
        options: TransportOptions | None = None,
        resolver: aiohttp.abc.AbstractResolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._key_header = key_header
        self._key_prefix = key_prefix
        self._options = options or TransportOptions()
        self._resolver = resolver
        self._ssl: ssl.SSLContext | bool = True if ssl_context is None else ssl_context
        self._urls: dict[str, URL] = {}
        self._headers: dict[tuple[object, ...], CIMultiDictProxy[str]] = {}
        self._heads: dict[tuple[object, ...], bytes] = {}
        self._session = self._new_session(force_close=False)
        self._direct: DirectSender | None = None
        if self._options.proxy is None:
            self._direct = DirectSender(self._session, URL(base_url, encoded=True))
        self._finishing: set[_Response] = set()
        # Used for the one re-send after a stale connection: it never takes one from a pool.
        self._fresh_session: aiohttp.ClientSession | None = None

    def _new_session(self, *, force_close: bool) -> aiohttp.ClientSession:
        connector = _Connector(
            limit=0,
            ttl_dns_cache=60,
            ssl=self._ssl,
            resolver=self._resolver,
            force_close=force_close,
            keepalive_timeout=aiohttp.helpers.sentinel if force_close else 15.0,
        )
        connector.connect_limit = self._options.connect_timeout + 1
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._options.connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=16 * 1024,
            max_headers=128,
            raise_for_status=False,
        )

    async def send(
        self, request: UpstreamRequest, key: str | None, body: Body | None = None
    ) -> HttpReply:
        """Send *request* with *key*; one re-send where a pooled connection proved dead."""
        attempt = _Attempt()
        _ATTEMPT.set(attempt)
        data: Body | None = request.body if body is None else body
        try:
            if self._direct is not None and isinstance(data, bytes) and data:
                head = self._head(self._direct, request, key)
                return HttpReply(await self._direct.send(head, data), self._finishing)
            return await self._send(self._session, request, key, data)
        except NETWORK_ERRORS as exc:
            if attempt.is_fresh or not isinstance(data, bytes) or not _is_stale(exc):
                raise send_error(exc) from exc
        # The connection came from the pool and died before a byte of an answer: the upstream had
        # closed it while it was idle. This is the only case in which a POST is sent again.
        if self._fresh_session is None:
            self._fresh_session = self._new_session(force_close=True)
        try:
            return await self._send(self._fresh_session, request, key, data)
        except NETWORK_ERRORS as exc:
            raise send_error(exc) from exc

    async def _send(
        self,
        session: aiohttp.ClientSession,
        request: UpstreamRequest,
        key: str | None,
        data: Body | None,
    ) -> HttpReply:
        response = await session.request(
            request.method,
            self._url(request.path),
            data=data or None,
            headers=self._request_headers(request.headers, key),
            allow_redirects=False,
            proxy=self._options.proxy,
        )
        return HttpReply(response, self._finishing)

    def _head(self, direct: DirectSender, request: UpstreamRequest, key: str | None) -> bytes:
        # Paths, keys and the headers that cross are few: what they make together is made once.
        kind = (request.method, request.path, key, *request.headers.items())
        head = self._heads.get(kind)
        if head is None:
            if len(self._heads) >= _MAX_CACHED:
                self._heads.clear()
            url, headers = self._url(request.path), self._request_headers(request.headers, key)
            head = self._heads[kind] = direct.head(request.method, url, headers)
        return head

    def _url(self, path: str) -> URL:
        # Parsing a URL costs more than sending a small request's headers; paths are few.
        url = self._urls.get(path)
        if url is None:
            if len(self._urls) >= _MAX_CACHED:
                self._urls.clear()
            url = self._urls[path] = URL(self._base_url + path, encoded=True)
        return url

    def _request_headers(
        self, crossing: Mapping[str, str], key: str | None
    ) -> CIMultiDictProxy[str]:
        cache_key = (key, *crossing.items())
        headers = self._headers.get(cache_key)
        if headers is None:
            if len(self._headers) >= _MAX_CACHED:
                self._headers.clear()
            built = CIMultiDict({"Accept": "*/*", "User-Agent": f"jarvis-proxy/{__version__}"})
            for name, value in crossing.items():
                built[name] = value  # whatever its case, in place of ours
            # A compressor at the upstream would hold events back.
            built["Accept-Encoding"] = "identity"
            if key:
                built[self._key_header] = self._key_prefix + key
            headers = self._headers[cache_key] = CIMultiDictProxy(built)
        return headers

    async def close(self) -> None:
        """Close both sessions."""
        for response in tuple(self._finishing):
            response.close()
        await self._session.close()
        if self._fresh_session is not None:
            await self._fresh_session.close()


class LocalReply:
    """An UpstreamReply of the embedded model."""

    __slots__ = ("_pieces", "headers", "status")

    def __init__(self, reply: echo.EchoReply) -> None:
        self.status = 200
        self.headers: Mapping[str, str] = {"Content-Type": reply.content_type}
        self._pieces = _paced(reply)

    async def readany(self) -> bytes:
        """Return the next piece."""
        return await anext(self._pieces, b"")

    def forget_headers(self) -> None:
        """Do nothing: there are few."""

    def whole(self) -> None:
        """Return None: it comes at its own pace."""

    async def push(self, sink: Sink) -> bool:
        """Give *sink* the next piece."""
        data = await self.readany()
        if data:
            sink(data)
        return bool(data)

    def finish(self) -> None:
        """Do nothing: there is no connection."""

    def close(self) -> None:
        """Do nothing: there is no connection."""


class LocalDoor:
    """The way to the embedded model."""

    async def send(
        self, request: UpstreamRequest, key: str | None, body: Body | None = None
    ) -> LocalReply:
        """Return the echo."""
        reply_id = request.headers.get("x-jarvis-call", "")
        created = int(request.headers.get("x-jarvis-created", "0"))
        endpoint = request.path.partition("?")[0].removeprefix("/")
        reply = echo.reply(request.body, reply_id=reply_id, created=created, endpoint=endpoint)
        return LocalReply(reply)

    async def close(self) -> None:
        """Do nothing: there is no connection."""


async def _paced(reply: echo.EchoReply) -> AsyncIterator[bytes]:
    for index, piece in enumerate(reply.pieces):
        if index:
            await asyncio.sleep(reply.pace)
        yield piece


def _is_stale(exc: BaseException) -> bool:
    """Tell whether a connection from the pool ended before a byte of an answer came."""
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        # With part of an answer's head received, the message is that head and no text.
        return isinstance(exc.message, str)
    return isinstance(exc, aiohttp.ClientOSError | ConnectionError)


class ConnectFailure(ProxyError):
    """The upstream was not reached: nothing of the request was sent, so it may be tried again."""


def send_error(exc: BaseException) -> ProxyError:
    """Return what the client is told when an upstream could not be asked.

    Codes: `upstream_dns_error`, `upstream_tls_error`, `upstream_connect_error` (502),
    `upstream_connect_timeout` (504): nothing was sent. `upstream_disconnected`,
    `upstream_bad_response` (502): it was.
    """
    match exc:
        case aiohttp.ClientConnectorDNSError():
            return ConnectFailure(
                502, "The upstream's host name could not be resolved.", code="upstream_dns_error"
            )
        case aiohttp.ClientConnectorCertificateError():
            return ProxyError(
                502,
                "The upstream's TLS certificate is not valid.",
                code="upstream_tls_error",
                should_retry=False,
            )
        case aiohttp.ClientSSLError():
            return ConnectFailure(
                502, "TLS with the upstream could not be set up.", code="upstream_tls_error"
            )
        case aiohttp.ConnectionTimeoutError():
            return ConnectFailure(
                504,
                "The upstream could not be reached in time.",
                code="upstream_connect_timeout",
            )
        case aiohttp.ClientConnectorError() | aiohttp.ClientHttpProxyError():
            return ConnectFailure(
                502, "The upstream could not be reached.", code="upstream_connect_error"
            )
        case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
            return bad_response()
        case _:
            return ProxyError(
                502,
                "The upstream closed the connection before it answered.",
                code="upstream_disconnected",
            )


def read_error(exc: BaseException) -> ProxyError:
    """Return what the client is told when an answer that had begun was cut: 502."""
    if isinstance(exc, aiohttp.ClientResponseError):
        return bad_response()
    return ProxyError(
        502, "The upstream's answer ended before it was complete.", code="upstream_truncated"
    )


def bad_response() -> ProxyError:
    """Return 502 `upstream_bad_response`: what came is not what this API answers."""
    return ProxyError(
        502, "The upstream's answer could not be understood.", code="upstream_bad_response"
    )
