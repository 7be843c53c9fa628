"""Running the server, in this process: what signals ask for, draining, settings that change."""

import asyncio
import contextlib
import errno
import io
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.observability.logging import ThreadedLineWriter, configure_logging
from jarvis_proxy.runtime.serve import ControllingTerminal, Reload, ShutdownRequest, serve
from tests.conftest import KEY, OPENAI_KEY
from tests.support.eventually import eventually
from tests.support.raw_client import RawConnection, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk
from tests.support.server_process import free_port

pytestmark = pytest.mark.slow

CHAT = "/v1/chat/completions"
DONE = b"data: [DONE]\n\n"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
STREAM = b'{"model":"gpt-4o","stream":true,"messages":[]}'


@dataclass
class Running:
    """A server in a task of this process."""

    port: int
    stop: ShutdownRequest
    task: asyncio.Task[None]
    stream: io.StringIO
    writer: ThreadedLineWriter

    async def ended(self, seconds: float = 10.0) -> None:
        await asyncio.wait_for(self.task, seconds)

    def log(self) -> str:
        self.writer.close()
        return self.stream.getvalue()


def settings(port: int, **env: str) -> Settings:
    return Settings.from_env(
        {
            "PROXY_API_KEYS": KEY,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "STATE_DIR": "",
            "OPENAI_API_KEY": OPENAI_KEY,
            "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
            **env,
        }
    )


@contextlib.asynccontextmanager
async def serving(reload: Reload | None = None, **env: str) -> AsyncIterator[Running]:
    port = free_port()
    stream = io.StringIO()
    writer, log = configure_logging("text", "info", stream)
    stop = ShutdownRequest()
    task = asyncio.create_task(serve(settings(port, **env), log, stop, reload=reload))
    running = Running(port, stop, task, stream, writer)
    loop = asyncio.get_running_loop()
    try:
        await eventually(lambda: "serving on" in stream.getvalue() or task.done())
        yield running
    finally:
        stop.signal()
        stop.signal()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await running.ended()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        loop.set_exception_handler(None)
        writer.close()


class Held:
    """An upstream whose streams go on until the test ends them."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.upstream = RawUpstream(self._play)

    async def _play(self, peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"data":[]}')
            return
        await peer.head()
        await peer.chunk(chat_chunk("first"))
        await self.may_end.wait()
        await peer.chunk(chat_chunk(None, "stop") + DONE)
        await peer.last_chunk()


async def begin(connection: RawConnection) -> None:
    """Ask for a stream and read its beginning."""
    await connection.post(CHAT, STREAM, HEADERS)
    status, _ = await asyncio.wait_for(connection.head(), 5)
    assert status == 200
    assert await asyncio.wait_for(connection.chunk(), 5) == chat_chunk("first")


async def rest(connection: RawConnection) -> tuple[bytes, bool]:
    """Read the rest of a stream; return it, and whether it ended as it should."""
    body = b""
    while chunk := await asyncio.wait_for(connection.chunk(), 10):
        body += chunk
    return body, chunk == b""


# Stopping


async def test_the_log_says_where_the_live_page_is_if_there_is_one() -> None:
    async with serving(ADMIN_KEY="admin-key-0123456789abcdef") as running:
        with_page = running.stream.getvalue()
    async with serving() as running:
        without = running.stream.getvalue()

    assert f"serving on http://127.0.0.1:{running.port}" in without
    assert "; dashboard at /dashboard" in with_page
    assert "/dashboard" not in without


@pytest.mark.parametrize(
    ("env", "is_closed"),
    [
        ({}, False),
        ({"TRUSTED_PROXIES": "127.0.0.1"}, True),
        ({"TRUSTED_PROXIES": "127.0.0.1", "METRICS_KEY": "m" * 16}, False),
    ],
)
async def test_the_log_says_that_metrics_want_a_key_that_is_not_set(
    env: dict[str, str], is_closed: bool
) -> None:
    async with serving(None, **env) as running:
        (line,) = [line for line in running.stream.getvalue().splitlines() if "serving on" in line]

    assert is_closed == line.endswith("; /metrics is closed until METRICS_KEY is set")


async def test_streams_in_progress_end_before_the_server_does() -> None:
    held = Held()
    async with (
        held.upstream.running(),
        serving(OPENAI_BASE_URL=held.upstream.base_url) as server,
        connect(server.port) as connection,
    ):
        await begin(connection)
        os.kill(os.getpid(), signal.SIGTERM)
        await eventually(lambda: "draining: 1 calls in progress" in server.stream.getvalue())
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await fetch(server.port, "/health", method="GET")
        assert not server.task.done()
        held.may_end.set()

        assert await rest(connection) == (chat_chunk(None, "stop") + DONE, True)
        await server.ended()


@pytest.mark.parametrize("why", ["time", "signal"])
async def test_streams_that_do_not_end_get_the_reason(why: str) -> None:
    held = Held()
    limit = "0.2" if why == "time" else "60"
    async with (
        held.upstream.running(),
        serving(OPENAI_BASE_URL=held.upstream.base_url, DRAIN_TIMEOUT=limit) as server,
        connect(server.port) as connection,
    ):
        await begin(connection)
        os.kill(os.getpid(), signal.SIGTERM)
        if why == "signal":
            await eventually(lambda: "draining" in server.stream.getvalue())
            os.kill(os.getpid(), signal.SIGINT)
        body, whole = await rest(connection)
        await server.ended(5)

    error = json.loads(body.removeprefix(b"data: "))["error"]
    assert (error["code"], error["type"]) == ("server_shutdown", "server_error")
    assert whole
    assert "status=200 outcome=upstream_error code=server_shutdown" in server.log()


async def test_idle_connections_do_not_hold_up_the_end() -> None:
    async with serving() as server, connect(server.port) as connection:
        await connection.post("/health", b"", method="GET")
        assert (await connection.response()).status == 200
        server.stop.signal()
        assert await asyncio.wait_for(connection.reader.read(), 5) == b""
        await server.ended(5)


async def test_call_on_an_open_connection_is_answered_while_draining_and_closed() -> None:
    held = Held()
    async with (
        held.upstream.running(),
        serving(OPENAI_BASE_URL=held.upstream.base_url) as server,
        connect(server.port) as streaming,
        connect(server.port) as asking,
    ):
        await begin(streaming)
        await asking.post("/health", b"", method="GET")
        await asking.response()
        server.stop.signal()
        await eventually(lambda: "draining" in server.stream.getvalue())
        await asking.post("/ready", b"", method="GET")
        response = await asyncio.wait_for(asking.response(), 5)
        held.may_end.set()
        await rest(streaming)
        await server.ended()

    assert response.status == 503
    assert response.headers["connection"] == "close"


def test_first_signal_asks_for_a_drain_and_the_second_for_haste() -> None:
    stop = ShutdownRequest()
    assert not stop.drain.is_set()
    stop.signal()
    assert (stop.drain.is_set(), stop.force.is_set()) == (True, False)
    stop.signal()
    assert stop.force.is_set()


async def test_second_server_cannot_have_the_port() -> None:
    async with serving() as first:
        writer, log = configure_logging("text", "info", io.StringIO())
        with pytest.raises(OSError, match="in use"):
            await serve(settings(first.port), log, ShutdownRequest())
        writer.close()

        assert not first.stop.drain.is_set()
        assert await status(first.port, KEY) == 200


# Not starting


async def test_address_that_cannot_be_had_is_an_error_and_leaves_nothing_behind() -> None:
    stream = io.StringIO()
    writer, log = configure_logging("text", "info", stream)
    before = asyncio.all_tasks()
    bad = settings(free_port(), HOST="192.0.2.1")  # reserved for documentation
    with pytest.raises(OSError, match="assign"):
        await serve(bad, log)
    writer.close()

    assert {task for task in asyncio.all_tasks() if not task.done()} <= before
    asyncio.get_running_loop().set_exception_handler(None)


# Settings that change


class Reloading:
    """Settings that are read again, and sometimes cannot be."""

    def __init__(self) -> None:
        self.next: Settings | Exception | None = None
        self.reads = 0

    def __call__(self) -> Settings:
        self.reads += 1
        if isinstance(self.next, Settings):
            return self.next
        assert self.next is not None
        raise self.next


async def status(port: int, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return (await fetch(port, "/v1/models", headers=headers, method="GET")).status


async def test_hang_up_reads_the_settings_again() -> None:
    reloading = Reloading()
    other = "another-key-0123456789"
    async with serving(reloading) as server:
        reloading.next = settings(server.port, PROXY_API_KEYS=other)
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda: "settings reloaded" in server.stream.getvalue())

        assert (await status(server.port, KEY), await status(server.port, other)) == (401, 200)


async def test_settings_that_are_wrong_change_nothing() -> None:
    reloading = Reloading()
    async with serving(reloading) as server:
        reloading.next = SettingsError(("PORT: must be a number.", "HOST: must be an address."))
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda: "stay active" in server.stream.getvalue())

        assert await status(server.port, KEY) == 200
        log = server.log()

    (line,) = [line for line in log.splitlines() if " error " in line]
    assert line.endswith(
        "reload failed, the old settings stay active: "
        "PORT: must be a number. HOST: must be an address."
    )


async def test_settings_that_cannot_be_loaded_change_nothing() -> None:
    reloading = Reloading()
    async with serving(reloading) as server:
        reloading.next = OSError(28, "canary")
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda: "stay active" in server.stream.getvalue())

        assert await status(server.port, KEY) == 200
        assert "canary" not in server.log()


async def test_settings_are_not_read_again_while_draining() -> None:
    reloading = Reloading()
    held = Held()
    async with (
        held.upstream.running(),
        serving(reloading, OPENAI_BASE_URL=held.upstream.base_url) as server,
        connect(server.port) as connection,
    ):
        await begin(connection)
        server.stop.signal()
        await eventually(lambda: "draining" in server.stream.getvalue())
        os.kill(os.getpid(), signal.SIGHUP)
        held.may_end.set()
        await rest(connection)
        await server.ended()

    assert reloading.reads == 0


async def test_without_a_way_to_read_them_a_hang_up_does_nothing() -> None:
    async with serving() as server:
        os.kill(os.getpid(), signal.SIGHUP)
        assert await status(server.port, KEY) == 200
        assert not server.task.done()


class Tty:
    """A controlling terminal that can be closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_there = True
        self._open = os.open
        monkeypatch.setattr(os, "open", self)

    def __call__(self, path: str, flags: int, *args: int, **more: int) -> int:
        if path != "/dev/tty":
            return self._open(path, flags, *args, **more)
        if not self.is_there:
            raise OSError(errno.ENXIO, "No such device or address")
        return self._open(os.devnull, flags)


async def test_hang_up_of_a_closed_terminal_ends_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tty = Tty(monkeypatch)
    reloading = Reloading()
    async with serving(reloading) as server:
        reloading.next = settings(server.port)
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda: "settings reloaded" in server.stream.getvalue())
        tty.is_there = False
        os.kill(os.getpid(), signal.SIGHUP)
        await server.ended()


def test_who_ignores_hang_ups_has_no_terminal_to_lose() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert not ControllingTerminal().is_gone()
    finally:
        signal.signal(signal.SIGHUP, before)
