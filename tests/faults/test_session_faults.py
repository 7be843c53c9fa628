"""Every fault in a session of /v1/realtime, as every kind of client and the upstream see it."""

import asyncio
from collections.abc import Callable
from functools import cache

import pytest

from tests.conftest import running_proxy
from tests.faults import node
from tests.faults.session_engine import CLIENTS, SETTINGS, Session, SessionClient, run
from tests.faults.session_rows import CLIENT_ROWS, ROWS, ClientRow, Seen, SessionRow
from tests.support.both_ends import (
    OFFENCES,
    BothEnds,
    die,
    reach,
    see_end,
)
from tests.support.eventually import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.no_cover,
    pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning"),
]
CASES = [pytest.param(row, client, id=f"{row.name}-{client}") for row in ROWS for client in CLIENTS]


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest) -> Callable[[], dict[tuple[str, str], Session]]:
    """Return a function that plays, all together and once, what the selected tests ask for."""
    wanted: list[tuple[SessionRow, SessionClient]] = [
        (call.params["row"], call.params["client"])
        for item in request.session.items
        if (call := getattr(item, "callspec", None)) is not None
        and item.path == request.path
        and "client" in call.params
        and not (call.params["client"] == "node" and node.missing())
    ]

    def play() -> dict[tuple[str, str], Session]:
        return {(one.row.name, one.client): one for one in asyncio.run(run(wanted))}

    return cache(play)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("row", "client"), CASES)
def test_both_sides_see(
    row: SessionRow, client: SessionClient, played: Callable[[], dict[tuple[str, str], Session]]
) -> None:
    if client == "node" and (reason := node.missing()):
        pytest.skip(reason)
    session = played()[row.name, client]
    expected = row.sees
    if client == "node" and expected.status != 101:
        expected = Seen(0)  # its WebSocket does not show the answer

    assert session.trouble == ""
    assert session.seen == expected
    assert session.upstream == row.upstream


@pytest.mark.parametrize("row", CLIENT_ROWS, ids=lambda row: row.name)
async def test_the_upstream_sees(row: ClientRow) -> None:
    ends = BothEnds()
    async with (
        asyncio.timeout(100),
        ends.upstream.running(),
        running_proxy(ends.upstream.base_url, **SETTINGS) as proxy,
    ):
        if row.death is not None and row.death.state in ("half a handshake", "handshake"):
            await ends.leave_early(proxy.port, 1, row.death)
        else:
            async with ends.session(proxy.port, 1) as (client, upstream):
                if row.death is not None:
                    await reach(row.death, client, upstream)
                    die(client.writer, row.death.way)
                    await see_end(row.death, upstream)
                    assert row.upstream == row.death.other_code
                else:
                    client.writer.write(OFFENCES[row.offence](True))
                    (event,), code = await client.until_close()
                    error = event["error"]["code"]
                    assert row.sees == f"event `error` with `{error}`, then close {code}"
                    assert (await upstream.until_close())[1] == row.upstream
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
        await eventually(lambda: ends.upstream.open_connections == 0)
    assert " error " not in proxy.logged()
