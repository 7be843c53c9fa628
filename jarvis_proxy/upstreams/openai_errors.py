"""Errors that OpenAI-compatible upstreams send instead of an answer. Pure.

Source: https://platform.openai.com/docs/guides/error-codes (read 2026-11).
"""

import re
from typing import Final

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.redaction import REDACTED
from jarvis_proxy.upstreams.error_shapes import SpokenError, find_error, is_answer, read_error
from jarvis_proxy.upstreams.json_values import Fields, fields_of, loads

_SECRETS: Final = re.compile(r"\b(?:sk-|AIza|Bearer\s+)[A-Za-z0-9_\-*.]{4,}")
_SECRETS_IN_BYTES: Final = re.compile(_SECRETS.pattern.encode())
_STATUS: Final = re.compile(r"[45][0-9]{2}")
_ADDRESS: Final = re.compile(r"about:|urn:|https?://|/")
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
_MINIMAX: Final = {
    1002: 429,
    1004: 401,
    1008: 402,
    1041: 429,
    2049: 401,
    2056: 429,
}
"""MiniMax's own codes about its key or its limits, with their HTTP status.

Source: https://platform.minimax.io/docs/api-reference/errorcode (read 2026-11).
"""


def redacted(message: str) -> str:
    """Return *message* without anything that looks like a key, limited in length."""
    return _SECRETS.sub(REDACTED, message)[:_MAX_MESSAGE]


def redact_bytes(body: bytes) -> bytes:
    """Return an error's *body* unchanged except for what looks like a key."""
    return _SECRETS_IN_BYTES.sub(REDACTED.encode(), body)


def error_from_body(body: bytes) -> ProxyError:
    """Return the error in a JSON answer with a status of 400 or above."""
    return read_error_value(_value(body))


def error_in_answer(body: bytes) -> ProxyError | None:
    """Return the error in a whole answer with status 200, None if it is an answer."""
    value = _value(body)
    if isinstance(value, list) and value:
        value = value[0]
    return None if is_answer(fields_of(value)) else error_from_value(value)


def error_from_object(raw: bytes) -> ProxyError:
    """Return the error in *raw*, the JSON value of ``error``, with its HTTP status."""
    return error_from_value({"error": _value(raw)}) or _error(SpokenError())


def error_from_value(value: object) -> ProxyError | None:
    """Return the error in a decoded object, with its HTTP status; None without one.

    Of a list the first object counts, as for Google.
    """
    spoken = find_error(_object(value))
    return None if spoken is None else _error(spoken)


def read_error_value(value: object) -> ProxyError:
    """Return a decoded value as an error, if a status or an event's name says that it is one."""
    return _error(read_error(_object(value)))


def _object(value: object) -> Fields:
    if isinstance(value, list) and value:
        value = value[0]
    return fields_of(value)


def _value(data: bytes) -> object:
    try:
        return loads(data)
    except ValueError:
        return None


def _error(spoken: SpokenError) -> ProxyError:
    """Return the error for the client; its status is its code if that is one, otherwise 502."""
    kind, code, message = _kind(spoken.type), _code(spoken.code), _text(spoken.message)
    meant = _MINIMAX.get(spoken.code) if isinstance(spoken.code, int) else None
    if code in _KEY_REFUSED or kind == "authentication_error" or meant == 401:
        # A client would blame its own key.
        return auth_failed("the upstream", message)
    error = ProxyError(
        _status(kind, code, spoken.status),
        message or "The upstream reported an error.",
        error_type=kind,
        code="upstream_error" if code is None else code,
        param=_text(spoken.param),
    )
    error.from_upstream, error.retry_status = True, meant
    return error


def _kind(value: object) -> str | None:
    # A problem's type is a URL (RFC 9457), which is meaningless to clients.
    text = _text(value)
    return None if text in (None, "error") or _ADDRESS.match(text or "") else text


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    # UTF-8 JSON cannot contain lone surrogates.
    return redacted(value.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _code(value: object) -> str | int | None:
    # A number that is no HTTP status is meaningless to clients, and may be of any length.
    if isinstance(value, int | float) and 400 <= value < 600:
        return int(value)
    return _text(value)


def _status(kind: str | None, code: str | int | None, status: object) -> int:
    if isinstance(code, int):
        return code
    if code in _STATUS_BY_CODE:
        return _STATUS_BY_CODE[code]
    if code is not None and _STATUS.fullmatch(code):
        return int(code)
    number = _code(status)
    if number is not None:
        return int(number)
    return _STATUS_BY_TYPE.get(kind or "", 502)


def auth_failed(upstream: str, reason: str | None = None) -> ProxyError:
    """Return the error for a refused key of the proxy, which is not the client's fault.

    *reason* is the upstream's message, for the log only: it is about the proxy's account.
    """
    error = ProxyError(
        502,
        f"The proxy's own key for {upstream} was refused. The operator of this proxy must set a "
        f"valid key for it.",
        code="upstream_auth_failed",
        should_retry=False,
    )
    error.from_upstream, error.reason = True, reason or ""
    return error


def no_credit(reason: str) -> ProxyError:
    """Return the error for an account without credit; another key may have some.

    *reason* is for the log only, as in ``auth_failed``.
    """
    error = ProxyError(
        429,
        "The proxy's account at the upstream has no credit left.",
        error_type="insufficient_quota",
        code="insufficient_quota",
        should_retry=False,
    )
    error.retry_status, error.reason = 402, reason
    return error
