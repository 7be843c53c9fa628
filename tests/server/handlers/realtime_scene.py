"""A proxy before an upstream whose WebSockets a test plays, and what sessions tests share."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.conftest import BEARER, Proxy, running_proxy
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.raw_websocket import (
    CLOSE,
    PING,
    PONG,
    RawSocket,
    Refused,
    accept,
    opened,
)

Play = Callable[[RawSocket], Awaitable[None]]
USED = {
    "type": "response.done",
    "response": {
        "usage": {
            "input_tokens": 30,
            "output_tokens": 12,
            "input_token_details": {"cached_tokens": 8},
        }
    },
}


async def echo(socket: RawSocket) -> None:
    """Send every frame back, and close as the client does."""
    while (frame := await socket.receive()) is not None:
        if frame.opcode == PING:
            await socket.send(PONG, frame.data)
        else:
            await socket.send(frame.opcode, frame.data)
        if frame.opcode == CLOSE:
            return


@contextlib.asynccontextmanager
async def scene(
    play: Play = echo, protocol: str | None = None, **env: str
) -> AsyncIterator[tuple[Proxy, RawUpstream]]:
    """Run a proxy before an upstream that plays *play* with each socket."""

    async def script(peer: Peer, request: Received) -> None:
        await play(await accept(peer, request, protocol))
        peer.close()

    upstream = RawUpstream(script)
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        yield proxy, upstream


async def refusal(port: int, path: str, **headers: str) -> tuple[int, object]:
    with pytest.raises(Refused) as refused:
        async with opened(port, path, {**BEARER, **headers}):
            pass
    return refused.value.response.status, refused.value.response.error()["code"]
