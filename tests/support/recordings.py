"""The recorded exchanges of the real services, where they are at hand."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

WIRE = Path(__file__).resolve().parents[3] / "shared" / "wire"
MISSING = "the recorded exchanges are not next to this checkout; golden files cover each feature"


def recordings(folder: str) -> list[Any]:
    """Return every exchange of *folder* as a pytest parameter named by its id."""
    files = sorted((WIRE / folder).glob("*.json")) if WIRE.is_dir() else []
    if not files:
        return [pytest.param(None, marks=pytest.mark.skip(reason=MISSING), id="no-recordings")]
    return [pytest.param(json.loads(path.read_text()), id=path.stem) for path in files]


def request_of(recording: dict[str, Any]) -> tuple[bytes, str]:
    """Return a recorded request's body and content type."""
    request = recording["request"]
    if request.get("body") is not None:
        return json.dumps(request["body"], ensure_ascii=False).encode(), "application/json"
    if "body_text" not in request and "body_base64" not in request:
        # Published without its request: any will do that asks for this kind of answer.
        stream = "sse" in recording["response"]
        return json.dumps({"model": "gpt-4o", "stream": stream}).encode(), "application/json"
    content_type = request.get("content_type", "application/json")
    if "body_base64" in request:
        return base64.b64decode(request["body_base64"]), content_type
    return str(request.get("body_text", "")).encode(), content_type


def response_of(recording: dict[str, Any]) -> tuple[bytes, str]:
    """Return a recorded response's body, as its upstream sent it, and its content type."""
    response = recording["response"]
    content_type = response.get("headers", {}).get("content-type")
    if "sse" in response:
        return response["sse"].encode(), content_type or "text/event-stream"
    if "body_base64" in response:
        return base64.b64decode(response["body_base64"]), content_type or "application/octet-stream"
    if "raw" in response:
        return response["raw"].encode(), content_type or "application/json"
    if "body_text" in response:
        return response["body_text"].encode(), content_type or "text/plain"
    body = json.dumps(response["body"], ensure_ascii=False, separators=(",", ":"))
    return body.encode(), content_type or "application/json"
