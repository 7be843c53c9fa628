"""Errors that OpenAI-compatible upstreams put in place of an answer. Pure.

Source: https://platform.openai.com/docs/guides/error-codes (read 2026-11).
"""

import re
from typing import Any, Final

import msgspec

from jarvis_proxy.errors import HIDDEN, ProxyError

_SECRETS: Final = re.compile(r"\b(?:sk-|AIza|Bearer\s+)[A-Za-z0-9_\-*.]{4,}")
_SECRETS_IN_BYTES: Final = re.compile(_SECRETS.pattern.encode())
_STATUS: Final = re.compile(r"[45][0-9]{2}")
_MAX_MESSAGE: Final = 1000

_KEY_REFUSED: Final = (401, "401", "invalid_api_key", "invalid_authentication")
_STATUS_BY_CODE: Final = {
    "context_length_exceeded": 400,
    "insufficient_quota": 429,
    "model_not_found": 404,
    "rate_limit_exceeded": 429,
    "server_overloaded": 503,
    "overloaded": 503,
}
_STATUS_BY_TYPE: Final = {
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
    """An error as upstreams write it: with fields of any type, none of which may hide the rest."""

    message: Any = None
    type: Any = None
    param: Any = None
    code: Any = None


def redacted(message: str) -> str:
    """Return *message* without anything that looks like a key, cut to a sane length."""
    return _SECRETS.sub(HIDDEN, message)[:_MAX_MESSAGE]


def without_keys(body: bytes) -> bytes:
    """Return an error's *body* as it is, but for what looks like a key."""
    return _SECRETS_IN_BYTES.sub(HIDDEN.encode(), body)


class _Body(msgspec.Struct):
    error: msgspec.Raw


def error_from_body(body: bytes) -> ProxyError:
    """Return the error that a whole JSON answer ``{"error": ...}`` speaks of."""
    try:
        raw = bytes(msgspec.json.decode(body, type=_Body).error)
    except (ValueError, RecursionError):
        raw = b"null"
    return error_from_object(raw)


def error_from_object(raw: bytes) -> ProxyError:
    """Return the error that *raw*, the JSON behind ``error``, speaks of, with its HTTP status."""
    try:
        found = msgspec.json.decode(raw, type=_Error | str | None)
    except (ValueError, RecursionError):
        found = None
    error = found if isinstance(found, _Error) else _Error(message=found)
    kind, code = _text(error.type), _code(error.code)
    if code in _KEY_REFUSED or kind == "authentication_error":
        return auth_failed("the upstream")  # a client would take it for its own key
    status = _status(kind, code)
    return ProxyError(
        status,
        _text(error.message) or "The upstream reported an error.",
        error_type=None if kind == "error" else kind,
        code="upstream_error" if code is None else code,
        param=_text(error.param),
    )


def _text(value: object) -> str | None:
    return redacted(value) if isinstance(value, str) else None


def _code(value: object) -> str | int | None:
    # A number that is no HTTP status says nothing to a client, and may be of any length.
    if isinstance(value, int | float) and 400 <= value < 600:
        return int(value)
    return _text(value)


def _status(kind: str | None, code: str | int | None) -> int:
    if isinstance(code, int):
        return code
    if code in _STATUS_BY_CODE:
        return _STATUS_BY_CODE[code]
    if code is not None and _STATUS.fullmatch(code):
        return int(code)
    return _STATUS_BY_TYPE.get(kind or "", 502)


def auth_failed(upstream: str) -> ProxyError:
    """Return the error for our own key being refused: the client's key is not to blame."""
    return ProxyError(
        502,
        f"The proxy's own key for {upstream} was refused. Whoever runs this proxy must set a "
        f"valid key for it.",
        code="upstream_auth_failed",
        should_retry=False,
    )
