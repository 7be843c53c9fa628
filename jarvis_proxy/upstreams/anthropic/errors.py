"""Translates Anthropic's errors: status, code, and how long to wait. Pure.

Source: https://platform.claude.com/docs/en/api/errors (read 2026-11) and recorded error answers.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.error_shapes import SpokenError, find_error, read_error
from jarvis_proxy.upstreams.json_values import fields_of, loads
from jarvis_proxy.upstreams.openai_errors import auth_failed, no_credit, redacted

_KEY_TYPES: Final = frozenset(("authentication_error", "permission_error", "billing_error"))
_STATUS_OF_TYPE: Final = {
    "invalid_request_error": 400,
    "billing_error": 402,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 502,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_TOO_LONG: Final = re.compile(
    r"prompt is too long|exceed(?:s|ed)? (?:the )?(?:context|model's maximum)"
    r"|context (?:length|window)",
    re.IGNORECASE,
)
_NO_CREDIT: Final = re.compile(r"credit balance is too low|usage limits?\b.{0,80}\bregain", re.I)
_SIGNATURE: Final = re.compile(
    r"signature.{0,40}thinking|thinking.{0,60}(?:cannot be modified|signature)"
    r"|Expected .?thinking|thought.?signature",
    re.IGNORECASE | re.DOTALL,
)
_PARAM: Final = re.compile(r"(tools|messages)\.(\d{1,5})\b")
_WAIT: Final = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_MAX_READ: Final = 8192
"""Most characters of a message that are searched, because it comes from outside."""


class Fault(msgspec.Struct, frozen=True):
    """An error of the upstream: *kind* is its type, such as ``overloaded_error``."""

    kind: str
    message: str


def translate_error(
    status: int, headers: Mapping[str, str], body: bytes, *, model: str
) -> ProxyError:
    """Return the client's error for an upstream answer with *status* ≥ 400.

    *model* is the client's name of the model. ``retry_after`` is the upstream's, in seconds.
    """
    fault = parse_error(body) or Fault("", "")
    error = _map(status, fault, model)
    if error.status in (429, 503) and error.should_retry is None:
        error.retry_after = _retry_after(headers)
    return error


def error_in_stream(fault: Fault, *, model: str, body: bytes) -> ProxyError:
    """Return the error for *fault*, which arrived as *body* with a status of 200."""
    if fault.kind in _KEY_TYPES:
        return auth_failed("the upstream", redacted(fault.message))
    error = _map(_STATUS_OF_TYPE.get(fault.kind, 502), fault, model)
    if error.status == 400:
        error.refusal = body
    return error


def parse_error(body: bytes) -> Fault | None:
    """Return the error in *body*, of Anthropic or a compatible server, None without one."""
    try:
        fields = fields_of(loads(body))
    except ValueError:
        return None
    return None if not fields else read_fault(fields)


def fault_in(fields: Mapping[str, object]) -> Fault | None:
    """Return the error in an object, None if it has none."""
    found = find_error(fields)
    return None if found is None else _fault(found)


def read_fault(fields: Mapping[str, object]) -> Fault:
    """Return an object as an error, if a status or an event's name says that it is one."""
    return _fault(read_error(fields))


def _fault(found: SpokenError) -> Fault:
    kind = found.type if isinstance(found.type, str) and found.type != "error" else ""
    message = found.message if isinstance(found.message, str) else ""
    return Fault(kind, message[:_MAX_READ])


def message_of(body: bytes) -> str:
    """Return the upstream's message in an error body, or ``""``; clients must not see it."""
    fault = parse_error(body)
    return "" if fault is None else fault.message


def is_signature_fault(message: str) -> bool:
    """Return whether *message* is about missing, foreign or changed thinking blocks."""
    return _SIGNATURE.search(message) is not None


def bad_response() -> ProxyError:
    """Return the error for a body that is no answer of the Messages API."""
    return ProxyError(
        502, "The upstream's answer is not one of the Messages API.", code="upstream_bad_response"
    )


def bad_frame(why: str = "is not valid JSON") -> ProxyError:
    """Return the error for an event that violates the protocol."""
    return ProxyError(502, f"The upstream sent an event that {why}.", code="upstream_bad_frame")


def _map(status: int, fault: Fault, model: str) -> ProxyError:
    if status == 402 or fault.kind == "billing_error" or _NO_CREDIT.search(fault.message):
        return no_credit(redacted(fault.message))
    match status:
        case 400 | 413 | 422:
            return _map_400(status, fault)
        case 401 | 403:
            return auth_failed("the upstream", redacted(fault.message))
        case 404:
            return _map_404(fault, model)
        case 429:
            words = "The upstream's rate limit is reached."
            return _error(429, fault, "rate_limit_exceeded", words)
        case 503 | 529:
            return _error(503, fault, "overloaded", "The upstream is overloaded.", "server_error")
        case 408 | 504:
            return _error(504, fault, "timeout", "The upstream took too long.", "server_error")
        case _ if status >= 500:
            words = "The upstream failed."
            return _error(502, fault, "upstream_error", words, "server_error")
        case _:
            return _error(status, fault, "invalid_request", kind="invalid_request_error")


def _map_400(status: int, fault: Fault) -> ProxyError:
    if status == 413 or fault.kind == "request_too_large":
        return _error(413, fault, "request_too_large", "The request is too large.")
    if _TOO_LONG.search(fault.message):
        return _error(400, fault, "context_length_exceeded")
    if is_signature_fault(fault.message):
        return _error(400, fault, "invalid_thought_signature")
    error = _error(400, fault, "invalid_argument")
    error.param = _param(fault.message)
    return error


def _map_404(fault: Fault, model: str) -> ProxyError:
    if fault.message and "model" not in fault.message.lower():
        # The error is about a file or a container.
        return _error(404, fault, "not_found")
    message = f"The model `{model[:64]}` does not exist or is not available here."
    return ProxyError(404, message, code="model_not_found")


def _error(
    status: int,
    fault: Fault,
    code: str,
    words: str = "The upstream refused the request.",
    kind: str | None = None,
) -> ProxyError:
    error = ProxyError(status, redacted(fault.message) or words, error_type=kind, code=code)
    error.from_upstream = True
    return error


def _param(message: str) -> str | None:
    """Return the tool that the message names; the client's tools keep their positions."""
    found = _PARAM.match(message)
    return f"tools[{found[2]}]" if found is not None and found[1] == "tools" else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    return float(text) if _WAIT.fullmatch(text.strip()) else None
