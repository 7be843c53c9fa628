"""Several servers that share a Redis, behind the balancers that deploy/ has: real processes."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.balancers import (
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
from tests.conftest import GEMINI_KEY, KEY
from tests.eventually import eventually
from tests.raw_client import RawResponse, fetch
from tests.raw_upstream import Peer, RawUpstream, Received
from tests.redis_server import RedisServer, needs_redis
from tests.server_process import Server, make_project, running_server
from tests.steady_load import load

CHAT = "/v1/chat/completions"
SIGNATURE = "EvsBCvgBAdHtim9signature"
LIMITED = "limited-key-0123456789abcdef"


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
    keys = {"PROXY_API_KEYS": f"tester:{KEY},limited:{LIMITED}", "STATE_DIR": ""}
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


async def ask(port: int, body: dict[str, object], key: str = KEY) -> RawResponse:
    headers = {"Authorization": f"Bearer {key}", "Connection": "close"}
    return await fetch(port, CHAT, body, headers)


async def echo(port: int, key: str = KEY) -> RawResponse:
    return await ask(port, {"model": "jarvis-echo", "messages": []}, key)


class Gemini:
    """Calls a tool, with a signature, and keeps what comes back."""

    def __init__(self) -> None:
        self.upstream = RawUpstream(self.play, base_path="/v1beta")

    async def play(self, peer: Peer, request: Received) -> None:
        part = {"functionCall": {"name": "f", "args": {}, "id": "n1"}}
        content = {"role": "model", "parts": [{**part, "thoughtSignature": SIGNATURE}]}
        await peer.reply(
            json.dumps({"candidates": [{"content": content, "finishReason": "STOP"}]}).encode()
        )

    def env(self) -> dict[str, str]:
        return {"GEMINI_API_KEY": GEMINI_KEY, "GEMINI_BASE_URL": self.upstream.base_url}

    @property
    def asked(self) -> list[bytes]:
        """The bodies of the calls, without looks at lists of models."""
        return [r.body for r in self.upstream.received if r.method == "POST"]


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


def turn(*more: object) -> dict[str, object]:
    """Return a request with a tool, its history going on with *more*."""
    messages = [{"role": "user", "content": "Call f."}, *more]
    return {"model": "gemini-3-pro-preview", "tools": TOOLS, "messages": messages}


def second_turn(first: RawResponse) -> dict[str, object]:
    """Return the request after *first*, of a client that keeps ids and nothing else."""
    call = json.loads(first.body)["choices"][0]["message"]["tool_calls"][0]
    bare = {"id": call["id"], "type": "function", "function": call["function"]}
    return turn(
        {"role": "assistant", "content": None, "tool_calls": [bare]},
        {"role": "tool", "tool_call_id": call["id"], "content": "done"},
    )


@needs_redis
@needs_haproxy
async def test_signatures_limits_and_usage_are_the_same_behind_haproxy(project: Path) -> None:
    gemini = Gemini()
    async with (
        gemini.upstream.running(),
        pair(project, {**gemini.env(), "KEY_LIMITED_RPM": "7"}) as both,
    ):
        first = await ask(both.port, turn())
        assert first.status == 200, first.body
        again = [await ask(both.port, second_turn(first)) for _ in range(4)]
        assert [response.status for response in again] == [200] * 4
        assert [SIGNATURE.encode() in body for body in gemini.asked] == [False] + [True] * 4

        answers = await asyncio.gather(*(echo(both.port, LIMITED) for _ in range(20)))
        assert sorted(response.status for response in answers) == [200] * 7 + [429] * 13
        await eventually(lambda: sum(both.served(f"route={CHAT}")) == 25)
        assert all(count >= 9 for count in both.served(f"route={CHAT}"))

        for server in both.servers:
            await has_used(server.port, LIMITED, calls=7)


async def has_used(port: int, key: str, calls: int) -> None:
    """Wait until a server says that the key has made so many calls, on all servers together."""
    headers = {"Authorization": f"Bearer {key}"}
    found = -1
    async with asyncio.timeout(10):
        while found != calls:
            response = await fetch(port, "/v1/usage", headers=headers, method="GET")
            found = int(json.loads(response.body)["total"]["calls"])
            await asyncio.sleep(0.05)


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
    limits = {"KEY_TESTER_RPM": "100000", "KEY_LIMITED_RPM": "3"}
    async with pair(project, limits, balanced=False) as both:
        one, other = both.servers
        async with load(one.port), load(other.port):
            await asyncio.sleep(0.3)
            await both.redis.kill()
            for server in both.servers:
                await server.logged("cannot be used")
            await asyncio.sleep(0.5)
            await both.redis.start()
            for server in both.servers:
                await server.logged("works again")
            both.redis.send(signal.SIGSTOP)
            await asyncio.sleep(0.5)
            both.redis.send(signal.SIGCONT)
        answers = [await echo(port, LIMITED) for port in (one.port, other.port) * 3]

        assert [response.status for response in answers] == [200] * 3 + [429] * 3
        assert "Traceback" not in one.log + other.log
        for log in (one.log, other.log):
            assert log.count(" cannot be used ") == log.count(" works again")
            assert log.count(" cannot be used ") <= 2  # the second: it was frozen


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
