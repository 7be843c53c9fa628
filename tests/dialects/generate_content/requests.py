"""What the tests of requests share."""

import json
from typing import Any

from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.dialects.generate_content.request import read_request
from jarvis_proxy.errors import ProxyError

MODEL = "deepseek/deepseek-chat"


def read(*, strict: bool = False, **body: Any) -> CanonicalRequest:
    body.setdefault("contents", [user({"text": "Hi"})])
    return read_request(json.dumps(body).encode(), model=MODEL, strict=strict)


def chat(**body: Any) -> Any:
    return json.loads(read(**body).body)


def messages(*contents: Any, **more: Any) -> Any:
    return chat(contents=list(contents), **more)["messages"]


def refusal(**body: Any) -> ProxyError:
    try:
        read(**body)
    except ProxyError as error:
        return error
    raise AssertionError("it was not refused")


def config(**fields: Any) -> Any:
    """Return the chat parameters of a generationConfig."""
    found = chat(generationConfig=fields)
    found.pop("messages")
    return found


def user(*parts: Any) -> Any:
    return {"role": "user", "parts": list(parts)}


def model(*parts: Any) -> Any:
    return {"role": "model", "parts": list(parts)}


def called(name: str, args: Any = None, **more: Any) -> Any:
    return {"functionCall": {"name": name, "args": args or {}, **more}}


def returned(name: str, response: Any = None, **more: Any) -> Any:
    return {"functionResponse": {"name": name, "response": response or {}, **more}}


def outcome(body: bytes) -> CanonicalRequest | ProxyError:
    """Return what becomes of *body*, or why it is refused."""
    try:
        return read_request(body, model=MODEL)
    except ProxyError as error:
        return error
