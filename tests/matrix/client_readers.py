"""What a client of each API reads, as the events of the table. Written by hand, without the proxy.

A reader is strict: what the API does not have, or has in another order, fails.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.matrix.cases import Event


@dataclass
class Seen:
    """What a client has read: *events* as in ``Case``; *usage* as in ``USAGE``."""

    events: list[Event] = field(default_factory=list)
    reason: str | None = None
    usage: tuple[int, int, int] | None = None
    error: dict[str, Any] | None = None

    def say(self, kind: str, text: str) -> None:
        """Add a piece of text or thought to the last one of its kind."""
        if text and self.events and self.events[-1][0] == kind:
            text = str(self.events.pop()[1]) + text
        if text:
            self.events.append((kind, text))  # type: ignore[arg-type]


def sse(data: bytes) -> list[tuple[str, Any]]:
    """Return the events of a stream: their names, and their data decoded; comments left out."""
    found = []
    assert data == b"" or data.endswith((b"\n\n", b"\r\n\r\n", b"\n")), data[-80:]
    for block in re.split(rb"\r?\n\r?\n", data):
        name, payload = "", b""
        for line in block.splitlines():
            if line.startswith(b"event: "):
                name = line[7:].decode()
            elif line.startswith(b"data: "):
                payload = line[6:]
            elif line.startswith(b"{"):
                name, payload = "bare", line
            else:
                assert line == b"" or line.startswith(b":"), line
        if payload:
            found.append((name, payload if payload == b"[DONE]" else json.loads(payload)))
    return found


# -- chat completions ------------------------------------------------------------------------


def chat_stream(data: bytes) -> Seen:
    """Read a stream of chunks."""
    seen, calls = Seen(), dict[int, list[str]]()
    events = sse(data)
    for number, (name, event) in enumerate(events):
        assert name == ""
        if event == b"[DONE]":
            assert number == len(events) - 1
            break
        if "error" in event:
            seen.error = event["error"]
            assert number == len(events) - 1
            break
        if event.get("usage"):
            seen.usage = _chat_usage(event["usage"])
        for choice in event["choices"]:
            assert seen.reason is None
            delta = choice["delta"]
            seen.say("thought", delta.get("reasoning_content") or "")
            seen.say("text", delta.get("content") or "")
            for call in delta.get("tool_calls", ()):
                if "id" in call:
                    calls[call["index"]] = [call["function"]["name"], ""]
                calls[call["index"]][1] += call["function"].get("arguments", "")
            seen.reason = choice["finish_reason"]
    seen.events += [("call", name, json.loads(text)) for name, text in calls.values()]
    return seen


def chat_whole(body: bytes) -> Seen:
    """Read a chat completion."""
    answer = json.loads(body)
    (choice,) = answer["choices"]
    message, seen = choice["message"], Seen(usage=_chat_usage(answer["usage"]))
    seen.say("thought", message.get("reasoning_content") or "")
    seen.say("text", message["content"] or "")
    for call in message.get("tool_calls", ()):
        function = call["function"]
        seen.events.append(("call", function["name"], json.loads(function["arguments"])))
    seen.reason = choice["finish_reason"]
    return seen


def _chat_usage(usage: dict[str, Any]) -> tuple[int, int, int]:
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return usage["prompt_tokens"], usage["completion_tokens"], cached


# -- Responses -------------------------------------------------------------------------------


def responses_stream(data: bytes) -> Seen:
    """Read a stream of a response's events."""
    seen, number = Seen(), -1
    for name, event in sse(data):
        if name != "":
            assert name == event["type"]
        if "sequence_number" in event:
            number += 1
            assert event["sequence_number"] == number
        match event["type"]:
            case "response.output_text.delta":
                seen.say("text", event["delta"])
            case "response.reasoning_summary_text.delta":
                seen.say("thought", event["delta"])
            case "response.function_call_arguments.done":
                seen.events.append(("call", event["name"], json.loads(event["arguments"])))
            case "response.completed" | "response.incomplete":
                whole = _response(event["response"])
                assert whole.events == seen.events
                return whole
            case "error":
                seen.error = event
            case "response.failed":
                assert seen.error is not None
                assert event["response"]["status"] == "failed"
    return seen


def responses_whole(body: bytes) -> Seen:
    """Read a response."""
    return _response(json.loads(body))


def _response(response: dict[str, Any]) -> Seen:
    seen = Seen()
    for item in response["output"]:
        match item["type"]:
            case "reasoning":
                seen.say("thought", "".join(part["text"] for part in item["summary"]))
            case "message":
                seen.say("text", "".join(part["text"] for part in item["content"]))
            case "function_call":
                seen.events.append(("call", item["name"], json.loads(item["arguments"])))
            case _:
                raise AssertionError(item)
    has_call = any(event[0] == "call" for event in seen.events)
    if response["status"] == "completed":
        seen.reason = "tool_calls" if has_call else "stop"
    else:
        why = response["incomplete_details"]["reason"]
        seen.reason = {"max_output_tokens": "length"}.get(why, why)
    usage = response["usage"]
    cached = usage["input_tokens_details"]["cached_tokens"]
    seen.usage = usage["input_tokens"], usage["output_tokens"], cached
    return seen


# -- Messages --------------------------------------------------------------------------------

_STOP_REASONS = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
}


def messages_stream(data: bytes) -> Seen:
    """Read a stream of message events into the message, and that."""
    message: dict[str, Any] | None = None
    blocks: list[dict[str, Any]] = []
    pieces: list[str] = []
    is_open = has_ended = False
    for name, event in sse(data):
        assert name == event["type"]
        assert not has_ended
        match name:
            case "ping":
                pass
            case "message_start":
                message = event["message"]
            case "content_block_start":
                assert not is_open
                assert event["index"] == len(blocks)
                is_open, pieces = True, []
                blocks.append(event["content_block"])
            case "content_block_delta":
                assert is_open
                assert event["index"] == len(blocks) - 1
                _add_delta(blocks[-1], event["delta"], pieces)
            case "content_block_stop":
                assert is_open
                assert event["index"] == len(blocks) - 1
                is_open = False
                if blocks[-1]["type"] == "tool_use":
                    blocks[-1]["input"] = json.loads("".join(pieces) or "{}")
            case "message_delta":
                assert message is not None
                message |= event["delta"]
                message["usage"] |= event["usage"]
            case "message_stop":
                has_ended = True
            case "error":
                seen = _message({"content": blocks, "stop_reason": None, "usage": None})
                seen.error = event["error"]
                return seen
            case _:
                raise AssertionError(event)
    assert message is not None
    assert has_ended
    return _message({**message, "content": blocks})


def _add_delta(block: dict[str, Any], delta: dict[str, Any], pieces: list[str]) -> None:
    match block["type"], delta["type"]:
        case "text", "text_delta":
            block["text"] += delta["text"]
        case "thinking", "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "thinking", "signature_delta":
            assert block["signature"] == ""
            block["signature"] = delta["signature"]
        case "tool_use", "input_json_delta":
            pieces.append(delta["partial_json"])
        case _:
            raise AssertionError((block, delta))


def messages_whole(body: bytes) -> Seen:
    """Read a message."""
    return _message(json.loads(body))


def _message(message: dict[str, Any]) -> Seen:
    seen = Seen()
    for block in message["content"]:
        match block["type"]:
            case "thinking":
                seen.say("thought", block["thinking"])
            case "text":
                seen.say("text", block["text"])
            case "tool_use":
                seen.events.append(("call", block["name"], block["input"]))
            case _:
                raise AssertionError(block)
    if message["stop_reason"] is not None:
        seen.reason = _STOP_REASONS[message["stop_reason"]]
    if (usage := message["usage"]) is not None:
        cached = usage["cache_read_input_tokens"]
        prompt = usage["input_tokens"] + cached + usage["cache_creation_input_tokens"]
        seen.usage = prompt, usage["output_tokens"], cached
    return seen


# -- generateContent -------------------------------------------------------------------------

_FINISH_REASONS = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter"}


def generate_content_stream(data: bytes) -> Seen:
    """Read a stream of frames."""
    seen = Seen()
    for name, frame in sse(data):
        if name == "bare":
            seen.error = frame["error"]
            continue
        assert name == ""
        assert seen.error is None
        _read_frame(seen, frame)
    _name_calls(seen)
    return seen


def generate_content_whole(body: bytes) -> Seen:
    """Read one GenerateContentResponse."""
    seen = Seen()
    _read_frame(seen, json.loads(body))
    _name_calls(seen)
    return seen


def _read_frame(seen: Seen, frame: dict[str, Any]) -> None:
    assert seen.reason is None
    (candidate,) = frame["candidates"]
    for part in candidate["content"]["parts"]:
        if "functionCall" in part:
            call = part["functionCall"]
            seen.events.append(("call", call["name"], call["args"]))
        else:
            seen.say("thought" if part.get("thought") else "text", part["text"])
    if "finishReason" in candidate:
        seen.reason = _FINISH_REASONS[candidate["finishReason"]]
    if "usageMetadata" in frame:
        usage = frame["usageMetadata"]
        completion = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
        assert usage["totalTokenCount"] == usage["promptTokenCount"] + completion
        cached = usage.get("cachedContentTokenCount", 0)
        seen.usage = usage["promptTokenCount"], completion, cached


def _name_calls(seen: Seen) -> None:
    if seen.reason == "stop" and any(event[0] == "call" for event in seen.events):
        seen.reason = "tool_calls"
