"""How much one request may hold: values, messages, parts, tools, links. Pure.

The bounds are far above what a model can take, and keep a small body from becoming gigabytes of
objects. So a request takes at most about four times its body, plus a fixed amount.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from jarvis_proxy.canonical.chat_request import ChatMessage, ChatRequest, ContentPart
from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.json_limits import exceeds_values, rough_count, rough_count_in_text

MAX_VALUES: Final = 500_000
"""JSON values in a body, and again in the arguments and results of calls in it."""

MAX_MESSAGES: Final = 20_000
"""Messages, or input items."""

MAX_PARTS: Final = 20_000
"""Parts of all messages together, with the calls in them."""

MAX_TOOLS: Final = 512
MAX_LINKS: Final = 16
"""Links to download. Each becomes up to 27 MB of the request."""

_VALUE_BYTES: Final = 100
_OF_FOUR_BYTES: Final = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")
"""How characters of four bytes begin in UTF-8."""
_HIGH_HALVES: Final = tuple(rb"\u%c%c" % (first, second) for first in b"dD" for second in b"89abAB")
"""How their escapes begin."""


def check_values(body: bytes) -> None:
    """Refuse a body with too many values, before it is decoded.

    Raises:
        ProxyError: 400 `array_above_max_length`.
    """
    if exceeds_values(body, MAX_VALUES):
        raise _too_many(None, "JSON values in one request", MAX_VALUES)


def decoded_size(body: bytes) -> int:
    """Return about how many bytes of memory *body* takes when it is decoded, at the most.

    A text takes as many bytes for each character as its widest one needs.
    """
    return _width(body) * len(body) + _VALUE_BYTES * min(rough_count(body), MAX_VALUES)


def _width(body: bytes) -> int:
    # Searches for one thing each: a pattern of several takes ten times as long.
    if not body.isascii() and any(start in body for start in _OF_FOUR_BYTES):
        return 4
    if rb"\u" not in body:
        return 1 if body.isascii() else 2
    is_wide = rb"\ud" in body or rb"\uD" in body
    return 4 if is_wide and any(half in body for half in _HIGH_HALVES) else 2


def check_request(request: ChatRequest) -> None:
    """Refuse a request with too many messages, parts or tools.

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
    """Let a list of *length* pass that has *most* items at the most.

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
    """Refuse more links than are downloaded for one request; one that is given twice counts twice.

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
    """Yield the texts that are read as JSON: arguments and results."""
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
