"""Answers of upstreams that are not what their label, or the request, lets one expect."""

import asyncio
import json

import pytest

from tests.server.odd_answers import (
    DONE,
    FORM,
    GOOD,
    STREAM,
    WHOLE,
    Json,
    ask,
    events,
    replying,
    streaming,
)
from tests.support.raw_upstream import Peer, Received, chat_chunk, completion

pytestmark = pytest.mark.slow


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
@pytest.mark.parametrize(("body", "status", "message"), ERRORS.values(), ids=ERRORS)
async def test_an_error_with_status_200_is_an_error(
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
async def test_an_error_with_status_200_is_one_on_every_endpoint(
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
    ids=["429", "rate", "login", "503", "unknown", "detail"],
)
async def test_after_an_error_with_status_200_the_next_key_or_fallback_answers(
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
async def test_an_error_object_in_a_stream_is_reported(name: str) -> None:
    body, status, message = ERRORS[name]
    event = b"data: " + json.dumps(body).encode() + b"\n\n"

    first, _ = await ask(streaming(event, DONE))
    later, log = await ask(streaming(chat_chunk("Hé"), event, DONE))

    assert (first.status, first.error()["message"]) == (status, message)
    assert later.body.startswith(chat_chunk("Hé"))
    assert events(later)[-1]["error"]["message"] == message
    assert b"[DONE]" not in later.body
    assert "outcome=upstream_error" in log


async def test_a_choice_that_ended_with_an_error_is_one() -> None:
    chunk = chat_chunk(
        choices=[{"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "Gone."}}]
    )

    response, _ = await ask(streaming(chat_chunk("Hé"), chunk, DONE))

    assert events(response)[-1]["error"]["message"] == "Gone."


async def test_a_stream_of_nothing_that_could_be_an_answer_is_an_error() -> None:
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
async def test_a_whole_completion_becomes_a_stream(label: str | None, asks_usage: bool) -> None:
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


async def test_a_whole_completion_behind_heartbeats_becomes_their_stream() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await asyncio.sleep(0.5)
        await peer.reply(completion())

    response, _ = await ask(play, COMMIT_AFTER="0.1", HEARTBEAT_INTERVAL="0.1")

    assert response.body.startswith(b": keepalive\n\n")
    assert response.body.endswith(DONE)
    assert [c["choices"][0]["finish_reason"] for c in events(response)] == [None, "stop"]


async def test_a_whole_response_becomes_its_events() -> None:
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
async def test_json_that_is_no_answer_is_no_stream(body: bytes) -> None:
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
async def test_sound_is_copied_byte_for_byte(label: str | None, framing: str) -> None:
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


async def test_sound_that_takes_long_is_not_begun_as_a_stream() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await asyncio.sleep(0.5)
        await peer.reply(SOUND, 200, "audio/mpeg")

    response, _ = await ask(
        play, SPEECH, "/v1/audio/speech", COMMIT_AFTER="0.1", HEARTBEAT_INTERVAL="0.1"
    )

    assert (response.headers["content-type"], response.body) == ("audio/mpeg", SOUND)


async def test_speech_as_events_is_a_stream() -> None:
    sent = b'data: {"type":"speech.audio.delta","audio":"QQ=="}\n\n'

    end = b'data: {"type":"speech.audio.done"}\n\n'

    response, _ = await ask(streaming(sent, sent, end), SPEECH, "/v1/audio/speech")

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.body == sent * 2 + end


@pytest.mark.parametrize("label", ["text/html", "text/plain", "application/octet-stream"])
async def test_a_file_is_what_it_is(label: str) -> None:
    page = b"<html>data: mine</html>"

    response, _ = await ask(replying(page, label), b"", "/v1/files/file-1/content", "GET")

    assert (response.headers["content-type"], response.body) == (label, page)


@pytest.mark.parametrize("label", ["text/plain", "text/html", "application/json", None])
async def test_an_empty_transcription_is_passed_on(label: str | None) -> None:
    response, log = await ask(replying(b"", label), FORM, "/v1/audio/transcriptions")

    assert (response.status, response.body) == (200, b"")
    assert "outcome=ok" in log


@pytest.mark.parametrize("text", [b"\n", b"data: we have none\n", b"<laughs>\n", b"[Music]\n"])
@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations"])
async def test_a_transcription_is_what_it_is(text: bytes, path: str) -> None:
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
