"""The connection to a real Redis that is slow, refuses, loses its data, dies and restarts."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from jarvis_proxy.redis_backend.batching import Command, CommandBatcher
from jarvis_proxy.redis_backend.client import RedisConnection
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, needs_redis

pytestmark = needs_redis

COUNT = "return redis.call('INCRBY', 'jarvis:count', ARGV[1])"


class Kit:
    """A link with one thing to share: a sum."""

    def __init__(self, url: str, patience: float = 0.1, limit: float = 1.0) -> None:
        self.connection = RedisConnection(url, call_budget=patience, limit=limit)
        self.script = self.connection.script(COUNT)
        self.returns = 0
        self.lost: list[int] = []
        self.sum: CommandBatcher[int, int] = self.connection.batcher(
            self._add, _split, self.lost.extend
        )
        self.connection.on_reconnect(self._back)

    def _add(self, ops: Sequence[int]) -> Command:
        return self.script.call(str(sum(ops)).encode())

    def _back(self) -> None:
        self.returns += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Kit"]:
        await self.connection.start()
        try:
            yield self
        finally:
            await self.connection.close()

    async def works(self) -> None:
        """Wait until the store answers."""
        await eventually(lambda: self.connection.is_up)


def _split(reply: Any, asked: Sequence[int]) -> list[int]:
    return [int(reply)] * len(asked)


def logged(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """Return what was logged at *level*."""
    return [r.getMessage() for r in caplog.records if r.levelno == level]


async def test_it_works_when_start_returns(server: RedisServer) -> None:
    async with Kit(server.url).running() as kit:
        assert kit.connection.is_responsive
        assert await kit.sum.request(2) == 2
        assert kit.returns == 1


async def test_callers_at_the_same_time_share_a_command(server: RedisServer, store: Redis) -> None:
    async with Kit(server.url).running() as kit:
        before = await _calls(store)
        answers = await asyncio.gather(*(kit.sum.request(1) for _ in range(50)))
        after = await _calls(store)

        assert answers == [50] * 50
        assert after - before == 1


async def _calls(store: Redis) -> int:
    stats = await store.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))


async def test_sent_operations_are_executed_before_it_closes(
    server: RedisServer, store: Redis
) -> None:
    async with Kit(server.url).running() as kit:
        for _ in range(1000):
            assert kit.sum.send(1)

    assert await store.get("jarvis:count") == b"1000"


async def test_every_key_stands_under_the_prefix(server: RedisServer, store: Redis) -> None:
    async with Kit(server.url).running() as kit:
        await kit.sum.request(1)

    assert {key[:7] for key in await store.keys()} == {b"jarvis:"}


async def test_scripts_that_the_store_forgot_are_loaded_again(
    server: RedisServer, store: Redis
) -> None:
    async with Kit(server.url).running() as kit:
        await store.script_flush()

        assert await kit.sum.request(3) == 3
        assert kit.returns == 1


async def test_without_a_store_it_starts_with_one_warning_and_without_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries = 0

    def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as nothing:
        port = nothing.sockets[0].getsockname()[1]
        async with Kit(f"redis://user:canary@127.0.0.1:{port}/0").running() as kit:
            assert not kit.connection.is_up
            assert await kit.sum.request(1) is None
            assert not kit.sum.send(1)
            assert await kit.connection.execute([("PING",)]) is None
            await eventually(lambda: tries >= 3)

    (warning,) = logged(caplog, logging.WARNING)
    assert "(ConnectionError)" in warning
    assert "canary" not in caplog.text


async def test_a_store_that_comes_later_is_found(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = RedisServer()
    async with Kit(server.url).running() as kit, server.running():
        await kit.works()
        await eventually(lambda: logged(caplog, logging.INFO))

        assert await kit.sum.request(1) == 1
        assert logged(caplog, logging.INFO) == [f"Redis at 127.0.0.1:{server.port} works again"]


async def test_a_store_that_dies_and_returns_costs_one_warning(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with Kit(server.url).running() as kit:
        await server.kill()
        answers = [await kit.sum.request(1) for _ in range(20)]
        await server.start()
        await kit.works()
        await eventually(lambda: logged(caplog, logging.INFO))

        assert answers == [None] * 20
        assert await kit.sum.request(5) == 5
        assert kit.returns == 2
        assert len(logged(caplog, logging.WARNING)) == 1


async def test_operations_sent_to_a_dying_store_are_reported_as_lost(server: RedisServer) -> None:
    async with Kit(server.url).running() as kit:
        server.send(signal.SIGSTOP)
        assert kit.sum.send(1)
        await asyncio.sleep(0)
        await server.kill()
        await eventually(lambda: kit.lost)

        assert kit.lost == [1]


async def test_callers_wait_for_a_stalled_store_no_longer_than_their_budget(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    async with Kit(server.url, patience=0.05, limit=0.5).running() as kit:
        server.send(signal.SIGSTOP)
        began = loop.time()
        first = await kit.sum.request(1)
        waited = loop.time() - began
        # From now on it is known to be late.
        later = [await kit.sum.request(1) for _ in range(100)]
        waited_later = loop.time() - began - waited
        await eventually(lambda: not kit.connection.is_up)
        server.send(signal.SIGCONT)
        await kit.works()

        assert first is None
        assert later == [None] * 100
        assert 0.05 <= waited < 0.4
        assert waited_later < 0.05
        assert "(too slow)" in logged(caplog, logging.WARNING)[0]
        assert len(logged(caplog, logging.WARNING)) == 1


async def test_one_late_answer_is_no_outage(server: RedisServer) -> None:
    async with Kit(server.url, patience=0.05, limit=5).running() as kit:
        server.send(signal.SIGSTOP)
        answer = await kit.sum.request(1)
        told_meanwhile = kit.sum.send(1)
        server.send(signal.SIGCONT)
        await eventually(lambda: kit.connection.is_responsive)

        assert (answer, told_meanwhile) == (None, True)
        # The late command and the one that was sent were done all the same.
        assert await kit.sum.request(0) == 2
        assert kit.returns == 1


async def test_three_late_answers_in_a_row_are_an_outage(server: RedisServer) -> None:
    async with Kit(server.url, patience=0.02, limit=5).running() as kit:
        for _ in range(3):
            server.send(signal.SIGSTOP)
            await kit.sum.request(1)
            server.send(signal.SIGCONT)
            await eventually(lambda: kit.connection.is_responsive or not kit.connection.is_up)

        assert not kit.connection.is_up


async def test_those_that_queue_behind_a_late_answer_stop_waiting_too(server: RedisServer) -> None:
    async with Kit(server.url, patience=0.1, limit=5).running() as kit:
        server.send(signal.SIGSTOP)
        first = asyncio.create_task(kit.sum.request(1))
        await eventually(lambda: not kit.sum.pending)  # it is on its way
        second = asyncio.create_task(kit.sum.request(1))
        answers = await asyncio.gather(first, second)
        server.send(signal.SIGCONT)
        await eventually(lambda: kit.connection.is_responsive)

        assert not any(answers)


async def test_a_store_that_takes_no_writes_is_not_used(
    server: RedisServer, store: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """As a replica after a failover does, or one whose memory is full."""
    async with Kit(server.url).running() as kit:
        await store.config_set("maxmemory", "1")
        answer = await kit.sum.request(1)
        up = kit.connection.is_up
        await store.config_set("maxmemory", "0")
        await kit.works()

        assert (answer, up) == (None, False)
        assert await kit.sum.request(1) == 1
        assert len(logged(caplog, logging.WARNING)) == 1
        assert "OutOfMemoryError" in caplog.text


async def test_a_script_that_always_fails_does_not_fill_the_log(
    server: RedisServer, store: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await store.rpush("jarvis:count", "not a number")
    async with Kit(server.url).running() as kit:
        for _ in range(3):
            await kit.works()
            assert await kit.sum.request(1) is None

        assert len(logged(caplog, logging.WARNING)) == 1
        assert "WRONGTYPE" in caplog.text


async def test_a_reply_that_makes_no_sense_is_an_outage_and_not_the_end(
    server: RedisServer,
) -> None:
    connection = RedisConnection(server.url)
    odd: CommandBatcher[int, int] = connection.batcher(
        lambda ops: ("PING",), lambda reply, asked: []
    )
    await connection.start()
    try:
        answer = await odd.request(1)
        await eventually(lambda: connection.is_up)

        assert answer is None
    finally:
        await connection.close()


async def test_work_that_no_call_waits_for_has_a_connection_of_its_own(server: RedisServer) -> None:
    async with Kit(server.url).running() as kit:
        await kit.sum.request(1)
        replies = await kit.connection.execute([("INCR", "jarvis:n"), ("INCR", "jarvis:n")])

        assert replies == [1, 2]
        assert kit.connection.is_up


async def test_work_that_fails_is_none(server: RedisServer) -> None:
    async with Kit(server.url, limit=0.3).running() as kit:
        refused = await kit.connection.execute([("INCR", "jarvis:n"), ("NONSENSE",)])
        server.send(signal.SIGSTOP)
        slow = await kit.connection.execute([("INCR", "jarvis:n")], limit=0.05)
        server.send(signal.SIGCONT)
        await kit.works()

        assert refused is None
        assert slow is None


async def test_wrong_password_is_logged_without_the_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with RedisServer(options=("--requirepass", "right")).running() as server:
        async with Kit(f"redis://:canary@127.0.0.1:{server.port}").running() as kit:
            assert not kit.connection.is_up
        async with Kit(f"redis://:right@127.0.0.1:{server.port}").running() as kit:
            assert kit.connection.is_up

    assert "(AuthenticationError)" in caplog.text
    assert "canary" not in caplog.text


async def test_closing_is_quick_with_a_store_that_stalls(server: RedisServer) -> None:
    loop = asyncio.get_running_loop()
    async with Kit(server.url, limit=10).running() as kit:
        server.send(signal.SIGSTOP)
        kit.sum.send(1)
        began = loop.time()
    server.send(signal.SIGCONT)

    assert loop.time() - began < 3


async def test_closing_one_that_was_never_started_does_nothing() -> None:
    await RedisConnection("redis://127.0.0.1:1").close()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://user:secret@store.example:7000/2", "store.example:7000"),
        ("rediss://:secret@store.example", "store.example:6379"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
    ],
)
async def test_the_log_calls_it_by_its_address_alone(url: str, name: str) -> None:
    assert RedisConnection(url).name == name


async def test_a_unix_socket_will_do(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("redis") / "redis.sock"
    server = RedisServer(options=("--unixsocket", str(path)))
    async with server.running(), Kit(f"unix://{path}").running() as kit:
        assert await kit.sum.request(1) == 1
