"""Translates errors of a chat completions upstream: status, code, and how long to wait. Pure.

Sources: https://platform.openai.com/docs/guides/error-codes,
https://api-docs.deepseek.com/quick_start/error_codes (read 2026-11), and recorded error answers.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.openai_errors import auth_failed, no_credit
from jarvis_proxy.upstreams.refusal_body import read_refusal
from jarvis_proxy.wire.headers import retry_after

TOO_LONG: Final = "context_length_exceeded"
_TOO_LONG: Final = re.compile(
    r"context[ _](?:length|window|size)|maximum model length|prompt is too long"
    r"|exceed\w*\b.{0,40}\btoken limit|token count\b.{0,60}\bexceeds|prompt exceeds max length"
    r"|input tokens exceed|reduce the length of the messages",
    re.IGNORECASE | re.DOTALL,
)
_NUMBER: Final = r"(\d[\d,]{0,12})"
_LIMIT: Final = re.compile(
    rf"(?:maximum|limit|available|allowed|longest)\b[^\d.;]{{0,60}}{_NUMBER}"
    rf"|(?:>|model with) {_NUMBER}",
    re.IGNORECASE,
)
_NUMBERS: Final = re.compile(_NUMBER)
_MAX_READ: Final = 8192
"""Most characters of a message that are searched, because it comes from outside."""
_TOO_LONG_STATUSES: Final = (400, 413, 422)
_REFUSALS: Final = (400, 422)
_MESSAGE: Final = re.compile(r"messages(?:\.?\[|\.)(\d{1,5})\]?")


def translate_error(
    status: int, headers: Mapping[str, str], body: bytes, *, upstream: str, now: float
) -> ProxyError:
    """Return the client's error for an upstream's *status* ≥ 400; its param is the upstream's.

    *now* is in epoch seconds. A prompt that is too long is reported in OpenAI's wording, with both
    numbers of tokens if the upstream gives them.
    """
    error, _ = read_refusal(status, headers.get("content-type", ""), body)
    if status == 401 or error.code == "upstream_auth_failed":
        return auth_failed(upstream, error.reason or error.message)
    if status == 402:
        refused = no_credit(error.message)
        refused.from_upstream = True
        return refused
    error.from_upstream = True
    if is_too_long(error):
        return too_long(error)
    if status == 529:
        error.status = 503
    if error.status in (429, 503):
        error.retry_after = retry_after(headers, now)
    return error


def late(error: ProxyError, body: bytes) -> ProxyError:
    """Return *error*, which arrived as *body* with a status of 200, as if with its own status."""
    if is_too_long(error):
        return too_long(error)
    if error.status in _REFUSALS:
        error.refusal = body
    return error


def is_too_long(error: ProxyError) -> bool:
    """Return whether *error* means that the prompt exceeds the model's limit."""
    if error.code == TOO_LONG or error.error_type == "exceed_context_size_error":
        return True
    is_fit = error.status in _TOO_LONG_STATUSES
    return is_fit and _TOO_LONG.search(error.message[:_MAX_READ]) is not None


def too_long(error: ProxyError) -> ProxyError:
    """Return *error* in OpenAI's wording, with its numbers if it has both."""
    message = error.message
    if (found := _lengths(message[:_MAX_READ])) is not None:
        given, most = found
        message = (
            f"This model's maximum context length is {most} tokens. However, your messages "
            f"resulted in {given} tokens. Please reduce the length of the messages."
        )
    refusal = ProxyError(400, message, error_type="invalid_request_error", code=TOO_LONG)
    refusal.from_upstream = True
    return refusal


def _lengths(message: str) -> tuple[int, int] | None:
    """Return the prompt's tokens and the model's limit, None unless the message has both."""
    limit = _LIMIT.search(message)
    if limit is None:
        return None
    most = _number(limit[1] or limit[2])
    given = max(map(_number, _NUMBERS.findall(message)))
    return (given, most) if given > most > 0 else None


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def relocated(error: ProxyError, origins: Sequence[int]) -> ProxyError:
    """Return *error* about a message as sent, as one about the canonical message.

    *origins* are the indices of the canonical messages, in the order sent.
    """
    if error.param is None or (found := _MESSAGE.match(error.param)) is None:
        return error
    sent = int(found[1])
    if sent < len(origins):
        error.param = f"messages[{origins[sent]}]{error.param[found.end() :]}"
    return error
