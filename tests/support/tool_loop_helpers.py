"""What servers must know together: signatures that a client forgets, and what a key has used.

A process that has waited for Redis for 100 ms goes on by itself, as it should; on a machine under
load that happens now and then. So both are tried again, which helps nobody who shares nothing.
"""

import asyncio
import json
from collections.abc import Sequence

from tests.conftest import GEMINI_KEY, KEY
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

CHAT = "/v1/chat/completions"
SIGNATURE = b"EvsBCvgBAdHtim9signature"
LIMITED = tuple(f"limited-key-{number}-0123456789abcdef" for number in range(4))


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


async def assert_signed(port: int, gemini: Gemini, first: RawResponse, times: int) -> None:
    """Ask for the turn after *first* so many times; each must go to Google with its signature."""
    signed: list[bool] = []
    async with asyncio.timeout(15):
        while signed.count(True) < times:
            before = len(gemini.asked)
            answers = [await ask(port, second_turn(first)) for _ in range(times)]
            assert [answer.status for answer in answers] == [200] * times
            signed = [SIGNATURE in body for body in gemini.asked[before:]]


def limited(rpm: int) -> dict[str, str]:
    """Return the settings by which each of the keys LIMITED may ask so often."""
    keys = [f"limited{number}:{key}" for number, key in enumerate(LIMITED)]
    rates = {f"KEY_LIMITED{number}_RPM": str(rpm) for number in range(len(LIMITED))}
    return {"PROXY_API_KEYS": ",".join((f"tester:{KEY}", *keys)), **rates}


async def assert_limited(ports: Sequence[int], rpm: int) -> str:
    """Ask twice too often at each of *ports*; together they let *rpm* pass. Return the key."""
    found = []
    for key in LIMITED:
        calls = (echo(port, key) for port in ports for _ in range(2 * rpm))
        statuses = [answer.status for answer in await asyncio.gather(*calls)]
        assert set(statuses) <= {200, 429}
        found.append(statuses.count(200))
        if found[-1] == rpm:
            return key
    raise AssertionError(f"{found} calls passed, of which only {rpm} may")
