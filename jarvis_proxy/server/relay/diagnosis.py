"""Classification of an attempt's error: kind of failure, and quarantine of the key. Pure.

Sources: https://platform.openai.com/docs/guides/error-codes, https://openrouter.ai/docs/api-reference/errors,
https://console.groq.com/docs/errors (read 2026-11).
"""

import re
from typing import Final

from jarvis_proxy.canonical.exchange import RetryableError
from jarvis_proxy.errors import LimitExceeded, ProxyError
from jarvis_proxy.routing.circuit_breaker import CallPermit
from jarvis_proxy.routing.key_pool import Quarantine
from jarvis_proxy.routing.retries import FailureKind
from jarvis_proxy.server.relay.deadlines import FirstByteTimeout
from jarvis_proxy.server.relay.refusals import UpstreamRefusal
from jarvis_proxy.server.responses import UpstreamErrorResponse
from jarvis_proxy.upstream_client.errors import ConnectError

_OVERLOAD: Final = frozenset({500, 502, 503, 504, 529, 530, *range(520, 528)})
"""Including Cloudflare's codes for an origin that is down."""

_ANOTHER_KEY: Final = frozenset({401, 402, 403, 408, 429, 498})
"""498: Groq's flex capacity for a key is used up."""
_OURS: Final = frozenset({"request_timeout", "write_stall", "server_shutdown"})
_LONG: Final = 900.0
_SHORT: Final = 30.0
_TEXT_LIMIT: Final = 4096

_MISSING_MODEL: Final = re.compile(
    r"\bmodels?\b.{0,300}\b(?:not found|not exist|not available|unknown|no access)"
    r"|(?:unknown|invalid|no such|not found).{0,20}\bmodel\b|no endpoints found",
    re.IGNORECASE | re.DOTALL,
)
_MODEL_ACCESS: Final = re.compile(
    r"model_not_found|(?:access|permission|allowed|entitled|subscri).{0,200}\bmodel|\bmodel\b"
    r".{0,200}(?:access|permission|allowed|entitled|subscri|verified)",
    re.IGNORECASE | re.DOTALL,
)
_POLICY: Final = re.compile(
    r"polic(?:y|ies)|moderation|flagged|content.?filter|safety|responsible.?ai|prohibited|harmful",
    re.IGNORECASE,
)
_REQUEST_TOO_LARGE: Final = re.compile(
    r"request too large|must be reduced|fewer max_tokens|can only afford|requires more credits",
    re.IGNORECASE,
)


def classify(error: ProxyError) -> FailureKind:
    """Return what kind of failure *error* is."""
    match error:
        case ConnectError():
            return FailureKind.NOT_SENT
        case RetryableError():
            return FailureKind.UNUSABLE
        case FirstByteTimeout():
            return FailureKind.UNANSWERED
        case LimitExceeded():
            return FailureKind.LOCAL
    if error.code in _OURS:
        return FailureKind.LOCAL
    if error.code == "loop_detected":
        return FailureKind.INTERRUPTED  # a retry would loop again
    if error.code == "upstream_auth_failed":
        return FailureKind.KEY_REFUSED
    status = error.retry_status or error.status
    if status in _ANOTHER_KEY:
        # Content that breaks a provider's policy breaks it with every key, and may cost each.
        is_final = status == 403 and _POLICY.search(_error_text(error)) is not None
        return FailureKind.CLIENT_ERROR if is_final else FailureKind.KEY_REFUSED
    if error.status < 500:
        return FailureKind.MODEL_MISSING if _is_missing_model(error) else FailureKind.CLIENT_ERROR
    if isinstance(error, UpstreamRefusal | UpstreamErrorResponse) and error.status in _OVERLOAD:
        return FailureKind.OVERLOADED
    if error.code is None or not str(error.code).startswith("upstream_"):
        return FailureKind.OVERLOADED  # the first event was an error
    return FailureKind.INTERRUPTED


def rest_for(error: ProxyError, *, uploading: bool) -> Quarantine | None:
    """Return the quarantine of the key after *error*, a ``KEY_REFUSED``; None for no quarantine.

    An error about the request (its size, a policy, a model that this account lacks) does not
    concern the key's other calls. *uploading*: a slow client may be the cause of a timeout.
    """
    status = (
        error.upstream_status
        if isinstance(error, UpstreamRefusal)
        else error.retry_status or error.status
    )
    if status == 401 or (error.code == "upstream_auth_failed" and status != 403):
        return Quarantine(_LONG, for_all=True, proven=True)
    text = _error_text(error)
    if _REQUEST_TOO_LARGE.search(text):
        return None
    match status:
        case 402:
            return Quarantine(_LONG, for_all=True)
        case 403:
            return None if _MODEL_ACCESS.search(text) else Quarantine(_LONG)
        case 408:
            return None if uploading else Quarantine(_LONG)
        case 429 if error.code == "insufficient_quota" and error.retry_after is None:
            return Quarantine(_LONG)
        case 429:
            return Quarantine(_SHORT if error.retry_after is None else error.retry_after)
        case _:
            return Quarantine(_LONG)


def _is_missing_model(error: ProxyError) -> bool:
    if error.status not in (400, 404):
        return False
    if error.code == "model_not_found":
        return True
    return error.status == 404 and _MISSING_MODEL.search(_error_text(error)) is not None


def _error_text(error: ProxyError) -> str:
    """Return the upstream's texts, shortened."""
    raw = (
        error.raw[:_TEXT_LIMIT]
        if isinstance(error, UpstreamRefusal | UpstreamErrorResponse)
        else b""
    )
    text = raw.decode("utf-8", "replace")
    return f"{error.code} {error.error_type} {error.message} {text}"


def report_failure(ticket: CallPermit, failure: FailureKind, now: float) -> None:
    """Report a failed attempt to the circuit breakers; *now* is on the monotonic clock."""
    match failure:
        case FailureKind.NOT_SENT:
            ticket.unreachable(now)
        case FailureKind.UNANSWERED:
            ticket.unanswered(now)
        case FailureKind.OVERLOADED:
            ticket.failed(now)
        case FailureKind.INTERRUPTED | FailureKind.UNUSABLE | FailureKind.LOCAL:
            ticket.abandoned()
        case _:
            ticket.answered()
