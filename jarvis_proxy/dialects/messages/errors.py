"""Errors in the Messages API's form: as a response, and as the event that ends a stream. Pure.

Source: https://docs.claude.com/en/api/errors (read 2026-11), and Claude Code's reactions.
"""

import re
from typing import Final

import msgspec

from jarvis_proxy.canonical.client_api import ErrorAnswer
from jarvis_proxy.errors import LimitExceeded, ProxyError
from jarvis_proxy.wire.messages_types import error_body, error_event, error_type

_OVERLOADED: Final = 529
"""Anthropic's status for what is 503 elsewhere."""

_NUMBER: Final = re.compile(r"(?<!\d)\d{1,12}(?!\d)")
_LIMIT: Final = re.compile(
    r"(?:maximum|limit|allowed|context (?:length|size|window))[^\d]{0,60}(?<!\d)(\d{1,12})(?!\d)"
    r"|>\s*(\d{1,12})(?!\d)",
    re.IGNORECASE,
)
_TOO_LONG: Final = re.compile(
    r"prompt is too long|(?:maximum|available|exceeds?(?: the)?) context (?:length|size|window)"
    r"|input token count",
    re.IGNORECASE,
)
_LOOKED_AT: Final = 4096


class PromptSize(msgspec.Struct, frozen=True):
    """An estimate of a prompt's *tokens*, and *most*, its model's limit if known."""

    tokens: int = 0
    most: int | None = None


def request_id(call_id: str) -> str:
    """Return the id of a response, as in its ``request-id`` header and its errors."""
    return f"req_{call_id}"


def encode_error(error: ProxyError, call_id: str, size: PromptSize | None = None, /) -> ErrorAnswer:
    """Return *error* as the response to a request.

    *size* is used if the prompt was too long and the upstream gave no numbers.
    """
    headers = [("request-id", request_id(call_id))]
    if _is_final(error):
        headers.append(("x-should-retry", "false"))
    return ErrorAnswer(_status(error), tuple(headers), _body(error, call_id, size))


def encode_error_event(error: ProxyError, call_id: str, size: PromptSize | None = None, /) -> bytes:
    """Return *error* as the last event of a stream that has begun."""
    return error_event(_body(error, call_id, size))


def _body(error: ProxyError, call_id: str, size: PromptSize | None) -> bytes:
    if error.native:
        return error.native
    kind = error_type(_status(error))
    return error_body(kind, _message(error, size or PromptSize()), request_id(call_id))


def _status(error: ProxyError) -> int:
    if error.native:
        return error.status
    if error.retry_status == 402:
        # The upstream's account has no credit.
        return 402
    if _is_too_long(error):
        return 400
    return _OVERLOADED if error.status == 503 else error.status


def _is_final(error: ProxyError) -> bool:
    """Return whether clients must not retry; otherwise they retry for a minute."""
    if error.status == 401 or error.code == "insufficient_quota":
        return True
    return isinstance(error, LimitExceeded) and error.limit == "budget"


def _is_too_long(error: ProxyError) -> bool:
    if error.code == "context_length_exceeded":
        return True
    return error.status == 400 and _TOO_LONG.search(error.message[:_LOOKED_AT]) is not None


def _message(error: ProxyError, size: PromptSize) -> str:
    if _is_too_long(error):
        return _too_long(error.message[:_LOOKED_AT], size)
    if error.param and error.param not in error.message:
        return f"{error.param}: {error.message}"
    return error.message


def _too_long(message: str, size: PromptSize) -> str:
    """Return the message that makes Claude Code compact the conversation."""
    plain = message.replace(",", "")
    found = _LIMIT.search(plain)
    most = int(found[1] or found[2]) if found else size.most
    if most is None:
        return f"prompt is too long: {message}"
    larger = [number for number in map(int, _NUMBER.findall(plain)) if number > most]
    tokens = max(larger, default=max(size.tokens, most + 1))
    return f"prompt is too long: {tokens} tokens > {most} maximum"
