"""Rejects malformed requests with OpenAI's error object and a fixed text. No IO.

aiohttp answers malformed HTTP in plain text, quotes the offending bytes and logs them. Its parser
also accepts requests that no honest client sends; this module rejects those.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from random import SystemRandom
from typing import Final

from aiohttp import HttpVersion, HttpVersion10, HttpVersion11, web

from jarvis_proxy.errors import ProxyError

_RANDOM: Final = SystemRandom()
NOT_HTTP: Final = ("The request is not valid HTTP.", "bad_request")
TEXTS: Final = {
    400: NOT_HTTP,
    408: ("The request's head did not arrive in time.", "request_timeout"),
    431: ("The request's address or headers are too long.", "headers_too_large"),
    505: ("This server speaks HTTP/1.1.", "http_version_not_supported"),
}
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
"""The Host header as in RFC 3986, 3.2.2; RFC 9110, 7.2 allows an empty one."""
METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
"""Methods that may be relayed. Parsers on the way may treat other methods specially."""


class MalformedRequest(ProxyError):
    """The request's framing cannot be trusted: the connection is closed after the response."""


def check_request(request: web.Request) -> None:
    """Refuse a request that parsers may read differently, or that is not for this server.

    Raises:
        MalformedRequest: 505 for HTTP/2 and later; 501 for a coding other than ``chunked``;
            405 for CONNECT and ``OPTIONS *``; 400 for HTTP/0.9, chunks in HTTP/1.0, an absolute
            URL, or an invalid Host.
    """
    headers = request.headers
    coding = headers.get("Transfer-Encoding")
    # HTTP/1.0 has no chunked coding. A proxy in front of this server may have read the chunks as
    # the whole body, or as the next request.
    if coding is not None and request.version == HttpVersion10:
        raise not_http()
    if coding is not None and coding.strip().lower() != "chunked":
        raise MalformedRequest(
            501, "The only transfer coding here is chunked.", code="unsupported_transfer_encoding"
        )
    if request.method == "CONNECT" or request.raw_path == "*":
        raise method_not_allowed()
    # Only a forward proxy gets an absolute URL, whose host would override the Host header.
    if not request.raw_path.startswith("/") or _HOST.fullmatch(headers.get("Host", "")) is None:
        raise not_http()


def version_status(version: HttpVersion) -> int | None:
    """Return the status that rejects this HTTP *version*, None if it is supported."""
    if version in (HttpVersion11, HttpVersion10):
        return None
    return 505 if version.major > 1 else 400


def method_not_allowed() -> MalformedRequest:
    """Return 405 `method_not_allowed` for a method that no endpoint has."""
    allow = ("Allow", ", ".join(sorted(METHODS)))
    return MalformedRequest(
        405, "This server has no such method.", code="method_not_allowed", headers=(allow,)
    )


def wants_websocket(request: web.Request) -> bool:
    """Tell whether the client asks to upgrade to a WebSocket."""
    return "websocket" in request.headers.get("Upgrade", "").lower()


def no_websocket() -> MalformedRequest:
    """Return 426 `websocket_not_served`; clients then fall back to HTTP at once.

    RFC 9110, 15.5.22: the response names the protocol to use, which is HTTP.
    """
    return MalformedRequest(
        426,
        "There are no WebSockets here. Send the request by POST; the answer can be streamed.",
        code="websocket_not_served",
        should_retry=False,
        headers=(("Upgrade", "HTTP/1.1"),),
    )


def not_http() -> MalformedRequest:
    """Return 400 `bad_request`."""
    return MalformedRequest(400, NOT_HTTP[0], code=NOT_HTTP[1])


def _error(status: int) -> ProxyError:
    text, code = TEXTS.get(status, ("The proxy failed.", "internal_error"))
    return ProxyError(status, text, code=code)


def error_response(status: int) -> bytes:
    """Return the complete response to a request with an incomplete or malformed head."""
    return _full_response(_error(status), ())


def server_full_response() -> bytes:
    """Return the complete response for an excess connection; its request is not read."""
    error = ProxyError(503, "Too many connections are open.", code="overloaded")
    return _full_response(error, ("Retry-After: 1", "x-should-retry: true"))


def _full_response(error: ProxyError, headers: Sequence[str]) -> bytes:
    body = error.body()
    lines = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"x-request-id: {new_request_id()}",
        *headers,
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def new_request_id() -> str:
    """Return a request id for a response that belongs to no call."""
    return f"req_{_RANDOM.getrandbits(96):024x}"


async def strip_server_header(request: web.Request, response: web.StreamResponse) -> None:
    """Remove the header that names the server software and its version."""
    response.headers.popall("Server", None)
