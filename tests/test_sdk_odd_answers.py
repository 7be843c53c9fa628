"""The official SDK for Python has the last word on answers that are not what was asked for."""

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import openai
import pytest

from tests.conftest import KEY, running_proxy
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

pytestmark = pytest.mark.slow

DONE = b"data: [DONE]\n\n"
Script = Callable[[Peer, Received], Awaitable[None]]


@asynccontextmanager
async def sdk(script: Script) -> AsyncIterator[openai.AsyncOpenAI]:
    upstream = RawUpstream(script)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url) as proxy,
        openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=KEY, max_retries=0) as client,
    ):
        yield client


def replying(
    body: bytes, kind: str | None = "application/json", *extra: str, status: int = 200
) -> Script:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(body, status, kind, extra)

    return play


async def chat(client: openai.AsyncOpenAI) -> tuple[str, list[str], int]:
    """Return the text, the finish reasons and the tokens of a streamed chat."""
    text, tokens = "", 0
    finish: list[str] = []
    stream = await client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "Hi"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        tokens = chunk.usage.total_tokens if chunk.usage else tokens
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish += [choice.finish_reason] if choice.finish_reason else []
    return text, finish, tokens


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"error":{"message":"Busy.","code":503}}', 503),
        (b'{"base_resp":{"status_code":1008,"status_msg":"Busy."}}', 502),
        (b'{"detail":"Busy."}', 502),
    ],
)
async def test_the_sdk_raises_an_error_with_status_200(body: bytes, status: int) -> None:
    async with sdk(replying(body)) as client:
        with pytest.raises(openai.APIStatusError, match="Busy") as streamed:
            await chat(client)
        with pytest.raises(openai.APIStatusError, match="Busy") as whole:
            await client.chat.completions.create(model="gpt-4o", messages=[])

    assert streamed.value.status_code == whole.value.status_code == status


async def test_the_sdk_reads_a_whole_answer_as_a_stream() -> None:
    async with sdk(replying(completion("Hé €🦀"))) as client:
        assert await chat(client) == ("Hé €🦀", ["stop"], 5)
        async with client.chat.completions.stream(model="gpt-4o", messages=[]) as stream:
            final = await stream.get_final_completion()

    assert final.choices[0].message.content == "Hé €🦀"


async def test_the_sdk_reads_a_whole_response_as_a_stream() -> None:
    part = {"type": "output_text", "text": "Hé", "annotations": []}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed"}
    call = {"type": "function_call", "id": "f", "call_id": "c", "name": "n", "arguments": "{}"}
    body = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": "completed",
        "output": [{**message, "content": [part]}, {**call, "status": "completed"}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    async with (
        sdk(replying(json.dumps(body).encode())) as client,
        client.responses.stream(model="gpt-4o", input="Hi") as stream,
    ):
        events = [event async for event in stream]
        final = await stream.get_final_response()

    assert events[-1].type == "response.completed"
    assert final.output_text == "Hé"
    assert final.output[1].type == "function_call"


@pytest.mark.parametrize(
    "stream",
    [
        b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"content":"\\ude00"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d\\ude00"},'
        b'"logprobs":{"content":[{"token":"a","logprob":-Infinity}]}}]}\n\n',
    ],
    ids=["halves", "infinity"],
)
async def test_the_sdk_reads_what_is_odd(stream: bytes) -> None:
    body = stream + chat_chunk(None, "stop") + b"data: junk\n\n"

    async with sdk(replying(body, "text/event-stream")) as client:
        text, finish, _ = await chat(client)

    assert text.encode("utf-16", "surrogatepass").decode("utf-16") == "😀"
    assert finish == ["stop"]


@pytest.mark.parametrize("label", ["text/event-stream", "application/json", "text/html"])
@pytest.mark.parametrize("packed", [False, True])
async def test_the_sdk_reads_a_stream_under_any_label(label: str, packed: bool) -> None:
    body = chat_chunk("Hé") + chat_chunk(None, "stop") + DONE
    extra = ("Content-Encoding: gzip",) if packed else ()

    async with sdk(replying(gzip.compress(body) if packed else body, label, *extra)) as client:
        text, finish, _ = await chat(client)

    assert (text, finish) == ("Hé", ["stop"])


@pytest.mark.parametrize("label", ["text/html", "text/plain", None])
async def test_the_sdk_reads_json_under_any_label(label: str | None) -> None:
    async with sdk(replying(completion("Hé"), label)) as client:
        answer = await client.chat.completions.create(model="gpt-4o", messages=[])

    assert answer.choices[0].message.content == "Hé"


async def test_the_sdk_gets_sound() -> None:
    sound = bytes(range(256)) * 161

    async with (
        sdk(replying(sound, "audio/mpeg")) as client,
        client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input="Hi", extra_body={"stream": True}
        ) as response,
    ):
        assert await response.read() == sound


async def test_the_sdk_gets_an_empty_text() -> None:
    async with sdk(replying(b"", "text/plain")) as client:
        text = await client.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", b"zz"), response_format="text"
        )

    assert text == ""


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (503, b"no healthy upstream", "text/plain"),
        (429, b'{"title":"t","detail":"no healthy upstream"}', "application/problem+json"),
        (502, b"<html><h1>no healthy upstream</h1></html>", "text/html"),
        (529, b'data: {"error":{"message":"no healthy upstream"}}\n\n', "text/event-stream"),
    ],
)
async def test_the_sdk_shows_what_the_upstream_said(status: int, body: bytes, kind: str) -> None:
    async with sdk(replying(body, kind, "Retry-After: 7200", status=status)) as client:
        with pytest.raises(openai.APIStatusError, match="no healthy upstream") as caught:
            await client.chat.completions.create(model="gpt-4o", messages=[])

    assert caught.value.status_code == status
    assert caught.value.response.headers["retry-after"] == "7200"
    assert caught.value.response.headers["x-should-retry"] == "false"
