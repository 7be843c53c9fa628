"""Several workers on one port: processes that are killed, drained, given other settings."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
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
from tests.support.raw_client import fetch
from tests.support.redis_server import PROGRAM, RedisServer, needs_redis
from tests.support.server_process import (
    PATIENCE,
    Server,
    make_project,
    running_server,
    with_openai,
    write_env,
)
from tests.support.steady_load import load
from tests.support.tool_loop_helpers import (
    Gemini,
    ask,
    assert_limited,
    assert_signed,
    echo,
    has_used,
    limited,
    turn,
)

pytestmark = [
    pytest.mark.slow,
    needs_redis,
    pytest.mark.skipif(sys.platform != "linux", reason="processes as Linux has them"),
]

ADMIN = "admin-key-0123456789abcdef"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project without a .env."""
    return make_project(tmp_path_factory.mktemp("project") / "proxy")


@contextlib.asynccontextmanager
async def workers(
    project: Path, env: Mapping[str, str] | None = None, **how: object
) -> AsyncIterator[Server]:
    """Start a server with two workers and a Redis."""
    assert PROGRAM is not None
    settings = {"WORKERS": "2", "STATE_DIR": ""}
    async with RedisServer().running() as redis:
        settings |= {"REDIS_URL": redis.url, **(env or {})}
        async with running_server(project, env=settings, wait=False, **how) as server:  # type: ignore[arg-type]
            await server.logged("in 2 workers")
            yield server


def children(server: Server) -> list[int]:
    """Return the processes of the workers."""
    pid = server.process.pid
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


async def metric(port: int, name: str) -> float:
    """Return the sum of a metric's samples, from whichever worker answers."""
    text = (await fetch(port, "/metrics", headers={"Host": "127.0.0.1"}, method="GET")).body
    values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text.decode(), re.MULTILINE)
    return sum(map(float, values))


async def counted(port: int, name: str, value: float | Callable[[], float]) -> None:
    """Wait until a metric has a value, from any worker: ten requests reach several."""
    found: set[float] = set()
    async with asyncio.timeout(PATIENCE):
        while found != {value() if callable(value) else value}:
            found = {await metric(port, name) for _ in range(10)}


async def refused(port: int) -> None:
    """Wait until nobody takes connections any more."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                pass  # it came while the port was being closed
            await asyncio.sleep(0.02)


# What they know together


async def test_signatures_limits_usage_and_metrics_are_the_same_in_both(project: Path) -> None:
    gemini = Gemini()
    async with (
        gemini.upstream.running(),
        workers(project, {**gemini.env(), **limited(7)}) as server,
    ):
        first = await ask(server.port, turn())
        await assert_signed(server.port, gemini, first, times=6)
        key = await assert_limited([server.port], 7)
        for _ in range(3):
            await has_used(server.port, key, calls=7)
        await server.logged(" status=429 ")
        refused = "jarvis_limits_hit_total"
        await counted(server.port, refused, lambda: server.log.count(" status=429 "))
        await counted(server.port, "jarvis_signatures_recovered_total", len(gemini.asked) - 1)
        await counted(server.port, "jarvis_workers", 2)
        ids = re.findall(r"call id=(\S+)", server.log)
        assert len(ids) == len(set(ids)) > 30  # forks must not make the same ones


async def test_the_live_page_shows_the_calls_of_both(project: Path) -> None:
    async with workers(project, {"ADMIN_KEY": ADMIN}) as server:
        for _ in range(12):
            await echo(server.port)
        headers = f"Host: x\r\nAuthorization: Bearer {ADMIN}\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /dashboard/events HTTP/1.1\r\n" + headers.encode())
        text = (await reader.readuntil(b"event: usage")).decode()
        while "event: snapshot" not in text:
            text += (await reader.readline()).decode()
        snapshot = json.loads((await reader.readline()).removeprefix(b"data: "))
        shown = [
            call
            for data in re.findall(r"event: calls\ndata: (.*)", text)
            for call in json.loads(data)
        ]
        for _ in range(8):
            await echo(server.port)
        fresh: list[object] = []
        async with asyncio.timeout(PATIENCE):
            while len(fresh) < 8:
                line = await reader.readline()
                if line.startswith(b'data: {"clock"'):
                    fresh += json.loads(line.removeprefix(b"data: "))["calls"]
        writer.close()

        assert [call["n"] for call in shown] == list(range(1, 13))
        assert snapshot["totals"]["all"]["calls"] == 12
        assert len(fresh) == 8


# Their lives


async def test_a_killed_worker_is_replaced_at_once_and_its_counts_stay(project: Path) -> None:
    async with workers(project) as server:
        for _ in range(6):
            await echo(server.port)
        await counted(server.port, "jarvis_upstream_calls_total", 6)
        before = children(server)
        os.kill(before[0], signal.SIGKILL)
        await server.logged(f"worker 1 (process {before[0]}) was ended by signal 9; a new one")
        await eventually(lambda: len(children(server)) == 2)
        answers = [await echo(server.port) for _ in range(8)]

        assert [response.status for response in answers] == [200] * 8
        await counted(server.port, "jarvis_upstream_calls_total", 14)


async def test_workers_that_die_in_a_row_are_replaced_later_and_later(project: Path) -> None:
    async with workers(project) as server:
        (keeper, *_) = reversed(children(server))
        for pause in (
            "a new one starts now",
            "the next one starts in 0.5 s",
            "the next one starts in 1 s",
        ):
            (victim,) = set(children(server)) - {keeper}
            os.kill(victim, signal.SIGKILL)
            await server.logged(f"process {victim}) was ended by signal 9; {pause}\n")
            await eventually(lambda: len(children(server)) == 2)
        assert children(server)


async def test_a_worker_that_must_stop_drains_while_the_next_one_serves(project: Path) -> None:
    streams = Streams()
    async with (
        streams.running(),
        workers(project, with_openai(streams.upstream.base_url)) as server,
    ):
        asked = [asyncio.create_task(stream(server.port)) for _ in range(8)]
        await eventually(lambda: streams.count == 8)
        before = children(server)
        async with load(server.port) as asking:
            for number, pid in enumerate(before, 1):
                os.kill(pid, signal.SIGTERM)
                await eventually(lambda: len(children(server)) == len(before) + number)  # noqa: B023
                await asking.answered()
        assert set(before) < set(children(server))  # they wait for their streams
        streams.may_end.set()
        assert [is_complete(answer) for answer in await asyncio.gather(*asked)] == [True] * 8
        await eventually(lambda: not set(before) & set(children(server)))
        assert "worker 1" not in server.log
        assert_no_traceback(server.log)


async def test_drain_lets_the_streams_of_all_end_and_exits_with_0(project: Path) -> None:
    streams = Streams()
    async with (
        streams.running(),
        workers(project, with_openai(streams.upstream.base_url)) as server,
    ):
        asked = [asyncio.create_task(stream(server.port)) for _ in range(12)]
        await eventually(lambda: streams.count == 12)
        # As a service manager may do it: to the parent and to every worker.
        for pid in [*children(server), server.process.pid]:
            os.kill(pid, signal.SIGTERM)
        await refused(server.port)
        streams.may_end.set()
        answers = await asyncio.gather(*asked)

        assert await server.exit_code() == 0
        assert [is_complete(answer) for answer in answers] == [True] * 12
        assert_no_traceback(server.log)


async def test_a_second_signal_ends_all_without_waiting(project: Path) -> None:
    streams = Streams()
    async with (
        streams.running(),
        workers(project, with_openai(streams.upstream.base_url)) as server,
    ):
        asked = [asyncio.create_task(stream(server.port)) for _ in range(6)]
        await eventually(lambda: streams.count == 6)
        server.signal(signal.SIGTERM)
        await eventually(lambda: server.log.count("draining: ") == 2)
        server.signal(signal.SIGINT)

        assert await server.exit_code() == 0  # draining would take a minute
        assert all(is_cut_with_a_word(answer) for answer in await asyncio.gather(*asked))


async def test_workers_end_when_their_parent_is_killed_and_leave_the_port(project: Path) -> None:
    async with workers(project) as server:
        server.process.kill()
        await server.process.wait()
        await refused(server.port)
        async with running_server(project, port=server.port, env={"STATE_DIR": ""}) as next_one:
            assert (await next_one.echo()).status == 200


# Other settings


async def test_all_take_other_settings_in_as_one_and_wrong_ones_change_nothing(
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path / "p", "PROXY_API_KEYS=first-key-0123456789\n")
    command = ("env", "-u", "PROXY_API_KEYS")

    async def statuses(key: str) -> set[int]:
        return {(await server.echo(key)).status for _ in range(8)}

    async with workers(project, command=command) as server:
        write_env(project, "PROXY_API_KEYS=second-key-0123456789\nMAX_BODY_MB=canary\n")
        server.signal(signal.SIGHUP)
        await server.logged("reload failed, the old settings stay active: MAX_BODY_MB")
        assert await statuses("first-key-0123456789") == {200}

        write_env(project, "PROXY_API_KEYS=second-key-0123456789\nSTATE_DIR=x\nLOG_FORMAT=json\n")
        server.signal(signal.SIGHUP)
        await server.logged("settings reloaded")
        assert await statuses("first-key-0123456789") == {401}
        assert await statuses("second-key-0123456789") == {200}
        for pid in children(server):  # the next workers have them too
            os.kill(pid, signal.SIGKILL)
        await eventually(lambda: server.log.count("a new one starts now") == 2)
        assert await statuses("second-key-0123456789") == {200}
        assert server.log.count("settings reloaded") == 1
        assert "canary" not in server.log


# The port


async def test_workers_share_the_sockets_of_a_service_manager(project: Path) -> None:
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    with sock:
        async with workers(
            project,
            port=sock.getsockname()[1],
            command=("sh", "-c", 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"', "sh"),
            pass_fds=[3, sock.fileno()],
            preexec=lambda: os.dup2(sock.fileno(), 3),
        ) as server:
            answers = await asyncio.gather(*(server.echo() for _ in range(10)))
            assert [response.status for response in answers] == [200] * 10
            server.signal(signal.SIGTERM)
            assert await server.exit_code() == 0


async def test_a_port_that_another_has_is_one_error_line(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = {"WORKERS": "2", "REDIS_URL": "redis://127.0.0.1:9/0", "STATE_DIR": ""}
        port = taken.getsockname()[1]
        async with running_server(project, port=port, env=env, wait=False) as server:
            assert await server.exit_code() == 1
            assert f" error cannot listen on 127.0.0.1:{port}: " in server.log


async def test_workers_without_a_store_are_refused(project: Path) -> None:
    async with running_server(project, env={"WORKERS": "2"}, wait=False) as server:
        assert await server.exit_code() == 78
        assert "  - WORKERS: more than 1 needs REDIS_URL" in server.log
