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

from jarvis_proxy.aiohttp_ext.dispatch import direct_dispatch
from jarvis_proxy.aiohttp_ext.server_connection import ProxyRunner
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.observability.logging import AccessLog, log_through
from jarvis_proxy.observability.metrics import Family
from jarvis_proxy.observability.worker_stats import Crew
from jarvis_proxy.runtime.tls import load_certificate, tls_context
from jarvis_proxy.server.app import (
    Kept,
    connection_limits,
    create_app,
    keepalive_timeout,
    make_runner,
)
from jarvis_proxy.server.context import SHELL, Shell
from jarvis_proxy.server.handlers.metrics import families

_LOOK_EVERY: Final = 1.0
_FIXED: Final = {
    "hosts": "HOST",
    "port": "PORT",
    "workers": "WORKERS",
    "redis_url": "REDIS_URL",
    "state_dir": "STATE_DIR",
}
"""Fields that are read once, by the name of their setting."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One application in its time."""

    runner: web.AppRunner

    @property
    def shell(self) -> Shell:
        """What its requests share."""
        return self.runner.app[SHELL]


class Generations:
    """The application in force, and those that still have calls in progress."""

    def __init__(self, settings: Settings, log: AccessLog, crew: Crew | None = None) -> None:
        self.settings = settings
        self.tls: ssl.SSLContext | None = None
        # Connections belong to no application: they outlive each of them.
        self.runner: ProxyRunner = make_runner(web.Application(), settings)
        self._log = log
        self._kept = Kept(crew=crew)
        self._crew = crew
        self._current: Generation
        self._old: dict[asyncio.Task[None], Generation] = {}
        self._closing = asyncio.Event()
        self._writing: asyncio.Task[None]

    async def start(self) -> None:
        """Open what the first application needs.

        Raises:
            SettingsError: the certificate cannot be used.
        """
        self.tls = tls_context(self.settings)
        await self.runner.setup()
        await self._kept.open(self.settings.redis_url)
        await self._enter(self.settings, self._log)
        if self._crew is not None:
            writing = self._crew.run(self._families, self._kept.live)
            self._writing = asyncio.create_task(writing, name="crew")

    def _families(self) -> list[Family]:
        return families(self._kept.shells, self.runner.counter)

    async def _enter(self, settings: Settings, log: AccessLog) -> None:
        """Make an application and give it all requests to come."""
        app = create_app(settings, log, self._kept)
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
        self._current = Generation(runner)
        self.settings, self._log = settings, log

    @property
    def shell(self) -> Shell:
        """What requests share now."""
        return self._current.shell

    def __len__(self) -> int:
        """Return how many calls are in progress, the old applications' too."""
        return sum(len(shell.watch) for shell in self._shells())

    def expire_all(self, error: Callable[[], ProxyError]) -> None:
        """End every call with an error."""
        for shell in self._shells():
            shell.watch.expire_all(error)

    def drain(self) -> None:
        """Say in every answer from now on that the connection closes."""
        for shell in self._shells():
            shell.draining = True

    def _shells(self) -> list[Shell]:
        return [generation.shell for generation in (self._current, *self._old.values())]

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
        await self._enter(settings, self._log_for(settings))
        self.shell.draining = old.shell.draining
        task = asyncio.create_task(self._retire(old), name="old settings")
        self._old[task] = old
        task.add_done_callback(self._old.pop)

    def _log_for(self, settings: Settings) -> AccessLog:
        if (settings.log_format, settings.log_level) == (
            self.settings.log_format,
            self.settings.log_level,
        ):
            return self._log
        return log_through(self._log.writer, settings.log_format, settings.log_level)

    async def _retire(self, generation: Generation) -> None:
        """Wait until *generation* has no call left, then close it."""
        # Not at once: a request may be on its way from the connection to the application.
        await self._pause()
        while len(generation.shell.watch) and not self._closing.is_set():
            await self._pause()
        await generation.runner.cleanup()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_EVERY):
                await self._closing.wait()

    async def close(self) -> None:
        """Close everything, whatever is in progress. To be called after ``start``."""
        await self.runner.cleanup()
        if self._crew is not None:
            self._writing.cancel()
            self._crew.write(self._families())  # the last calls too
        self._closing.set()
        await asyncio.gather(*self._old)
        await self._current.runner.cleanup()
        await self._kept.close()


def what_needs_a_restart(old: Settings, new: Settings) -> list[str]:
    """Return the settings that differ from those of the start, and are read then only."""
    names = [name for field, name in _FIXED.items() if getattr(old, field) != getattr(new, field)]
    if bool(old.tls_cert_file) != bool(new.tls_cert_file):
        names.append("TLS_CERT_FILE")
    return names
