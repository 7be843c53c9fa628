"""Every fault of an upstream, on every surface, as every kind of client sees it."""

import asyncio
from collections.abc import Callable
from functools import cache

import pytest

from tests.faults import engine, node
from tests.faults.api_rows import API_ROWS
from tests.faults.dialects import Surface
from tests.faults.kinds import ClientKind, clients_of
from tests.faults.rows import Row
from tests.faults.upstream_rows import ROWS
from tests.faults.verdict import judge

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]

CASES = [
    pytest.param(row, surface, client, id=f"{row.name}-{surface}-{client}")
    for row in (*ROWS, *API_ROWS)
    for surface in row.cases
    for client in clients_of(surface)
]


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest) -> Callable[[], engine.Run]:
    """Return a function that plays, all together and once, what the selected tests ask for."""
    wanted = [
        (call.params["row"], call.params["surface"], call.params["client"])
        for item in request.session.items
        if (call := getattr(item, "callspec", None)) is not None
        and item.path == request.path
        and "row" in call.params
    ]
    if node.missing():
        wanted = [unit for unit in wanted if not unit[2].endswith("node")]
    return cache(lambda: asyncio.run(engine.run(wanted)))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("row", "surface", "client"), CASES)
def test_client_sees(
    row: Row, surface: Surface, client: ClientKind, played: Callable[[], engine.Run]
) -> None:
    if client.endswith("node") and (reason := node.missing()):
        pytest.skip(reason)
    unit = played().units[row.name, surface, client]

    assert unit.trouble == ""
    assert unit.observed is not None
    assert judge(client, unit.dialect, unit.sight, unit.observed, unit.sent) == []
    tells_that_it_retries = client != "raw" and not client.startswith("google")
    assert unit.sight.calls_for(sdk=tells_that_it_retries) == unit.requests
