"""Every odd request comes to its answer, and the upstream never sees more than was asked."""

import asyncio
import re

import pytest

from tests.conftest import running_proxy
from tests.server.wire_payloads import CASES, HEALTH, Case
from tests.support.raw_client import RawConnection, connect
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

pytestmark = pytest.mark.slow


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


async def statuses(connection: RawConnection, count: int) -> list[int]:
    """Read *count* answers, an interim one among them."""
    found: list[int] = []
    while len(found) < count:
        status, headers = await connection.head()
        found.append(status)
        await connection.reader.readexactly(int(headers.get("content-length", "0")))
    return found


def test_there_are_as_many_payloads_as_were_measured_and_no_name_twice() -> None:
    smuggling = [case for case in CASES if case.answers == (400,)]

    assert len({case.id for case in CASES}) == len(CASES) >= 81
    assert len(smuggling) >= 24


async def come_to_its_answer(case: Case) -> None:
    """Send the payload to a proxy; look at what comes back, and at what its upstream sees."""
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        connect(proxy.port) as connection,
        asyncio.timeout(5),
    ):
        await connection.send(case.payload)
        actual = await statuses(connection, len(case.answers))
        if case.keeps_connection:
            await connection.send(HEALTH)
            actual += await statuses(connection, 1)
        else:
            assert await connection.reader.read() == b""  # closed, and nothing behind

    assert (*case.answers, *([200] if case.keeps_connection else [])) == tuple(actual)
    assert case.upstream == len([r for r in upstream.received if r.path.endswith("/completions")])
    assert "smuggled" not in repr(upstream.received)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if not case.lingers],
    ids=lambda case: re.sub(r"\W+", "-", case.id),
)
async def test_payload_comes_to_its_answer(case: Case) -> None:
    await come_to_its_answer(case)


async def test_what_is_answered_before_its_body_came_is_closed_in_the_end() -> None:
    """All at once, for each takes its two seconds."""
    async with asyncio.TaskGroup() as group:
        for case in CASES:
            if case.lingers:
                group.create_task(come_to_its_answer(case))
