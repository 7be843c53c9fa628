"""Estimates how many tokens the prompt of a canonical request has. Pure.

Clients plan with this count: if it is too low, they compact a conversation too late.
"""

import math
from typing import Any, Final

import msgspec

from jarvis_proxy.canonical.request import CanonicalRequest

_BYTES_A_TOKEN: Final = 3.5
_MESSAGE: Final = 8
_TOOL: Final = 40
_IMAGE: Final = 1600
_FILE_BYTES_A_TOKEN: Final = 60
_REQUEST: Final = msgspec.json.Decoder(dict[str, Any])


def estimate_tokens(request: CanonicalRequest) -> int:
    """Return a rather high estimate of the tokens in the prompt of *request*."""
    chat = _REQUEST.decode(request.body)
    tools, form = chat.get("tools") or [], chat.get("response_format")
    total = sum(_MESSAGE + _content(message) for message in chat["messages"])
    total += sum(_TOOL + _json(tool) for tool in tools) + (_json(form) if form else 0)
    return max(1, math.ceil(total))


def _content(message: dict[str, Any]) -> float:
    content = message.get("content") or ""
    parts = [{"text": content}] if isinstance(content, str) else content
    calls = (call.get("function") or call.get("custom") for call in message.get("tool_calls", ()))
    thoughts = message.get("thinking_blocks", ())
    return sum(map(_part, parts)) + sum(map(_json, calls)) + sum(map(_thought, thoughts))


def _part(part: dict[str, Any] | str) -> float:
    if isinstance(part, str):
        return _text(part)
    match part.get("type", "text"):
        case "image_url":
            return _IMAGE
        case "file" if isinstance(data := part["file"].get("file_data"), str):
            data = data.partition(",")[2]
            return len(data) * 3 / 4 / _FILE_BYTES_A_TOKEN
        case "file":
            # The length of a linked file is unknown.
            return _IMAGE
        case "text":
            return _text(part.get("text") or "")
        case _:
            return _json(part)


def _thought(block: dict[str, Any]) -> float:
    # A signature costs no tokens.
    return _text(block.get("thinking") or "")


def _text(text: str) -> float:
    return len(text.encode("utf-8", "replace")) / _BYTES_A_TOKEN


def _json(value: object) -> float:
    return len(msgspec.json.encode(value)) / _BYTES_A_TOKEN
