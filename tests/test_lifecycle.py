"""The server's life as a process: signals, draining, other settings, restarts.

``JARVIS_TEST_DRAINS`` and ``JARVIS_TEST_RESTARTS`` set how often (5 and 4; a long run: 50, 20).
"""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.open_streams import (
    Streams,
    assert_no_traceback,
    is_complete,
    is_cut_with_a_word,
    stream,
)
from tests.support.raw_client import connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.raw_websocket import accept, opened
from tests.support.server_process import (
    Server,
    free_port,
    make_project,
    running_server,
    with_openai,
    write_env,
)
from tests.support.steady_load import load

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes as Linux has them"),
]

DRAINS = int(os.environ.get("JARVIS_TEST_DRAINS", "5"))
RESTARTS = int(os.environ.get("JARVIS_TEST_RESTARTS", "4"))
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project without a .env."""
    return make_project(tmp_path_factory.mktemp("project") / "proxy")


# Draining


@pytest.mark.timeout(60 + 10 * DRAINS)
async def test_drain_lets_every_stream_end_and_exits_with_0(project: Path) -> None:
    for _ in range(DRAINS):
        streams = Streams()
        async with (
            streams.running(),
            running_server(project, env=with_openai(streams.upstream.base_url)) as server,
        ):
            asked = [asyncio.create_task(stream(server.port)) for _ in range(20)]
            await eventually(lambda: streams.count == 20)  # noqa: B023
            server.signal(signal.SIGTERM)
            await server.logged("draining: 20 calls in progress")
            streams.may_end.set()
            answers = await asyncio.gather(*asked)

            assert await server.exit_code() == 0
            assert [is_complete(answer) for answer in answers] == [True] * 20
            assert_no_traceback(server.log)


async def test_drain_takes_no_connections_and_says_so_on_those_there_are(project: Path) -> None:
    streams = Streams()
    async with (
        streams.running(),
        running_server(project, env=with_openai(streams.upstream.base_url)) as server,
        connect(server.port) as idle,
        connect(server.port) as probing,
    ):
        for connection in (idle, probing):
            await connection.send(HEALTH)
            assert (await connection.response()).status == 200
        asked = asyncio.create_task(stream(server.port))
        await eventually(lambda: streams.count == 1)
        server.signal(signal.SIGTERM)
        await server.logged("draining")

        with pytest.raises(ConnectionRefusedError):
            await fetch(server.port, "/health", method="GET")
        await probing.send(HEALTH.replace(b"/health", b"/ready"))
        ready = await probing.response()
        assert (ready.status, ready.headers["connection"]) == (503, "close")
        assert await asyncio.wait_for(idle.reader.read(), 10) == b""
        assert not asked.done()
        streams.may_end.set()
        assert is_complete(await asked)
        assert await server.exit_code() == 0


async def test_what_has_not_ended_in_time_gets_the_reason(project: Path) -> None:
    streams = Streams()
    async with streams.running():
        env = with_openai(streams.upstream.base_url)
        async with running_server(project, env=env | {"DRAIN_TIMEOUT": "0.3"}) as server:
            asked = [asyncio.create_task(stream(server.port)) for _ in range(5)]
            await eventually(lambda: streams.count == 5)
            server.signal(signal.SIGTERM)
            answers = await asyncio.gather(*asked)

            assert await server.exit_code(5) == 0
            assert [is_cut_with_a_word(answer) for answer in answers] == [True] * 5
            assert_no_traceback(server.log)


async def test_a_session_that_has_not_ended_in_time_gets_the_reason_and_1012(
    project: Path,
) -> None:
    async def script(peer: Peer, request: Received) -> None:
        await (await accept(peer, request)).until_close()
        peer.close()

    upstream = RawUpstream(script)
    async with upstream.running():
        env = with_openai(upstream.base_url) | {"DRAIN_TIMEOUT": "0.3"}
        async with (
            running_server(project, env=env) as server,
            opened(server.port) as socket,
        ):
            server.signal(signal.SIGTERM)
            (event,), code = await socket.until_close()
            await socket.close(1012)

            assert (event["error"]["code"], code) == ("server_shutdown", 1012)
            assert await server.exit_code(5) == 0
            assert_no_traceback(server.log)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_it_within_two_seconds(
    project: Path, second: signal.Signals
) -> None:
    streams = Streams()
    async with (
        streams.running(),
        running_server(project, env=with_openai(streams.upstream.base_url)) as server,
    ):
        asked = [asyncio.create_task(stream(server.port)) for _ in range(5)]
        silent = await asyncio.open_connection("127.0.0.1", server.port)
        silent[1].write(HEALTH[:-4])
        await eventually(lambda: streams.count == 5)
        server.signal(signal.SIGTERM)
        await server.logged("draining")
        began = time.monotonic()
        server.signal(second)
        assert await server.exit_code(5) == 0
        took = time.monotonic() - began
        answers = await asyncio.gather(*asked)
        silent[1].close()

        assert took < 2
        assert [is_cut_with_a_word(answer) for answer in answers] == [True] * 5
        assert_no_traceback(server.log)


# No function between fork and exec does this: other threads' locks stay held there. The signal
# may be ignored already, as under nohup, and would stay so.
_OWN_THE_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.setsid()
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""


async def test_a_terminal_that_is_closed_ends_it(project: Path) -> None:
    """Else a server would stay behind unseen, with the port."""
    main, terminal = os.openpty()
    command = (sys.executable, "-c", _OWN_THE_TERMINAL, str(terminal))
    async with running_server(project, pass_fds=[terminal], command=command) as server:
        await server.logged("serving on")  # it listens to signals, and not another one on its port
        os.close(terminal)
        os.close(main)
        assert await server.exit_code() == 0
        assert_no_traceback(server.log)


# Other settings


async def test_reload_is_for_new_calls_and_those_in_progress_end_in_the_old(
    tmp_path: Path,
) -> None:
    old, new = Streams(), Streams()
    async with old.running(), new.running():
        lines = "PROXY_API_KEYS={}\nOPENAI_API_KEY=sk-upstream\nOPENAI_BASE_URL={}\n"
        project = make_project(
            tmp_path / "p", lines.format("first-key-0123456789", old.upstream.base_url)
        )
        async with server_by_file(project) as server, connect(server.port) as kept:
            await kept.send(HEALTH)
            await kept.response()
            asked = asyncio.create_task(stream(server.port, "first-key-0123456789"))
            await eventually(lambda: old.count == 1)
            write_env(project, lines.format("second-key-0123456789", new.upstream.base_url))
            server.signal(signal.SIGHUP)
            await server.logged("settings reloaded")

            assert (await server.echo("first-key-0123456789")).status == 401
            assert (await server.echo("second-key-0123456789")).status == 200
            await kept.post("/v1/models", b"", {"x-api-key": "second-key-0123456789"}, "GET")
            assert (await kept.response()).status == 200  # on a connection from before
            other = asyncio.create_task(stream(server.port, "second-key-0123456789"))
            await eventually(lambda: new.count == 1)
            assert old.upstream.open_connections >= 1
            old.may_end.set()
            assert is_complete(await asked)
            await eventually(lambda: old.upstream.open_connections == 0)  # its doors are closed
            new.may_end.set()
            assert is_complete(await other)
            assert (old.count, new.count) == (1, 1)
            assert_no_traceback(server.log)
            server.signal(signal.SIGTERM)
            assert await server.exit_code() == 0


@contextlib.asynccontextmanager
async def server_by_file(project: Path) -> AsyncIterator[Server]:
    """Start a server whose keys come from its .env."""
    async with running_server(project, command=("env", "-u", "PROXY_API_KEYS")) as server:
        yield server


async def test_a_broken_file_changes_nothing_and_is_one_error_without_values(
    tmp_path: Path,
) -> None:
    good = "PROXY_API_KEYS=first-key-0123456789\n"
    project = make_project(tmp_path / "p", good)
    async with server_by_file(project) as server:
        write_env(project, "PROXY_API_KEYS=second-key-0123456789\nMAX_BODY_MB=canary\n")
        server.signal(signal.SIGHUP)
        await server.logged("reload failed, the old settings stay active")
        assert (await server.echo("first-key-0123456789")).status == 200
        assert (await server.echo("second-key-0123456789")).status == 401
        (line,) = [line for line in server.log.splitlines() if " error " in line]
        assert "MAX_BODY_MB" in line
        assert "canary" not in server.log
        assert "second-key" not in server.log

        write_env(project, good.replace("first", "third") + "LOG_FORMAT=json\nHOST=127.0.0.2\n")
        server.signal(signal.SIGHUP)
        await server.logged("settings reloaded")
        assert (await server.echo("third-key-0123456789")).status == 200
        await server.logged('"event":"call"')


async def test_a_reload_refuses_a_base_url_that_leads_here(tmp_path: Path) -> None:
    good = "PROXY_API_KEYS=first-key-0123456789\n"
    project = make_project(tmp_path / "p", good)
    async with server_by_file(project) as server:
        write_env(project, f"{good}OPENAI_BASE_URL=http://localhost:{server.port}/v1\n")
        server.signal(signal.SIGHUP)
        await server.logged("OPENAI_BASE_URL: must not lead to this proxy itself")
        assert (await server.echo("first-key-0123456789")).status == 200


async def test_a_reload_names_what_needs_a_restart(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", "PROXY_API_KEYS=first-key-0123456789\n")
    command = ("env", "-u", "PROXY_API_KEYS", "-u", "HOST")
    async with running_server(project, command=command) as server:
        write_env(project, "PROXY_API_KEYS=first-key-0123456789\nHOST=127.0.0.2\n")
        server.signal(signal.SIGHUP)
        await server.logged("a change of HOST takes effect at the next restart")
        assert (await server.echo("first-key-0123456789")).status == 200


# Restarts


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_second_start_names_the_owner_of_the_port(project: Path, workers: str) -> None:
    port = free_port()
    env = {"WORKERS": workers, "REDIS_URL": "redis://127.0.0.1:9/0", "STATE_DIR": ""}
    async with running_server(project, port=port) as old:
        async with running_server(project, port=port, env=env, wait=False) as new:
            assert await new.exit_code() == 1
            # Root sees its process too.
            assert re.search(r"another Jarvis proxy(, process \d+ \(.*\))? has the port", new.log)
            assert "; stop it first, or set PORT" in new.log
        assert (await old.echo()).status == 200
        assert "draining" not in old.log


@pytest.mark.timeout(60 + 10 * RESTARTS)
async def test_sockets_of_a_service_manager_outlive_the_server(project: Path) -> None:
    """LISTEN_FDS: what connects while no server runs waits, and is served by the next one."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = sock.getsockname()[1]
    # The variable must hold the number of the process that becomes the server.
    command = ("sh", "-c", 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"', "sh")

    def start() -> contextlib.AbstractAsyncContextManager[Server]:
        return running_server(
            project,
            port=port,
            command=command,
            pass_fds=[3, sock.fileno()],
            preexec=lambda: os.dup2(sock.fileno(), 3),
        )

    with sock:
        async with contextlib.AsyncExitStack() as stack:
            server = await stack.enter_async_context(start())
            async with load(port):
                for _ in range(max(2, RESTARTS // 2)):
                    server.signal(signal.SIGTERM)
                    assert await server.exit_code() == 0
                    assert_no_traceback(server.log)
                    server = await stack.enter_async_context(start())
