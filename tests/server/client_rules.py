"""A proxy before Gemini and OpenAI, and what clients ask of it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.conftest import BEARER, Proxy, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion
from tests.upstreams.gemini.replies import a_frame, a_function_call, a_usage, sse

Json = dict[str, Any]
CHAT = "/v1/chat/completions"
GEMINI = "gemini-2.5-flash"
DONE = b"data: [DONE]\n\n"
HELLO: Json = {"model": "jarvis-echo", "messages": [{"role": "user", "content": "Hello there"}]}
USAGE = a_usage(20, 10, thoughts=5)
TALK = [
    a_frame({"text": "Let me think.", "thought": True}),
    a_frame({"text": "Two calls: "}, usage=a_usage(20, 3, thoughts=5)),
    a_frame(a_function_call("look", {"city": "Ulm"}), a_function_call("look", {"city": "Bonn"})),
    a_frame({"text": ""}, finish="STOP", usage=USAGE),
]
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


@dataclass
class Scene:
    """A proxy between two upstreams; ``frames`` and ``error`` are what Gemini says."""

    proxy: Proxy
    openai: RawUpstream
    gemini: RawUpstream

    async def ask(
        self, body: Json, headers: Mapping[str, str] = BEARER, path: str = CHAT
    ) -> RawResponse:
        return await asyncio.wait_for(fetch(self.proxy.port, path, body, headers), 10)

    def sent_to_gemini(self) -> Json:
        (body,) = [json.loads(r.body) for r in self.gemini.received]
        assert isinstance(body, dict)
        return body


@contextlib.asynccontextmanager
async def scene(
    frames: list[Json] | None = None,
    *,
    refusal: tuple[int, bytes] | None = None,
    cut: bool = False,
    **env: str,
) -> AsyncIterator[Scene]:
    """Start both; Gemini says *frames*, or the *refusal* (status and body), or is *cut* off."""
    written = TALK if frames is None else frames

    async def play_gemini(peer: Peer, request: Received) -> None:
        if refusal is not None:
            await peer.reply(refusal[1], refusal[0])
        elif ":streamGenerateContent" in request.path:
            await peer.head()
            await peer.chunk(sse(*(written[:2] if cut else written)))
            await peer.last_chunk()
        else:
            await peer.reply(json.dumps(_whole(written)).encode())

    openai, gemini = RawUpstream(_openai), RawUpstream(play_gemini, base_path="/v1beta")
    async with (
        openai.running(),
        gemini.running(),
        running_proxy(openai.base_url, gemini.base_url, **env) as proxy,
    ):
        yield Scene(proxy, openai, gemini)


async def _openai(peer: Peer, request: Received) -> None:
    if not json.loads(request.body).get("stream"):
        await peer.reply(completion())
        return
    await peer.head()
    await peer.chunk(chat_chunk("Hi") + chat_chunk(None, "stop") + DONE)
    await peer.last_chunk()


def _whole(frames: list[Json]) -> Json:
    parts = [part for frame in frames for part in frame["candidates"][0]["content"]["parts"]]
    whole = a_frame(*parts, finish=frames[-1]["candidates"][0]["finishReason"])
    return whole | {"usageMetadata": frames[-1].get("usageMetadata", {})}


def asking(model: str, *, stream: bool = False, **more: Any) -> Json:
    return {**HELLO, "model": model, "stream": stream, **more}


def streaming(model: str) -> Json:
    """Return a request whose answer from Gemini has thoughts, text, two calls and usage."""
    more: Json = {} if model == "jarvis-echo" else {"tools": TOOLS, "reasoning_effort": "low"}
    return asking(model, stream=True, stream_options={"include_usage": True}, **more)


def chunks_of(response: RawResponse) -> list[Json]:
    """Return the chunks of a complete stream."""
    assert (response.status, response.whole) == (200, True)
    assert response.body.endswith(DONE)
    blocks = response.body.removesuffix(DONE).split(b"\n\n")
    assert blocks.pop() == b""
    return [json.loads(block.removeprefix(b"data: ")) for block in blocks]


def choices_of(chunks: list[Json]) -> list[Json]:
    return [choice for chunk in chunks for choice in chunk["choices"]]
