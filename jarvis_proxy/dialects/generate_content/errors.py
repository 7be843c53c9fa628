"""Errors in Google's form: as a body, and in a stream that has begun. Pure.

Source: https://cloud.google.com/apis/design/errors, https://ai.google.dev/gemini-api/docs/troubleshooting
(read 2026-11).
"""

import math
import re
from typing import Any, Final

import msgspec

from jarvis_proxy.errors import ProxyError

_STATUSES: Final = {
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    504: "DEADLINE_EXCEEDED",
}
_RPC: Final = "type.googleapis.com/google.rpc."
_DOMAIN: Final = "jarvis"
_REASONS: Final = {"invalid_api_key": "API_KEY_INVALID"}
"""Google's own words, which clients look for; Home Assistant tells a wrong key by this one."""
_NOT_SOON: Final = 3600.0
"""Seconds to wait for an exhausted quota.

Gemini CLI retries ten times, for minutes, if the wait is unknown or at most 300 s. It obeys no
other sign of Google's API.
"""
_NOT_UPPER: Final = re.compile(r"[^A-Z0-9_]")
# OpenAI and similar services name the limit first, Anthropic names the count first.
_LIMIT_FIRST: Final = re.compile(r"maximum context length is (\d+) tokens.*?(\d+) tokens", re.S)
_COUNT_FIRST: Final = re.compile(r"(\d+) tokens? > (\d+)|token count \((\d+)\).*?\((\d+)\)", re.S)


def error_body(error: ProxyError) -> bytes:
    """Return Google's JSON error object; the upstream's own one if it came from Google.

    ``{"error":{"code","message","status","details"}}``; ``code`` is the HTTP status.
    """
    if error.native:
        return error.native
    fields = {
        "code": error.status,
        "message": _message(error),
        "status": status_word(error.status),
        "details": _details(error),
    }
    return msgspec.json.encode({"error": fields})


def error_object(error: ProxyError) -> bytes:
    """Return the error object for use in a stream, without the array that may surround it."""
    body = error_body(error)
    if not body.lstrip().startswith(b"["):
        return body
    errors = msgspec.json.decode(body, type=list[msgspec.Raw])
    return bytes(errors[0]) if errors else b"{}"


def status_word(status: int) -> str:
    """Return Google's name for an HTTP *status* ≥ 400."""
    if status in _STATUSES:
        return _STATUSES[status]
    return "INVALID_ARGUMENT" if status < 500 else "UNAVAILABLE"


def _message(error: ProxyError) -> str:
    """Return the message; for a too long prompt, in Google's wording, which clients know."""
    if error.code != "context_length_exceeded":
        return error.message
    if (found := _LIMIT_FIRST.search(error.message)) is not None:
        limit, count = found[1], found[2]
    elif (found := _COUNT_FIRST.search(error.message)) is not None:
        count, limit = (number for number in found.groups() if number is not None)
    else:
        return error.message
    return (
        f"The input token count ({count}) exceeds the maximum number of tokens allowed ({limit})."
    )


def _wait(error: ProxyError) -> float | None:
    """Return the seconds to wait before a retry, None if unknown."""
    is_used_up = error.code == "insufficient_quota" and error.retry_after is None
    return _NOT_SOON if is_used_up else error.retry_after


def _details(error: ProxyError) -> list[dict[str, Any]]:
    word = str(error.code or error.error_type)
    reason = _REASONS.get(word) or _NOT_UPPER.sub("_", word.upper())
    details: list[dict[str, Any]] = [
        {"@type": f"{_RPC}ErrorInfo", "reason": reason, "domain": _DOMAIN}
    ]
    if error.param:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_RPC}BadRequest", "fieldViolations": [violation]})
    wait = _wait(error)
    if wait is not None:
        seconds = max(1, math.ceil(wait))
        details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": f"{seconds}s"})
    return details
