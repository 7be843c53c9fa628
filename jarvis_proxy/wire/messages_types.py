"""The parts of the Messages API that the proxy itself writes: errors and heartbeats. Pure.

Source: https://docs.claude.com/en/api/errors and /en/api/messages-streaming (read 2026-11).
"""

from typing import Final, Literal

import msgspec

ErrorType = Literal[
    "api_error",
    "authentication_error",
    "billing_error",
    "invalid_request_error",
    "not_found_error",
    "overloaded_error",
    "permission_error",
    "rate_limit_error",
    "request_too_large",
    "timeout_error",
]
"""The error types for which the official SDKs have classes."""

PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'
"""The heartbeat. Clients accept it anywhere, even before ``message_start``."""

STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
"""The last event of a stream. Without it, the SDK for Node fails."""

BILLING_HEADER: Final = "x-anthropic-billing-header:"
"""The prefix of a system text that Claude Code means for Anthropic only.

The text changes with each version, so elsewhere it only prevents prompt caching.
"""


_TYPES: Final[dict[int, ErrorType]] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class _Error(msgspec.Struct):
    type: str
    message: str


class _Answer(msgspec.Struct, tag_field="type", tag="error"):
    error: _Error
    request_id: str | None


def error_type(status: int) -> ErrorType:
    """Return the type of an error with an HTTP status ≥ 400."""
    return _TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def error_body(kind: ErrorType, message: str, request_id: str | None) -> bytes:
    """Return ``{"type":"error","error":{"type","message"},"request_id"}``."""
    return msgspec.json.encode(_Answer(_Error(kind, message), request_id))


def error_event(body: bytes) -> bytes:
    """Return the event that ends a stream with the error *body*.

    Without ``event:``, the Python SDK drops the event and accepts half an answer as whole.
    """
    return b"event: error\ndata: " + body + b"\n\n"
