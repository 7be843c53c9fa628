"""Maps network failures to errors for the client. Pure but for the classes of aiohttp."""

import asyncio
from typing import Any, Final

import aiohttp

from jarvis_proxy.canonical.exchange import truncated
from jarvis_proxy.errors import ProxyError

NETWORK_ERRORS: Final = (aiohttp.ClientError, OSError, asyncio.TimeoutError)
"""Errors that reading from an upstream may raise; ``map_read_error`` translates them."""


class ConnectError(ProxyError):
    """The upstream was not reached. Nothing was sent, so the request may be retried."""


class SocksError(aiohttp.ClientProxyConnectionError):
    """A SOCKS5 proxy made no connection. *is_login*: it does not accept the credentials."""

    def __init__(self, key: Any, reason: str, *, is_login: bool = False) -> None:
        super().__init__(key, OSError(reason))
        self.reason = reason
        self.is_login = is_login


def map_send_error(exc: BaseException) -> ProxyError:
    """Return the client's error for a request that could not be sent or answered.

    Nothing was sent: `upstream_dns_error`, `upstream_tls_error`, `upstream_connect_error` (502),
    `upstream_connect_timeout` (504). The request was sent: `upstream_disconnected`,
    `upstream_bad_response` (502).
    """
    match exc:
        case aiohttp.ClientConnectorCertificateError():
            return ProxyError(
                502,
                "The upstream's TLS certificate is not valid.",
                code="upstream_tls_error",
                should_retry=False,
            )
        case aiohttp.ClientConnectorError() | aiohttp.ClientHttpProxyError():
            return _connect_error(exc)
        case aiohttp.ClientSSLError() | aiohttp.ConnectionTimeoutError():
            return _connect_error(exc)
        case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
            return bad_response()
        case _:
            return ProxyError(
                502,
                "The upstream closed the connection before it answered.",
                code="upstream_disconnected",
            )


def _connect_error(exc: aiohttp.ClientError) -> ConnectError:
    match exc:
        case aiohttp.ClientConnectorDNSError():
            return ConnectError(
                502, "The upstream's host name could not be resolved.", code="upstream_dns_error"
            )
        case aiohttp.ClientSSLError():
            return ConnectError(
                502, "TLS with the upstream could not be set up.", code="upstream_tls_error"
            )
        case aiohttp.ConnectionTimeoutError():
            return ConnectError(
                504,
                "The upstream could not be reached in time.",
                code="upstream_connect_timeout",
            )
        case _:
            return ConnectError(
                502, "The upstream could not be reached.", code="upstream_connect_error"
            )


def map_read_error(exc: BaseException) -> ProxyError:
    """Return the client's error for a response that was cut after its head: 502."""
    if isinstance(exc, aiohttp.ClientResponseError):
        return bad_response()
    return truncated()


def bad_response() -> ProxyError:
    """Return 502 `upstream_bad_response`: the response does not fit this API."""
    return ProxyError(
        502, "The upstream's answer could not be understood.", code="upstream_bad_response"
    )


def malformed_error() -> aiohttp.ClientError:
    """Return the network error for a response that is not HTTP."""
    info = aiohttp.RequestInfo(None, "", None, None)  # type: ignore[arg-type] # nobody reads it
    return aiohttp.ClientResponseError(info, (), message="the answer is not HTTP")


def truncated_error() -> aiohttp.ClientError:
    """Return the network error for a response that ended too early."""
    return aiohttp.ClientPayloadError("the answer was cut")
