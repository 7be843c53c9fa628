"""The cases as each upstream API sends them. Written by hand, from the APIs' documentation.

Each function returns the pieces of a stream, or one whole body.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.matrix.cases import USAGE, Case

PROMPT, COMPLETION, CACHED = USAGE


def halves(text: str) -> tuple[str, ...]:
    """Return *text* in two pieces."""
    return tuple(piece for piece in (text[: len(text) // 2], text[len(text) // 2 :]) if piece)


def _data(event: object) -> bytes:
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"


# -- chat completions ------------------------------------------------------------------------

_CHAT_REASONS = {reason: reason for reason in ("stop", "length", "tool_calls", "content_filter")}
_CHAT_USAGE = {
    "prompt_tokens": PROMPT,
    "completion_tokens": COMPLETION,
    "total_tokens": PROMPT + COMPLETION,
    "prompt_tokens_details": {"cached_tokens": CACHED},
}


def chat_stream(case: Case) -> bytes:
    """Return a stream of chunks."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}

    def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return _data({**head, "choices": [choice]})

    out = [chunk({"role": "assistant", "content": ""})]
    calls = 0
    for event in case.events:
        match event:
            case ("thought", text):
                out += [chunk({"reasoning_content": piece}) for piece in halves(text)]
            case ("text", text):
                out += [chunk({"content": piece}) for piece in halves(text)]
            case ("call", name, arguments):
                function = {"name": name, "arguments": ""}
                start = {"index": calls, "id": f"call_{calls}", "type": "function"}
                out.append(chunk({"tool_calls": [{**start, "function": function}]}))
                for piece in halves(json.dumps(arguments, ensure_ascii=False)):
                    call = {"index": calls, "function": {"arguments": piece}}
                    out.append(chunk({"tool_calls": [call]}))
                calls += 1
    if case.error == "overloaded":
        out.append(_data({"error": {"message": "overloaded", "type": "server_error", "code": 503}}))
    if case.reason is not None:
        out.append(chunk({}, _CHAT_REASONS[case.reason]))
        out.append(_data({**head, "choices": [], "usage": _CHAT_USAGE}))
        out.append(b"data: [DONE]\n\n")
    return b"".join(out)


def chat_whole(case: Case) -> bytes:
    """Return a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for event in case.events:
        match event:
            case ("thought", text):
                message["reasoning_content"] = text
            case ("text", text):
                message["content"] = text
            case ("call", name, arguments):
                calls = message.setdefault("tool_calls", [])
                function = {"name": name, "arguments": json.dumps(arguments)}
                calls.append({"id": f"call_{len(calls)}", "type": "function", "function": function})
    choice = {"index": 0, "message": message, "finish_reason": case.reason}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
    return json.dumps({**body, "choices": [choice], "usage": _CHAT_USAGE}).encode()


# -- Gemini ----------------------------------------------------------------------------------

_GEMINI_REASONS = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}
_GEMINI_USAGE = {
    "promptTokenCount": PROMPT,
    "candidatesTokenCount": COMPLETION,
    "totalTokenCount": PROMPT + COMPLETION,
    "cachedContentTokenCount": CACHED,
}


def _gemini_parts(case: Case, pieces: Callable[[str], tuple[str, ...]]) -> Iterator[dict[str, Any]]:
    is_first = True
    for event in case.events:
        match event:
            case ("thought", text):
                yield from ({"text": piece, "thought": True} for piece in pieces(text))
            case ("text", text):
                yield from ({"text": piece} for piece in pieces(text))
            case ("call", name, arguments):
                signature = {"thoughtSignature": "c2lnbmF0dXJl"} if is_first else {}
                yield {"functionCall": {"name": name, "args": arguments}, **signature}
                is_first = False


def _gemini_frame(parts: list[dict[str, Any]], **extra: object) -> dict[str, Any]:
    content = {"parts": parts, "role": "model"}
    candidate = {"content": content, "index": 0, **extra}
    return {"candidates": [candidate], "modelVersion": "m", "responseId": "r"}


def gemini_stream(case: Case) -> bytes:
    """Return a stream of frames."""
    out = [_data(_gemini_frame([part])) for part in _gemini_parts(case, halves)]
    if case.error == "overloaded":
        error = {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}
        out.append(_data({"error": error}))
    if case.reason is not None:
        last = _gemini_frame([{"text": ""}], finishReason=_GEMINI_REASONS[case.reason])
        out.append(_data({**last, "usageMetadata": _GEMINI_USAGE}))
    return b"".join(out)


def gemini_whole(case: Case) -> bytes:
    """Return one GenerateContentResponse."""
    assert case.reason is not None
    parts = list(_gemini_parts(case, lambda text: (text,)))
    frame = _gemini_frame(parts, finishReason=_GEMINI_REASONS[case.reason])
    return json.dumps({**frame, "usageMetadata": _GEMINI_USAGE}).encode()


# -- Anthropic -------------------------------------------------------------------------------

_ANTHROPIC_REASONS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}
_ANTHROPIC_USAGE = {
    "input_tokens": PROMPT - CACHED,
    "cache_read_input_tokens": CACHED,
    "cache_creation_input_tokens": 0,
}


def _sse(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\n".encode() + _data({"type": kind, **fields})


def _block(number: int, event: tuple[Any, ...]) -> dict[str, Any]:
    match event:
        case ("thought", text):
            return {"type": "thinking", "thinking": text, "signature": "RXFRQg=="}
        case ("text", text):
            return {"type": "text", "text": text}
        case (_, name, arguments):
            return {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}
    raise AssertionError(event)


def _block_events(number: int, event: tuple[Any, ...], *, is_whole: bool) -> Iterator[bytes]:
    block = _block(number, event)
    empty: dict[str, Any]
    match block["type"]:
        case "thinking":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": p} for p in halves(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case "text":
            empty = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in halves(block["text"])]
        case _:
            empty = {**block, "input": {}}
            pieces = halves(json.dumps(block["input"], ensure_ascii=False))
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    yield _sse("content_block_start", index=number, content_block=empty)
    for delta in deltas:
        yield _sse("content_block_delta", index=number, delta=delta)
    if is_whole:
        yield _sse("content_block_stop", index=number)


def anthropic_stream(case: Case) -> bytes:
    """Return a stream of message events."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    usage = {**_ANTHROPIC_USAGE, "output_tokens": 1}
    out = [
        _sse("message_start", message={**message, "stop_reason": None, "usage": usage}),
        _sse("ping"),
    ]
    for number, event in enumerate(case.events):
        out += _block_events(number, event, is_whole=case.reason is not None)
    if case.error == "overloaded":
        error = {"type": "overloaded_error", "message": "overloaded"}
        out.append(_sse("error", error=error))
    if case.reason is not None:
        delta = {"stop_reason": _ANTHROPIC_REASONS[case.reason], "stop_sequence": None}
        out.append(_sse("message_delta", delta=delta, usage={"output_tokens": COMPLETION}))
        out.append(_sse("message_stop"))
    return b"".join(out)


def anthropic_whole(case: Case) -> bytes:
    """Return one message."""
    assert case.reason is not None
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [_block(number, event) for number, event in enumerate(case.events)],
        "stop_reason": _ANTHROPIC_REASONS[case.reason],
        "stop_sequence": None,
        "usage": {**_ANTHROPIC_USAGE, "output_tokens": COMPLETION},
    }
    return json.dumps(message).encode()
