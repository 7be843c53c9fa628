"""The edge below the application: what aiohttp would say by itself, said our way. IO.

aiohttp answers malformed HTTP in plain text, quoting the offending bytes, and logs them. Here the
answer is OpenAI's error object with a fixed text, and the log has the kind of fault only. And what
its parser lets pass although no honest client sends it is refused here.
"""

import logging
import re
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from jarvis_proxy.errors import ProxyError

_LOG: Final = logging.getLogger(__name__)
_NOT_HTTP: Final = ("The request is not valid HTTP.", "bad_request")
_TEXTS: Final = {
    400: _NOT_HTTP,
    431: ("The request's address or a header is too long.", "headers_too_large"),
}
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
"""RFC 3986, 3.2.2; an empty one is allowed by RFC 9110, 7.2."""


class WireFault(ProxyError):
    """The request's framing cannot be trusted: the connection is closed after the answer."""


def check_request(request: web.Request) -> None:
    """Refuse a request that two parsers could read in two ways.

    Raises:
        WireFault: 505 for a version other than 1.0 and 1.1; 501 for a transfer coding beside
            ``chunked``; 405 for CONNECT; 400 for a Host that is none, or chunks in HTTP/1.0.
    """
    headers = request.headers
    coding = headers.get("Transfer-Encoding")
    if request.version != HttpVersion11:
        if request.version != HttpVersion10:
            raise WireFault(505, "This server speaks HTTP/1.1.", code="http_version_not_supported")
        if coding is not None:
            raise WireFault(400, _NOT_HTTP[0], code=_NOT_HTTP[1])
    if coding is not None and coding.strip().lower() != "chunked":
        raise WireFault(
            501, "The only transfer coding here is chunked.", code="unsupported_transfer_encoding"
        )
    if _HOST.fullmatch(headers.get("Host", "")) is None:
        raise WireFault(400, _NOT_HTTP[0], code=_NOT_HTTP[1])
    if request.method == "CONNECT":
        raise WireFault(405, "This server is no tunnel.", code="method_not_allowed")


class Runner(web.AppRunner):
    """An AppRunner whose connections answer malformed HTTP in JSON."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # AppRunner has no hook for the class of its connections; the server it made has no state
        # beyond what the subclass shares.
        server.__class__ = _Server
        return server


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return a fixed answer; *message* may quote the request and is not used."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")
        if status >= 500:
            _LOG.error("internal error below the application", exc_info=exc)
        else:
            _LOG.info("refused from %s: no valid HTTP (%s)", request.remote, type(exc).__name__)
        if isinstance(exc, LineTooLong):
            status = 431
        text, code = _TEXTS.get(status, ("The proxy failed.", "internal_error"))
        error = ProxyError(status, text, code=code)
        response = _Refusal(
            body=error.body(), status=status, headers={"Content-Type": "application/json"}
        )
        response.force_close()
        return response


class _Refusal(web.Response):
    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        # No signal is sent for an answer from below the application.
        self.headers.popall("Server", None)


async def without_banner(request: web.Request, response: web.StreamResponse) -> None:
    """Remove the header that names the server software and its version."""
    response.headers.popall("Server", None)
