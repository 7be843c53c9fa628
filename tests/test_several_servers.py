"""Several servers that share a Redis, behind the balancers that deploy/ has: real processes."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import KEY
from tests.support.balancers import (
    HAPROXY,
    HAPROXY_CFG,
    NGINX,
    haproxy,
    needs_haproxy,
    needs_nginx,
    nginx,
    nginx_conf,
    says,
)
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, needs_redis
from tests.support.server_process import Server, make_project, running_server
from tests.support.steady_load import load
from tests.support.tool_loop_helpers import (
    CHAT,
    Gemini,
    ask,
    assert_limited,
    assert_signed,
    echo,
    has_used,
    limited,
    turn,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project without a .env."""
    return make_project(tmp_path_factory.mktemp("project") / "proxy")


@dataclass
class Pair:
    """Two servers, what they share, and the port in front of them."""

    servers: tuple[Server, Server]
    redis: RedisServer
    port: int = 0

    def served(self, text: str) -> list[int]:
        """Return how many lines with *text* each server has logged."""
        return [server.log.count(text) for server in self.servers]


@contextlib.asynccontextmanager
async def pair(
    project: Path, env: Mapping[str, str] | None = None, *, balanced: bool = True
) -> AsyncIterator[Pair]:
    """Start two servers with one Redis, and HAProxy in front of them."""
    keys = {"PROXY_API_KEYS": f"tester:{KEY}", "STATE_DIR": ""}
    async with contextlib.AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer().running())
        settings = {**keys, "REDIS_URL": redis.url, **(env or {})}
        starting = [running_server(project, env=settings, wait=False) for _ in range(2)]
        one, other = [await stack.enter_async_context(context) for context in starting]
        await asyncio.gather(one.ready(), other.ready())
        found = Pair((one, other), redis)
        if balanced:
            ports = [one.port, other.port]
            found.port = await stack.enter_async_context(haproxy(project, ports))
        yield found


@needs_redis
@needs_haproxy
async def test_signatures_limits_and_usage_are_the_same_behind_haproxy(project: Path) -> None:
    gemini = Gemini()
    async with (
        gemini.upstream.running(),
        pair(project, {**gemini.env(), **limited(7)}) as both,
    ):
        first = await ask(both.port, turn())
        assert first.status == 200, first.body
        await assert_signed(both.port, gemini, first, times=4)
        key = await assert_limited([both.port], 7)
        for server in both.servers:
            await has_used(server.port, key, calls=7)

        await eventually(lambda: min(both.served(f"route={CHAT}")) >= 5)  # each had its share


@needs_redis
@needs_haproxy
async def test_a_server_that_is_restarted_behind_haproxy_fails_no_request(project: Path) -> None:
    async with pair(project) as both, contextlib.AsyncExitStack() as stack:
        going, _ = both.servers
        async with load(both.port):
            going.signal(signal.SIGTERM)
            assert await going.exit_code() == 0
            again = running_server(project, port=going.port, env={"STATE_DIR": ""})
            back = await stack.enter_async_context(again)
            await back.logged("/v1/models")  # HAProxy has found it


@needs_redis
async def test_no_request_fails_when_redis_dies_and_all_is_shared_again_when_it_is_back(
    project: Path,
) -> None:
    """The key has limits: each of its calls asks Redis."""
    limits = {"KEY_TESTER_RPM": "100000", **limited(3)}
    async with pair(project, limits, balanced=False) as both:
        one, other = both.servers
        async with load(one.port) as first, load(other.port) as second:

            async def both_answer() -> None:
                await asyncio.gather(first.answered(), second.answered())

            await both_answer()
            await both.redis.kill()
            for server in both.servers:
                await server.logged("cannot be used")
            await both_answer()
            await both.redis.start()
            for server in both.servers:
                await server.logged("works again")
            both.redis.send(signal.SIGSTOP)
            await both_answer()
            both.redis.send(signal.SIGCONT)
            # Until the answers that were late are in, calls do not wait for any.
            await both_answer()
            await eventually(lambda: all(is_shared(server.log) for server in both.servers))
        await assert_limited([one.port, other.port], 3)

        assert "Traceback" not in one.log + other.log
        for log in (one.log, other.log):
            assert is_shared(log)
            assert log.count(" cannot be used ") <= 2  # the second: it was frozen


def is_shared(log: str) -> bool:
    """Return whether a server that logged this uses Redis again after each outage."""
    return log.count(" cannot be used ") == log.count(" works again")


@needs_haproxy
async def test_haproxy_takes_the_configuration_as_it_is() -> None:
    code, said = await says(str(HAPROXY), "-c", "-f", str(HAPROXY_CFG))

    assert (code, "warning" in said.lower()) == (0, False), said


@needs_nginx
async def test_nginx_takes_the_form_for_several_servers(tmp_path: Path) -> None:
    config = tmp_path / "nginx.conf"
    config.write_text(nginx_conf(tmp_path, 8080, (9001, 9002)))
    code, said = await says(str(NGINX), "-t", "-p", str(tmp_path), "-c", str(config))

    assert (code, "[warn]" in said) == (0, False), said


@needs_nginx
async def test_nginx_asks_another_server_where_one_is_gone(project: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        starting = [running_server(project, env={"STATE_DIR": ""}, wait=False) for _ in range(2)]
        one, other = [await stack.enter_async_context(context) for context in starting]
        await asyncio.gather(one.ready(), other.ready())
        port = await stack.enter_async_context(nginx(project, [one.port, other.port]))
        one.process.kill()
        await one.process.wait()
        answers = [await echo(port) for _ in range(6)]

        assert [response.status for response in answers] == [200] * 6
