"""The HTTP client of the doctor: it records data with its time of arrival. IO."""

import asyncio
import contextlib
import io
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from jarvis_proxy import __version__
from jarvis_proxy.doctor.net.http_answer import HttpAnswer, TimedBytes
from jarvis_proxy.doctor.net.machine import ProbeEnv, describe_os_error

PROBE_ERRORS: Final = (aiohttp.ClientError, OSError, ValueError)
"""Errors that ``ask`` may raise, for ``describe_error``; TimeoutError is an OSError."""

_MAX_BODY: Final = 8 * 1024 * 1024
_ERRORS: Final[tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...]] = (
    (TimeoutError, "no answer in time"),
    ((aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError, ssl.SSLError), "TLS failed"),
    (aiohttp.ClientConnectorError, "no connection: {reason}"),
    (aiohttp.ClientPayloadError, "the answer was cut off"),
    (aiohttp.ServerDisconnectedError, "the connection was closed without an answer"),
    ((aiohttp.ClientResponseError, ValueError), "the answer is not HTTP"),
    (OSError, "the connection failed: {reason}"),
    (BaseException, "the connection failed"),
)
"""Descriptions of errors; the first matching class is used."""


@dataclass(frozen=True, slots=True)
class ProbeClient:
    """Sends requests like a client: it accepts compression, and follows no redirect."""

    session: aiohttp.ClientSession

    async def ask(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        timeout_s: float = 15.0,
        keeps_partial: bool = False,
    ) -> HttpAnswer:
        """Return the response to a POST, or to a GET if there is no *body*.

        With *keeps_partial*, this returns an incomplete response too. Raises PROBE_ERRORS.
        """
        started = time.monotonic()
        # aiohttp warns about large bytes objects.
        data = io.BytesIO(body) if body else None
        send = self.session.post if body else self.session.get
        request = send(url, headers=headers, data=data, allow_redirects=False)
        async with asyncio.timeout(timeout_s), request as response:
            readany = response.content.readany
            pieces = await read_pieces(readany, started, keeps_partial=keeps_partial)
            return HttpAnswer.of(response.status, response.headers, pieces)


async def read_pieces(
    readany: Callable[[], Awaitable[bytes]], started: float = 0.0, *, keeps_partial: bool = False
) -> list[TimedBytes]:
    """Return the body from *readany*, up to 8 MiB, timed since *started*.

    Raises whatever *readany* raises, unless *keeps_partial*.
    """
    size = 0
    pieces: list[TimedBytes] = []
    with contextlib.suppress(*(PROBE_ERRORS if keeps_partial else ())):
        while size <= _MAX_BODY and (data := await readany()):
            pieces.append(TimedBytes(time.monotonic() - started, data))
            size += len(data)
    return pieces


@contextlib.asynccontextmanager
async def open_probe(env: ProbeEnv, *, verify: bool = True) -> AsyncIterator[ProbeClient]:
    """Open a client; without *verify* it accepts any certificate (for this machine's server)."""
    context = env.tls()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, resolver=env.resolver(), force_close=True),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"jarvis-proxy-doctor/{__version__}"},
        trust_env=False,
    )
    async with session:
        yield ProbeClient(session)


def describe_error(exc: BaseException) -> str:
    """Return a short reason why there is no answer."""
    inner = getattr(exc, "os_error", exc)
    reason = describe_os_error(inner) if isinstance(inner, OSError) else ""
    return next(words for kind, words in _ERRORS if isinstance(exc, kind)).format(reason=reason)
