"""Every recorded Gemini exchange over sockets: what a client sees, against a plain reading.

The translators alone are held against the same reading, at every cut, in ``test_reply_wire``.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from tests.conftest import BEARER, GEMINI_KEY, Proxy, running_proxy
from tests.support.eventually import eventually
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.recordings import MISSING, recordings, response_of
from tests.upstreams.gemini.replies import DONE, accumulate, chunks_of, events_of
from tests.upstreams.gemini.test_reply_wire import (
    check_annotations,
    check_choice,
    check_usage,
    expected_error,
    frames_of,
    indices_of,
    is_stream,
)

pytestmark = pytest.mark.slow

JSON = dict[str, Any]
RECORDINGS = {param.id: param.values[0] for param in recordings("gemini")}
AT_ONCE = 6


def of_kind(*kinds: str) -> Iterator[JSON]:
    """Yield the recordings of some kinds, or skip the test where there are none at all."""
    if None in RECORDINGS.values():
        pytest.skip(MISSING)
    for recording in RECORDINGS.values():
        if recording["kind"] in kinds:
            yield recording


async def play(peer: Peer, request: Received) -> None:
    """Answer as recorded: the question's text names the recording."""
    if request.method == "GET":
        await peer.reply(b'{"models":[]}')
        return
    assert request.header("x-goog-api-key") == GEMINI_KEY
    question = json.loads(request.body)
    if "requests" in question:
        (name,) = (part["text"] for part in question["requests"][0]["content"]["parts"])
    else:
        (name,) = (part["text"] for part in question["contents"][0]["parts"])
    body, content_type = response_of(RECORDINGS[name])
    status = RECORDINGS[name]["response"]["status"]
    if ":streamGenerateContent?alt=sse" not in request.path or status != 200:
        await peer.reply(body, status, content_type)
        return
    await peer.head(status, content_type)
    for at in range(0, len(body), 1400):
        await peer.chunk(body[at : at + 1400])
    await peer.last_chunk()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    upstream = RawUpstream(play, base_path="/v1beta")
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        yield proxy


async def ask(proxy: Proxy, path: str, body: JSON) -> RawResponse:
    headers = {**BEARER, "Content-Type": "application/json"}
    return await fetch(proxy.port, path, json.dumps(body).encode(), headers)


def chat(recording: JSON, *, stream: bool) -> JSON:
    question = [{"role": "user", "content": recording["id"]}]
    asked: JSON = {"model": "gemini-3.5-flash", "messages": question}
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return asked


def check(recording: JSON, response: RawResponse) -> None:
    """Hold what the client saw against a plain reading of the recording."""
    frames, streamed = frames_of(recording), is_stream(recording)
    assert response.whole
    code = expected_error(recording, streamed=streamed)
    if code is not None:
        if response.status == 200:
            *_, last = events_of(response.body)
            assert (last["error"]["code"], DONE in response.body) == (code, False)
        else:
            assert (response.status, response.error()["code"]) == (502, code)
        return
    assert response.status == 200
    if streamed:
        chunks = chunks_of(response.body)
        choices, usage = list(accumulate(chunks).values()), chunks[-1]["usage"]
    else:
        ChatCompletion.model_validate_json(response.body, strict=True)
        answer = json.loads(response.body)
        choices, usage = answer["choices"], answer["usage"]
    assert [choice["index"] for choice in choices] == (indices_of(frames) or [0])
    for choice in choices:
        check_choice(frames, choice, streamed=streamed)
        check_annotations(choice["message"], frames, choice["index"])
    check_usage(frames, usage)


async def test_every_recorded_answer_reaches_the_client(proxy: Proxy) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(recording: JSON) -> str | None:
        async with places:
            stream = is_stream(recording)
            response = await ask(proxy, "/v1/chat/completions", chat(recording, stream=stream))
        try:
            check(recording, response)
        except AssertionError as exc:
            return f"{recording['id']}: {exc}"
        return None

    answers = [r for r in of_kind("generate") if r["response"]["status"] == 200]
    failures = await asyncio.gather(*map(one, answers))

    assert [failure for failure in failures if failure] == []
    assert len(answers) > 300


async def test_every_recorded_refusal_is_reported_in_openai_s_words(proxy: Proxy) -> None:
    refusals = [r for r in of_kind("generate") if r["response"]["status"] != 200]

    for recording in refusals:
        upstream = recording["response"]["body"]["error"]
        response = await ask(proxy, "/v1/chat/completions", chat(recording, stream=False))
        error = response.error()
        ours = upstream["code"] in (401, 403) or "API key" in upstream["message"]
        assert response.status == (502 if ours else upstream["code"])
        assert error.keys() == {"message", "type", "param", "code"}
        assert b'"details"' not in response.body
    assert len(refusals) >= 14


async def test_recorded_embeddings_reach_the_client(proxy: Proxy) -> None:
    good, bad = sorted(of_kind("batchEmbedContents"), key=lambda r: int(r["response"]["status"]))

    vectors = await ask(
        proxy, "/v1/embeddings", {"model": "gemini-embedding-001", "input": good["id"]}
    )
    refusal = await ask(proxy, "/v1/embeddings", {"model": "gemini-none", "input": bad["id"]})

    (item,) = json.loads(vectors.body)["data"]
    assert item["embedding"] == good["response"]["body"]["embeddings"][0]["values"]
    assert (refusal.status, refusal.error()["code"]) == (404, "model_not_found")


async def test_recorded_models_are_listed() -> None:
    (recording,) = of_kind("models")
    body, content_type = response_of(recording)

    async def list_models(peer: Peer, request: Received) -> None:
        await peer.reply(body, 200, content_type)

    upstream = RawUpstream(list_models, base_path="/v1beta", plays_lists=True)
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        catalog = proxy.context.model_list
        await eventually(lambda: catalog.model("gemini-2.5-flash-image", lambda name: True))
        response = await fetch(proxy.port, "/v1/models", b"", BEARER, method="GET")

    names = {model["id"] for model in json.loads(response.body)["data"]}
    chatting = {
        model["name"].removeprefix("models/")
        for model in recording["response"]["body"]["models"]
        if "generateContent" in model["supportedGenerationMethods"]
    }
    # A name that routing would not know for Google's is listed with its upstream.
    assert chatting <= names | {name.removeprefix("gemini/") for name in names}
