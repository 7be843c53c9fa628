"""Clients that leave: the upstream's connection is closed at once, and the log has one line."""

import asyncio
import json
import random
import socket
import struct

import pytest

from tests.conftest import BEARER, KEY, running_proxy
from tests.faults.dialects import DIALECTS, TEXT, Dialect, Surface
from tests.faults.leaving_rows import LEAVINGS, How, Leaving
from tests.support.eventually import eventually
from tests.support.raw_client import RawConnection, connect
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow

POINTS = 50
PROMPT = "canary-prompt"
BEATING = {"COMMIT_AFTER": "0.1", "HEARTBEAT_INTERVAL": "0.1"}
CASES = [
    pytest.param(row, surface, id=f"{row.name}-{surface}")
    for row in LEAVINGS
    for surface in row.surfaces
]


class Stage:
    """An upstream that sends the first part of an answer, then waits for the proxy to close."""

    def __init__(self, dialect: Dialect, sent: bytes | None) -> None:
        self.upstream = RawUpstream(self._play)
        self.closed = 0
        self.asked = asyncio.Event()
        self._dialect = dialect
        self._sent = sent

    async def _play(self, peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[],"models":[]}')
            return
        self.asked.set()
        if self._sent is not None:
            await peer.head()
            await peer.chunk(self._sent)
        await peer.closed()
        self.closed += 1


def asking(dialect: Dialect) -> bytes:
    """Return a request's body."""
    model = "gemini-3-flash" if dialect.surface == "gemini" else "gpt-4o-mini"
    body = dialect.request(model)
    return json.dumps({**body, "user": PROMPT}).encode()


def leave(connection: RawConnection, how: How) -> None:
    """Go in the way named."""
    match how:
        case "half-close":
            connection.writer.write_eof()
        case "FIN":
            connection.writer.close()
        case "RST":
            sock = connection.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.writer.transport.abort()


def check(log: str, *, lines: int = 1) -> None:
    """Check what a log says of clients that have left."""
    calls = [line for line in log.splitlines() if " call " in line]
    assert len(calls) == lines
    assert all("status=499 outcome=client_closed" in line for line in calls)
    assert " error " not in log
    assert not any(word in log for word in (PROMPT, TEXT, KEY, "Traceback"))


@pytest.mark.parametrize(("row", "surface"), CASES)
async def test_call_ends_with_its_client(row: Leaving, surface: Surface) -> None:
    dialect = DIALECTS[surface]
    stage = Stage(dialect, dialect.events[0] if row.when == "in the middle" else None)
    headers = {**BEARER, "Content-Type": "application/json"}
    settings = BEATING if row.when == "after heartbeats" else {}
    url = stage.upstream
    async with (
        url.running(),
        running_proxy(url.base_url, url.base_url, **settings) as proxy,
        connect(proxy.port) as connection,
        asyncio.timeout(10),
    ):
        body = asking(dialect)
        if row.when == "during the upload":
            await connection.post(dialect.path, body, {**headers, "Content-Length": "9999"})
            await eventually(lambda: len(proxy.context.deadline_monitor))
        else:
            await connection.post(dialect.path, body, headers)
            await stage.asked.wait()
        if row.when in ("after heartbeats", "in the middle"):
            await connection.head()
            assert await connection.chunk()
        leave(connection, row.how)

        await eventually(lambda: not len(proxy.context.deadline_monitor))
        if stage.asked.is_set():
            await eventually(lambda: stage.closed, 1)
        check(proxy.logged())
    posts = [request for request in stage.upstream.received if request.method == "POST"]
    assert len(posts) == (0 if row.when == "during the upload" else 1)


@pytest.mark.parametrize("surface", ["chat", "responses", "gemini"])
async def test_call_ends_with_its_client_wherever_it_stands(surface: Surface) -> None:
    dialect = DIALECTS[surface]
    rng = random.Random(20261123)
    stage = Stage(dialect, dialect.events[0] + dialect.events[1])
    headers = {**BEARER, "Content-Type": "application/json"}
    upstream = stage.upstream

    async def visit(port: int) -> None:
        async with connect(port) as connection:
            await connection.post(dialect.path, asking(dialect), headers)
            # Somewhere between the first byte of the head and the last of the second event.
            await connection.reader.readexactly(rng.randint(1, 200 + len(dialect.events[0])))
            leave(connection, rng.choice(("FIN", "RST", "half-close")))
            await connection.reader.read() if rng.random() < 0.5 else None

    async with upstream.running(), running_proxy(upstream.base_url, upstream.base_url) as proxy:
        async with asyncio.timeout(20):
            results = await asyncio.gather(
                *(visit(proxy.port) for _ in range(POINTS)), return_exceptions=True
            )
        assert {type(result) for result in results} <= {type(None), ConnectionResetError}
        await eventually(lambda: not len(proxy.context.deadline_monitor))
        await eventually(lambda: stage.closed == POINTS)
        check(proxy.logged(), lines=POINTS)


async def test_same_request_twice_at_once_is_served_twice() -> None:
    """Nothing is merged: a client that tries again in parallel gets, and pays, two answers."""
    from tests.faults.scripts import Stage as Scene
    from tests.faults.scripts import good
    from tests.support.raw_client import fetch

    async def play(peer: Peer, request: Received) -> None:
        await good(Scene(peer, DIALECTS["whole"]))

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        request = {**DIALECTS["whole"].request("gpt-4o-mini")}
        headers = {**BEARER, "Idempotency-Key": "same"}
        responses = await asyncio.gather(
            *(fetch(proxy.port, "/v1/chat/completions", request, headers) for _ in range(2))
        )

    assert [response.status for response in responses] == [200, 200]
    assert len(upstream.received) == 2
