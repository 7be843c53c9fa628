"""What upstreams stream to the playground."""

import json


def event(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    """Return one chunk of an OpenAI stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**head, "choices": [choice], **more}).encode() + b"\n\n"


def google_event(text: str, **more: object) -> bytes:
    """Return one event of a Gemini stream; *more*: fields of the candidate, or `thought`."""
    part = {"text": text, "thought": bool(more.pop("thought", False))}
    candidate = {"content": {"parts": [part], "role": "model"}, "index": 0, **more}
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 12}
    frame = {"candidates": [candidate], "usageMetadata": usage}
    return b"data: " + json.dumps(frame).encode() + b"\r\n\r\n"
