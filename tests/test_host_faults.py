"""What a host can do to the server: ports, files, logs, crashes, clocks, and its unit."""

import ast
import asyncio
import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.support.eventually import eventually
from tests.support.open_streams import (
    Streams,
    assert_no_traceback,
    is_complete,
    stream,
)
from tests.support.raw_client import RawConnection, connect
from tests.support.server_process import ROOT, Server, make_project, running_server, with_openai

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes as Linux has them"),
]

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project without a .env."""
    return make_project(tmp_path_factory.mktemp("project") / "proxy")


# The host


async def test_a_port_in_use_is_one_line_and_1(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        async with running_server(project, port=port, wait=False) as server:
            assert await server.exit_code() == 1
    (line,) = [line for line in server.log.splitlines() if " error " in line]

    assert f"cannot listen on 127.0.0.1:{port}: address already in use: " in line
    assert f"process {os.getpid()} (" in line
    assert "set PORT" in line
    assert "Traceback" not in server.log


async def test_an_address_of_another_machine_is_one_line_and_1(project: Path) -> None:
    async with running_server(project, wait=False, env={"HOST": "192.0.2.1"}) as server:
        assert await server.exit_code() == 1
    (line,) = [line for line in server.log.splitlines() if " error " in line]

    assert "set HOST" in line


def _without_the_right_to_low_ports() -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ()
    drop = "-net_bind_service"
    return ("setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}")


def _low_ports_are_free_for_all() -> bool:
    start = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    return start.exists() and int(start.read_text()) <= 79


@pytest.mark.skipif(
    _low_ports_are_free_for_all() or (os.geteuid() == 0 and shutil.which("setpriv") is None),
    reason="this user may have any port",
)
async def test_a_port_without_permission_is_one_line_and_1(project: Path) -> None:
    command = _without_the_right_to_low_ports()
    async with running_server(project, port=79, command=command, wait=False) as server:
        assert await server.exit_code() == 1
    (line,) = [line for line in server.log.splitlines() if " error " in line]

    assert "cannot listen on 127.0.0.1:79: permission denied: " in line
    assert "set PORT" in line


async def test_few_files_bound_the_connections_and_streams_go_on(project: Path) -> None:
    streams = Streams()
    command = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")
    async with streams.running():
        env = with_openai(streams.upstream.base_url)
        async with running_server(project, command=command, env=env) as server:
            asked = asyncio.create_task(stream(server.port))
            await eventually(lambda: streams.count == 1)
            async with contextlib.AsyncExitStack() as stack:
                opened = [await stack.enter_async_context(connect(server.port)) for _ in range(100)]
                assert all([await is_refused(connection) for connection in opened[-50:]])
            await eventually_serves(server)
            streams.may_end.set()
            assert is_complete(await asked)
            await server.logged("MAX_CONNECTIONS: only 8 are possible")

        assert_no_traceback(server.log)
        assert len(server.log.splitlines()) < 20


async def is_refused(connection: RawConnection) -> bool:
    """Return whether the server closes a connection, with its reason or, out of files, without."""
    try:
        return (await asyncio.wait_for(connection.response(), 5)).status == 503
    except (EOFError, ConnectionError):
        return True


async def eventually_serves(server: Server, seconds: float = 5) -> None:
    """Wait until a request is answered again."""
    async with asyncio.timeout(seconds):
        while not await _is_served(server):  # noqa: ASYNC110 - another process serves
            await asyncio.sleep(0.02)


async def _is_served(server: Server) -> bool:
    try:
        return (await server.echo()).status == 200
    except (EOFError, ConnectionError):
        return False


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_files_that_run_out_cost_no_flood_of_tracebacks(
    project: Path, tmp_path: Path, loop: str
) -> None:
    """Lower the limit of the running process below what it has open: accept() then fails."""
    streams = Streams()
    async with streams.running():
        env = with_openai(streams.upstream.base_url)
        if loop == "asyncio":
            (tmp_path / "uvloop.py").write_text("raise ImportError\n")
            env["PYTHONPATH"] = str(tmp_path)
        async with running_server(project, env=env) as server:
            asked = asyncio.create_task(stream(server.port))
            await eventually(lambda: streams.count == 1)
            pid = server.process.pid
            before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
            for _ in range(3):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", server.port)).close()
            async with connect(server.port) as waiting:
                await waiting.send(HEALTH)
                # It cannot be let in now: it waits, or is closed.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(waiting.reader.read(), 0.5)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            await server.ready()
            assert (await server.echo()).status == 200
            streams.may_end.set()
            assert is_complete(await asked)
            await server.logged("call id=")  # the last line that there will be

        # uvloop closes such connections by itself; asyncio tells its handler, each time.
        assert ("event loop: socket.accept" in server.log) == (loop == "asyncio")
        assert "Traceback" not in server.log
        assert len(server.log.splitlines()) < 20


def full_disk() -> IO[bytes]:
    return Path("/dev/full").open("wb", buffering=0)


@pytest.mark.parametrize("state", ["closed", "full", "blocked", "gone"])
async def test_a_log_that_cannot_be_written_costs_no_call(project: Path, state: str) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    command: tuple[str, ...] = ()
    with contextlib.ExitStack() as opened:
        stderr: IO[bytes] = opened.enter_context(os.fdopen(writer, "wb", buffering=0))
        if state == "closed":
            command = ("sh", "-c", 'exec "$@" 2>&- <&-', "sh")
        elif state == "full":
            stderr = opened.enter_context(full_disk())
        elif state == "blocked":
            with contextlib.suppress(BlockingIOError):
                while stderr.write(b"x" * 4096):
                    pass
            os.set_blocking(writer, True)  # as a pipe to another program is
        if state == "gone":
            os.close(reader)
        async with running_server(project, command=command, stderr=stderr) as server:
            for _ in range(5):
                assert (await server.echo()).status == 200
            server.signal(signal.SIGTERM)
            assert await server.exit_code(10) == 0
        if state != "gone":
            os.close(reader)


async def test_a_wrong_setting_is_78_wherever_the_words_go(project: Path) -> None:
    with full_disk() as full:
        async with running_server(
            project, stderr=full, wait=False, env={"MAX_BODY_MB": "x"}
        ) as server:
            assert await server.exit_code() == 78


async def test_a_crash_leaves_no_memory_behind(project: Path) -> None:
    before = set(os.listdir(project))
    allow = ("sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh")
    async with running_server(project, command=allow) as server:
        core = resource.prlimit(server.process.pid, resource.RLIMIT_CORE)
        server.signal(signal.SIGSEGV)
        assert await server.exit_code() == -signal.SIGSEGV

    assert core == (0, 0)
    assert set(os.listdir(project)) - before == {server.log_path.name}


async def test_no_process_of_the_same_user_may_read_its_memory() -> None:
    """Seen from inside: the flag that forbids core dumps and tracers."""
    code = (
        "import ctypes\n"
        "from jarvis_proxy.cli import disable_ptrace\n"
        "get = lambda: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)\n"  # PR_GET_DUMPABLE
        "before = get(); disable_ptrace(); print(before, get())"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()

    assert printed == b"1 0\n"


# Time


WALL_CLOCKS = re.compile(r"\btime\.time\b|\bdatetime\.(now|utcnow|today)\b|\bdate\.today\b")
TIMERS = (
    "observability/loop_monitor",
    "runtime/reload",
    "runtime/serve",
    "server/admission",
    "server/relay/attempt",
    "server/relay/deadlines",
    "server/relay/retry_loop",
    "upstream_client/model_refresher",
)


@pytest.mark.parametrize("module", TIMERS)
def test_no_timer_reads_a_clock_that_can_jump(module: str) -> None:
    """A step of a day must move no limit."""
    source = (ROOT / "jarvis_proxy" / f"{module}.py").read_text(encoding="utf-8")

    assert not WALL_CLOCKS.search(ast.unparse(ast.parse(source)))


# The unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
async def test_the_unit_leaves_little_to_an_attacker() -> None:
    process = await asyncio.create_subprocess_exec(
        *("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20"),
        ROOT / "deploy/jarvis-proxy.service",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    level = re.search(rb"Overall exposure level for \S+ ([0-9.]+)", printed)

    assert level is not None, printed
    assert float(level[1]) <= 2.0
    assert process.returncode == 0
