"""Every fault of a client that gets an answer, through all clients that can be made to have it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
import pytest

from tests.conftest import OPENAI_KEY, Proxy, running_proxy
from tests.faults import node
from tests.faults.client_rows import FAULTS, SETTINGS, Fault
from tests.faults.clients import Observed, ask, ask_async, ask_raw, observe
from tests.faults.dialects import DIALECTS
from tests.faults.kinds import CLIENTS, ClientKind
from tests.faults.verdict import judge
from tests.support.raw_client import connect
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

pytestmark = pytest.mark.slow

WHOLE = DIALECTS["whole"]
CASES = [
    pytest.param(fault, client, id=f"{fault.name}-{client}")
    for fault in FAULTS
    for client in (CLIENTS if fault.body is not None else ("raw",))
    if client != "node"
]


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


@asynccontextmanager
async def proxy() -> AsyncIterator[tuple[Proxy, RawUpstream]]:
    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url, **SETTINGS) as running:
        yield running, upstream


async def seen_by(client: ClientKind, fault: Fault, proxy: Proxy) -> Observed:
    if fault.body is None:
        return await seen_on_a_socket(fault, proxy.port)
    options = {"base_url": f"{proxy.url}/v1", "api_key": fault.key, "max_retries": 0}
    match client:
        case "sync":
            with openai.OpenAI(**options) as sync_client:  # type: ignore[arg-type]
                return await asyncio.to_thread(ask, sync_client, WHOLE, fault.body)
        case "async":
            async with openai.AsyncOpenAI(**options) as async_client:  # type: ignore[arg-type]
                return await ask_async(async_client, WHOLE, fault.body)
    bearer = {"Authorization": f"Bearer {fault.key}"}
    return await ask_raw(proxy.port, WHOLE, fault.body, bearer)


async def seen_on_a_socket(fault: Fault, port: int) -> Observed:
    async with connect(port) as connection:
        sending = asyncio.create_task(connection.send(fault.raw))
        response = await connection.response()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return observe(response, WHOLE)


@pytest.mark.parametrize(("fault", "client"), CASES)
async def test_client_sees_the_fault(fault: Fault, client: ClientKind) -> None:
    async with proxy() as (running, upstream), asyncio.timeout(20):
        seen = await seen_by(client, fault, running)
        log = running.logged()

    assert judge(client, WHOLE, fault.sight, seen, b"") == []
    assert {name: seen.headers.get(name) for name in fault.headers} == fault.headers
    assert len(log.split(" call ")) == 2, "one line a call"
    assert f"status={fault.sight.status} outcome=refused code={fault.sight.code}" in log
    assert OPENAI_KEY not in log
    assert upstream.received == []


async def test_node_sees_the_fault() -> None:
    if reason := await asyncio.to_thread(node.missing):
        pytest.skip(reason)
    faults = [fault for fault in FAULTS if fault.body is not None]
    async with proxy() as (running, upstream), node.running() as sdk:
        url = f"{running.url}/v1"
        for fault in faults:
            seen = await sdk.ask(url, "whole", fault.body or {}, fault.key)
            assert judge("node", WHOLE, fault.sight, seen, b"") == [], fault.name

    assert upstream.received == []
