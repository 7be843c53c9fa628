"""Bounds on one request: values, messages, parts, tools, links. Pure.

The bounds are far above what a model accepts. They prevent a small body from becoming gigabytes of
objects: a request takes at most about four times its body, plus a fixed amount.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from jarvis_proxy.canonical.chat_request import ChatMessage, ChatRequest, ContentPart
from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.json_limits import exceeds_values, rough_count, rough_count_in_text

MAX_VALUES: Final = 500_000
"""Most JSON values in a body, and again in the arguments and results of its calls."""

MAX_MESSAGES: Final = 20_000
"""Most messages or input items."""

MAX_PARTS: Final = 20_000
"""Most parts of all messages together, including their calls."""

MAX_TOOLS: Final = 512
MAX_LINKS: Final = 16
"""Most links to download. Each may add 27 MB to the request."""

_VALUE_BYTES: Final = 100
_OF_FOUR_BYTES: Final = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")
"""The first bytes of characters that take four bytes in UTF-8."""
_HIGH_HALVES: Final = tuple(rb"\u%c%c" % (first, second) for first in b"dD" for second in b"89abAB")
"""The beginnings of escapes of such characters (high surrogates)."""


def check_values(body: bytes) -> None:
    """Reject a body with too many values before it is decoded.

    Raises:
        ProxyError: 400 `array_above_max_length`.
    """
    if exceeds_values(body, MAX_VALUES):
        raise _too_many(None, "JSON values in one request", MAX_VALUES)


def decoded_size(body: bytes) -> int:
    """Return an upper estimate of the memory, in bytes, that *body* takes when decoded.

    Every character of a str takes as much memory as its widest character needs.
    """
    return _width(body) * len(body) + _VALUE_BYTES * min(rough_count(body), MAX_VALUES)


def _width(body: bytes) -> int:
    # Search for one literal at a time: a pattern of several takes ten times as long.
    if not body.isascii() and any(start in body for start in _OF_FOUR_BYTES):
        return 4
    if rb"\u" not in body:
        return 1 if body.isascii() else 2
    is_wide = rb"\ud" in body or rb"\uD" in body
    return 4 if is_wide and any(half in body for half in _HIGH_HALVES) else 2


def check_request(request: ChatRequest) -> None:
    """Reject a request with too many messages, parts or tools.

    Raises:
        ProxyError: 400 `array_above_max_length`.
    """
    messages = request.messages
    check_length("messages", len(messages), MAX_MESSAGES)
    check_length("tools", len(request.tools or ()), MAX_TOOLS)
    if sum(map(_parts, messages)) > MAX_PARTS:
        raise _too_many("messages", "parts and calls in all messages", MAX_PARTS)
    if sum(map(rough_count_in_text, _json_texts(messages))) > MAX_VALUES:
        what = "JSON values in the arguments and results of all calls"
        raise _too_many("messages", what, MAX_VALUES)


def check_length(param: str, length: int, most: int) -> None:
    """Reject a list of *length* items if that is more than *most*.

    Raises:
        ProxyError: 400 `array_above_max_length`.
    """
    if length > most:
        message = (
            f"Invalid '{param}': array too long. Expected an array with maximum length {most}, "
            f"but got an array with length {length} instead."
        )
        raise invalid(param, message, "array_above_max_length")


def check_links(count: int) -> None:
    """Reject more links than may be downloaded for one request; duplicates count.

    Raises:
        ProxyError: 400 `array_above_max_length`.
    """
    if count > MAX_LINKS:
        message = (
            f"At most {MAX_LINKS} links are downloaded for one request, and this one has {count}. "
            "Send the others as data URLs."
        )
        raise invalid("messages", message, "array_above_max_length")


def _parts(message: ChatMessage) -> int:
    content = message.content
    parts = len(content) if isinstance(content, list) else 1
    return parts + len(message.tool_calls or ())


def _json_texts(messages: Iterable[ChatMessage]) -> Iterator[str]:
    """Yield the texts that are parsed as JSON: arguments and results."""
    for message in messages:
        for call in message.tool_calls or ():
            if call.function is not None and isinstance(call.function.arguments, str):
                yield call.function.arguments
        past = message.function_call
        if past is not None and isinstance(past.arguments, str):
            yield past.arguments
        if message.role in ("tool", "function"):
            yield from _texts(message)


def _texts(message: ChatMessage) -> Iterator[str]:
    if isinstance(message.content, str):
        yield message.content
    for part in message.content if isinstance(message.content, list) else ():
        text = part.text if isinstance(part, ContentPart) else part
        if text is not None and text.lstrip()[:1] in ("[", "{"):
            yield text


def _too_many(param: str | None, what: str, most: int) -> ProxyError:
    return ProxyError(
        400,
        f"There are too many {what}: {most} is the most for Gemini models.",
        code="array_above_max_length",
        param=param,
        should_retry=False,
    )
