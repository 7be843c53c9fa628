"""Recorded answers of the real service say to the reader what a plain reading of them says."""

import json
import re
from typing import Any

import pytest

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.canonical.sealed_state import SealedState, anthropic_blocks
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.errors import translate_error
from tests.support.recorded_answer import RecordedChoice
from tests.support.recordings import recordings, response_of
from tests.upstreams.anthropic.answers import Json, new_reader

_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def _is_message(recording: Json | None) -> bool:
    if recording is None:
        return True
    path = recording["request"].get("path", "").split("?")[0]
    return bool(path.endswith("/messages"))


def _of_status(*, good: bool) -> list[Any]:
    return [
        param
        for param in recordings("anthropic")
        if param.values[0] is None
        or (
            _is_message(param.values[0])
            and (param.values[0]["response"].get("status", 200) < 400) is good
        )
    ]


def plain_reading(data: bytes) -> Json:
    """Return the message that a body holds, put together without the proxy's code."""
    lines = re.findall(rb"^data:(.*)$", data, re.M)
    if not lines:
        whole: Json = json.loads(data)
        return whole
    message: Json = {}
    for event in map(json.loads, lines):
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                assert event["index"] == len(message["content"])
                message["content"].append(event["content_block"])
            case "content_block_delta":
                _add(message["content"][event["index"]], event["delta"])
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= {k: v for k, v in event["usage"].items() if v is not None}
    for block in message["content"]:
        if "partial" in block:
            block["input"] = _input(block.pop("partial")) or block["input"]
    return message


def _add(block: Json, delta: Json) -> None:
    match delta["type"]:
        case "input_json_delta":
            block["partial"] = block.get("partial", "") + delta["partial_json"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "text_delta" | "thinking_delta":
            kind = delta["type"].removesuffix("_delta")
            block[kind] += delta[kind]


def _input(text: str) -> object:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def _expected(message: Json) -> list[Any]:
    """Return the events that are due, neighbouring texts joined."""
    events: list[Any] = []
    for block in message["content"]:
        match block["type"]:
            case "text" if block["text"]:
                joins = bool(events) and events[-1][0] == "text"
                before = events.pop()[1] if joins else ""
                events.append(("text", before + block["text"]))
            case "thinking":
                events += [("thought", block["thinking"])] if block["thinking"] else []
                if block["signature"]:
                    kept = {key: block[key] for key in ("type", "thinking", "signature")}
                    events.append(("seal", kept))
            case "redacted_thinking":
                events.append(("seal", block))
            case "tool_use":
                events += [("call", (block["id"], block["name"])), ("arguments", block["input"])]
    return events


def _told(choice: RecordedChoice) -> list[Any]:
    """Return what the reader sent to its sink, in the form of ``_expected``."""
    events: list[Any] = []
    for name, value in choice.events:
        if isinstance(value, SealedState):
            events += [("seal", block) for block in anthropic_blocks(value)]
        elif isinstance(value, CallStart):
            events.append((name, (value.id, value.name)))
        elif name == "arguments":
            events.append((name, _input(str(value))))
        elif name in ("text", "thought"):
            events.append((name, value))
    return events


@pytest.mark.parametrize("recording", _of_status(good=True))
@pytest.mark.parametrize("step", [None, 61], ids=["whole", "cut"])
def test_a_recorded_answer_is_read(recording: Json, step: int | None) -> None:
    data, _ = response_of(recording)
    message = plain_reading(data)
    reader, answer = new_reader()
    if "sse" in recording["response"]:
        for at in range(0, len(data), step or len(data)):
            reader.feed(data[at : at + (step or len(data))])
        reader.feed_eof()
    else:
        reader.read_whole(data)
    choice = answer.choice(0)

    assert _told(choice) == _expected(message)
    assert choice.finished is not None
    assert choice.finished.reason == _REASONS[message["stop_reason"]]
    assert choice.finished.matched_stop == message["stop_sequence"]
    assert reader.usage is not None
    counts = message["usage"]
    cached = counts.get("cache_read_input_tokens") or 0
    written = counts.get("cache_creation_input_tokens") or 0
    prompt = reader.usage.prompt_tokens_details
    assert reader.usage.prompt_tokens == counts["input_tokens"] + cached + written
    assert (prompt.cached_tokens, prompt.cache_write_tokens) == (cached, written)
    assert reader.usage.completion_tokens == counts["output_tokens"]


@pytest.mark.parametrize("recording", _of_status(good=False))
def test_a_recorded_error_is_reported(recording: Json) -> None:
    response = recording["response"]
    body, _ = response_of(recording)
    error = translate_error(response["status"], response.get("headers", {}), body, model="m")

    expected = {400: (400, "invalid_argument"), 404: (404, "model_not_found")}
    expected |= {401: (502, "upstream_auth_failed"), 429: (429, "rate_limit_exceeded")}
    assert isinstance(error, ProxyError)
    assert (error.status, error.code) == expected[response["status"]]
