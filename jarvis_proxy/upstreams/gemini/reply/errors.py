"""Translates Google's errors to OpenAI's: status, type, code and advice on retries. Pure.

Google only ever sees the proxy's own key, so a refused key is never the client's.

Source: https://ai.google.dev/gemini-api/docs/troubleshooting (read 2026-11).
"""

import re
from collections.abc import Mapping
from typing import Final

from jarvis_proxy.canonical.exchange import RetryableError
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.recovery import SIGNATURE_FAULT
from jarvis_proxy.upstreams.gemini.reply.error_body import (
    GoogleError,
    ParsedError,
    clean,
    page_excerpt,
    parse_body,
    parse_error,
    read_delay,
)


def translate_error(
    status: int, body: bytes, *, model: str, headers: Mapping[str, str] | None = None
) -> ProxyError:
    """Return the client's error for an upstream answer with *status* ≥ 400.

    *model* is the client's name of the model. ``retry_after`` is Google's hint in seconds,
    unchanged: the shell decides how much of it the client sees.
    """
    error = parse_body(body)
    fault = ParsedError(_foreign(status, body) if error is None else error)
    if fault.retry_delay is None:
        fault.retry_delay = read_delay((headers or {}).get("retry-after", ""))
    return _map(status, fault, model)


def error_in_answer(raw: bytes, *, model: str) -> ProxyError:
    """Return the error for *raw*, the value of ``error`` in an answer with status 200."""
    return _map_in_stream(parse_error(raw), model, b'{"error":' + raw + b"}")


def error_in_text(text: bytes, *, model: str) -> ProxyError | None:
    """Return the error in *text*, a JSON object or an array of them; None if it has none.

    Google ends a failed stream with such a text in place of an event.
    """
    error = parse_body(text)
    return None if error is None else _map_in_stream(error, model, text)


def message_of(body: bytes) -> str:
    """Return Google's message in an error body, or ``""``; clients must not see it."""
    error = parse_body(body)
    return "" if error is None else error.message or ""


def malformed_reply(native: str, *, retryable: bool) -> ProxyError:
    """Return the error for an answer with only a call that the upstream could not parse."""
    kind = RetryableError if retryable else ProxyError
    message = f"The model's answer was unusable ({clean(native)[:64]})."
    return kind(502, message, code="upstream_malformed_response")


# -- the table -------------------------------------------------------------------------------

_STATUS_CODES: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_KEY_FAULT: Final = re.compile(r"api[ _]key (?:not valid|expired|not found|invalid)", re.I)
# A 403 about something that the client named. Every other 403 concerns the proxy's own key.
_CLIENTS_THING: Final = re.compile(
    r"\b(?:files?/|the file\b|cached ?contents?\b|tuned ?models?\b)", re.I
)
# Google's exact wording is unverified; a miss only leaves the code at invalid_argument.
_TOO_LONG: Final = re.compile(
    r"token count\b.*\bexceeds|exceeds the (?:maximum|model's).*\btokens|context (?:length|window)",
    re.I | re.S,
)
_LOCATION: Final = re.compile(r"location is not supported", re.I)
_TOO_LARGE: Final = re.compile(r"payload size exceeds|request (?:payload|entity).{0,40}large", re.I)
_NO_QUOTA: Final = re.compile(r"\blimit: ?0(?![\d.])")


def _map_in_stream(error: GoogleError, model: str, body: bytes) -> ProxyError:
    """Map an error that arrived after status 200: it names its own status."""
    code = error.code or 0
    named = _STATUS_CODES.get((error.status or "").upper(), 502)
    mapped = _map(code if 400 <= code < 600 else named, ParsedError(error), model)
    if mapped.status == 400:
        mapped.refusal = body
    return mapped


def _map(status: int, fault: ParsedError, model: str) -> ProxyError:
    match status:
        case 400 | 413:
            return _map_400(status, fault)
        case 401 | 403:
            return _map_refusal(status, fault)
        case 404:
            return _map_404(fault, model)
        case 402 | 429:
            return _map_quota(status, fault)
        case _:
            return _map_rest(status, fault)


def _map_400(status: int, fault: ParsedError) -> ProxyError:
    message = fault.message
    if fault.reason == "API_KEY_INVALID" or _KEY_FAULT.search(message):
        return _auth_failed(fault)
    if status == 413 or _TOO_LARGE.search(message):
        return _error(413, fault, "request_too_large", "The request is too large.")
    if SIGNATURE_FAULT.search(message):
        return _error(400, fault, "invalid_thought_signature")
    if _LOCATION.search(message):
        # The code is OpenAI's own.
        code = "unsupported_country_region_territory"
        return _error(403, fault, code, error_type="request_forbidden")
    if _TOO_LONG.search(message):
        return _error(400, fault, "context_length_exceeded")
    if fault.status == "FAILED_PRECONDITION":
        return _error(400, fault, "failed_precondition")
    return _error(400, fault, "invalid_argument", param=_param(fault))


def _map_refusal(status: int, fault: ParsedError) -> ProxyError:
    if status == 403 and _CLIENTS_THING.search(fault.message):
        return _error(403, fault, "permission_denied", error_type="permission_error")
    return _auth_failed(fault)


def _auth_failed(fault: ParsedError) -> ProxyError:
    reason = f" ({fault.reason})" if re.fullmatch("[A-Z_]{1,64}", fault.reason) else ""
    return ProxyError(
        502,
        f"The proxy's own key for Gemini was refused{reason}. "
        "The operator of this proxy must set a valid key for it.",
        code="upstream_auth_failed",
        should_retry=False,
    )


def _map_404(fault: ParsedError, model: str) -> ProxyError:
    if fault.message and "model" not in fault.message.lower():
        # The error is about a file or cached content.
        return _error(404, fault, "not_found")
    message = f"The model `{model[:64]}` does not exist or is not available here."
    return ProxyError(404, message, code="model_not_found")


def _map_quota(status: int, fault: ParsedError) -> ProxyError:
    # Google's message for a per-minute limit is "You exceeded your current quota, please check your
    # plan", and free-tier samples name a PerDay quota with a delay of 36 s. So a retry delay takes
    # precedence over both. Only if the limit is zero does waiting not help.
    daily = fault.retry_delay is None and any("perday" in name.lower() for name in fault.quota_ids)
    if status == 402 or daily or _NO_QUOTA.search(fault.message):
        return ProxyError(
            429,
            clean(fault.message) or "The upstream's quota is used up.",
            error_type="insufficient_quota",
            code="insufficient_quota",
            should_retry=False,
        )
    return _error(429, fault, "rate_limit_exceeded", "The upstream's rate limit is reached.")


def _map_rest(status: int, fault: ParsedError) -> ProxyError:
    match status:
        case 499:
            words = "The upstream cancelled the call."
            return _error(499, fault, "cancelled", words, error_type="server_error")
        case 503 | 529:
            return _error(503, fault, "overloaded", "The upstream is overloaded.")
        case 504:
            return _error(504, fault, "timeout", "The upstream took too long.")
        case 500 | 501:
            return _error(500, fault, "internal_error", "The upstream failed.")
        case _ if status > 500:
            # 502, and 520 to 527: a content delivery network in front of the upstream.
            return _error(502, fault, "upstream_bad_response", "The upstream's gateway failed.")
        case _:
            return _error(status, fault, fault.status.lower() or "invalid_request")


def _foreign(status: int, body: bytes) -> GoogleError:
    """Return a body that is not Google's as an error with the page's first words.

    A 404's text would mislead. Most likely GEMINI_BASE_URL is wrong, and the text names a path that
    the client did not request.
    """
    return GoogleError(message=None if status == 404 else page_excerpt(body))


def _error(
    status: int,
    fault: ParsedError,
    code: str,
    words: str = "The upstream refused the request.",
    *,
    error_type: str | None = None,
    param: str | None = None,
) -> ProxyError:
    return ProxyError(
        status,
        clean(fault.message) or words,
        error_type=error_type,
        code=code,
        param=param,
        retry_after=fault.retry_delay if status in (429, 503) else None,
    )


# -- which parameter -------------------------------------------------------------------------

_DECLARATION: Final = re.compile(r"function_?declarations\[(\d{1,4})\]", re.I)
_PARAMS: Final = (
    (re.compile(r"response_?(?:json_?)?schema|response_?mime", re.I), "response_format"),
    (re.compile(r"thinking[ _]?(?:config|level|budget)", re.I), "reasoning_effort"),
    (re.compile(r"max_?output_?tokens", re.I), "max_completion_tokens"),
    (re.compile(r"stop_?sequences", re.I), "stop"),
    (re.compile(r"tool_?config", re.I), "tool_choice"),
    (re.compile(r"\btemperature\b", re.I), "temperature"),
    (re.compile(r"\btop_?p\b", re.I), "top_p"),
    (re.compile(r"\bseed\b", re.I), "seed"),
)


def _param(fault: ParsedError) -> str | None:
    """Return the OpenAI parameter that Google's path or message refers to, None if unclear."""
    for text in (fault.field, fault.message):
        if match := _DECLARATION.search(text):
            return f"tools[{match[1]}]"
        for pattern, param in _PARAMS:
            if pattern.search(text):
                return param
    return None
