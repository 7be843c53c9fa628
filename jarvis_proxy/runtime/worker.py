"""One of several workers: serves on the supervisor's sockets and follows its messages. IO.

Supervisor and worker exchange one-byte messages over a socket pair. If the supervisor dies, the
worker reads the end of its channel and drains: nobody would replace the worker, and the port must
become free.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from jarvis_proxy.config.dotenv_file import is_readable
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.observability.logging import AccessLog
from jarvis_proxy.observability.worker_stats import WorkerStats
from jarvis_proxy.runtime.listeners import TlsBoundedSite
from jarvis_proxy.runtime.reload import ConfigReloader
from jarvis_proxy.runtime.serve import ShutdownRequest, background_task, drain, running_config

# Messages of the supervisor.
DRAIN: Final = b"d"
FORCE: Final = b"h"
RELOAD: Final = b"s"
"""Followed by a length and the environment as JSON."""
# Messages of a worker.
READY: Final = b"r"
DRAINING: Final = b"l"
RELOADED: Final = b"y"
RELOAD_FAILED: Final = b"n"

_LENGTH: Final = struct.Struct("=I")
_LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class WorkerSetup:
    """A worker's listening sockets, its end of the channel, and its statistics."""

    sockets: Sequence[socket.socket]
    parent: socket.socket
    worker_stats: WorkerStats


def encode_reload(environ: Mapping[str, str]) -> bytes:
    """Return the message that makes a worker load the settings of *environ*."""
    text = msgspec.json.encode(environ)
    return RELOAD + _LENGTH.pack(len(text)) + text


async def run_worker(settings: Settings, log: AccessLog, setup: WorkerSetup) -> None:
    """Serve until a message or SIGTERM, then let calls in progress finish.

    Raises:
        SettingsError: the certificate cannot be used.
    """
    stop = ShutdownRequest()
    loop = asyncio.get_running_loop()
    setup.parent.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=setup.parent)

    def drain_alone() -> None:
        writer.write(DRAINING)
        stop.drain.set()

    # A terminal or service manager may signal the whole process group. After the supervisor's
    # message, that must not count as a second signal.
    loop.add_signal_handler(signal.SIGTERM, drain_alone)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    async with running_config(settings, log, setup.worker_stats) as reloader:
        listening = SupervisorChannel(reader, writer, reloader, stop).run()
        async with background_task(listening, "parent"):
            await _serve(reloader, stop, setup, writer)
    writer.close()


async def _serve(
    reloader: ConfigReloader,
    stop: ShutdownRequest,
    setup: WorkerSetup,
    writer: asyncio.StreamWriter,
) -> None:
    sites = [TlsBoundedSite(reloader.runner, sock, reloader.tls) for sock in setup.sockets]
    for site in sites:
        await site.start()
    writer.write(READY)
    await stop.drain.wait()
    await drain(reloader, sites, stop, reloader.settings.drain_timeout)


@dataclass(slots=True)
class SupervisorChannel:
    """The worker's end of the channel to its supervisor."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    reloader: ConfigReloader
    stop: ShutdownRequest

    async def run(self) -> None:
        """Follow the supervisor's messages until it is gone."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                word = await self.reader.readexactly(1)
                if word == RELOAD:
                    await self._reload()
                else:
                    self.stop.drain.set()
                    if word == FORCE:
                        self.stop.force.set()
        self.stop.drain.set()

    async def _reload(self) -> None:
        """Activate settings that the supervisor has validated."""
        (length,) = _LENGTH.unpack(await self.reader.readexactly(_LENGTH.size))
        environ = msgspec.json.decode(await self.reader.readexactly(length), type=dict[str, str])
        try:
            await self.reloader.replace(Settings.from_env(environ, is_readable=is_readable))
        except Exception as exc:
            # The certificate may have been removed meanwhile, for example.
            _LOG.error("a worker cannot load the new settings", exc_info=exc)
            self.writer.write(RELOAD_FAILED)
        else:
            self.writer.write(RELOADED)
