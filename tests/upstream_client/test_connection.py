"""The protocol of a connection: nothing that nobody asked for, and no request after it."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from jarvis_proxy.aiohttp_ext.write_batching import WriteBatch
from jarvis_proxy.upstream_client.connection import UpstreamConnection
from tests.support.eventually import eventually


@pytest.fixture
async def ends() -> AsyncIterator[tuple[UpstreamConnection, socket.socket]]:
    """A connection of the proxy, and the upstream's socket."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    transport, pooled = await loop.create_connection(asyncio.Protocol, sock=ours)
    connection = UpstreamConnection(pooled, transport, WriteBatch(loop))
    transport.set_protocol(connection)
    yield connection, theirs
    transport.abort()
    theirs.close()
    await asyncio.sleep(0)


async def test_byte_without_a_request_aborts(
    ends: tuple[UpstreamConnection, socket.socket],
) -> None:
    connection, theirs = ends
    theirs.sendall(b"H")
    await eventually(connection.transport.is_closing)


async def test_unread_input_is_seen_without_reading_it(
    ends: tuple[UpstreamConnection, socket.socket],
) -> None:
    connection, theirs = ends
    assert not connection.has_input()
    theirs.sendall(b"H")
    assert connection.has_input()


async def test_end_of_file_is_input_too(ends: tuple[UpstreamConnection, socket.socket]) -> None:
    connection, theirs = ends
    theirs.shutdown(socket.SHUT_WR)
    assert connection.has_input()


async def test_request_is_not_written_behind_bytes_that_came_meanwhile(
    ends: tuple[UpstreamConnection, socket.socket],
) -> None:
    connection, theirs = ends
    connection.is_reused = True
    connection.write_batched(b"request")
    theirs.sendall(b"H")  # not read yet when the request's turn comes
    await eventually(connection.transport.is_closing)
    theirs.settimeout(5)
    with pytest.raises(ConnectionResetError):  # what it sent was never read
        theirs.recv(100)


async def test_request_is_written_at_the_end_of_the_iteration(
    ends: tuple[UpstreamConnection, socket.socket],
) -> None:
    connection, theirs = ends
    theirs.setblocking(False)
    connection.write_batched(b"request")
    assert connection.has_unsent()
    with pytest.raises(BlockingIOError):
        theirs.recv(100)
    await asyncio.sleep(0)
    assert theirs.recv(100) == b"request"
    assert not connection.has_unsent()


async def test_upload_waits_while_writing_is_paused(
    ends: tuple[UpstreamConnection, socket.socket],
) -> None:
    connection, _ = ends
    await connection.drain()
    connection.pause_writing()
    waiting = asyncio.create_task(connection.drain())
    await asyncio.sleep(0)
    assert not waiting.done()
    connection.resume_writing()
    await waiting


@pytest.mark.parametrize(("size", "is_kept"), [(16_384, False), (16_385, True)])
async def test_socket_is_held_for_what_the_kernel_may_not_take_at_once(
    ends: tuple[UpstreamConnection, socket.socket], size: int, *, is_kept: bool
) -> None:
    connection, _ = ends
    connection.write_batched(b"x" * size)
    await asyncio.sleep(0)
    assert (connection._spare >= 0) is is_kept
    connection.response_ended()
    assert connection._spare < 0
