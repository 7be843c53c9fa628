"""An upstream whose models each behave in a way of their own, and a run of calls to all of them."""

import asyncio
import json
from dataclasses import dataclass

from tests.conftest import BEARER, Proxy
from tests.support.eventually import eventually
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, Received, chat_chunk, completion

DONE = b"data: [DONE]\n\n"
STREAM_USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
LONG_USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 50,
    "total_tokens": 1050,
    "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 20},
}


@dataclass(frozen=True)
class ReportedTokens:
    """Tokens as the upstream reported them, over all calls of ``run_calls``."""

    prompt: int = 3 + 1000 + 11 + 11 + 40 + 20
    completion: int = 2 + 50 + 7 + 7 + 10 + 5
    cached: int = 600
    written: int = 30
    reasoning: int = 20


def gemini_frame(text: str, prompt: int, candidates: int, finish: str | None = None) -> bytes:
    candidate: dict[str, object] = {"content": {"role": "model", "parts": [{"text": text}]}}
    if finish is not None:
        candidate["finishReason"] = finish
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": candidates,
        "totalTokenCount": prompt + candidates,
    }
    frame = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-x"}
    return b"data: " + json.dumps(frame).encode() + b"\r\n\r\n"


async def script(peer: Peer, request: Received) -> None:
    """Answer as the model in *request* does."""
    if request.method == "GET":
        await peer.reply(b'{"object":"list","data":[]}')
        return
    if "generateContent" in request.path or "streamGenerateContent" in request.path:
        await _gemini(peer, request.path)
        return
    body = json.loads(request.body)
    match body["model"]:
        case "gpt-long":
            answer = json.loads(completion()) | {"usage": LONG_USAGE}
            await peer.reply(json.dumps(answer).encode())
        case "gpt-missing":
            error = {"message": "no", "type": "t", "param": None, "code": "model_not_found"}
            await peer.reply(json.dumps({"error": error}).encode(), 404)
        case "gpt-broken":
            await peer.reply(b"{}", 500)
        case "gpt-cut":
            await peer.head()
            await peer.chunk(chat_chunk("Half"))
            peer.reset()
        case "gpt-endless":
            await peer.head()
            while True:
                await peer.chunk(chat_chunk("more"))
                await asyncio.sleep(0.01)
        case _ if body.get("stream"):
            await peer.head()
            await peer.chunk(chat_chunk("Hi") + chat_chunk(None, "stop"))
            if body.get("stream_options"):
                usage = chat_chunk(None, None, choices=[], usage=STREAM_USAGE)
                await peer.chunk(usage)
            await peer.chunk(DONE)
            await peer.last_chunk()
        case _:
            await peer.reply(completion())


async def _gemini(peer: Peer, path: str) -> None:
    await peer.head()
    await peer.chunk(gemini_frame("Hello ", 20, 5))
    if "gemini-cut" in path:
        peer.reset()
        return
    await peer.chunk(gemini_frame("world", 40, 10, "STOP"))
    await peer.last_chunk()


def chat(model: str, *, stream: bool = False, usage: bool = False) -> dict[str, object]:
    body: dict[str, object] = {
        "model": model,
        "stream": stream,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    if usage:
        body["stream_options"] = {"include_usage": True}
    return body


CALLS: tuple[dict[str, object], ...] = (
    chat("gpt-4o-mini"),
    chat("gpt-long"),
    chat("gpt-4o-mini", stream=True, usage=True),
    chat("gpt-4o-mini", stream=True, usage=True),
    chat("gpt-4o-mini", stream=True),  # and nobody tells its tokens
    chat("gpt-missing"),
    chat("gpt-broken"),
    chat("gpt-cut", stream=True),
    chat("gemini-2.5-flash", stream=True),
    chat("gemini-cut", stream=True),
    chat("jarvis-echo"),
)


async def run_calls(proxy: Proxy) -> list[RawResponse]:
    """Make every call, one that its client leaves, and two that are refused."""
    path = "/v1/chat/completions"
    responses = [await fetch(proxy.port, path, body, BEARER) for body in CALLS]
    async with connect(proxy.port) as connection:
        body = json.dumps(chat("gpt-endless", stream=True)).encode()
        await connection.post(path, body, {**BEARER, "Content-Type": "application/json"})
        await connection.head()
        await connection.chunk()
    await eventually(lambda: not len(proxy.context.deadline_monitor))
    responses.append(await fetch(proxy.port, path, CALLS[0], {"Authorization": "Bearer wrong"}))
    responses.append(await fetch(proxy.port, "/v1/nothing", CALLS[0], BEARER))
    return responses
