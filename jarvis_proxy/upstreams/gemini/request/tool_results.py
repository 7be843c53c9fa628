"""Converts tool results to function responses. Pure.

Source: https://ai.google.dev/gemini-api/docs/function-calling (read 2026-11).
"""

from dataclasses import dataclass, field
from typing import Final

from jarvis_proxy.canonical.chat_request import ChatMessage
from jarvis_proxy.canonical.json_values import (
    InvalidJSON,
    compact,
    contains_key,
    parse,
    survives_as_doubles,
)
from jarvis_proxy.upstreams.gemini.model_traits import ModelTraits
from jarvis_proxy.upstreams.gemini.request.content import ContentReader
from jarvis_proxy.upstreams.gemini.request.types import FunctionResponse, FunctionResponsePart, Part

MISSING: Final = "no result was provided for this tool call"

_INSIDE: Final = frozenset(("image/png", "image/jpeg", "image/webp", "application/pdf"))
"""Media types allowed inside a function response (text/plain too, which is sent as text)."""

_NOUNS: Final = {"image": "image", "audio": "audio", "video": "video"}


@dataclass(slots=True)
class Result:
    """A function response, and the parts that must follow it."""

    response: FunctionResponse
    extra_parts: list[Part] = field(default_factory=list)


def missing_result(name: str, call_id: str | None) -> Result:
    """Return a response for a call without one: Google compares the numbers of both."""
    return Result(FunctionResponse(name, {"error": MISSING}, call_id))


def read_result(
    message: ChatMessage, param: str, reader: ContentReader, traits: ModelTraits, *, name: str
) -> Result:
    """Return the content of a tool message; the caller adds the call's id.

    Pictures go inside the response if the model accepts them there, otherwise after it, each one
    after a line that names its call. There is no displayName and no ``$ref`` to it, because newer
    models reject them.

    Raises:
        ProxyError: 400, the content cannot be read.
    """
    parts = reader.parts(message.content, f"{param}.content", past=True)
    text = "\n".join(part.text for part in parts if part.text is not None)
    media = [part for part in parts if part.text is None]
    inside = [part for part in media if traits.response_media and _fits_inside(part)]
    value = {} if inside and not text else _value(text)
    if message.is_error is True:
        value = _failure(value)
    response = FunctionResponse(name, value)
    if inside:
        response.parts = [FunctionResponsePart(part.inline_data) for part in inside]
    result = Result(response)
    for part in media:
        if part not in inside:
            result.extra_parts += [Part(text=f"[{_noun(part)} returned by {name}]"), part]
    return result


def _value(text: str) -> dict[str, object]:
    """Return a result's text as the object that Google requires.

    An object stays one, with two exceptions that stay text: a key ``$ref`` makes Gemini look for
    media of that name, and integers above 2**53 would change.
    """
    try:
        value = parse(text)
    except InvalidJSON:
        return {"output": text}
    if contains_key(value, "$ref") or not survives_as_doubles(value):
        return {"output": text}
    if isinstance(value, dict):
        return value
    if not isinstance(value, list) and compact(value) != text.strip():
        # "1.10" may be a version, which must not become 1.1.
        return {"output": text}
    return {"output": value}


def _failure(value: dict[str, object]) -> dict[str, object]:
    """Return the result of a failed call in the form that Google documents for it."""
    if "error" in value:
        return value
    return {"error": value["output"] if value.keys() == {"output"} else value}


def _fits_inside(part: Part) -> bool:
    return part.inline_data is not None and part.inline_data.mime_type in _INSIDE


def _noun(part: Part) -> str:
    data = part.inline_data or part.file_data
    mime = (data.mime_type if data else None) or ""
    return _NOUNS.get(mime.partition("/")[0], "file")
