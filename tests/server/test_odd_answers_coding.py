"""Streams that are compressed, and answers with a wrong label."""

import asyncio
import gzip
import json
import zlib

import pytest

from tests.conftest import BEARER, running_proxy
from tests.server.odd_answers import (
    CHAT,
    DONE,
    FINISH,
    FORM,
    GOOD,
    SDK,
    STREAM,
    WHOLE,
    ask,
    events,
    replying,
)
from tests.support.raw_client import RawResponse
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

pytestmark = pytest.mark.slow


def flushed(*pieces: bytes, wbits: int = 31) -> list[bytes]:
    """Return *pieces* as one archive, each of them flushed."""
    pack = zlib.compressobj(wbits=wbits)
    packed = [pack.compress(piece) + pack.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    return [*packed, pack.flush()]


@pytest.mark.parametrize(
    ("coding", "wbits"), [("gzip", 31), ("x-gzip", 31), ("deflate", 15), ("Deflate", -15)]
)
@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
async def test_a_compressed_stream_is_unpacked_as_it_comes(
    coding: str, wbits: int, path: str
) -> None:
    """The second piece is not sent before the first was seen: nothing may be held back."""
    first, second, end = flushed(chat_chunk("Hé"), FINISH + DONE, wbits=wbits)
    seen = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, "text/event-stream", extra=[f"Content-Encoding: {coding}"])
        await peer.chunk(first)
        await seen.wait()
        await peer.chunk(second)
        await peer.chunk(end)
        await peer.last_chunk()

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        body = json.dumps(STREAM).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in SDK.items())
        writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        raw = await asyncio.wait_for(reader.readuntil(chat_chunk("Hé")), 5)
        seen.set()
        raw += await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
        writer.close()

    assert b"content-encoding" not in raw.lower()
    assert FINISH + DONE in raw


async def test_a_compressed_stream_that_is_cut_is_an_error() -> None:
    first, *_ = flushed(chat_chunk("Hé"), FINISH)

    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, "text/event-stream", extra=["Content-Encoding: gzip"])
        await peer.chunk(first)
        await peer.last_chunk()

    response, _ = await ask(play)

    assert events(response)[-1]["error"]["code"] == "upstream_truncated"


@pytest.mark.parametrize("coding", ["br", "zstd"])
async def test_another_coding_is_an_error(coding: str) -> None:
    response, _ = await ask(replying(b"x", "text/event-stream", f"Content-Encoding: {coding}"))

    assert (response.status, response.error()["code"]) == (502, "upstream_bad_response")


async def test_damage_is_an_error() -> None:
    response, _ = await ask(replying(b"plain", "text/event-stream", "Content-Encoding: gzip"))

    assert (response.status, response.error()["code"]) == (502, "upstream_bad_response")


async def test_a_bomb_ends_at_the_limit_of_an_event() -> None:
    bomb = gzip.compress(b"data: " + b"x" * (100 * 1024 * 1024), 9)

    response, _ = await ask(replying(bomb, "text/event-stream", "Content-Encoding: gzip"))

    assert response.error()["code"] == "upstream_frame_too_large"


async def test_a_whole_answer_compressed_becomes_the_stream() -> None:
    script = replying(gzip.compress(completion()), "application/json", "Content-Encoding: gzip")

    response, _ = await ask(script)

    assert response.body.endswith(DONE)


@pytest.mark.parametrize(
    "label", ["application/json", "text/html; charset=utf-8", "text/plain", "x/y", None]
)
@pytest.mark.parametrize("cut", [1, 4, 6, 30])
async def test_a_stream_is_known_by_its_first_bytes(label: str | None, cut: int) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, label)
        await peer.chunk(b"\n" + GOOD[:cut])
        await asyncio.sleep(0.02)
        await peer.chunk(GOOD[cut:])
        await peer.last_chunk()

    response, _ = await ask(play)

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.body.lstrip() == GOOD


@pytest.mark.parametrize("label", ["application/json", "text/html"])
async def test_a_stream_of_a_form_is_known_too(label: str) -> None:
    sent = b'data: {"type":"transcript.text.delta","delta":"Hi"}\n\n'
    end = b'data: {"type":"transcript.text.done","text":"Hi"}\n\n'
    going_on = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, label)
        await peer.chunk(sent)
        await going_on.wait()
        await peer.chunk(end)
        await peer.last_chunk()

    async def ask_and_go_on() -> RawResponse:
        asyncio.get_running_loop().call_later(0.3, going_on.set)
        return (await ask(play, FORM, "/v1/audio/transcriptions"))[0]

    response = await ask_and_go_on()

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.body == sent + end


@pytest.mark.parametrize("label", ["text/html", "text/plain", "application/octet-stream", None])
@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings", "/v1/moderations"])
async def test_json_is_known_by_its_first_bytes(label: str | None, path: str) -> None:
    """By any other label the SDK for Python takes it for a text."""
    response, _ = await ask(replying(b"\n" + completion(), label), WHOLE, path)

    assert response.headers["content-type"] == "application/json"
    assert response.body == b"\n" + completion()


async def test_the_label_of_json_stays_as_it_came() -> None:
    response, _ = await ask(replying(completion(), "application/vnd.x+json"), WHOLE)

    assert response.headers["content-type"] == "application/vnd.x+json"


async def test_a_head_request_has_the_length_and_nothing_else() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, "application/json", length=1234)

    upstream = RawUpstream(play)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, PASSTHROUGH="all") as proxy,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        auth = f"Authorization: {BEARER['Authorization']}"
        writer.write(f"HEAD /v1/files/f HTTP/1.1\r\nHost: x\r\n{auth}\r\n\r\n".encode())
        raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        writer.close()

    assert raw.startswith(b"HTTP/1.1 200")
    assert b"content-length: 1234" in raw.lower()
