"""The attempt at the socket: whole events, complete answers, errors in place, no silent cut."""

import asyncio
import json

import pytest

from tests.conftest import BEARER, running_proxy
from tests.server.relay.streams import DONE, FAST, error_event, playing, stream
from tests.support.raw_client import connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

pytestmark = pytest.mark.slow


async def test_silent_upstream_gets_heartbeats_then_an_error() -> None:
    response, log = await stream(playing(end="hold"), **FAST)

    assert response.status == 200
    assert response.body.startswith(b": keepalive\n\n")
    assert error_event(response)["code"] == "upstream_idle_timeout"
    assert "status=200 outcome=upstream_error" in log


async def test_silence_before_the_head_keeps_the_status_open_then_beats() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await asyncio.sleep(0.5)
        await playing(chat_chunk("Hi"), chat_chunk(None, "stop") + DONE)(peer, request)

    response, _ = await stream(play, **FAST)

    comments, _, rest = response.body.partition(b"data:")
    assert set(comments.split(b"\n\n")) == {b": keepalive", b""}
    assert b"data:" + rest == chat_chunk("Hi") + chat_chunk(None, "stop") + DONE


async def test_heartbeats_fill_a_pause_between_events() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(chat_chunk("a") + b"data: ")
        await asyncio.sleep(0.5)
        await peer.chunk(chat_chunk(None, "stop")[6:] + DONE)
        await peer.last_chunk()

    response, _ = await stream(play, **FAST)

    assert b": keepalive\n\n" in response.body
    assert response.body.replace(b": keepalive\n\n", b"") == (
        chat_chunk("a") + chat_chunk(None, "stop") + DONE
    )


async def test_upstream_that_never_answers_is_given_up_with_504() -> None:
    settings = {**FAST, "COMMIT_AFTER": "5", "HEARTBEAT_INTERVAL": "5"}

    async def play(peer: Peer, request: Received) -> None:
        await peer.closed()

    response, _ = await stream(play, **settings)

    assert (response.status, response.error()["code"]) == (504, "upstream_timeout")
    assert response.headers["x-should-retry"] == "false"


async def test_broken_chunk_size_does_not_hang() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(chat_chunk("Hi"))
        await peer.send(b"zz\r\nnonsense\r\n")
        await peer.closed()

    response, _ = await stream(play, **FAST)

    assert error_event(response)["code"] == "upstream_truncated"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    async def play(peer: Peer, request: Received) -> None:
        location = f"Location: http://127.0.0.1:{peer.writer.get_extra_info('sockname')[1]}/x"
        await peer.reply(b"", status, None, [location])

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        body: dict[str, object] = {"model": "gpt-4o-mini", "messages": []}
        response = await fetch(proxy.port, "/v1/chat/completions", body, BEARER)

    assert (response.status, response.error()["code"]) == (502, "upstream_redirect")
    assert len(upstream.received) == 1


async def test_whole_answer_that_is_cut_becomes_an_error() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, "application/json", length=1000)
        await peer.send(completion())
        peer.close()

    response, _ = await stream(play)

    assert (response.status, response.error()["code"]) == (502, "upstream_truncated")


async def test_dead_pooled_connection_is_replaced_without_a_word() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(completion())
        peer.reset()  # without having said Connection: close

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        body: dict[str, object] = {"model": "gpt-4o-mini", "messages": []}
        statuses = [
            (await fetch(proxy.port, "/v1/chat/completions", body, BEARER)).status
            for _ in range(20)
        ]

    assert statuses == [200] * 20


async def test_client_that_leaves_closes_the_upstream_at_once() -> None:
    gone = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(chat_chunk("Hi"))
        await peer.closed()
        gone.set()

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        async with connect(proxy.port) as connection:
            body = json.dumps({"model": "gpt-4o-mini", "stream": True, "messages": []}).encode()
            await connection.post(
                "/v1/chat/completions", body, {**BEARER, "Content-Type": "application/json"}
            )
            await connection.head()
            assert await connection.chunk() == chat_chunk("Hi")
        await asyncio.wait_for(gone.wait(), 0.1)
        await asyncio.sleep(0)
        log = proxy.logged()

    assert "outcome=client_closed" in log
    assert "status=499" in log
    assert "error" not in log.replace("upstream_error", "")


@pytest.mark.parametrize(
    ("headers", "options", "beat"),
    [
        ({"x-stainless-lang": "js"}, {}, b'"choices":[{"index":0,"delta":{},"finish_reason":null'),
        ({}, {"include_usage": True}, b'"choices":[]'),
        ({}, {}, b": keepalive\n\n: keepalive\n\n: keepalive"),
    ],
)
async def test_long_silence_is_filled_in_the_shape_that_the_client_needs(
    headers: dict[str, str], options: dict[str, bool], beat: bytes
) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(chat_chunk("a"))
        await asyncio.sleep(0.9)
        await peer.chunk(chat_chunk(None, "stop") + DONE)
        await peer.last_chunk()

    upstream = RawUpstream(play)
    settings = {**FAST, "IDLE_TIMEOUT": "5"}
    body = {"model": "gpt-4o-mini", "stream": True, "messages": [], "stream_options": options}
    async with upstream.running(), running_proxy(upstream.base_url, **settings) as proxy:
        response = await fetch(proxy.port, "/v1/chat/completions", body, {**BEARER, **headers})

    assert beat in response.body
    lines = [line for line in response.body.splitlines() if line.startswith(b"data: {")]
    ids = {json.loads(line[6:])["id"] for line in lines}
    assert ids == {"chatcmpl-1"}


async def test_gateway_page_becomes_an_error_in_the_proxys_form() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(b"<html>nice</html>", 200, "text/html")

    response, _ = await stream(play)

    assert (response.status, response.error()["code"]) == (502, "upstream_bad_response")
