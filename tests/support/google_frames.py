"""Frames and errors of Google's API, for tests of its clients."""

import json
from typing import Any

from google import genai
from google.genai import types

JSON = dict[str, Any]
USAGE = {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 12}


def frame(text: str = "", **candidate: Any) -> bytes:
    """Return a frame's JSON, with spaces as Google writes it."""
    content = {"parts": [{"text": text}], "role": "model"}
    answer: JSON = {"candidates": [{"content": content, "index": 0, **candidate}]}
    if candidate:
        answer["usageMetadata"] = USAGE
    return json.dumps(answer, ensure_ascii=False).encode()


def events(*frames: bytes) -> bytes:
    """Return frames as a stream of events."""
    return b"".join(b"data: %b\r\n\r\n" % one for one in frames)


STREAM = events(frame("Grüße "), frame("👋"), frame("", finishReason="STOP"))


def google_error(code: int, status: str, **details: Any) -> bytes:
    """Return an error's body."""
    typed = [{"@type": f"type.googleapis.com/google.rpc.{n}", **v} for n, v in details.items()]
    error = {"code": code, "message": f"It is {status}.", "status": status, "details": typed}
    return json.dumps({"error": error}, indent=2).encode()


def genai_client(url: str, key: str) -> genai.Client:
    """Return Google's SDK, which asks once only."""
    options = types.HttpOptions(
        base_url=url, retry_options=types.HttpRetryOptions(attempts=1), timeout=20_000
    )
    return genai.Client(api_key=key, vertexai=False, http_options=options)
