"""A Gemini that refuses by rules, and how tests ask a proxy in front of it."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from jarvis_proxy.upstreams.gemini.request.signature_lookup import PLACEHOLDER
from tests.conftest import BEARER, Proxy, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

Json = dict[str, Any]
DONE = b"data: [DONE]\n\n"
SDK = {"x-stainless-retry-count": "0", "x-stainless-lang": "js", "User-Agent": "OpenAI/JS 6.0"}


def walk(value: object) -> list[object]:
    """Return *value* and all that it holds."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(deeper for item in inner for deeper in walk(item))]


def keys(body: Json) -> set[str]:
    return {key for item in walk(body) if isinstance(item, dict) for key in item}


def mode(body: Json) -> str:
    config = body.get("toolConfig", {}).get("functionCallingConfig", {})
    return str(config.get("mode", "AUTO"))


def signatures(body: Json) -> list[str | None]:
    parts = [part for content in body["contents"] for part in content["parts"]]
    return [part.get("thoughtSignature") for part in parts if "functionCall" in part]


def depth(value: object) -> int:
    """Return how deep schemas nest below *value*."""
    if not isinstance(value, dict):
        return 0
    inner = [*value.get("properties", {}).values(), value.get("items")]
    return 1 + max(map(depth, inner))


def deepest(body: Json) -> int:
    tools = body.get("tools") or [{}]
    return max(
        depth(function.get("parametersJsonSchema"))
        for function in tools[0].get("functionDeclarations", [{}])
    )


def results_end(body: Json) -> bool:
    """Return whether nothing follows the results in the last turn."""
    kinds = ["functionResponse" in part for part in body["contents"][-1]["parts"]]
    return kinds == sorted(kinds)


class Rule(NamedTuple):
    """What a Gemini refuses, and in which words."""

    refuses: Callable[[Json], object]
    words: str


BARE = "Request contains an invalid argument."
RULES = {
    "limits": Rule(lambda body: "maxItems" in keys(body), BARE),
    "any": Rule(lambda body: mode(body) == "ANY", BARE),
    "validated": Rule(lambda body: mode(body) == "VALIDATED", BARE),
    "thoughts": Rule(lambda body: "thinkingConfig" in keys(body), BARE),
    "depth": Rule(
        lambda body: deepest(body) > 5,
        "FunctionDeclaration 'f' in the request exceeds the maximum allowed nesting depth.",
    ),
    "not thinking": Rule(
        lambda body: "thinkingConfig" in keys(body), "Thinking is not enabled for models/x"
    ),
    "always thinking": Rule(
        lambda body: "thinkingBudget" in keys(body),
        "Budget 0 is invalid. This model only works in thinking mode.",
    ),
    "signature": Rule(
        lambda body: any(found != PLACEHOLDER for found in signatures(body)),
        "Function call is missing a thought_signature in functionCall parts. Additional data, "
        "function call `default_api:f` , position 2.",
    ),
    "model turn": Rule(
        lambda body: body["contents"][-1]["role"] == "model",
        "Requests ending with a model turn are not supported.",
    ),
    "behind results": Rule(
        lambda body: not results_end(body), "Requests ending with a model turn are not supported."
    ),
    "states": Rule(
        lambda body: "maxItems" in keys(body),
        "The specified schema produces a constraint that has too many states for serving.",
    ),
}


class Gemini:
    """Refuses by its rules, the first first; else answers."""

    def __init__(self, *rules: str, status: int = 400) -> None:
        self.rules = [RULES[name] for name in rules]
        self.status = status
        self.bodies: list[Json] = []

    async def __call__(self, peer: Peer, request: Received) -> None:
        body = json.loads(request.body)
        self.bodies.append(body)
        for rule in self.rules:
            if rule.refuses(body):
                error = {"code": 400, "message": rule.words, "status": "INVALID_ARGUMENT"}
                await self._refuse(peer, request, json.dumps({"error": error}).encode())
                return
        await answer(peer, request, {"text": "Hi"}, "STOP")

    async def _refuse(self, peer: Peer, request: Received, error: bytes) -> None:
        if self.status == 200 and ":streamGenerateContent" in request.path:
            await peer.head(200)
            await peer.chunk(b"data: " + error + b"\r\n\r\n")
            await peer.last_chunk()
        else:
            await peer.reply(error, self.status)


async def answer(peer: Peer, request: Received, part: Json | None, finish: str) -> None:
    """Send one frame, streamed or whole."""
    content = {"role": "model", "parts": [] if part is None else [part]}
    frame = json.dumps({"candidates": [{"content": content, "finishReason": finish}]}).encode()
    if ":streamGenerateContent" in request.path:
        await peer.head(200)
        await peer.chunk(b"data: " + frame + b"\r\n\r\n")
        await peer.last_chunk()
    else:
        await peer.reply(frame)


async def ask(
    gemini: Callable[[Peer, Received], Any],
    body: Json,
    path: str = "/v1/chat/completions",
    *,
    headers: dict[str, str] | None = None,
    prepare: Callable[[Proxy], None] | None = None,
    **settings: str,
) -> RawResponse:
    upstream = RawUpstream(gemini, base_path="/v1beta")
    async with upstream.running(), running_proxy(gemini=upstream.base_url, **settings) as proxy:
        if prepare is not None:
            prepare(proxy)
        return await fetch(proxy.port, path, body, {**BEARER, **(headers or {})})


def chat(**fields: Any) -> Json:
    messages = [{"role": "user", "content": "q"}]
    return {"model": "gemini-3.5-flash", "messages": messages, **fields}


FORMS: dict[str, Json] = {
    "whole": {},
    "stream": {"stream": True},
    "choices": {"n": 2},
    "streamed choices": {"n": 2, "stream": True},
}


def no_budget(proxy: Proxy) -> None:
    while proxy.context.retry_budget.acquire(0):
        pass
