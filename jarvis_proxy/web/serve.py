"""Running the server: listening, signals, draining. IO."""

import asyncio
import contextlib
import logging
import signal
import ssl
from typing import Final

from aiohttp import web

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.settings import Settings
from jarvis_proxy.web.app import create_app, make_runner
from jarvis_proxy.web.keys import SHELL, Shell
from jarvis_proxy.web.log import AccessLog

_LOG: Final = logging.getLogger(__name__)
_LAST_WORDS: Final = 2.0
_POLL: Final = 0.05
_BACKLOG: Final = 4096


class Stop:
    """What signals ask for: the first one to drain, the second to hurry."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.hurry = asyncio.Event()

    def signal(self) -> None:
        """Take one signal."""
        (self.hurry if self.drain.is_set() else self.drain).set()


async def serve(settings: Settings, log: AccessLog, stop: Stop | None = None) -> None:
    """Serve until told to stop, then let answers in progress end.

    Raises:
        OSError: the address cannot be listened on.
    """
    stop = stop or Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.signal)
    app = create_app(settings, log)
    runner = make_runner(app, settings)
    await runner.setup()
    try:
        site = web.TCPSite(
            runner,
            settings.host,
            settings.port,
            backlog=_BACKLOG,
            reuse_address=True,
            ssl_context=tls_context(settings),
        )
        await site.start()
        _LOG.info("serving on %s", address(settings))
        await stop.drain.wait()
        await drain(app[SHELL], site, stop, settings.drain_timeout)
    finally:
        await runner.cleanup()


async def drain(shell: Shell, site: web.BaseSite, stop: Stop, limit: float) -> None:
    """Take no new calls; wait for those in progress; tell the rest that the server goes."""
    shell.draining = True
    await site.stop()
    _LOG.info("draining: %d calls in progress", len(shell.watch))
    await _until_empty(shell, stop.hurry, limit)
    shell.watch.expire_all(_shutting_down)
    await _until_empty(shell, asyncio.Event(), _LAST_WORDS)


async def _until_empty(shell: Shell, hurry: asyncio.Event, limit: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit):
            # Looked at now and then: a signal per finished call would cost every call.
            while len(shell.watch) and not hurry.is_set():  # noqa: ASYNC110
                await asyncio.sleep(_POLL)


def _shutting_down() -> ProxyError:
    return ProxyError(
        503,
        "The proxy is restarting. Please try again.",
        code="server_shutdown",
        retry_after=1,
        should_retry=True,
    )


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context for the certificate of the settings, None without one."""
    if not settings.tls_cert_file:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
    return context


def address(settings: Settings) -> str:
    """Return the address that the server listens on, as a URL."""
    scheme = "https" if settings.tls_cert_file else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{settings.port}"
