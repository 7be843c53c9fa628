"""The edge below the application: what aiohttp would say by itself, said our way. IO.

aiohttp answers malformed HTTP in plain text, quoting the offending bytes, and logs them. Here the
answer is OpenAI's error object with a fixed text, and the log has the kind of fault only.
"""

import logging
from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from jarvis_proxy.errors import ProxyError

_LOG: Final = logging.getLogger(__name__)
_TEXTS: Final = {
    400: ("The request is not valid HTTP.", "bad_request"),
    408: ("The request did not arrive in time.", "request_timeout"),
    413: ("The request is too large.", "request_too_large"),
    414: ("The address is too long.", "uri_too_long"),
    431: ("The request's headers are too large.", "headers_too_large"),
}


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
        text, code = _TEXTS.get(status, ("The proxy failed.", "internal_error"))
        error = ProxyError(status, text, code=code)
        response = web.Response(
            body=error.body(), status=status, headers={"Content-Type": "application/json"}
        )
        response.force_close()
        return response


async def without_banner(request: web.Request, response: web.StreamResponse) -> None:
    """Remove the header that names the server software and its version."""
    response.headers.popall("Server", None)
