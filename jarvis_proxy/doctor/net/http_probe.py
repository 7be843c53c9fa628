"""A client as the doctor plays one towards the proxy: asks, and keeps what came, and when. IO."""

import asyncio
import contextlib
import io
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from jarvis_proxy import __version__
from jarvis_proxy.doctor.net.http_answer import HttpAnswer
from jarvis_proxy.doctor.net.machine import EnvResolver, ProbeEnv, describe_os_error

FAULTS: Final = (aiohttp.ClientError, OSError, ValueError)
"""What asking may raise (TimeoutError is an OSError); give it to ``describe_error``."""

_MAX_BODY: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TimedBytes:
    """What arrived at one moment of a stream, in seconds of the machine's clock."""

    at: float
    data: bytes


class ProbeClient:
    """Asks one proxy, as a client would: compression is welcome, redirects are not followed."""

    def __init__(self, session: aiohttp.ClientSession, machine: ProbeEnv) -> None:
        self._session = session
        self._clock = machine.clock

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 15.0,
    ) -> HttpAnswer:
        """Return the whole answer, as much of it as is looked at.

        Raises one of FAULTS.
        """
        start = self._clock()
        async with asyncio.timeout(timeout_s), self._send(method, url, headers, body) as response:
            data = await response.content.read(_MAX_BODY)
            return HttpAnswer(
                response.status, _lowered(response.headers), data, self._clock() - start
            )

    async def stream(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float = 30.0
    ) -> tuple[HttpAnswer, list[TimedBytes]]:
        """Return an answer to POST without its body, and the body, as far as it came, in pieces.

        Raises one of FAULTS where there is no answer.
        """
        start = self._clock()
        pieces: list[TimedBytes] = []
        async with asyncio.timeout(timeout_s), self._send("POST", url, headers, body) as response:
            # An answer that is cut in the middle has arrived that far, and that is worth telling.
            with contextlib.suppress(*FAULTS):
                while data := await response.content.readany():
                    pieces.append(TimedBytes(self._clock() - start, data))
            return HttpAnswer(response.status, _lowered(response.headers)), pieces

    @contextlib.asynccontextmanager
    async def _send(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self._session.request(
            method,
            url,
            headers=headers,
            data=io.BytesIO(body) if body else None,
            allow_redirects=False,
        ) as response:
            yield response


@contextlib.asynccontextmanager
async def open_probe(machine: ProbeEnv, *, verify: bool = True) -> AsyncIterator[ProbeClient]:
    """Open a visitor; without *verify* any certificate will do (for this machine's own server)."""
    context = machine.tls()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=context,
            resolver=EnvResolver(machine.resolve),
            force_close=True,
        ),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"jarvis-proxy-doctor/{__version__}"},
        trust_env=False,
    )
    async with session:
        yield ProbeClient(session, machine)


def describe_error(exc: BaseException) -> str:
    """Return in a few words why something could not be asked."""
    match exc:
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientSSLError() | aiohttp.ClientConnectorCertificateError() | ssl.SSLError():
            return "TLS failed"
        case aiohttp.ClientConnectorError():
            return f"no connection: {describe_os_error(exc.os_error)}"
        case aiohttp.ClientPayloadError():
            return "the answer was cut off"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
        case aiohttp.ClientResponseError() | ValueError():
            return "what came is not HTTP"
        case OSError():
            return f"the connection failed: {describe_os_error(exc)}"
        case _:
            return "the connection failed"


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
