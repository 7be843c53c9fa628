"""Refusals: what an upstream's status of 400 and above becomes for the client."""

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.headers import media_type, response_headers
from jarvis_proxy.transport import UpstreamReply, bad_response
from jarvis_proxy.upstreams.upstream_errors import error_from_body, without_keys
from jarvis_proxy.web.answers import RelayedError, asked_wait


class Refused(ProxyError):
    """An upstream's status ≥ 400, with what it takes to think of a better request."""

    def __init__(self, error: ProxyError, upstream_status: int, raw: bytes) -> None:
        super().__init__(
            error.status,
            error.message,
            error_type=error.error_type,
            code=error.code,
            param=error.param,
            retry_after=error.retry_after,
            should_retry=error.should_retry,
            headers=error.headers,
        )
        self.upstream_status = upstream_status
        self.raw = raw


def relayed_error(reply: UpstreamReply, raw: bytes) -> ProxyError:
    """Return an upstream's error as it came, if it is JSON; a gateway's page becomes ours."""
    if media_type(reply.headers.get("Content-Type", "")) != "application/json" or not raw:
        error = bad_response()
        error.status = reply.status if reply.status < 500 else 502
        return Refused(error, reply.status, raw)
    error = error_from_body(raw)
    error.status = reply.status
    crossing = response_headers(reply.headers)
    error.retry_after = asked_wait(crossing)
    content_type = crossing.pop("content-type", "application/json")
    return RelayedError(error, without_keys(raw), {**crossing, "Content-Type": content_type})
