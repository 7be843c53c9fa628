"""No client's failing calls harm another client: whatever way they fail, at the socket."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from tests.conftest import BEARER, KEY, Proxy, running_proxy
from tests.support.raw_client import RawResponse, connect
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

pytestmark = pytest.mark.slow

CALLS: Final = int(os.environ.get("ISOLATION_CALLS", "100"))
AT_ONCE: Final = 20
BOB_KEY: Final = "bobs-key-0123456789abcdef"
BOB: Final = {"Authorization": f"Bearer {BOB_KEY}"}
CAROL_KEY: Final = "carols-key-0123456789abcdef"
CAROL: Final = {"Authorization": f"Bearer {CAROL_KEY}"}
SAME, OTHER = "gpt-4o", "o3"
UPSTREAM_KEYS: Final = ("sk-one-0123456789", "sk-two-0123456789", "sk-three-0123456789")
ENV: Final = {
    "PROXY_API_KEYS": f"alice:{KEY},bob:{BOB_KEY},carol:{CAROL_KEY}",
    "OPENAI_API_KEY": ",".join(UPSTREAM_KEYS),
    "FIRST_BYTE_TIMEOUT": "1",
}


async def spoil(peer: Peer, how: str) -> None:
    """Fail as *how* says: a status, silence, or an answer that breaks off."""
    if how == "timeout":
        await peer.closed()
    elif how == "cut":
        await peer.head()
        await peer.chunk(chat_chunk("Hi"))
        peer.reset()
    elif how == "disconnect":
        peer.reset()
    elif how == "error-event":
        await peer.head()
        await peer.chunk(b'data: {"error":{"message":"x","code":"server_error"}}\n\n')
        await peer.last_chunk()
    else:
        status, _, code = how.partition(" ")
        error = {"message": "no", "type": "t", "param": None, "code": code or None}
        await peer.reply(json.dumps({"error": error}).encode(), int(status))


async def good(peer: Peer, request: Received) -> None:
    if json.loads(request.body).get("stream"):
        await peer.head()
        await peer.chunk(chat_chunk("Hi") + chat_chunk(None, "stop") + b"data: [DONE]\n\n")
        await peer.last_chunk()
    else:
        await peer.reply(completion())


async def call(
    proxy: Proxy, headers: dict[str, str], model: str, word: str, *, stream: bool = True
) -> RawResponse:
    message = {"role": "user", "content": word}
    body = json.dumps({"model": model, "messages": [message], "stream": stream}).encode()
    sdk = {"x-stainless-retry-count": "0", "Content-Type": "application/json"}
    async with connect(proxy.port) as connection:
        await connection.post("/v1/chat/completions", body, {**headers, **sdk})
        return await asyncio.wait_for(connection.response(), 20)


async def alices_calls(proxy: Proxy, count: int, *, model: str = SAME) -> None:
    for start in range(0, count, AT_ONCE):
        names = [model.replace("N", str(start + number)) for number in range(AT_ONCE)]
        answers = await asyncio.gather(*(call(proxy, BEARER, name, "SPOIL") for name in names))
        assert all(answer.status >= 400 or b"error" in answer.body for answer in answers)


async def bobs_calls(proxy: Proxy) -> list[tuple[int, str, bool]]:
    found = []
    for model in (SAME, OTHER):
        for stream in (True, False):
            answer = await call(proxy, BOB, model, "good", stream=stream)
            attempts = answer.headers["x-jarvis-attempts"]
            found.append((answer.status, attempts, b'"error"' in answer.body))
    return found


UNHARMED: Final = [(200, "1", False)] * 4


@asynccontextmanager
async def both(how: str) -> AsyncIterator[tuple[Proxy, RawUpstream]]:
    async def play(peer: Peer, request: Received) -> None:
        await (spoil(peer, how) if b"SPOIL" in request.body else good(peer, request))

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url, **ENV) as proxy:
        yield proxy, upstream


KINDS: Final = [
    "500",
    "502",
    "503",
    "529",
    "403",
    "403 model_not_found",
    "402",
    "408",
    "429",
    "429 insufficient_quota",
    "498",
    "400",
    "404 model_not_found",
    "timeout",
    "cut",
    "disconnect",
    "error-event",
]


@pytest.mark.parametrize("how", KINDS)
async def test_one_clients_failing_calls_leave_anothers_unharmed(how: str) -> None:
    async with both(how) as (proxy, _):
        # Each of these takes until the time limit: five at once are as good as hundreds.
        await alices_calls(proxy, AT_ONCE if how == "timeout" else CALLS)

        assert await bobs_calls(proxy) == UNHARMED
        later = asyncio.create_task(alices_calls(proxy, 2 * AT_ONCE))
        assert await bobs_calls(proxy) == UNHARMED
        await later


@pytest.mark.parametrize("how", ["500", "429", "403"])
async def test_calls_for_ever_new_models_leave_anothers_unharmed(how: str) -> None:
    async with both(how) as (proxy, _):
        await alices_calls(proxy, 300, model="gpt-N")

        assert await bobs_calls(proxy) == UNHARMED
        assert len(proxy.context.endpoints["openai"].breakers) <= 256


async def test_a_client_finds_the_upstream_back_though_anothers_calls_were_refused() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    upstream = RawUpstream(good, port=port)
    async with running_proxy(upstream.base_url, **ENV) as proxy:
        await alices_calls(proxy, CALLS)
        async with upstream.running():
            assert await bobs_calls(proxy) == UNHARMED
            assert (await call(proxy, BEARER, SAME, "good")).status == 200


async def test_two_failing_clients_do_not_shut_out_a_third() -> None:
    async with both("500") as (proxy, _):
        for _ in range(10):
            await call(proxy, BEARER, SAME, "SPOIL")
            await call(proxy, BOB, SAME, "SPOIL")
        held = [(await call(proxy, who, SAME, "SPOIL")).status for who in (BEARER, BOB)]
        answer = await call(proxy, CAROL, SAME, "good")
        freed = await call(proxy, BOB, SAME, "good")

    assert held == [503, 503]
    assert (answer.status, freed.status) == (200, 200)


async def test_a_broken_model_is_held_off_for_each_client_that_met_it() -> None:
    async def play(peer: Peer, request: Received) -> None:
        is_bad = json.loads(request.body)["model"] == SAME
        await (spoil(peer, "500") if is_bad else good(peer, request))

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url, **ENV) as proxy:
        for who in (BEARER, BOB) * 3:
            await call(proxy, who, SAME, "x")
        asked = len(upstream.received)
        held = [await call(proxy, who, SAME, "x") for who in (BEARER, BOB) * 5]
        others = [(await call(proxy, who, OTHER, "x")).status for who in (BEARER, BOB)]

    assert asked <= 6
    assert {answer.error()["code"] for answer in held} == {"upstream_unavailable"}
    assert others == [200, 200]
    assert len(upstream.received) == asked + 2
