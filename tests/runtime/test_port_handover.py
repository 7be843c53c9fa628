"""Hand-over: from a server to the next one of the same user, and to nobody else."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from jarvis_proxy.runtime.port_handover import MAX_SOCKETS, Offer, acquire, offer_name, take
from tests.support.server_process import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")


def name() -> bytes:
    """Return a name that nobody else uses."""
    return offer_name([os.urandom(8).hex()], 9000)


@contextlib.asynccontextmanager
async def offered(
    where: bytes, go: Callable[[], None], user: Callable[[], int] = os.geteuid
) -> AsyncIterator[socket.socket]:
    """Offer a listening socket; yield it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        offer = Offer(where, [listening], go, user=user)
        offer.start()
        try:
            yield listening
        finally:
            await offer.stop()


def test_a_name_is_of_one_user_and_one_address_and_fits() -> None:
    names = {
        offer_name(["127.0.0.1"], 9000),
        offer_name(["127.0.0.1"], 9001),
        offer_name(["::"], 9000),
    }

    assert len(names) == 3
    assert offer_name(["x" * 500], 1) == offer_name(["x" * 500], 1)
    assert all(name.startswith(b"\0jarvis-proxy-") and len(name) < 100 for name in names)


async def test_sockets_go_over_and_the_old_server_is_told_only_at_the_end() -> None:
    where, gone = name(), asyncio.Event()
    async with offered(where, gone.set) as listening:
        taken = await take(where)
        assert taken is not None
        (sock,) = taken.sockets
        with sock:
            assert taken.pid == os.getpid()
            assert sock.getsockname() == listening.getsockname()
            assert sock.fileno() != listening.fileno()
            assert not gone.is_set()

            await taken.confirm()
            assert gone.is_set()
            assert taken.connection.fileno() == -1
            assert await take(where) is None  # the name is free for the new server's offer


async def test_the_new_server_can_offer_at_once_under_the_same_name() -> None:
    where, first, second = name(), asyncio.Event(), asyncio.Event()
    async with offered(where, first.set):
        taken = await take(where)
        assert taken is not None
        await taken.confirm()
        async with offered(where, second.set):
            again = await take(where)
            assert again is not None
            await again.confirm()
            for sock in (*taken.sockets, *again.sockets):
                sock.close()
    assert first.is_set()
    assert second.is_set()


async def test_a_new_server_that_gives_up_changes_nothing() -> None:
    where, gone = name(), asyncio.Event()
    async with offered(where, gone.set):
        for _ in range(3):
            taken = await take(where)
            assert taken is not None
            taken.connection.close()
            for sock in taken.sockets:
                sock.close()
        assert not gone.is_set()
        taken = await take(where)
        assert taken is not None
        await taken.confirm()
        for sock in taken.sockets:
            sock.close()
    assert gone.is_set()


async def test_where_nobody_offers_nothing_is_taken() -> None:
    assert await take(name()) is None


async def test_another_user_gets_nothing() -> None:
    where, gone = name(), asyncio.Event()
    async with offered(where, gone.set, user=lambda: os.geteuid() + 1):
        assert await take(where) is None
        assert not gone.is_set()


async def test_nothing_is_taken_from_another_user() -> None:
    """Anybody may use any name; what stands behind it could read every key and prompt."""
    where = name()
    async with offered(where, lambda: None):
        assert await take(where, user=lambda: os.geteuid() + 1) is None


@pytest.mark.parametrize("greeting", [b"something else\n", b""])
async def test_nothing_is_taken_from_what_is_no_server_of_ours(greeting: bytes) -> None:
    where = name()
    with socket.socket(socket.AF_UNIX) as listening, socket.create_server(("", 0)) as sock:
        listening.bind(where)
        listening.listen()
        listening.setblocking(False)

        async def answer() -> None:
            connection, _ = await asyncio.get_running_loop().sock_accept(listening)
            with connection:
                if greeting:
                    socket.send_fds(connection, [greeting], [sock.fileno()])

        answering = asyncio.create_task(answer())
        before = len(os.listdir("/proc/self/fd"))
        assert await take(where) is None
        await answering
        assert len(os.listdir("/proc/self/fd")) <= before


async def test_nothing_is_taken_from_a_server_that_stands_still() -> None:
    where = name()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(where)
        listening.listen()

        assert await take(where, patience=0.1) is None


async def test_what_is_no_listening_socket_is_not_taken() -> None:
    where = name()
    here, there = socket.socketpair()
    with here, there:
        offer = Offer(where, [here], lambda: None)
        offer.start()
        assert await take(where) is None
        await offer.stop()


async def test_a_name_in_use_means_no_offer_and_no_failure() -> None:
    where = name()
    async with offered(where, lambda: None), offered(where, lambda: None):
        taken = await take(where)
        assert taken is not None
        taken.connection.close()
        for sock in taken.sockets:
            sock.close()


async def test_a_stopped_offer_gives_nothing() -> None:
    where = name()
    async with offered(where, lambda: None):
        pass
    assert await take(where) is None


async def test_an_old_server_that_dies_does_not_hold_up_the_new_one() -> None:
    where = name()
    async with offered(where, lambda: None):
        taken = await take(where)
        assert taken is not None
    await asyncio.wait_for(taken.confirm(), 1)
    for sock in taken.sockets:
        sock.close()


async def test_other_systems_have_no_hand_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    where = name()
    async with offered(where, lambda: None):
        assert await take(where) is None
    monkeypatch.undo()
    assert await take(where) is None


# Where a server's sockets come from


async def test_without_anybody_to_give_any_new_sockets_are_made_and_can_be_offered() -> None:
    port = free_port()
    found = await acquire(["127.0.0.1"], port, {}, 2)
    for sock in found.sockets:
        sock.close()

    assert len(found.sockets) == 2
    assert found.name == offer_name(["127.0.0.1"], port)
    assert found.taken is None


async def test_not_more_are_made_than_can_be_handed_over() -> None:
    found = await acquire(["127.0.0.1"], free_port(), {}, 256)
    for sock in found.sockets:
        sock.close()

    assert len(found.sockets) == MAX_SOCKETS // 2


async def test_the_sockets_of_a_running_server_come_first() -> None:
    port = free_port()
    async with offered(offer_name(["127.0.0.1"], port), lambda: None) as listening:
        found = await acquire(["127.0.0.1"], port, {})
        assert found.taken is not None
        (sock,) = found.sockets
        with sock, found.taken.connection:
            assert sock.getsockname() == listening.getsockname()
