"""Connections through a SOCKS5 proxy (RFC 1928), with its login (RFC 1929). IO.

aiohttp-socks makes them; this module is imported only if a SOCKS proxy is configured. The proxy
gets names, not addresses: in many networks it alone can resolve them.
"""

import asyncio
import ssl
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp_socks import (
    ProxyConnectionError,
    ProxyConnector,
    ProxyError,
    ProxyTimeoutError,
    ProxyType,
)

from jarvis_proxy.upstream_client.errors import SocksError

_PORT: Final = 1080
_LOGIN: Final = "authentication"
"""Identifies python-socks' login errors: they have no code, but all contain this word."""


class SocksConnector(ProxyConnector):
    """Makes the pool's connections, and raises the same errors as aiohttp's own connector."""

    @classmethod
    def to(cls, url: str, **pool: Any) -> "SocksConnector":
        """Return the connector for the proxy at *url*; *pool* goes to ``aiohttp.TCPConnector``."""
        parts = urlsplit(url)
        return cls(
            parts.hostname or "",
            parts.port or _PORT,
            ProxyType.SOCKS5,
            unquote(parts.username or "") or None,
            unquote(parts.password or "") or None,
            rdns=True,
            **pool,
        )

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's name
    ) -> aiohttp.connector.Connection:
        """Return a connection of the pool, or a new one through the proxy.

        Raises:
            aiohttp.ClientError: a SocksError if the proxy is at fault, or a TLS error.
        """
        key = req.connection_key
        try:
            return await super().connect(req, traces, timeout)
        except ProxyTimeoutError as exc:
            raise aiohttp.ConnectionTimeoutError from exc
        except ProxyConnectionError as exc:
            raise SocksError(key, "no connection to the proxy") from exc
        except ProxyError as exc:
            reason = str(exc)
            raise SocksError(key, reason, is_login=_LOGIN in reason) from exc
        except ssl.SSLCertVerificationError as exc:
            raise aiohttp.ClientConnectorCertificateError(key, exc) from exc
        except ssl.SSLError as exc:
            raise aiohttp.ClientConnectorSSLError(key, exc) from exc
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            raise SocksError(key, "the proxy closed the connection") from exc

    async def _connect_via_proxy(
        self,
        host: str,
        port: int,
        ssl: ssl.SSLContext | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - aiohttp-socks' name
    ) -> Any:
        # Names in certificates have no trailing dot.
        return await super()._connect_via_proxy(host.rstrip("."), port, ssl, timeout)
