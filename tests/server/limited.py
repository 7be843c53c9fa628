"""Calls against a proxy with limits: what tests of them share."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping

from tests.conftest import BEARER, KEY, Proxy
from tests.support.eventually import eventually
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, Received, completion

CHAT = "/v1/chat/completions"
MIB = 1024 * 1024
JSON = {**BEARER, "Content-Type": "application/json"}
ECHO: dict[str, object] = {"model": "jarvis-echo", "messages": []}
CALL: dict[str, object] = {"model": "gpt-4o", "messages": []}
OTHER_KEY = "other-key-0123456789abcdef"
TWO_KEYS = {"PROXY_API_KEYS": f"tester:{KEY},other:{OTHER_KEY}"}
OTHER = {"Authorization": f"Bearer {OTHER_KEY}"}


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


async def hold(peer: Peer, request: Received) -> None:
    await peer.closed()


def same_for_all(response: RawResponse) -> tuple[object, ...]:
    """Return what of a response could tell one refusal from another."""
    changing = ("x-request-id", "date")
    headers = {n: v for n, v in response.headers.items() if n not in changing}
    return response.status, headers, response.body


async def ask(
    proxy: Proxy, body: Mapping[str, object] = CALL, headers: Mapping[str, str] = BEARER
) -> RawResponse:
    return await asyncio.wait_for(fetch(proxy.port, CHAT, dict(body), headers), 5)


def outcome(response: RawResponse) -> tuple[int, object]:
    return response.status, response.error()["code"]


@contextlib.asynccontextmanager
async def calls_in_progress(proxy: Proxy, count: int, body: bytes = b"") -> AsyncIterator[None]:
    """Keep *count* calls waiting for an upstream that holds them."""
    body = body or json.dumps(CALL).encode()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(count):
            connection = await stack.enter_async_context(connect(proxy.port))
            await connection.post(CHAT, body, JSON)
        await eventually(lambda: len(proxy.context.deadline_monitor) == count)
        await eventually(lambda: proxy.context.admission.bytes_in_flight >= count * len(body))
        yield
    await eventually(lambda: len(proxy.context.deadline_monitor) == 0)


def form(*fields: tuple[str, str]) -> bytes:
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields
    ]
    return ("".join(parts) + "--b--\r\n").encode()


FILE = ("file", "x" * 300_000)
