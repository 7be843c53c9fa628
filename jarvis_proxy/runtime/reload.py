"""Settings that change while the server runs: one application after the other. IO.

Each set of settings has an application of its own, with its keys, routes and doors. Requests go to
the newest; calls in progress end in the one that they began in, which is closed when it is empty.
So no call ever sees half of one and half of the other.
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
from jarvis_proxy.server.context import CONTEXT, AppContext
from jarvis_proxy.server.handlers.metrics import families

_CHECK_INTERVAL: Final = 1.0
_FIXED: Final = {
    "hosts": "HOST",
    "port": "PORT",
    "workers": "WORKERS",
    "redis_url": "REDIS_URL",
    "state_dir": "STATE_DIR",
}
"""Fields that are read once, by the name of their setting."""


@dataclass(frozen=True, slots=True)
class AppVersion:
    """One application in its time."""

    runner: web.AppRunner

    @property
    def context(self) -> AppContext:
        """What its requests share."""
        return self.runner.app[CONTEXT]


class ConfigReloader:
    """The application in force, and those that still have calls in progress."""

    def __init__(
        self, settings: Settings, log: AccessLog, worker_stats: WorkerStats | None = None
    ) -> None:
        self.settings = settings
        self.tls: ssl.SSLContext | None = None
        # Connections belong to no application: they outlive each of them.
        self.runner: ProxyRunner = make_runner(web.Application(), settings)
        self._log = log
        self._persistent = PersistentState(worker_stats=worker_stats)
        self._worker_stats = worker_stats
        self._current: AppVersion
        self._old: dict[asyncio.Task[None], AppVersion] = {}
        self._closing = asyncio.Event()
        self._writing: asyncio.Task[None]

    async def start(self) -> None:
        """Open what the first application needs.

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
        """Make an application and give it all requests to come."""
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
        # From here on nothing is awaited: a request finds all of the old or all of the new.
        server = self.runner.server
        server.counter.limits = connection_limits(settings)
        server.set_keepalive(keepalive_timeout(settings))
        server.set_handler(handler)
        self._current = AppVersion(runner)
        self.settings, self._log = settings, log

    @property
    def context(self) -> AppContext:
        """What requests share now."""
        return self._current.context

    def __len__(self) -> int:
        """Return how many calls are in progress, the old applications' too."""
        return sum(len(context.deadline_monitor) for context in self._contexts())

    def cancel_all(self, error: Callable[[], ProxyError]) -> None:
        """End every call with an error."""
        for context in self._contexts():
            context.deadline_monitor.cancel_all(error)

    def drain(self) -> None:
        """Say in every answer from now on that the connection closes."""
        for context in self._contexts():
            context.draining = True

    def _contexts(self) -> list[AppContext]:
        return [version.context for version in (self._current, *self._old.values())]

    async def replace(self, settings: Settings) -> None:
        """Put *settings* in force for requests to come.

        Raises:
            SettingsError: the certificate cannot be used; nothing has changed.
        """
        if self.tls is not None and settings.tls_cert_file:
            tls_context(settings)  # tried before it is trusted
        # What depends on them must fit the addresses that are listened on.
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
        """Wait until *generation* has no call left, then close it."""
        # Not at once: a request may be on its way from the connection to the application.
        await self._pause()
        while len(version.context.deadline_monitor) and not self._closing.is_set():
            await self._pause()
        await version.runner.cleanup()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CHECK_INTERVAL):
                await self._closing.wait()

    async def close(self) -> None:
        """Close everything, whatever is in progress. To be called after ``start``."""
        await self.runner.cleanup()
        if self._worker_stats is not None:
            self._writing.cancel()
            self._worker_stats.write(self._families())  # the last calls too
        self._closing.set()
        await asyncio.gather(*self._old)
        await self._current.runner.cleanup()
        await self._persistent.close()


def restart_required(old: Settings, new: Settings) -> list[str]:
    """Return the settings that differ from those of the start, and are read then only."""
    names = [name for field, name in _FIXED.items() if getattr(old, field) != getattr(new, field)]
    if bool(old.tls_cert_file) != bool(new.tls_cert_file):
        names.append("TLS_CERT_FILE")
    return names
