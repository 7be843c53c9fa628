"""Uploads that are large, slow, broken off or refused half way."""

import asyncio
import contextlib
import dataclasses
import tracemalloc

import pytest

from tests.conftest import running_proxy
from tests.server.handlers.forms import (
    FORM,
    MIB,
    SPEECH,
    Sink,
    answer,
    field,
    file,
    form,
    model,
    send,
    uploaded,
)
from tests.support.eventually import eventually
from tests.support.raw_client import connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow


async def test_upload_that_turns_out_too_large_is_cut_on_both_sides() -> None:
    async with (
        Sink().running() as upstream,
        running_proxy(upstream.base_url, MAX_BODY_MB="2") as proxy,
        connect(proxy.port) as connection,
    ):
        sending = asyncio.create_task(
            send(connection, form(model("whisper-1"), file(5 * MIB)), sized=False)
        )
        response = await asyncio.wait_for(connection.response(), 10)
        sending.cancel()
        await asyncio.wait_for(upstream.cut.wait(), 5)

    assert (response.status, response.error()["code"]) == (413, "request_too_large")
    assert upstream.bytes < 3 * MIB


async def test_declared_size_is_refused_before_anything_is_sent_on() -> None:
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, MAX_BODY_MB="1") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(SPEECH, b"", {**FORM, "Content-Length": str(2 * MIB)})
        response = await asyncio.wait_for(connection.response(), 10)

    assert (response.status, response.error()["code"]) == (413, "request_too_large")
    assert upstream.connections == 0


@pytest.mark.parametrize(
    "sent",
    [b"", file(9)[:-2], model("whisper-1") + file(999)],
    ids=["nothing", "before the model", "behind the model"],
)
async def test_upload_that_stalls_is_given_up_on_both_sides(sent: bytes) -> None:
    async with (
        Sink().running() as upstream,
        running_proxy(upstream.base_url, BODY_IDLE_TIMEOUT="0.3") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(SPEECH, sent, {**FORM, "Content-Length": "100000"})
        response = await asyncio.wait_for(connection.response(), 5)
        if upstream.connections:
            await asyncio.wait_for(upstream.cut.wait(), 5)

    assert upstream.connections == (b"whisper" in sent)
    assert (response.status, response.error()["code"]) == (408, "request_timeout")


@pytest.mark.parametrize("path", [SPEECH, "/v1/files"])
@pytest.mark.parametrize("start", [b"--xYzZy\r\n", model("whisper-1")], ids=["before", "behind"])
async def test_upload_that_drips_is_given_up_on_both_sides(path: str, start: bytes) -> None:
    """It is never silent, and far below the rate that bodies of JSON have to keep."""
    env = {"BODY_IDLE_TIMEOUT": "1", "PASSTHROUGH": "all"}
    async with (
        Sink().running() as upstream,
        running_proxy(upstream.base_url, **env) as proxy,
        connect(proxy.port) as connection,
    ):
        watch = proxy.context.deadline_monitor
        watch.limits = dataclasses.replace(watch.limits, body_grace=0.5)
        await connection.post(path, start, {**FORM, "Content-Length": "100000"})
        answering = asyncio.create_task(connection.response())
        async with asyncio.timeout(10):
            while not answering.done():
                with contextlib.suppress(ConnectionError):
                    await connection.send(b"a")
                await asyncio.sleep(0.05)
        if upstream.connections:
            await asyncio.wait_for(upstream.cut.wait(), 5)

    assert (answering.result().status, answering.result().error()["code"]) == (
        408,
        "request_timeout",
    )


async def test_upload_may_take_longer_than_a_request_of_json() -> None:
    body = form(model("whisper-1"), file(60_000))
    upstream = RawUpstream(answer)
    async with (
        upstream.running(),
        running_proxy(
            upstream.base_url, BODY_IDLE_TIMEOUT="0.5", BODY_TOTAL_TIMEOUT="0.3"
        ) as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(SPEECH, b"", {**FORM, "Content-Length": str(len(body))})
        for at in range(0, len(body), 6000):
            await connection.send(body[at : at + 6000])
            await asyncio.sleep(0.1)
        response = await asyncio.wait_for(connection.response(), 5)

    assert response.status == 200
    assert [seen.body for seen in upstream.received if seen.method == "POST"] == [body]


async def test_client_that_leaves_cuts_the_upload() -> None:
    async with Sink().running() as upstream, running_proxy(upstream.base_url) as proxy:
        async with connect(proxy.port) as connection:
            body = form(model("whisper-1"), file(100_000))
            await connection.post(SPEECH, body[:50_000], {**FORM, "Content-Length": "999999"})
            await eventually(lambda: upstream.connections)
        await asyncio.wait_for(upstream.cut.wait(), 10)
        await eventually(lambda: "outcome=client_closed" in proxy.log.getvalue())


async def test_refusal_before_the_upload_has_ended_is_passed_on() -> None:
    refusal = b'{"error":{"message":"no such model","code":"model_not_found"}}'

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 404 X\r\nContent-Type: application/json\r\nContent-Length: {len(refusal)}"
        writer.write(head.encode() + b"\r\n\r\n" + refusal)
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        running_proxy(f"http://127.0.0.1:{port}/v1") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(
            SPEECH, form(model("x"), file(9)), {**FORM, "Content-Length": "9999999"}
        )
        response = await asyncio.wait_for(connection.response(), 5)

    assert (response.status, response.body) == (404, refusal)
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("path", [SPEECH, "/v1/files"])
async def test_large_upload_is_never_held(path: str) -> None:
    start = form(model("whisper-1"), field("file", b"", "a"))[:-11]
    size = len(start) + 40 * MIB
    async with (
        Sink().running() as upstream,
        running_proxy(upstream.base_url, PASSTHROUGH="all") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(path, start, {**FORM, "Content-Length": str(size)})
        piece = b"\x00" * 65536
        tracemalloc.start()
        for _ in range(40 * MIB // len(piece)):
            await connection.send(piece)
        response = await asyncio.wait_for(connection.response(), 20)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert response.status == 200
    assert upstream.bytes == size
    assert peak < 8 * MIB


async def test_form_without_any_body_is_not_an_upload() -> None:
    response, received, _ = await uploaded(b"")

    assert response.status == 200  # the upstream's to judge
    assert received[0].body == b""


async def test_answer_of_an_upload_may_be_a_stream() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(b'data: {"type":"transcript.text.delta","delta":"he"}\n\n')
        await peer.chunk(b'data: {"type":"transcript.text.done","text":"he"}\n\n')
        await peer.last_chunk()

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        body = form(model("gpt-4o-transcribe"), file(500), field("stream", b"true"))
        response = await fetch(proxy.port, SPEECH, body, FORM)

    assert response.headers["content-type"] == "text/event-stream"
    assert response.body.count(b"data: ") == 2
    assert response.whole
