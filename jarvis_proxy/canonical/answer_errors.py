"""Errors of upstreams' answers that do not depend on the upstream's API. Pure."""

from jarvis_proxy.canonical.exchange import EmptyAnswerError, RetryableError
from jarvis_proxy.errors import ProxyError


def bad_frame() -> ProxyError:
    """Return the error for a frame that is not JSON of the expected shape."""
    return ProxyError(
        502, "The upstream sent a frame that is not valid JSON.", code="upstream_bad_frame"
    )


def bad_response() -> ProxyError:
    """Return the error for a body that is no answer of this protocol at all."""
    return ProxyError(
        502, "The upstream sent something else than an answer.", code="upstream_bad_response"
    )


def truncated() -> ProxyError:
    """Return the error for an answer that ended before its end."""
    return ProxyError(
        502, "The upstream's answer broke off before its end.", code="upstream_truncated"
    )


def empty_reply() -> RetryableError:
    """Return the error for a 200 that holds no answer."""
    return RetryableError(502, "The upstream sent an empty answer.", code="empty_response")


def empty_answer() -> EmptyAnswerError:
    """Return the error for an answer that ends well and holds nothing."""
    return EmptyAnswerError(502, "The model's answer is empty.", code="empty_response")
