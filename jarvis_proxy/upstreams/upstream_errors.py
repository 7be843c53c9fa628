"""Errors that OpenAI-compatible upstreams put in place of an answer. Pure.

Source: https://platform.openai.com/docs/guides/error-codes (read 2026-11).
"""

import re
from typing import Final

import msgspec

from jarvis_proxy.errors import ProxyError, default_type

_SECRETS: Final = re.compile(r"\b(?:sk-|AIza|Bearer\s+)[A-Za-z0-9_\-*.]{4,}")
_MAX_MESSAGE: Final = 1000

_STATUS_BY_CODE: Final = {
    "context_length_exceeded": 400,
    "insufficient_quota": 429,
    "invalid_api_key": 502,
    "model_not_found": 404,
    "rate_limit_exceeded": 429,
    "server_overloaded": 503,
    "overloaded": 503,
}
_STATUS_BY_TYPE: Final = {
    "authentication_error": 502,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "overloaded_error": 503,
    "permission_error": 403,
    "rate_limit_error": 429,
    "requests": 429,
    "tokens": 429,
}


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


def redacted(message: str) -> str:
    """Return *message* without anything that looks like a key, cut to a sane length."""
    return _SECRETS.sub("[redacted]", message)[:_MAX_MESSAGE]


class _Body(msgspec.Struct):
    error: msgspec.Raw


def error_from_body(body: bytes) -> ProxyError:
    """Return the error that a whole JSON answer ``{"error": ...}`` speaks of."""
    try:
        return error_from_object(bytes(msgspec.json.decode(body, type=_Body).error))
    except msgspec.MsgspecError:
        return error_from_object(b"null")


def error_from_object(raw: bytes) -> ProxyError:
    """Return the error that *raw*, the JSON behind ``error``, speaks of, with its HTTP status."""
    try:
        error = msgspec.json.decode(raw, type=_Error | str | None)
    except msgspec.MsgspecError:
        error = None
    if isinstance(error, str):
        error = _Error(message=error)
    if error is None:
        error = _Error()
    status = _status(error)
    return ProxyError(
        status,
        redacted(error.message or "The upstream reported an error."),
        error_type=error.type if error.type not in (None, "error") else default_type(status),
        code=error.code if error.code is not None else "upstream_error",
        param=error.param,
    )


def _status(error: _Error) -> int:
    if isinstance(error.code, int) and 400 <= error.code < 600:
        return error.code
    if isinstance(error.code, str):
        if error.code in _STATUS_BY_CODE:
            return _STATUS_BY_CODE[error.code]
        if error.code.isdecimal() and 400 <= int(error.code[:4]) < 600:
            return int(error.code)
    return _STATUS_BY_TYPE.get(error.type or "", 502)


def auth_failed(upstream: str) -> ProxyError:
    """Return the error for our own key being refused: the client's key is not to blame."""
    return ProxyError(
        502,
        f"The proxy's own key for {upstream} was refused. Whoever runs this proxy must set a "
        f"valid key for it.",
        code="upstream_auth_failed",
        should_retry=False,
    )
