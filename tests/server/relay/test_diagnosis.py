"""What an upstream's error says: the kind of failure, and whether the key goes into quarantine."""

import json

import aiohttp
import pytest

from jarvis_proxy.access.rate_limits import overloaded
from jarvis_proxy.canonical.exchange import RetryableError
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.key_pool import Quarantine
from jarvis_proxy.routing.retries import FailureKind
from jarvis_proxy.server.relay.deadlines import FirstByteTimeout
from jarvis_proxy.server.relay.diagnosis import classify, rest_for
from jarvis_proxy.server.relay.refusals import UpstreamRefusal
from jarvis_proxy.server.responses import UpstreamErrorResponse
from jarvis_proxy.upstream_client.errors import map_send_error

LONG = Quarantine(900.0)
REFUSED = Quarantine(900.0, for_all=True, proven=True)


def relayed(
    status: int, message: str = "no", code: str | None = None, retry_after: float | None = None
) -> UpstreamErrorResponse:
    error = ProxyError(status, message, code=code, retry_after=retry_after)
    return UpstreamErrorResponse(
        error, json.dumps({"error": {"message": message, "code": code}}).encode(), {}
    )


def translated(status: int, code: str, upstream_status: int, raw: bytes = b"") -> UpstreamRefusal:
    return UpstreamRefusal(ProxyError(status, "no", code=code), upstream_status, raw)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (map_send_error(TimeoutError()), FailureKind.INTERRUPTED),
        (map_send_error(aiohttp.ConnectionTimeoutError()), FailureKind.NOT_SENT),
        (RetryableError(502, "x"), FailureKind.UNUSABLE),
        (FirstByteTimeout(), FailureKind.UNANSWERED),
        (ProxyError(504, "x", code="upstream_idle_timeout"), FailureKind.INTERRUPTED),
        (ProxyError(504, "x", code="upstream_timeout"), FailureKind.INTERRUPTED),
        (overloaded("x", 0.0), FailureKind.LOCAL),
        (ProxyError(408, "x", code="write_stall"), FailureKind.LOCAL),
        (ProxyError(408, "x", code="request_timeout"), FailureKind.LOCAL),
        (ProxyError(503, "x", code="server_shutdown"), FailureKind.LOCAL),
        (translated(502, "upstream_auth_failed", 401), FailureKind.KEY_REFUSED),
        *((relayed(status), FailureKind.KEY_REFUSED) for status in (401, 402, 403, 408, 429, 498)),
        *((relayed(status), FailureKind.CLIENT_ERROR) for status in (400, 404, 409, 413, 422)),
        *((relayed(status), FailureKind.OVERLOADED) for status in (500, 502, 503, 504, 529)),
        (relayed(501), FailureKind.OVERLOADED),
        (ProxyError(402, "Insufficient Balance", code=402), FailureKind.KEY_REFUSED),
        (ProxyError(502, "x", code="upstream_truncated"), FailureKind.INTERRUPTED),
        (ProxyError(500, "x", code="server_error"), FailureKind.OVERLOADED),
    ],
    ids=lambda value: (
        value.value if isinstance(value, FailureKind) else f"{value.status}-{value.code}"
    ),
)
def test_each_error_is_of_one_kind(error: ProxyError, expected: FailureKind) -> None:
    assert classify(error) is expected


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (404, "The model `gpt-9` does not exist or you do not have access to it.", None),
        (404, "no", "model_not_found"),
        (400, "no", "model_not_found"),
        (404, "model 'llama9' not found, try pulling it first", None),
        (404, "No endpoints found for x/y.", None),
        (404, "The requested model is not available", "not_found"),
        (404, "Unknown model: x", None),
    ],
)
def test_a_model_that_the_upstream_lacks_is_asked_for_elsewhere(
    status: int, message: str, code: str | None
) -> None:
    assert classify(relayed(status, message, code)) is FailureKind.MODEL_MISSING


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, "Previous response with id 'resp_1' not found."),
        (404, "No such file: file-1"),
        (400, "This model's maximum context length is 8192 tokens, which you do not have."),
    ],
)
def test_what_else_is_not_found_is_final(status: int, message: str) -> None:
    assert classify(relayed(status, message)) is FailureKind.CLIENT_ERROR


@pytest.mark.parametrize(
    "message",
    [
        "Your request was flagged by our content policy.",
        "Input rejected: content_filter",
        "Blocked by moderation",
    ],
)
def test_what_breaks_the_rules_is_not_sent_with_another_key(message: str) -> None:
    assert classify(relayed(403, message)) is FailureKind.CLIENT_ERROR


@pytest.mark.parametrize(
    ("error", "rest"),
    [
        (translated(502, "upstream_auth_failed", 401), REFUSED),
        (translated(502, "upstream_auth_failed", 400), REFUSED),
        (ProxyError(502, "x", code="upstream_auth_failed"), REFUSED),
        (relayed(402, "Insufficient Balance"), Quarantine(900.0, for_all=True)),
        (relayed(403, "Country not supported"), LONG),
        (translated(502, "upstream_auth_failed", 403, b"PERMISSION_DENIED"), LONG),
        (relayed(408), LONG),
        (relayed(498), LONG),
        (relayed(429), Quarantine(30.0)),
        (relayed(429, retry_after=7.0), Quarantine(7.0)),
        (relayed(429, code="insufficient_quota"), LONG),
        (relayed(429, code="insufficient_quota", retry_after=7.0), Quarantine(7.0)),
    ],
)
def test_a_key_rests_as_long_and_for_as_much_as_the_error_says(
    error: ProxyError, rest: Quarantine
) -> None:
    assert rest_for(error, uploading=False) == rest


@pytest.mark.parametrize(
    "error",
    [
        relayed(403, "Project `p` does not have access to model `gpt-9`", "model_not_found"),
        relayed(403, "You are not allowed to sample from this model"),
        translated(502, "upstream_auth_failed", 403, b"No permission to use this model."),
        relayed(402, "This request requires more credits, or fewer max_tokens."),
        relayed(429, "Request too large for gpt-4o on tokens per min: Limit 10, Requested 20."),
    ],
)
def test_an_error_that_names_the_request_lets_no_key_rest(error: ProxyError) -> None:
    assert rest_for(error, uploading=False) is None


def test_an_upload_that_its_client_sent_too_slowly_lets_no_key_rest() -> None:
    assert rest_for(relayed(408), uploading=True) is None
