"""What the doctor says of Redis: a real one, in every state that it can be in."""

import signal
import sys

import pytest

from jarvis_proxy.doctor.checks.redis import check_redis_store
from jarvis_proxy.doctor.findings import Status
from tests.support.redis_server import RedisServer, needs_redis
from tests.support.server_process import free_port


async def test_without_url_there_is_no_finding() -> None:
    assert await check_redis_store("") == []


async def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    (found,) = await check_redis_store("redis://127.0.0.1:1/0")

    assert found.status is Status.PROBLEM
    assert "REDIS_URL needs the Python package redis" in found.detail


async def test_unreachable_store_is_a_problem_and_its_password_is_hidden() -> None:
    (found,) = await check_redis_store(f"redis://:canary@127.0.0.1:{free_port()}/0")

    assert found.status is Status.PROBLEM
    assert found.detail == "cannot be used: no server answers at this address"
    assert "canary" not in repr(found)


@needs_redis
async def test_store_without_persistence_is_a_warning() -> None:
    async with RedisServer().running() as server:
        works, keeps = await check_redis_store(server.url)

    assert works.status is Status.OK
    assert works.detail.startswith("answers in ")
    assert keeps.status is Status.WARNING
    assert keeps.example == "appendonly yes"


@needs_redis
async def test_store_with_eviction_is_a_warning() -> None:
    options = ("--save", "60 1", "--maxmemory", "10mb", "--maxmemory-policy", "allkeys-lru")
    async with RedisServer(options=options).running() as server:
        works, throws = await check_redis_store(server.url)

    assert works.status is Status.OK
    assert throws.status is Status.WARNING
    assert "allkeys-lru" in throws.detail


@needs_redis
async def test_store_with_persistence_is_ok() -> None:
    async with RedisServer(options=("--save", "60 1")).running() as server:
        (found,) = await check_redis_store(server.url)

    assert found.status is Status.OK


@needs_redis
async def test_refused_password_is_a_problem() -> None:
    async with RedisServer(options=("--requirepass", "another")).running() as server:
        wrong = server.url.replace("redis://", "redis://:canary@")
        findings = [*await check_redis_store(server.url), *await check_redis_store(wrong)]

    assert [found.detail for found in findings] == ["cannot be used: it refuses the password"] * 2


@needs_redis
async def test_frozen_store_times_out() -> None:
    async with RedisServer().running() as server:
        server.send(signal.SIGSTOP)
        (found,) = await check_redis_store(server.url, timeout_s=0.1)

    assert found.detail == "cannot be used: it does not answer"


@needs_redis
async def test_replica_is_a_problem() -> None:
    options = ("--replicaof", "127.0.0.1", str(free_port()))
    async with RedisServer(options=options).running() as server:
        (found,) = await check_redis_store(server.url)

    assert found.detail == "cannot be used: it is a replica, which takes no writes"


@needs_redis
async def test_slow_store_and_store_without_info() -> None:
    options = ("--rename-command", "INFO", "", "--rename-command", "CONFIG", "")
    async with RedisServer(options=options).running() as server:
        (found,) = await check_redis_store(server.url, slow_after_s=0.0)

    assert found.status is Status.WARNING
    assert found.detail.endswith(" ms (version unknown)")
