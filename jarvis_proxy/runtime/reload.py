"""Reloads the configuration without a restart: one application per configuration. IO.

Each application has its own keys, routes and transports. New requests go to the newest one. Calls
in progress finish in the application in which they began, which closes once it is idle. So no call
sees a mix of two configurations.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from jarvis_proxy.aiohttp_ext.server import ProxyRunner, direct_dispatch
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.observability.logging import AccessLog, install_handler
from jarvis_proxy.observability.metrics import MetricFamily
from jarvis_proxy.observability.worker_stats import WorkerStats
from jarvis_proxy.runtime.tls import load_certificate, tls_context
from jarvis_proxy.server.app import (
    PersistentState,
    connection_limits,
    create_app,
    keepalive_timeout,
    make_runner,
)
from jarvis_proxy.server.context import APP_CONTEXT, AppContext
from jarvis_proxy.server.handlers.metrics import families

_CHECK_INTERVAL: Final = 1.0
_FIXED: Final = {
    "hosts": "HOST",
    "port": "PORT",
    "workers": "WORKERS",
    "redis_url": "REDIS_URL",
    "state_dir": "STATE_DIR",
}
"""Fields that are read only at the start, with the names of their settings."""


@dataclass(frozen=True, slots=True)
class AppVersion:
    """The application of one configuration."""

    runner: web.AppRunner

    @property
    def context(self) -> AppContext:
        """The context of the application's requests."""
        return self.runner.app[APP_CONTEXT]


class ConfigReloader:
    """The active application, and older ones that still have calls in progress."""

    def __init__(
        self, settings: Settings, log: AccessLog, worker_stats: WorkerStats | None = None
    ) -> None:
        self.settings = settings
        self.tls: ssl.SSLContext | None = None
        # Connections outlive their application.
        self.runner: ProxyRunner = make_runner(web.Application(), settings)
        self._log = log
        self._persistent = PersistentState(worker_stats=worker_stats)
        self._worker_stats = worker_stats
        self._current: AppVersion
        self._old: dict[asyncio.Task[None], AppVersion] = {}
        self._closing = asyncio.Event()
        self._writing: asyncio.Task[None]

    async def start(self) -> None:
        """Open the first application and the state that outlives it.

        Raises:
            SettingsError: the certificate cannot be used.
        """
        self.tls = tls_context(self.settings)
        await self.runner.setup()
        await self._persistent.open(self.settings.redis_url)
        await self._activate(self.settings, self._log)
        if self._worker_stats is not None:
            writing = self._worker_stats.run(self._families, self._persistent.live_stats)
            self._writing = asyncio.create_task(writing, name="worker_stats")

    def _families(self) -> list[MetricFamily]:
        return families(self._persistent.contexts, self.runner.counter)

    async def _activate(self, settings: Settings, log: AccessLog) -> None:
        """Create an application and direct new requests to it."""
        app = create_app(settings, log, self._persistent)
        runner = web.AppRunner(app)
        try:
            await runner.setup()
            if self.tls is not None and settings.tls_cert_file:
                load_certificate(self.tls, settings)
        except BaseException:
            await runner.cleanup()
            raise
        handler = direct_dispatch(app)
        assert handler is not None  # noqa: S101 - create_app() made its route
        # No await from here on: a request sees the old application or the new one, never a mix.
        server = self.runner.server
        server.counter.limits = connection_limits(settings)
        server.set_keepalive(keepalive_timeout(settings))
        server.set_handler(handler)
        self._current = AppVersion(runner)
        self.settings, self._log = settings, log

    @property
    def context(self) -> AppContext:
        """The context of the active application."""
        return self._current.context

    def __len__(self) -> int:
        """Return the number of calls in progress, in all applications."""
        return sum(len(context.deadline_monitor) for context in self._contexts())

    def cancel_all(self, error: Callable[[], ProxyError]) -> None:
        """Cancel every call with an error."""
        for context in self._contexts():
            context.deadline_monitor.cancel_all(error)

    def drain(self) -> None:
        """Announce in every further response that the connection closes."""
        for context in self._contexts():
            context.draining = True

    def _contexts(self) -> list[AppContext]:
        return [version.context for version in (self._current, *self._old.values())]

    async def replace(self, settings: Settings) -> None:
        """Activate *settings* for new requests.

        Raises:
            SettingsError: the certificate cannot be used; nothing has changed.
        """
        if self.tls is not None and settings.tls_cert_file:
            tls_context(settings)  # raises before anything changes
        # Listening addresses cannot change, so settings that depend on them must match.
        settings = replace(settings, hosts=self.settings.hosts, port=self.settings.port)
        old = self._current
        await self._activate(settings, self._log_for(settings))
        self.context.draining = old.context.draining
        task = asyncio.create_task(self._close_when_idle(old), name="old settings")
        self._old[task] = old
        task.add_done_callback(self._old.pop)

    def _log_for(self, settings: Settings) -> AccessLog:
        if (settings.log_format, settings.log_level) == (
            self.settings.log_format,
            self.settings.log_level,
        ):
            return self._log
        return install_handler(self._log.writer, settings.log_format, settings.log_level)

    async def _close_when_idle(self, version: AppVersion) -> None:
        """Close *version* once it has no calls left."""
        # Wait first, because a request may be on its way to the application.
        await self._pause()
        while len(version.context.deadline_monitor) and not self._closing.is_set():
            await self._pause()
        await version.runner.cleanup()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CHECK_INTERVAL):
                await self._closing.wait()

    async def close(self) -> None:
        """Close everything, including calls in progress. Call this only after ``start``."""
        await self.runner.cleanup()
        if self._worker_stats is not None:
            self._writing.cancel()
            # The last calls are included now.
            self._worker_stats.write(self._families())
        self._closing.set()
        await asyncio.gather(*self._old)
        await self._current.runner.cleanup()
        await self._persistent.close()


def restart_required(old: Settings, new: Settings) -> list[str]:
    """Return the names of changed settings that need a restart."""
    names = [name for field, name in _FIXED.items() if getattr(old, field) != getattr(new, field)]
    if bool(old.tls_cert_file) != bool(new.tls_cert_file):
        names.append("TLS_CERT_FILE")
    return names
