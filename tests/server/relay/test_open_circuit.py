"""An upstream that keeps failing gets no calls, until one of them succeeds again."""

import asyncio
import json
import time

import pytest

from jarvis_proxy.routing.circuit_breaker import CallPermit
from tests.conftest import BEARER, running_proxy
from tests.faults.inner_rows import BuggyUpstream
from tests.server.relay.answers import (
    CHAT,
    SDK,
    ask,
    refusing,
)
from tests.support.eventually import eventually
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import (
    Peer,
    RawUpstream,
    Received,
    chat_chunk,
    completion,
)

pytestmark = pytest.mark.slow


async def test_an_upstream_that_keeps_failing_is_left_alone() -> None:
    responses, upstream = await ask(refusing(500), times=8, headers=SDK)

    assert [response.status for response in responses] == [500] * 5 + [503] * 3
    assert responses[-1].error()["code"] == "upstream_unavailable"
    assert 0 < int(responses[-1].headers["retry-after"]) <= 60
    assert len([r for r in upstream.received if r.method == "POST"]) == 5


async def test_one_call_alone_finds_out_whether_an_upstream_works_again() -> None:
    may_end = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[]}')
            return
        await may_end.wait()
        await peer.reply(completion())

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:

        def ask() -> asyncio.Task[RawResponse]:
            return asyncio.create_task(fetch(proxy.port, "/v1/chat/completions", CHAT, BEARER))

        def asked() -> int:
            return sum(request.method == "POST" for request in upstream.received)

        proxy.context.endpoints["openai"].breakers.apply_remote("", "tester", time.monotonic() - 1)
        probe = ask()
        await eventually(lambda: asked() == 1)
        others = await asyncio.gather(*(ask() for _ in range(5)))

        assert [other.status for other in others] == [503] * 5
        assert asked() == 1
        may_end.set()
        assert (await probe).status == 200
        assert (await ask()).status == 200


async def test_others_need_not_wait_for_the_end_of_the_stream_that_found_out() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(chat_chunk("Hi"))
        if len(upstream.received) == 1:
            await peer.closed()  # this answer is a long one
            return
        await peer.chunk(chat_chunk(None, "stop") + b"data: [DONE]\n\n")
        await peer.last_chunk()

    upstream = RawUpstream(play)
    body = json.dumps({**CHAT, "stream": True}).encode()
    async with (
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        connect(proxy.port) as probe,
    ):
        proxy.context.endpoints["openai"].breakers.apply_remote("", "tester", time.monotonic() - 1)
        await probe.post("/v1/chat/completions", body, BEARER)
        await probe.head()
        assert await probe.chunk() == chat_chunk("Hi")
        other = await fetch(proxy.port, "/v1/chat/completions", body, BEARER)

    assert other.status == 200
    assert other.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("end", ["bug", "reset"])
async def test_a_probe_without_a_result_leaves_it_to_the_next_call(end: str) -> None:
    async def play(peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[]}')
            return
        await peer.head()
        while True:
            await peer.chunk(chat_chunk("x" * 10_000))

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        place = proxy.context.endpoints["openai"]
        if end == "bug":
            place.api.upstream = BuggyUpstream("openai", 1)
        place.breakers.apply_remote("", "tester", time.monotonic() - 1)
        async with connect(proxy.port) as client:
            body = json.dumps({**CHAT, "stream": True}).encode()
            await client.post("/v1/chat/completions", body, BEARER)
            await client.head()
            client.writer.transport.abort()
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)

        found = place.breakers.allow("gpt-4o-mini", "tester", time.monotonic())
        assert isinstance(found, CallPermit)
