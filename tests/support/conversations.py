"""A client of each API that holds a conversation over raw sockets, and sends back all that it got.

Pieces of a stream are put together as the API says: nothing of an answer is lost, nothing added.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.conftest import BEARER, KEY, Proxy
from tests.support.raw_client import fetch

Json = dict[str, Any]

_CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
_PARAMETERS: dict[str, Json] = {
    "get_weather": _CITY,
    "get_forecast": {"type": "object", "properties": {}},
}
_RESULT = "21 °C"


class CallMade(NamedTuple):
    """A tool call in an answer."""

    id: str
    name: str


class Conversation(ABC):
    """Asks models, one after the other, in one conversation."""

    def __init__(self, proxy: Proxy, *, stream: bool) -> None:
        self._port = proxy.port
        self._stream = stream
        self.history: list[Json] = []

    async def finish(self, model: str, question: str) -> list[CallMade]:
        """Ask, and answer calls until there are none; return all of them."""
        made: list[CallMade] = []
        calls = await self.ask(model, question)
        while calls:
            made += calls
            calls = await self.answer(calls, model)
        return made

    async def answer(self, calls: list[CallMade], model: str) -> list[CallMade]:
        """Give *model* the results of *calls*; return its own calls."""
        self._add_results(calls)
        return await self._turn(model)

    async def ask(self, model: str, question: str) -> list[CallMade]:
        """Return the calls in the answer to *question*."""
        self._add_question(question)
        return await self._turn(model)

    async def _turn(self, model: str) -> list[CallMade]:
        path, body, headers = self._request(model)
        response = await fetch(self._port, path, body, headers)
        assert response.status == 200, response.body
        return self._take(_events(response.body) if self._stream else json.loads(response.body))

    @abstractmethod
    def _add_question(self, question: str) -> None: ...

    @abstractmethod
    def _add_results(self, calls: list[CallMade]) -> None: ...

    @abstractmethod
    def _request(self, model: str) -> tuple[str, Json, dict[str, str]]:
        """Return the address, the body and the headers of a request."""

    @abstractmethod
    def _take(self, answer: Any) -> list[CallMade]:
        """Add *answer*, whole or as a list of events, to the history; return its calls."""


def _events(stream: bytes) -> list[Json]:
    lines = (line[6:] for line in stream.splitlines() if line.startswith(b"data: "))
    return [json.loads(line) for line in lines if line != b"[DONE]"]


class MessagesConversation(Conversation):
    """A client of the Messages API."""

    def _add_question(self, question: str) -> None:
        self.history.append({"role": "user", "content": question})

    def _add_results(self, calls: list[CallMade]) -> None:
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": _RESULT} for call in calls
        ]
        self.history.append({"role": "user", "content": results})

    def _request(self, model: str) -> tuple[str, Json, dict[str, str]]:
        tools = [{"name": n, "input_schema": schema} for n, schema in _PARAMETERS.items()]
        body: Json = {
            "model": model,
            "max_tokens": 4000,
            "stream": self._stream,
            "thinking": {"type": "adaptive", "display": "omitted"},
            "tools": tools,
            "messages": self.history,
        }
        headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
        return "/v1/messages?beta=true", body, headers

    def _take(self, answer: Any) -> list[CallMade]:
        blocks = _blocks(answer) if self._stream else answer["content"]
        self.history.append({"role": "assistant", "content": blocks})
        return [CallMade(b["id"], b["name"]) for b in blocks if b["type"] == "tool_use"]


def _blocks(events: list[Json]) -> list[Json]:
    """Return the blocks of a Messages stream."""
    blocks: list[Json] = []
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            ((name, piece),) = ((n, v) for n, v in event["delta"].items() if n != "type")
            name = "json" if name == "partial_json" else name
            blocks[-1][name] = blocks[-1].get(name, "") + piece
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block.pop("json", "{}"))
    return blocks


class ChatConversation(Conversation):
    """A client of chat completions."""

    def _add_question(self, question: str) -> None:
        self.history.append({"role": "user", "content": question})

    def _add_results(self, calls: list[CallMade]) -> None:
        self.history += [
            {"role": "tool", "tool_call_id": call.id, "content": _RESULT} for call in calls
        ]

    def _request(self, model: str) -> tuple[str, Json, dict[str, str]]:
        tools = [
            {"type": "function", "function": {"name": name, "parameters": schema}}
            for name, schema in _PARAMETERS.items()
        ]
        body: Json = {
            "model": model,
            "stream": self._stream,
            "reasoning_effort": "medium",
            "tools": tools,
            "messages": self.history,
        }
        return "/v1/chat/completions", body, dict(BEARER)

    def _take(self, answer: Any) -> list[CallMade]:
        message = _chat_message(answer) if self._stream else answer["choices"][0]["message"]
        message = {name: value for name, value in message.items() if value not in (None, [], "")}
        message.setdefault("content", None)
        for call in message.get("tool_calls", []):
            call.pop("index", None)  # it belongs to answers
        self.history.append(message)
        return [CallMade(c["id"], c["function"]["name"]) for c in message.get("tool_calls", [])]


def _chat_message(events: list[Json]) -> Json:
    """Return the message of a chat stream: texts joined, lists extended, calls by their index."""
    message: Json = {"role": "assistant"}
    calls: dict[int, Json] = {}
    for event in events:
        for choice in event["choices"]:
            delta = dict(choice["delta"])
            for call in delta.pop("tool_calls", None) or ():
                _join(calls.setdefault(call["index"], {}), call)
            _join(message, {n: v for n, v in delta.items() if n != "role"})
    if calls:
        message["tool_calls"] = list(calls.values())
    return message


def _join(into: Json, delta: Json) -> None:
    for name, value in delta.items():
        old = into.get(name)
        if old is None or name in ("index", "id", "type"):
            into[name] = dict(value) if isinstance(value, dict) else value
        elif isinstance(value, dict):
            _join(old, value)
        elif value is not None:
            into[name] = old + value


class ResponsesConversation(Conversation):
    """A client of the Responses API, that keeps its items itself."""

    def _add_question(self, question: str) -> None:
        self.history.append({"role": "user", "content": question})

    def _add_results(self, calls: list[CallMade]) -> None:
        self.history += [
            {"type": "function_call_output", "call_id": call.id, "output": _RESULT}
            for call in calls
        ]

    def _request(self, model: str) -> tuple[str, Json, dict[str, str]]:
        tools = [
            {"type": "function", "name": name, "parameters": schema, "strict": False}
            for name, schema in _PARAMETERS.items()
        ]
        body: Json = {
            "model": model,
            "stream": self._stream,
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "reasoning": {"effort": "medium"},
            "tools": tools,
            "input": self.history,
        }
        return "/v1/responses", body, dict(BEARER)

    def _take(self, answer: Any) -> list[CallMade]:
        response = answer[-1]["response"] if self._stream else answer
        assert response["status"] == "completed"
        self.history += response["output"]
        return [
            CallMade(item["call_id"], item["name"])
            for item in response["output"]
            if item["type"] == "function_call"
        ]


class GoogleConversation(Conversation):
    """A client of Google's generateContent."""

    def _add_question(self, question: str) -> None:
        self.history.append({"role": "user", "parts": [{"text": question}]})

    def _add_results(self, calls: list[CallMade]) -> None:
        parts = [
            {"functionResponse": {"id": c.id, "name": c.name, "response": {"output": _RESULT}}}
            for c in calls
        ]
        self.history.append({"role": "user", "parts": parts})

    def _request(self, model: str) -> tuple[str, Json, dict[str, str]]:
        declared = [
            {"name": name, "parametersJsonSchema": schema} for name, schema in _PARAMETERS.items()
        ]
        body: Json = {
            "contents": self.history,
            "tools": [{"functionDeclarations": declared}],
            "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
        }
        verb = "streamGenerateContent?alt=sse" if self._stream else "generateContent"
        return f"/v1beta/models/{model}:{verb}", body, {"x-goog-api-key": KEY}

    def _take(self, answer: Any) -> list[CallMade]:
        parts = list(_google_parts(answer if self._stream else [answer]))
        self.history.append({"role": "model", "parts": parts})
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        return [CallMade(call["id"], call["name"]) for call in calls]


def _google_parts(frames: list[Json]) -> Iterator[Json]:
    """Yield the parts of all frames, but for empty ones, which Google does not take back."""
    for frame in frames:
        for candidate in frame["candidates"]:
            parts = candidate.get("content", {}).get("parts", [])
            yield from (part for part in parts if part != {"text": ""})
