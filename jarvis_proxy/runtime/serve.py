"""Runs the server: listens, handles signals, drains. IO."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.observability.logging import AccessLog
from jarvis_proxy.observability.loop_monitor import (
    LoopLagMonitor,
    RateLimitedLogger,
    exception_handler,
)
from jarvis_proxy.observability.worker_stats import WorkerStats
from jarvis_proxy.runtime.listeners import TlsBoundedSite, listener_urls, open_listeners
from jarvis_proxy.runtime.memory import trim_heap_when_idle
from jarvis_proxy.runtime.reload import ConfigReloader, restart_required

_LOG: Final = logging.getLogger(__name__)
_FINAL_ERROR_GRACE: Final = 3.0
_FORCED_ERROR_GRACE: Final = 1.0
_POLL: Final = 0.05
_IDLE_GRACE: Final = 2.0
"""Seconds that idle connections stay open while draining: a request may be on its way."""

Reload = Callable[[], Settings]


class ShutdownRequest:
    """A shutdown by signals: the first one drains, the second one forces the end."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.force = asyncio.Event()
        self._signals = 0

    def signal(self) -> None:
        """Handle one signal."""
        self._signals += 1
        self.drain.set()
        if self._signals > 1:
            self.force.set()


class ControllingTerminal:
    """The terminal that the server was started from, if any.

    Closing it sends SIGHUP, which otherwise means a reload.
    """

    def __init__(self) -> None:
        # nohup does this.
        is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        self._existed = not is_ignored and _has_terminal()

    def is_gone(self) -> bool:
        """Return whether there was a terminal and it is closed."""
        return self._existed and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def serve(
    settings: Settings,
    log: AccessLog,
    stop: ShutdownRequest | None = None,
    *,
    reload: Reload | None = None,
) -> None:
    """Serve until a signal, then let calls in progress finish.

    SIGHUP calls *reload* in a thread to read the settings again.

    Raises:
        OSError: an address is not available.
        SettingsError: the certificate cannot be used.
    """
    stop = stop or ShutdownRequest()
    reload_requested = asyncio.Event()
    _take_signals(asyncio.get_running_loop(), stop, reload_requested)
    async with running_config(settings, log) as reloader, contextlib.AsyncExitStack() as stack:
        if reload is not None:
            task = _reload_when(reload_requested, reloader, reload, stop)
            await stack.enter_async_context(background_task(task, "reload"))
        await _serve(reloader, stop)


@contextlib.asynccontextmanager
async def running_config(
    settings: Settings, log: AccessLog, worker_stats: WorkerStats | None = None
) -> AsyncIterator[ConfigReloader]:
    """Run the application of *settings*; close the active application at the end.

    Raises:
        SettingsError: the certificate cannot be used.
    """
    occasional = RateLimitedLogger()
    asyncio.get_running_loop().set_exception_handler(exception_handler(occasional))
    reloader = ConfigReloader(settings, log, worker_stats)
    await reloader.start()
    probe = LoopLagMonitor(occasional, observe=reloader.context.metrics.observe_lag)
    trimming = trim_heap_when_idle(lambda: not len(reloader))
    try:
        async with background_task(probe.run(), "lag"), background_task(trimming, "memory"):
            yield reloader
    finally:
        await reloader.close()


@contextlib.asynccontextmanager
async def background_task(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run *work* in a task until the block ends."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _take_signals(
    loop: asyncio.AbstractEventLoop, stop: ShutdownRequest, reload_requested: asyncio.Event
) -> None:
    terminal = ControllingTerminal()

    def on_hangup() -> None:
        if terminal.is_gone():
            stop.signal()
        else:
            reload_requested.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.signal)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)


async def _serve(reloader: ConfigReloader, stop: ShutdownRequest) -> None:
    settings = reloader.settings
    sockets = await open_listeners(settings.hosts, settings.port, os.environ)
    sites = [TlsBoundedSite(reloader.runner, sock, reloader.tls) for sock in sockets]
    for site in sites:
        await site.start()
    where = listener_urls(sockets, tls=reloader.tls is not None)
    _LOG.info("serving on %s%s", where, dashboard_note(settings))
    await stop.drain.wait()
    await drain(reloader, sites, stop, reloader.settings.drain_timeout)


def dashboard_note(settings: Settings) -> str:
    """Return the part of the first log line about the dashboard and /metrics."""
    page = "" if settings.admin_key is None else "; dashboard at /dashboard"
    if settings.metrics_key is None and settings.metrics_need_key:
        return f"{page}; /metrics is closed until METRICS_KEY is set"
    return page


async def drain(
    reloader: ConfigReloader, sites: list[TlsBoundedSite], stop: ShutdownRequest, limit: float
) -> None:
    """Stop accepting connections, wait for calls in progress, then end the rest with an error."""
    reloader.drain()
    for site in sites:
        await site.stop()
    _LOG.info("draining: %d calls in progress", len(reloader))
    await _until_empty(reloader, stop.force, limit)
    reloader.cancel_all(_shutting_down)
    grace = _FORCED_ERROR_GRACE if stop.force.is_set() else _FINAL_ERROR_GRACE
    await _until_empty(reloader, asyncio.Event(), grace)


async def _until_empty(reloader: ConfigReloader, force: asyncio.Event, limit: float) -> None:
    """Wait until every connection is closed, which means that all data was sent.

    Connections in their handshake count too: their clients do not know about the shutdown.
    """
    server = reloader.runner.server
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit):
            # This polls, because an event per finished call would cost every call. It waits first,
            # because uvloop reports an accepted connection a moment later.
            await asyncio.sleep(_POLL)
            while len(server.counter) and not force.is_set():
                server.close_idle(_IDLE_GRACE)
                await asyncio.sleep(_POLL)


def _shutting_down() -> ProxyError:
    return ProxyError(
        503,
        "The proxy is restarting. Please try again.",
        code="server_shutdown",
        retry_after=1,
        should_retry=True,
    )


def warn_restart_required(at_start: Settings, settings: Settings) -> None:
    """Log which changes in *settings* need a restart."""
    for name in restart_required(at_start, settings):
        _LOG.warning("a change of %s takes effect at the next restart", name)


async def _reload_when(
    reload_requested: asyncio.Event, reloader: ConfigReloader, reload: Reload, stop: ShutdownRequest
) -> None:
    """Reload the settings at each request, until cancelled."""
    at_start = reloader.settings
    while True:
        await reload_requested.wait()
        reload_requested.clear()
        if stop.drain.is_set():
            continue
        try:
            settings = await asyncio.to_thread(reload)
            await reloader.replace(settings)
            warn_restart_required(at_start, settings)
        except SettingsError as exc:
            _LOG.error("reload failed, the old settings stay active: %s", " ".join(exc.problems))
        except Exception as exc:
            # The cause may be temporary, such as a full disk.
            _LOG.error("reload failed, the old settings stay active", exc_info=exc)
        else:
            _LOG.info("settings reloaded")
