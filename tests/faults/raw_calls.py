"""Calls of any media type as raw bytes, to an upstream that plays a fault."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from tests.conftest import BEARER, Proxy, running_proxy
from tests.faults.test_every_call import LIMITS
from tests.support.raw_client import RawResponse, connect
from tests.support.raw_upstream import Peer, RawUpstream, Received

_SECONDS: Final = 20
"""An answer that takes longer is a hang."""


async def ask(proxy: Proxy, path: str, body: bytes, media_type: str) -> RawResponse:
    """Send a call with a client's key, and return its answer."""
    async with connect(proxy.port) as connection:
        await connection.post(path, body, {**BEARER, "Content-Type": media_type})
        return await asyncio.wait_for(connection.response(), _SECONDS)


@contextlib.asynccontextmanager
async def before_fault(
    call: object, fault: Callable[[Any, Peer], Awaitable[None]], *, gemini: bool = False
) -> AsyncIterator[tuple[Proxy, RawUpstream]]:
    """Run a proxy before an upstream that plays *fault* in its answer to *call*."""

    async def play(peer: Peer, request: Received) -> None:
        await fault(call, peer)

    upstream = RawUpstream(play, base_path="/v1beta" if gemini else "/v1")
    async with upstream.running():
        url = {"gemini" if gemini else "openai": upstream.base_url}
        async with running_proxy(**url, PASSTHROUGH="all", **LIMITS) as proxy:
            yield proxy, upstream
