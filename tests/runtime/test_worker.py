"""One worker, in this process: what its parent says, and what it says to it."""

import asyncio
import contextlib
import io
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.observability.logging import configure_logging
from jarvis_proxy.observability.shared_memory import SharedMemorySlot
from jarvis_proxy.observability.worker_stats import WorkerSlot, WorkerStats
from jarvis_proxy.runtime import worker as messages
from jarvis_proxy.runtime.worker import WorkerSetup, encode_reload, run_worker
from tests.conftest import KEY
from tests.support.raw_client import fetch

ENV = {
    "PROXY_API_KEYS": KEY,
    "HOST": "127.0.0.1",
    "STATE_DIR": "",
    "ADMIN_KEY": "admin-key-0123456789",
}
OTHER_KEY = "other-key-0123456789abcdef"


@dataclass
class Parent:
    """The parent's end, and the worker in a task."""

    channel: socket.socket
    port: int
    neighbour: WorkerStats
    said: bytes = b""
    task: asyncio.Task[None] = field(init=False)

    async def hears(self, word: bytes) -> None:
        """Wait until the worker has said *word*."""
        async with asyncio.timeout(10):
            while word not in self.said:
                heard = await asyncio.get_running_loop().sock_recv(self.channel, 64)
                assert heard
                self.said += heard

    def says(self, message: bytes) -> None:
        self.channel.sendall(message)

    async def status(self, key: str = KEY) -> int:
        headers = {"x-api-key": key, "Connection": "close"}
        return (await fetch(self.port, "/v1/models", headers=headers, method="GET")).status


@pytest.fixture(autouse=True)
def _same_signals_afterwards() -> Iterator[None]:
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGHUP)}
    root = logging.getLogger()
    logging_before = (root.handlers[:], root.level, logging.raiseExceptions)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    root.handlers[:], root.level, logging.raiseExceptions = logging_before


@contextlib.asynccontextmanager
async def worker() -> AsyncIterator[Parent]:
    """Run a worker; it must end by itself, or is stopped in the end."""
    mine, its = socket.socketpair()
    mine.setblocking(False)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    desks, looks = [WorkerSlot(), WorkerSlot()], SharedMemorySlot(64)
    setup = WorkerSetup([sock], its, WorkerStats(desks, 0, looks))
    settings = Settings.from_env(ENV)
    writer, log = configure_logging("text", "info", io.StringIO())
    parent = Parent(mine, sock.getsockname()[1], WorkerStats(desks, 1, looks))
    parent.task = asyncio.create_task(run_worker(settings, log, setup))
    try:
        await parent.hears(messages.READY)
        yield parent
    finally:
        with contextlib.suppress(OSError):
            parent.says(messages.DRAIN + messages.FORCE)
        await asyncio.wait_for(parent.task, 10)
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        mine.close()
        writer.close()


async def test_a_worker_serves_and_drains_when_its_parent_says_so() -> None:
    async with worker() as parent:
        assert await parent.status() == 200
        parent.says(messages.DRAIN)
        await asyncio.wait_for(parent.task, 10)

        with pytest.raises(ConnectionRefusedError):
            await parent.status()


async def test_a_worker_whose_parent_is_gone_drains() -> None:
    async with worker() as parent:
        parent.channel.shutdown(socket.SHUT_RDWR)
        await asyncio.wait_for(parent.task, 10)


async def test_a_signal_to_the_worker_alone_drains_it_and_its_parent_hears_of_it() -> None:
    async with worker() as parent:
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), number)  # a terminal's: the parent has them too
        assert await parent.status() == 200
        os.kill(os.getpid(), signal.SIGTERM)
        await parent.hears(messages.DRAINING)
        await asyncio.wait_for(parent.task, 10)


async def test_other_settings_are_taken_in() -> None:
    async with worker() as parent:
        parent.says(
            encode_reload({**ENV, "PROXY_API_KEYS": OTHER_KEY, "PADDING": "x" * 100_000})[:1000]
        )
        await asyncio.sleep(0)
        parent.says(
            encode_reload({**ENV, "PROXY_API_KEYS": OTHER_KEY, "PADDING": "x" * 100_000})[1000:]
        )
        await parent.hears(messages.RELOADED)

        assert await parent.status() == 401
        assert await parent.status(OTHER_KEY) == 200


async def test_settings_that_cannot_be_taken_in_change_nothing() -> None:
    async with worker() as parent:
        parent.says(encode_reload({**ENV, "MAX_BODY_MB": "canary"}))
        await parent.hears(messages.RELOAD_FAILED)

        assert await parent.status() == 200


async def test_what_it_counted_last_lies_on_its_desk_when_it_has_ended() -> None:
    async with worker() as parent:
        await parent.status()
        parent.says(messages.DRAIN)
        await asyncio.wait_for(parent.task, 10)

    (requests,) = [f for f in parent.neighbour.merged_families([]) if f.name == "jarvis_requests"]
    assert sum(requests.samples.values()) == 1
