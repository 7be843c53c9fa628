"""A model that calls a tool, and a client that forgets its signature between two turns."""

import asyncio
import json

from tests.conftest import GEMINI_KEY, KEY
from tests.raw_client import RawResponse, fetch
from tests.raw_upstream import Peer, RawUpstream, Received

CHAT = "/v1/chat/completions"
SIGNATURE = b"EvsBCvgBAdHtim9signature"


async def ask(port: int, body: dict[str, object], key: str = KEY) -> RawResponse:
    headers = {"Authorization": f"Bearer {key}", "Connection": "close"}
    return await fetch(port, CHAT, body, headers)


async def echo(port: int, key: str = KEY) -> RawResponse:
    return await ask(port, {"model": "jarvis-echo", "messages": []}, key)


async def has_used(port: int, key: str, calls: int) -> None:
    """Wait until a server says that the key has made so many calls, on all servers together."""
    headers = {"Authorization": f"Bearer {key}"}
    found = -1
    async with asyncio.timeout(10):
        while found != calls:
            response = await fetch(port, "/v1/usage", headers=headers, method="GET")
            found = int(json.loads(response.body)["total"]["calls"])
            await asyncio.sleep(0.05)


class Gemini:
    """Calls a tool, with a signature, and keeps what comes back."""

    def __init__(self) -> None:
        self.upstream = RawUpstream(self.play, base_path="/v1beta")

    async def play(self, peer: Peer, request: Received) -> None:
        part = {"functionCall": {"name": "f", "args": {}, "id": "n1"}}
        content = {"role": "model", "parts": [{**part, "thoughtSignature": SIGNATURE.decode()}]}
        await peer.reply(
            json.dumps({"candidates": [{"content": content, "finishReason": "STOP"}]}).encode()
        )

    def env(self) -> dict[str, str]:
        return {"GEMINI_API_KEY": GEMINI_KEY, "GEMINI_BASE_URL": self.upstream.base_url}

    @property
    def asked(self) -> list[bytes]:
        """The bodies of the calls, without looks at lists of models."""
        return [r.body for r in self.upstream.received if r.method == "POST"]


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


def turn(*more: object) -> dict[str, object]:
    """Return a request with a tool, its history going on with *more*."""
    messages = [{"role": "user", "content": "Call f."}, *more]
    return {"model": "gemini-3-pro-preview", "tools": TOOLS, "messages": messages}


def second_turn(first: RawResponse) -> dict[str, object]:
    """Return the request after *first*, of a client that keeps ids and nothing else."""
    call = json.loads(first.body)["choices"][0]["message"]["tool_calls"][0]
    bare = {"id": call["id"], "type": "function", "function": call["function"]}
    return turn(
        {"role": "assistant", "content": None, "tool_calls": [bare]},
        {"role": "tool", "tool_call_id": call["id"], "content": "done"},
    )
