"""The relay at the socket: whole events, completeness, errors in place, nothing cut in silence."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.concurrency import gather_first_error
from tests.conftest import BEARER, running_proxy
from tests.support.eventually import eventually
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

pytestmark = pytest.mark.slow

DONE = b"data: [DONE]\n\n"
FAST = {
    "COMMIT_AFTER": "0.2",
    "HEARTBEAT_INTERVAL": "0.2",
    "IDLE_TIMEOUT": "0.8",
    "FIRST_BYTE_TIMEOUT": "0.8",
}
Script = Callable[[Peer, Received], Awaitable[None]]


async def stream(script: Script, **settings: str) -> tuple[RawResponse, str]:
    """Stream one chat answer of an upstream that plays *script*; return it and the log."""
    upstream = RawUpstream(script)
    async with upstream.running(), running_proxy(upstream.base_url, **settings) as proxy:
        body: dict[str, object] = {"model": "gpt-4o-mini", "stream": True, "messages": []}
        response = await asyncio.wait_for(
            fetch(proxy.port, "/v1/chat/completions", body, BEARER), 20
        )
        return response, proxy.logged()


def error_event(response: RawResponse) -> dict[str, object]:
    """Return the error of the last event."""
    last = response.body.rstrip().rpartition(b"data: ")[2]
    error = json.loads(last)["error"]
    assert isinstance(error, dict)
    return error


def playing(*steps: bytes, end: str = "chunk") -> Script:
    """Return a script that sends each step as a chunk, then ends in the way named."""

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        for step in steps:
            await peer.chunk(step)
        match end:
            case "chunk":
                await peer.last_chunk()
            case "fin":
                peer.close()
            case "rst":
                await asyncio.sleep(0.05)
                peer.reset()
            case "hold":
                await peer.closed()

    return play


@pytest.mark.parametrize("cut", range(1, len(chat_chunk("é", None)), 7))
async def test_whole_events_only_whatever_the_cut(cut: int) -> None:
    event, last = chat_chunk("é"), chat_chunk(None, "stop")

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(event[:cut])
        await asyncio.sleep(0.01)
        await peer.chunk(event[cut:] + last[:cut])
        await asyncio.sleep(0.01)
        await peer.chunk(last[cut:] + DONE)
        await peer.last_chunk()

    response, _ = await stream(play)

    assert response.body == event + last + DONE
    assert response.whole


@pytest.mark.parametrize("end", ["chunk", "fin", "rst"])
async def test_cut_stream_ends_with_an_error_event_and_no_done(end: str) -> None:
    response, log = await stream(playing(chat_chunk("Hel"), b'data: {"half', end=end))

    assert error_event(response)["code"] == "upstream_truncated"
    assert response.body.startswith(chat_chunk("Hel"))
    assert b"[DONE]" not in response.body
    assert b"half" not in response.body
    assert response.whole
    assert "outcome=upstream_error code=upstream_truncated" in log


async def test_missing_done_is_added_when_every_choice_has_finished() -> None:
    sent = chat_chunk("Hi") + chat_chunk(None, "stop")

    response, _ = await stream(playing(sent))

    assert response.body == sent + DONE


async def test_answer_ends_at_done_though_the_upstream_holds_the_socket() -> None:
    sent = chat_chunk("Hi") + chat_chunk(None, "stop") + DONE

    response, _ = await stream(playing(sent, chat_chunk("late") + DONE, end="hold"))

    assert response.body == sent
    assert response.whole


async def test_error_in_the_first_event_becomes_a_status() -> None:
    event = b'data: {"error":{"message":"slow down","type":"rate_limit_error","code":"x"}}\n\n'

    response, _ = await stream(playing(event))

    assert response.status == 429
    assert response.error()["message"] == "slow down"


async def test_error_in_mid_stream_is_said_once_and_ends_the_stream() -> None:
    event = b'data: {"error":{"message":"broke","type":"server_error","code":"x"}}\n\n'

    response, _ = await stream(playing(chat_chunk("Hi") + event + chat_chunk("more")))

    assert response.body.startswith(chat_chunk("Hi"))
    assert error_event(response)["message"] == "broke"
    assert b"more" not in response.body


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


@pytest.mark.parametrize("comment", [b": processing\n\n", b"\n\n", b"\r\n\r\n"])
async def test_a_comment_of_the_upstream_is_no_answer_yet(comment: bytes) -> None:
    event = b'data: {"error":{"message":"slow down","type":"rate_limit_error","code":"x"}}\n\n'

    apart, _ = await stream(playing(comment, event))
    together, _ = await stream(playing(comment + event))

    assert (apart.status, together.status) == (429, 429)


async def test_gateway_page_becomes_an_error_in_our_form() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(b"<html>nice</html>", 200, "text/html")

    response, _ = await stream(play)

    assert (response.status, response.error()["code"]) == (502, "upstream_bad_response")


async def _fail(moment: asyncio.Future[None]) -> None:
    await moment
    raise ProxyError(503, "a lane failed")


@pytest.mark.parametrize("turns", range(6))
async def test_d17_a_cancellation_that_coincides_with_a_lanes_failure_is_never_lost(
    turns: int,
) -> None:
    moment: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    left: list[asyncio.Task[object]] = []

    async def wait() -> None:
        left.append(asyncio.current_task())  # type: ignore[arg-type]  # a lane is a task
        await asyncio.Event().wait()

    call = asyncio.create_task(gather_first_error([_fail(moment), wait()]))
    await eventually(lambda: len(left) == 1)
    moment.set_result(None)
    for _ in range(turns):
        await asyncio.sleep(0)
    asked = call.cancel()
    await asyncio.wait([call, *left])

    assert call.cancelled() == asked
    assert asked or isinstance(call.exception(), ProxyError)


async def test_d17_lanes_that_fail_end_the_others_and_nothing_is_left_running() -> None:
    moment: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    before = asyncio.all_tasks()
    moment.set_result(None)
    with pytest.raises(ProxyError, match="a lane failed"):
        await gather_first_error([asyncio.Event().wait(), _fail(moment), _fail(moment)])

    assert asyncio.all_tasks() == before


async def test_d17_a_cancelled_call_leaves_no_lane_behind() -> None:
    before = asyncio.all_tasks()
    calls = [asyncio.create_task(gather_first_error([asyncio.Event().wait() for _ in range(3)]))]
    await eventually(lambda: len(asyncio.all_tasks() - before) == 4)
    calls[0].cancel()
    await asyncio.wait(calls)
    await eventually(lambda: asyncio.all_tasks() == before)

    assert calls[0].cancelled()
