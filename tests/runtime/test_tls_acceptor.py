"""TLS connections are counted from the moment they are accepted, whatever becomes of them."""

import asyncio
import contextlib
import errno
import inspect
import io
import logging
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trustme
import uvloop
from aiohttp import web

from jarvis_proxy.access.connection_counter import ConnectionLimits
from jarvis_proxy.aiohttp_ext.server import ProxyRunner
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.observability.logging import configure_logging
from jarvis_proxy.runtime import tls
from jarvis_proxy.runtime.listeners import TlsBoundedSite, bind
from jarvis_proxy.runtime.serve import ShutdownRequest, drain
from jarvis_proxy.runtime.tls import tls_context
from jarvis_proxy.server.app import make_runner
from tests.support.eventually import eventually
from tests.support.server_process import free_port

pytestmark = pytest.mark.slow

AUTHORITY = trustme.CA()
LONG = 30.0
FEW = 3
"""Descriptors that a loop opens for itself."""
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
Loop = Callable[[Awaitable[None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Loop:
    """Return what runs a scenario on each loop that the proxy may run on."""
    return asyncio.run if request.param == "asyncio" else uvloop.run  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    """Return what is logged."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.raiseExceptions)
    stream = io.StringIO()
    writer, _ = configure_logging("text", "info", stream)
    yield stream
    writer.close()
    root.handlers[:], root.level, logging.raiseExceptions = before


class Served:
    """A TLS site on loopback."""

    def __init__(self, runner: ProxyRunner, site: TlsBoundedSite, port: int) -> None:
        self.runner = runner
        self.site = site
        self.counted = runner.server.counter
        self.port = port
        self.persistent: list[asyncio.StreamWriter] = []

    async def silent(self) -> asyncio.StreamReader:
        """Open a connection that says nothing; it is closed at the scenario's end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.persistent.append(writer)
        return reader

    async def get(self) -> bytes:
        """Return the first line of an honest client's answer."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=trusting(), server_hostname="localhost"
        )
        writer.write(REQUEST)
        line = await reader.readline()
        writer.close()
        return line


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


@contextlib.asynccontextmanager
async def serving(
    folder: Path, *, handshake: float = LONG, total: int = 100, per_network: int = 100
) -> AsyncIterator[Served]:
    issued = AUTHORITY.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    settings = Settings(
        tls_cert_file=str(folder / "cert.pem"), tls_key_file=str(folder / "key.pem")
    )
    app = web.Application()
    app.router.add_get("/", hello)
    runner = make_runner(app, settings)
    await runner.setup()
    runner.server.counter.limits = ConnectionLimits(
        total, per_network
    )  # loopback is no exception here
    (sock,) = await bind(["127.0.0.1"], free_port())
    site = TlsBoundedSite(runner, sock, tls_context(settings), handshake_timeout=handshake)
    await site.start()
    served = Served(runner, site, sock.getsockname()[1])
    try:
        yield served
    finally:
        for writer in served.persistent:
            writer.close()
        await runner.cleanup()


async def closed(reader: asyncio.StreamReader) -> bool:
    """Return whether the server closes the connection within some seconds."""
    try:
        return await asyncio.wait_for(reader.read(), 5) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    ("limits", "reason"), [({"per_network": 3}, "network"), ({"total": 3}, "total")]
)
def test_silent_connections_are_held_to_the_limits(
    run: Loop, tmp_path: Path, limits: dict[str, int], reason: str
) -> None:
    async def scenario() -> None:
        before = len(os.listdir("/proc/self/fd"))
        async with serving(tmp_path, **limits) as served:
            held = [await served.silent() for _ in range(3)]
            await eventually(lambda: len(served.counted) == 3)
            refused = [await served.silent() for _ in range(5)]
            assert [await closed(reader) for reader in refused] == [True] * 5
            assert not any(reader.at_eof() for reader in held)
            assert len(served.counted) == 3
            assert served.counted.refused == {reason: 5}
        await eventually(lambda: len(os.listdir("/proc/self/fd")) < before + FEW)

    run(scenario())


def test_a_handshake_that_does_not_end_gives_its_place_back(run: Loop, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path, handshake=0.3, per_network=2) as served:
            silent = [await served.silent() for _ in range(2)]
            await eventually(lambda: len(served.counted) == 2)
            assert [await closed(reader) for reader in silent] == [True, True]
            await eventually(lambda: not len(served.counted))
            assert (await served.get()).startswith(b"HTTP/1.1 200 ")

    run(scenario())


def test_dripping_does_not_make_a_handshake_longer(run: Loop, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path, handshake=0.5) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            first = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
            with contextlib.suppress(ConnectionError):
                for byte in first:
                    if reader.at_eof():
                        break
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.02)
            assert reader.at_eof() or await closed(reader)
            await eventually(lambda: not len(served.counted))
            writer.close()

    run(scenario())


def test_a_connection_counts_once_until_it_is_closed(run: Loop, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path, total=1) as served:
            for _ in range(3):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", served.port, ssl=trusting(), server_hostname="localhost"
                )
                writer.write(REQUEST.replace(b"close", b"keep-alive"))
                assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
                assert len(served.counted) == 1
                writer.close()
                await eventually(lambda: not len(served.counted))
            assert served.counted.refused == {}

    run(scenario())


async def _reset(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _say(port: int, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if data:
        await closed(reader)
    writer.close()


async def _distrust(port: int) -> None:
    with contextlib.suppress(OSError):
        await asyncio.open_connection(
            "127.0.0.1", port, ssl=ssl.create_default_context(), server_hostname="localhost"
        )


FAILURES: dict[str, Callable[[int], Awaitable[None]]] = {
    "plain HTTP": lambda port: _say(port, REQUEST),
    "garbage": lambda port: _say(port, b"canary" * 100),
    "closed at once": lambda port: _say(port, b""),
    "reset": _reset,
    "certificate not trusted": _distrust,
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_handshake_that_fails_gives_its_place_back(
    run: Loop, tmp_path: Path, failure: str, log: io.StringIO
) -> None:
    """And a hundred of them are a few lines in the log."""

    async def scenario() -> None:
        before = len(os.listdir("/proc/self/fd"))
        async with serving(tmp_path) as served:
            for _ in range(40):
                await FAILURES[failure](served.port)
            await eventually(lambda: not len(served.counted))
            assert (await served.get()).startswith(b"HTTP/1.1 200 ")
        await eventually(lambda: len(os.listdir("/proc/self/fd")) < before + FEW)

    run(scenario())
    text = log.getvalue()

    assert "canary" not in text
    assert text.count("no TLS") < 40
    assert "internal" not in text


def test_a_handshake_in_progress_may_end_after_the_site_has_stopped(
    run: Loop, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as served:
            sock = socket.create_connection(("127.0.0.1", served.port))
            await eventually(lambda: len(served.counted) == 1)
            await served.site.stop()
            with pytest.raises(OSError, match="111"):
                await asyncio.open_connection("127.0.0.1", served.port)
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=trusting(), server_hostname="localhost"
            )
            writer.write(REQUEST)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            writer.close()

    run(scenario())


async def test_accepting_goes_on_after_descriptors_had_run_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_ACCEPT_PAUSE", 0.01)
    loop = asyncio.get_running_loop()
    accept = loop.sock_accept
    failures: list[OSError] = [
        OSError(errno.EMFILE, "too many open files"),
        ConnectionAbortedError(errno.ECONNABORTED, "gone"),
    ]

    async def sock_accept(sock: socket.socket) -> tuple[socket.socket, object]:
        if failures:
            raise failures.pop()
        return await accept(sock)

    monkeypatch.setattr(loop, "sock_accept", sock_accept)
    async with serving(tmp_path) as served:
        assert (await served.get()).startswith(b"HTTP/1.1 200 ")
    assert failures == []


def test_a_handshake_has_five_seconds() -> None:
    assert inspect.signature(TlsBoundedSite).parameters["handshake_timeout"].default == 5.0


def test_a_drain_waits_for_handshakes(run: Loop, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as served:
            left: list[int] = []

            class ConfigReloader:
                runner = served.runner

                def __len__(self) -> int:
                    return 0

                def drain(self) -> None:
                    """Do nothing."""

                def cancel_all(self, error: object) -> None:
                    left.append(len(served.counted))

            sock = socket.create_connection(("127.0.0.1", served.port))
            await eventually(lambda: len(served.counted) == 1)
            draining = asyncio.create_task(
                drain(ConfigReloader(), [served.site], ShutdownRequest(), 20)  # type: ignore[arg-type]
            )
            with contextlib.suppress(TimeoutError):
                await eventually(lambda: left, 0.3)  # it would be over by now
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=trusting(), server_hostname="localhost"
            )
            writer.write(REQUEST)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            writer.close()
            await asyncio.wait_for(draining, 20)
            assert left == [0]

    run(scenario())
