"""What recorded answers say, read as they stand: none of the proxy's code is in it."""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from tests.support.recordings import response_of

Json = dict[str, Any]

_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")


class Reading(NamedTuple):
    """What a client of any API sees of an answer: of several choices the first.

    *calls* are names and arguments; *usage* is the prompt, the completion with its thoughts, and
    how much of the prompt was cached.
    """

    text: str
    thought: str
    calls: list[list[Any]]
    usage: tuple[int, int, int]
    finish: str


def read(recording: Json) -> Reading:
    """Return what a recorded answer to a question for text or calls says."""
    readers = {"messages": _messages, "chat": _chat, "generate": _generate_content}
    return readers[recording["kind"]](recording)


def events(recording: Json) -> Iterator[Json]:
    """Yield the data of each event of a recorded stream."""
    body, _ = response_of(recording)
    for line in body.splitlines():
        if line.startswith(b"data:") and line[5:].strip() not in (b"", b"[DONE]"):
            yield json.loads(line[5:])


# -- Messages --------------------------------------------------------------------------------

_STOP_REASONS = {
    "max_tokens": "length",
    "pause_turn": "length",  # what it is at last where the service pauses again and again
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def _messages(recording: Json) -> Reading:
    message = _message(recording)
    blocks: list[Json] = message["content"]
    usage = {name: count or 0 for name, count in message["usage"].items()}
    cached = usage.get("cache_read_input_tokens", 0)
    written = usage.get("cache_creation_input_tokens", 0)
    return Reading(
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        [[block["name"], block["input"]] for block in blocks if block["type"] == "tool_use"],
        (usage["input_tokens"] + cached + written, usage["output_tokens"], cached),
        _STOP_REASONS.get(message["stop_reason"], "stop"),
    )


def _message(recording: Json) -> Json:
    """Return a recorded message; one that was streamed is put together."""
    if "sse" not in recording["response"]:
        body: Json = recording["response"]["body"]
        return body
    message: Json = {}
    blocks: dict[int, Json] = {}
    for event in events(recording):
        match event["type"]:
            case "message_start":  # it may begin with blocks that are whole
                message = event["message"]
            case "content_block_start":
                blocks[event["index"]] = {**event["content_block"], "json": ""}
            case "content_block_delta":
                block, delta = blocks[event["index"]], event["delta"]
                for name, piece in (("text",) * 2, ("thinking",) * 2, ("json", "partial_json")):
                    block[name] = block.get(name, "") + delta.get(piece, "")
            case "message_delta":
                message |= event["delta"]
                message["usage"] = {**message["usage"], **event.get("usage", {})}
    for block in blocks.values():
        message["content"].append(
            block | ({"input": json.loads(j)} if (j := block["json"]) else {})
        )
    return message


# -- chat completions ------------------------------------------------------------------------


def _chat(recording: Json) -> Reading:
    choice, usage = _first_choice(recording)
    message: Json = choice["message"]
    made = [call.get("function") or call["custom"] for call in message.get("tool_calls") or []]
    made += [message["function_call"]] if message.get("function_call") else []
    refusal = message.get("refusal") or ""
    reason = choice.get("finish_reason") or "stop"
    if made and reason in ("stop", "function_call"):
        reason = "tool_calls"
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Reading(
        (message.get("content") or "") + refusal,
        message.get("reasoning_content") or message.get("reasoning") or "",
        [[one["name"], _arguments(one)] for one in made],
        (usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0), cached),
        "content_filter" if refusal else reason,
    )


def _arguments(call: Json) -> object:
    return call["input"] if "input" in call else json.loads(call["arguments"] or "{}")


def _first_choice(recording: Json) -> tuple[Json, Json]:
    """Return the first choice of a recorded completion, and its usage; a stream is put together."""
    if "sse" not in recording["response"]:
        body = recording["response"]["body"]
        return body["choices"][0], body.get("usage") or {}
    message: Json = {"tool_calls": []}
    whole: Json = {"message": message}
    usage: Json = {}
    for chunk in events(recording):
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            if choice["index"] == 0:
                _add_delta(message, choice["delta"])
                whole["finish_reason"] = choice.get("finish_reason") or whole.get("finish_reason")
    return whole, usage


def _add_delta(message: Json, delta: Json) -> None:
    for name, said in delta.items():
        if isinstance(said, str):
            message[name] = message.get(name, "") + said
    calls = message["tool_calls"]
    for piece in delta.get("tool_calls") or []:
        if piece["index"] == len(calls):
            calls.append({"function": {"name": piece["function"]["name"], "arguments": ""}})
        calls[piece["index"]]["function"]["arguments"] += piece["function"].get("arguments") or ""


# -- generateContent -------------------------------------------------------------------------

_FINISH_REASONS = {
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
}


def _generate_content(recording: Json) -> Reading:
    body = recording["response"].get("body")
    frames = body if isinstance(body, list) else [body] if body else list(events(recording))
    named = [one for frame in frames for one in frame.get("candidates", [])]
    candidates = [one for one in named if not one.get("index")]
    parts = [part for one in candidates for part in one.get("content", {}).get("parts", [])]
    calls = _calls(part["functionCall"] for part in parts if "functionCall" in part)
    reason = next((one["finishReason"] for one in candidates[::-1] if "finishReason" in one), "")
    finish = _FINISH_REASONS.get(reason, "stop")
    if not candidates or (reason == "OTHER" and not parts):
        finish = "content_filter"  # nothing came, and nobody asked for that
    return Reading(
        "".join(_shown(part) for part in parts if not part.get("thought")),
        "".join(_shown(part) for part in parts if part.get("thought")),
        calls,
        _tokens(next((f["usageMetadata"] for f in frames[::-1] if "usageMetadata" in f), {})),
        "tool_calls" if calls and finish == "stop" else finish,
    )


def _tokens(usage: Json) -> tuple[int, int, int]:
    """Count what Google's own tools put into the prompt as a part of it, as Google bills it."""
    return (
        usage.get("promptTokenCount", 0) + usage.get("toolUsePromptTokenCount", 0),
        usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0),
        usage.get("cachedContentTokenCount", 0),
    )


def _shown(part: Json) -> str:
    """Return a part as text: code that Google ran, and what it gave, stand in fences."""
    if code := part.get("executableCode"):
        return f"\n```python\n{code['code']}\n```\n"
    if result := part.get("codeExecutionResult"):
        failed = "" if result["outcome"] == "OUTCOME_OK" else f"{result['outcome']}\n"
        return f"\n```output\n{failed}{result.get('output', '')}\n```\n"
    return str(part.get("text", ""))


def _calls(parts: Iterable[Json]) -> list[list[Any]]:
    """Return the calls; the arguments of some come piece by piece."""
    calls: list[list[Any]] = []
    for part in parts:
        if "name" in part:
            calls.append([part["name"], part.get("args", {})])
        for piece in part.get("partialArgs", []):
            _put(calls[-1][1], piece)
    return calls


def _put(arguments: Json, piece: Json) -> None:
    """Put a piece to where its path, such as ``$.days[0].sky``, leads to."""
    path = [int(at) if at else name for name, at in _STEP.findall(piece["jsonPath"])]
    inner: Any = arguments
    for step, following in pairwise(path):
        inner = _open(inner, step, [] if isinstance(following, int) else {})
    value = next((piece[key] for key in piece if key.endswith("Value")), None)
    last = path[-1]
    if isinstance(value, str):
        value = _open(inner, last, "") + value
    _open(inner, last, value)
    inner[last] = value


def _open(inner: Any, step: str | int, empty: object) -> Any:
    """Return what *inner* has at a step; *empty*, once it is put there, where it has nothing."""
    if isinstance(step, int):
        if step == len(inner):
            inner.append(empty)
        return inner[step]
    return inner.setdefault(step, empty)
