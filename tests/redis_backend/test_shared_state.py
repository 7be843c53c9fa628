"""Shared state: opened and closed together; nothing without REDIS_URL."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from jarvis_proxy.access.rate_limits import KeyQuota
from jarvis_proxy.redis_backend import rate_limiter as limiter
from jarvis_proxy.redis_backend.shared_state import SharedState, load_shared_state
from jarvis_proxy.upstreams.gemini.signature_store import StoredSignature
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, needs_redis
from tests.support.server_process import free_port

ROOT = Path(__file__).resolve().parents[2]
URL = "redis://127.0.0.1:1/0"


def test_nothing_is_opened_without_an_address() -> None:
    assert load_shared_state("") is None


async def test_what_is_shared_is_opened_by_its_address() -> None:
    assert isinstance(load_shared_state(URL), SharedState)


@pytest.mark.slow
def test_a_server_without_an_address_does_not_load_the_package() -> None:
    code = (
        "import sys, jarvis_proxy.cli, jarvis_proxy.runtime.serve;"
        " print([name for name in sys.modules if name.partition('.')[0] == 'redis'])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert said.stdout == "[]\n"


@needs_redis
async def test_last_operations_arrive_before_it_disconnects(
    server: RedisServer, store: Redis
) -> None:
    state = SharedState(server.url)
    await state.start()
    state.signatures.put("call_0123456789", StoredSignature("sig", None), time.monotonic())
    await state.close()

    assert await store.exists("jarvis:sig:call0123456789")
    assert not state.connection.is_up


@needs_redis
async def test_leases_are_renewed_and_news_are_read_while_it_is_open(
    server: RedisServer, store: Redis
) -> None:
    state = SharedState(server.url)
    await state.start()
    names = {task.get_name() for task in asyncio.all_tasks()}
    quota = KeyQuota(concurrency=1)
    await state.limiter.admit("k", quota, call_id="c", tokens=0, now=time.monotonic())
    before = await store.zscore("jarvis:calls:k", "c")
    state.limiter.renew()
    await eventually(lambda: state.connection.is_idle)
    after = await store.zscore("jarvis:calls:k", "c")
    await state.close()

    assert {"redis", "leases", "health"} <= names
    assert before is not None
    assert after is not None
    assert after > before > time.time() * 1000 + limiter.LEASE * 900
    assert not {"redis", "leases", "health"} & {task.get_name() for task in asyncio.all_tasks()}


async def test_unreachable_store_delays_nothing() -> None:
    state = SharedState(f"redis://127.0.0.1:{free_port()}/0")
    began = time.monotonic()
    await state.start()
    decision = await state.limiter.admit(
        "k", KeyQuota(rpm=1), call_id="c", tokens=0, now=time.monotonic()
    )
    state.signatures.put("call_0123456789", StoredSignature("sig", None), time.monotonic())
    await state.signatures.fetch(["call_0123456789", "other"], time.monotonic())
    await state.close()

    assert decision.refused is None
    assert state.signatures.get("call_0123456789", time.monotonic()) == StoredSignature("sig", None)
    assert time.monotonic() - began < 2.5
