"""Answers of upstreams that are not what their label, or the request, lets one expect."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

pytestmark = pytest.mark.slow

DONE = b"data: [DONE]\n\n"
SDK = {**BEARER, "x-stainless-retry-count": "0"}
CHAT = "/v1/chat/completions"
STREAM: dict[str, object] = {"model": "gpt-4o", "messages": [], "stream": True}
WHOLE: dict[str, object] = {"model": "gpt-4o", "messages": []}
GOOD = chat_chunk("Hé") + chat_chunk(None, "stop") + DONE
FORM = (
    b"--X\r\nContent-Disposition: form-data; name=model\r\n\r\nwhisper-1\r\n"
    b"--X\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nzz\r\n--X--\r\n"
)
FORM_TYPE = {"Content-Type": "multipart/form-data; boundary=X"}
Script = Callable[[Peer, Received], Awaitable[None]]
Json = dict[str, Any]


async def ask(
    script: Script,
    body: dict[str, object] | bytes = STREAM,
    path: str = CHAT,
    method: str = "POST",
    **env: str,
) -> tuple[RawResponse, str]:
    """Return what the client gets, and the log."""
    upstream = RawUpstream(script)
    headers = {**SDK, **(FORM_TYPE if isinstance(body, bytes) and body else {})}
    env = {"PASSTHROUGH": "all", **env}
    async with upstream.running(), running_proxy(upstream.base_url, **env) as proxy:
        response = await asyncio.wait_for(fetch(proxy.port, path, body, headers, method), 20)
        return response, proxy.logged()


def replying(body: bytes, kind: str | None = "application/json", *extra: str) -> Script:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(body, 200, kind, extra)

    return play


def streaming(*pieces: bytes, kind: str = "text/event-stream", end: str = "chunk") -> Script:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, kind)
        for piece in pieces:
            await peer.chunk(piece)
            await asyncio.sleep(0.01)
        match end:
            case "chunk":
                await peer.last_chunk()
            case "rst":
                await asyncio.sleep(0.05)
                peer.reset()
            case "bad chunk":
                await peer.send(b"zz\r\nnonsense\r\n")
            case "hold":
                await peer.closed()

    return play


def events(response: RawResponse) -> list[Json]:
    """Return the JSON of the stream's events."""
    lines = response.body.splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]


# Errors with a good status

ERRORS: dict[str, tuple[Json, int, str]] = {
    "error": ({"error": {"message": "Busy.", "code": 503}}, 503, "Busy."),
    "error-without-code": ({"error": {"message": "Busy."}}, 502, "Busy."),
    "minimax": (
        {"base_resp": {"status_code": 1008, "status_msg": "no balance"}},
        502,
        "no balance",
    ),
    "vllm": ({"object": "error", "message": "Long.", "code": 400}, 400, "Long."),
    "detail": ({"detail": "Slow down."}, 502, "Slow down."),
    "code-msg": ({"code": 429, "msg": "Slow down."}, 429, "Slow down."),
    "code-message": ({"code": "500", "message": "Broken.", "data": None}, 500, "Broken."),
}


@pytest.mark.parametrize("label", ["application/json", "text/plain", "text/html", None])
@pytest.mark.parametrize("asked", [STREAM, WHOLE], ids=["stream", "whole"])
@pytest.mark.parametrize(
    ("body", "status", "message"), ERRORS.values(), ids=[f"c1-{name}" for name in ERRORS]
)
async def test_c1_an_error_with_status_200_is_an_error(
    body: Json, status: int, message: str, asked: dict[str, object], label: str | None
) -> None:
    response, log = await ask(replying(json.dumps(body).encode(), label), asked)

    assert (response.status, response.error()["message"]) == (status, message)
    assert f"status={status} outcome=upstream_error" in log


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/completions", {"model": "m", "prompt": "x", "stream": True}),
        ("/v1/responses", {"model": "m", "input": "x", "stream": True}),
        ("/v1/responses", {"model": "m", "input": "x"}),
        ("/v1/embeddings", {"model": "m", "input": "x"}),
        ("/v1/moderations", {"model": "m", "input": "x"}),
        ("/v1/images/generations", {"model": "m", "prompt": "x", "stream": True}),
        ("/v1/audio/speech", {"model": "m", "input": "x", "stream": True}),
        ("/v1/audio/transcriptions", FORM),
    ],
)
async def test_c1_an_error_with_status_200_is_one_on_every_endpoint(
    path: str, asked: dict[str, object] | bytes
) -> None:
    response, log = await ask(replying(b'{"error":{"message":"Busy.","code":503}}'), asked, path)

    assert (response.status, response.error()["message"]) == (503, "Busy.")
    assert "outcome=upstream_error" in log


@pytest.mark.parametrize("asked", [STREAM, WHOLE], ids=["stream", "whole"])
@pytest.mark.parametrize(
    ("first", "keys", "fallback"),
    [
        ({"error": {"message": "Slow.", "code": 429}}, 2, False),
        ({"base_resp": {"status_code": 1002, "status_msg": "rate"}}, 2, False),
        ({"base_resp": {"status_code": 1004, "status_msg": "login"}}, 2, False),
        ({"error": {"message": "Busy.", "code": 503}}, 1, True),
        ({"base_resp": {"status_code": 1000, "status_msg": "unknown"}}, 1, True),
        ({"detail": "broken"}, 1, True),
    ],
    ids=["c1-429", "c1-rate", "c1-login", "c1-503", "c1-unknown", "c1-detail"],
)
async def test_c1_after_an_error_with_status_200_the_next_key_or_fallback_answers(
    first: Json, keys: int, fallback: bool, asked: dict[str, object]
) -> None:
    seen: list[str] = []

    async def play(peer: Peer, request: Received) -> None:
        seen.append(json.loads(request.body)["model"])
        if len(seen) == 1:
            await peer.reply(json.dumps(first).encode())
        elif json.loads(request.body).get("stream"):
            await streaming(GOOD)(peer, request)
        else:
            await peer.reply(completion())

    response, log = await ask(
        play,
        asked,
        OPENAI_API_KEY=",".join(f"sk-number-{n}-0123456789" for n in range(keys)),
        FALLBACKS="gpt-4o=gpt-4.1" if fallback else "",
    )

    assert response.status == 200
    assert seen == ["gpt-4o", "gpt-4.1" if fallback else "gpt-4o"]
    assert "outcome=ok" in log


@pytest.mark.parametrize("name", ERRORS)
async def test_c1_an_error_object_in_a_stream_is_reported(name: str) -> None:
    body, status, message = ERRORS[name]
    event = b"data: " + json.dumps(body).encode() + b"\n\n"

    first, _ = await ask(streaming(event, DONE))
    later, log = await ask(streaming(chat_chunk("Hé"), event, DONE))

    assert (first.status, first.error()["message"]) == (status, message)
    assert later.body.startswith(chat_chunk("Hé"))
    assert events(later)[-1]["error"]["message"] == message
    assert b"[DONE]" not in later.body
    assert "outcome=upstream_error" in log


async def test_c1_a_choice_that_ended_with_an_error_is_one() -> None:
    chunk = chat_chunk(
        choices=[{"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "Gone."}}]
    )

    response, _ = await ask(streaming(chat_chunk("Hé"), chunk, DONE))

    assert events(response)[-1]["error"]["message"] == "Gone."


async def test_c1_a_stream_of_nothing_that_could_be_an_answer_is_an_error() -> None:
    response, log = await ask(streaming(b'data: {"boom":"x"}\n\n', DONE))

    assert events(response)[-1]["error"]["code"] == "upstream_truncated"
    assert "outcome=upstream_error" in log


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/batches/b", b'{"id":"b","errors":{"data":[{"message":"m"}]},"status":"failed"}'),
        ("/v1/fine_tuning/jobs/j", b'{"id":"j","error":{"message":"m","code":"c"}}'),
        ("/v1/responses/resp_1", b'{"object":"response","error":{"message":"m"},"output":[]}'),
    ],
)
async def test_an_object_that_has_an_error_is_none(path: str, body: bytes) -> None:
    response, _ = await ask(replying(body), b"", path, "GET")

    assert (response.status, response.body) == (200, body)


async def test_a_failed_response_is_an_answer() -> None:
    body = b'{"object":"response","status":"failed","error":{"code":"c","message":"m"},"output":[]}'

    response, _ = await ask(replying(body), {"model": "m", "input": "x"}, "/v1/responses")

    assert (response.status, response.body) == (200, body)


# A whole answer where a stream was asked for


@pytest.mark.parametrize("label", ["application/json", "text/html", "text/event-stream", None])
@pytest.mark.parametrize("asks_usage", [False, True])
async def test_c1_a_whole_completion_becomes_a_stream(label: str | None, asks_usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if asks_usage else {}

    response, log = await ask(replying(completion("Hé \U0001f980"), label), {**STREAM, **options})

    first, last, *more = events(response)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert first["object"] == last["object"] == "chat.completion.chunk"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "Hé \U0001f980"}
    assert first["choices"][0]["finish_reason"] is None
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
    (usage,) = more if asks_usage else [last]
    assert usage["usage"]["total_tokens"] == 5
    assert (usage["choices"] == []) is asks_usage
    assert response.body.endswith(DONE)
    assert "outcome=ok" in log
    assert "prompt_tokens=3 completion_tokens=2" in log


async def test_c1_a_whole_completion_behind_heartbeats_becomes_their_stream() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await asyncio.sleep(0.5)
        await peer.reply(completion())

    response, _ = await ask(play, COMMIT_AFTER="0.1", HEARTBEAT_INTERVAL="0.1")

    assert response.body.startswith(b": keepalive\n\n")
    assert response.body.endswith(DONE)
    assert [c["choices"][0]["finish_reason"] for c in events(response)] == [None, "stop"]


async def test_c1_a_whole_response_becomes_its_events() -> None:
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    part = {"type": "output_text", "text": "Hé", "annotations": []}
    body = {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "error": None,
        "output": [{**message, "content": [part]}],
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    asked: dict[str, object] = {"model": "m", "input": "x", "stream": True}

    response, log = await ask(replying(json.dumps(body).encode()), asked, "/v1/responses")

    found = events(response)
    assert [event["type"] for event in found] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in found] == list(range(9))
    assert found[-1]["response"] == body
    assert "prompt_tokens=3 completion_tokens=2" in log


@pytest.mark.parametrize("body", [b"{}", b"[]", b"7", b'{"id":"x"}', b'{"choices":[]}'])
async def test_c1_json_that_is_no_answer_is_no_stream(body: bytes) -> None:
    response, log = await ask(replying(body))

    assert (response.status, response.error()["code"]) == (502, "upstream_bad_response")
    assert "outcome=upstream_error" in log


async def test_a_whole_picture_becomes_its_event() -> None:
    asked: dict[str, object] = {"model": "gpt-image-1", "prompt": "x", "stream": True}
    body = b'{"created":5,"data":[{"b64_json":"QUJD"}],"usage":{"input_tokens":1}}'

    response, _ = await ask(replying(body), asked, "/v1/images/generations")

    (event,) = events(response)
    assert (event["type"], event["b64_json"]) == ("image_generation.completed", "QUJD")


async def test_links_to_pictures_pass_as_they_came() -> None:
    asked: dict[str, object] = {"model": "m", "prompt": "x", "stream": True}
    body = b'{"created":5,"data":[{"url":"https://x.test/1.png"}]}'

    response, _ = await ask(replying(body), asked, "/v1/images/generations")

    assert (response.headers["content-type"], response.body) == ("application/json", body)


# What is no stream

SOUND = bytes(range(256)) * 161
SPEECH: dict[str, object] = {"model": "tts-1", "input": "x", "voice": "alloy", "stream": True}


@pytest.mark.parametrize(
    "label", ["audio/mpeg", "audio/pcm", "application/octet-stream", "text/event-stream", None]
)
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_c5_sound_is_copied_byte_for_byte(label: str | None, framing: str) -> None:
    async def play(peer: Peer, request: Received) -> None:
        if framing == "length":
            await peer.reply(SOUND, 200, label)
            return
        await peer.head(200, label)
        for at in range(0, len(SOUND), 10_000):
            await peer.chunk(SOUND[at : at + 10_000])
        await peer.last_chunk()

    response, log = await ask(play, SPEECH, "/v1/audio/speech", COMMIT_AFTER="0.1")

    assert response.body == SOUND
    assert response.whole
    assert response.headers.get("content-type", "application/octet-stream") == (
        label or "application/octet-stream"
    )
    assert "outcome=ok" in log
    assert f"bytes_out={len(SOUND)}" in log


async def test_c5_sound_that_takes_long_is_not_begun_as_a_stream() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await asyncio.sleep(0.5)
        await peer.reply(SOUND, 200, "audio/mpeg")

    response, _ = await ask(
        play, SPEECH, "/v1/audio/speech", COMMIT_AFTER="0.1", HEARTBEAT_INTERVAL="0.1"
    )

    assert (response.headers["content-type"], response.body) == ("audio/mpeg", SOUND)


async def test_c5_speech_as_events_is_a_stream() -> None:
    sent = b'data: {"type":"speech.audio.delta","audio":"QQ=="}\n\n'

    response, _ = await ask(streaming(sent, sent), SPEECH, "/v1/audio/speech")

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.body == sent * 2


@pytest.mark.parametrize("label", ["text/html", "text/plain", "application/octet-stream"])
async def test_c5_a_file_is_what_it_is(label: str) -> None:
    page = b"<html>data: mine</html>"

    response, _ = await ask(replying(page, label), b"", "/v1/files/file-1/content", "GET")

    assert (response.headers["content-type"], response.body) == (label, page)


@pytest.mark.parametrize("label", ["text/plain", "text/html", "application/json", None])
async def test_c9_an_empty_transcription_is_passed_on(label: str | None) -> None:
    response, log = await ask(replying(b"", label), FORM, "/v1/audio/transcriptions")

    assert (response.status, response.body) == (200, b"")
    assert "outcome=ok" in log


@pytest.mark.parametrize("text", [b"\n", b"data: we have none\n", b"<laughs>\n", b"[Music]\n"])
@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations"])
async def test_c9_a_transcription_is_what_it_is(text: bytes, path: str) -> None:
    response, _ = await ask(replying(text, "text/plain; charset=utf-8"), FORM, path)

    assert (response.status, response.body) == (200, text)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("body", [b"", b"\n\n", b"Bad gateway", b"<html></html>"])
@pytest.mark.parametrize("asked", [STREAM, WHOLE], ids=["stream", "whole"])
@pytest.mark.parametrize("label", ["text/html", None])
async def test_a_chat_without_an_answer_is_an_error(
    body: bytes, asked: dict[str, object], label: str | None
) -> None:
    response, _ = await ask(replying(body, label), asked)

    assert response.status == 502
    assert response.error()["code"] in ("upstream_bad_response", "upstream_truncated")


# What SDKs can read

HALVES = (
    b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"\\ude00"}}]}\n\n',
)
INFINITE = (
    b'data: {"choices":[{"index":0,"delta":{"content":"a"},"logprobs":'
    b'{"content":[{"token":"a","logprob":-Infinity}]}}]}\n\n'
)
FINISH = chat_chunk(None, "stop")


@pytest.mark.parametrize(
    "pieces",
    [
        (*HALVES, FINISH, DONE),
        (HALVES[0] + HALVES[1] + FINISH + DONE,),
        (INFINITE, FINISH, DONE),
        (INFINITE + FINISH, DONE),
        (FINISH.replace(b'"index": 0', b'"index": "0"'), DONE),
        (b'data: {"choices":[{"index":0,"finish_reason":"stop"}],"usage":[]}\n\n', DONE),
    ],
    ids=[
        "c10-halves",
        "c10-halves-at-once",
        "c10-inf",
        "c10-inf-at-once",
        "c10-index",
        "c10-usage",
    ],
)
async def test_c10_what_sdks_read_is_relayed(pieces: tuple[bytes, ...]) -> None:
    response, log = await ask(streaming(*pieces))

    assert response.body == b"".join(pieces)
    assert "outcome=ok" in log


async def test_c10_a_choice_that_is_odd_still_finishes_the_answer() -> None:
    """No ``[DONE]`` comes: that the answer is whole is known by the finish reason alone."""
    odd = b'data: {"choices":[{"index":0.0,"delta":{"x":"\\ud83d"},"finish_reason":"stop"}]}\n\n'

    response, _ = await ask(streaming(odd))

    assert response.body == odd + DONE


@pytest.mark.parametrize(
    "junk",
    [
        b"data: junk\n\n",
        b"data: <html>\n\n",
        b'data: {"error":{"message":"late"}}\n\n',
        b'event: error\ndata: {"message":"late"}\n\n',
        b'data: {"detail":"late"}\n\n',
        b'data: {"half',
        b"data: [1]\n\n",
        b"junk\n\n",
    ],
    ids=lambda junk: f"c10-{junk[:24].decode().strip()}",
)
@pytest.mark.parametrize("end", ["chunk", "rst", "bad chunk"])
async def test_c10_after_a_finish_reason_nothing_makes_it_an_error(junk: bytes, end: str) -> None:
    usage = chat_chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2})
    head = chat_chunk("Hé") + FINISH

    response, log = await ask(streaming(head, usage, junk, end=end))
    together, _ = await ask(streaming(head + usage + junk, end=end))

    assert response.body == together.body == head + usage + DONE
    assert response.whole
    assert "outcome=ok" in log
    assert "prompt_tokens=3 completion_tokens=2" in log


async def test_c10_usage_behind_junk_is_relayed() -> None:
    usage = chat_chunk(choices=[], usage={"prompt_tokens": "3", "completion_tokens": 2.0})

    response, log = await ask(streaming(FINISH, b"data: junk\n\n", usage, DONE))

    assert response.body == FINISH + usage + DONE
    assert "prompt_tokens=3 completion_tokens=2" in log


@pytest.mark.parametrize("end", ["hold"])
async def test_c10_silence_after_a_finish_reason_ends_the_answer(end: str) -> None:
    response, log = await ask(
        streaming(chat_chunk("Hé"), FINISH, end=end), IDLE_TIMEOUT="0.5", FIRST_BYTE_TIMEOUT="0.5"
    )

    assert response.body == chat_chunk("Hé") + FINISH + DONE
    assert response.whole
    assert "outcome=ok" in log


async def test_c10_an_endless_event_after_a_finish_reason_ends_the_answer() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(FINISH + b"data: ")
        for _ in range(40):
            await peer.chunk(b"x" * 1024 * 1024)

    response, _ = await ask(play)

    assert response.body == FINISH + DONE


async def test_c10_before_every_finish_reason_an_error_is_one() -> None:
    chunk = chat_chunk(choices=[{"index": i, "delta": {"content": "a"}} for i in range(2)])

    response, _ = await ask(streaming(chunk, FINISH, b"data: junk\n\n", DONE))

    assert events(response)[-1]["error"]["code"] == "upstream_bad_frame"


USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


@pytest.mark.parametrize(
    "more",
    [
        {"usage": USAGE},
        {"usage": {"prompt_tokens": "3", "completion_tokens": 2.0, "total_tokens": []}},
        {"usage": None, "x_groq": {"usage": USAGE}},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]},
        {"choices": [{"index": 0, "finish_reason": "stop", "usage": USAGE}], "usage": []},
    ],
    ids=["c10-usage", "c10-odd", "c10-groq", "c10-choice", "c10-list"],
)
async def test_c10_usage_is_counted_wherever_it_stands(more: Json) -> None:
    chunk = chat_chunk(None, "stop", **more)
    whole = json.loads(completion()) | {"usage": None} | more

    streamed, stream_log = await ask(streaming(chunk, DONE))
    response, log = await ask(replying(json.dumps(whole).encode()), WHOLE)

    assert streamed.body == chunk + DONE
    assert json.loads(response.body) == whole
    for text in (stream_log, log):
        assert "prompt_tokens=3 completion_tokens=2" in text


# Compressed streams, and labels that are wrong


def flushed(*pieces: bytes, wbits: int = 31) -> list[bytes]:
    """Return *pieces* as one archive, each of them flushed."""
    pack = zlib.compressobj(wbits=wbits)
    packed = [pack.compress(piece) + pack.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    return [*packed, pack.flush()]


@pytest.mark.parametrize(
    ("coding", "wbits"), [("gzip", 31), ("x-gzip", 31), ("deflate", 15), ("Deflate", -15)]
)
@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
async def test_c11_a_compressed_stream_is_unpacked_as_it_comes(
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


async def test_c11_a_compressed_stream_that_is_cut_is_an_error() -> None:
    first, *_ = flushed(chat_chunk("Hé"), FINISH)

    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, "text/event-stream", extra=["Content-Encoding: gzip"])
        await peer.chunk(first)
        await peer.last_chunk()

    response, _ = await ask(play)

    assert events(response)[-1]["error"]["code"] == "upstream_truncated"


@pytest.mark.parametrize("coding", ["br", "zstd"])
async def test_c11_another_coding_is_an_error(coding: str) -> None:
    response, _ = await ask(replying(b"x", "text/event-stream", f"Content-Encoding: {coding}"))

    assert (response.status, response.error()["code"]) == (502, "upstream_bad_response")


async def test_c11_damage_is_an_error() -> None:
    response, _ = await ask(replying(b"plain", "text/event-stream", "Content-Encoding: gzip"))

    assert (response.status, response.error()["code"]) == (502, "upstream_bad_response")


async def test_c11_a_bomb_ends_at_the_limit_of_an_event() -> None:
    bomb = gzip.compress(b"data: " + b"x" * (100 * 1024 * 1024), 9)

    response, _ = await ask(replying(bomb, "text/event-stream", "Content-Encoding: gzip"))

    assert response.error()["code"] == "upstream_frame_too_large"


async def test_c11_a_whole_answer_compressed_becomes_the_stream() -> None:
    script = replying(gzip.compress(completion()), "application/json", "Content-Encoding: gzip")

    response, _ = await ask(script)

    assert response.body.endswith(DONE)


@pytest.mark.parametrize(
    "label", ["application/json", "text/html; charset=utf-8", "text/plain", "x/y", None]
)
@pytest.mark.parametrize("cut", [1, 4, 6, 30])
async def test_c11_a_stream_is_known_by_its_first_bytes(label: str | None, cut: int) -> None:
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
async def test_c11_a_stream_of_a_form_is_known_too(label: str) -> None:
    sent = b'data: {"type":"transcript.text.delta","delta":"Hi"}\n\n'
    going_on = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, label)
        await peer.chunk(sent)
        await going_on.wait()
        await peer.last_chunk()

    async def ask_and_go_on() -> RawResponse:
        asyncio.get_running_loop().call_later(0.3, going_on.set)
        return (await ask(play, FORM, "/v1/audio/transcriptions"))[0]

    response = await ask_and_go_on()

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.body == sent


@pytest.mark.parametrize("label", ["text/html", "text/plain", "application/octet-stream", None])
@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings", "/v1/moderations"])
async def test_c11_json_is_known_by_its_first_bytes(label: str | None, path: str) -> None:
    """By any other label the SDK for Python takes it for a text."""
    response, _ = await ask(replying(b"\n" + completion(), label), WHOLE, path)

    assert response.headers["content-type"] == "application/json"
    assert response.body == b"\n" + completion()


async def test_c11_the_label_of_json_stays_as_it_came() -> None:
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
