"""Errors from an upstream's status of 300 and above. IO (reads the body)."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final

from jarvis_proxy.canonical.exchange import Exchange
from jarvis_proxy.errors import LimitExceeded, ProxyError
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.server.relay.replies import decompress
from jarvis_proxy.server.responses import UpstreamErrorResponse, retry_after_seconds
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS
from jarvis_proxy.upstream_client.transport import TransportResponse
from jarvis_proxy.upstreams.refusal_body import read_refusal
from jarvis_proxy.wire.headers import charset, is_field_value, media_type, response_headers

_JSON: Final = "application/json"
_MAX_BODY: Final = 1024 * 1024
_BODY_TIMEOUT: Final = 10.0
# These headers describe the received body, and the sent one may differ.
_BODY_HEADERS: Final = (
    "accept-ranges",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-range",
    "content-type",
    "last-modified",
)


class UpstreamRefusal(ProxyError):
    """An upstream's status ≥ 400, with its body, from which a better request may follow."""

    from_upstream = True

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
        self.reason = error.reason
        self.native = error.native
        self.retry_status = error.retry_status
        self.upstream_status = upstream_status
        self.raw = raw


async def read_error_body(
    reply: TransportResponse, deadlines: CallDeadlines, reserve: Callable[[int], None]
) -> bytes:
    """Return an error's body, as much of it as arrives.

    A body that is truncated, endless, encoded in an unknown way, or for which *reserve* has no
    memory does not hide the status.
    """
    deadlines.saw_data = True
    pieces: list[bytes] = []
    size = 0
    with contextlib.suppress(TimeoutError, LimitExceeded, *NETWORK_ERRORS):
        async with asyncio.timeout(_BODY_TIMEOUT):
            while size < _MAX_BODY and (data := await reply.readany()):
                deadlines.saw_data = True
                reserve(len(data))
                size += len(data)
                pieces.append(data)
    reply.release_at_end()
    try:
        return decompress(reply, b"".join(pieces)[:_MAX_BODY], reserve, _MAX_BODY)
    except ProxyError:
        return b""


def redirect_error() -> ProxyError:
    """Return 502 `upstream_redirect`: following it would send key and prompt elsewhere."""
    return ProxyError(
        502,
        "The upstream answered with a redirect, which is not followed.",
        code="upstream_redirect",
        should_retry=False,
    )


def refusal_error(reply: TransportResponse, exchange: Exchange, raw: bytes) -> ProxyError:
    """Return *exchange*'s translation of a refusal with the body *raw*, or it unchanged."""
    error = exchange.translate_error(reply.status, reply.headers, raw)
    if error is not None:
        return UpstreamRefusal(error, reply.status, raw)
    return upstream_error_response(reply.status, reply.headers, raw)


def upstream_error_response(
    status: int, headers: Mapping[str, str], raw: bytes
) -> UpstreamErrorResponse:
    """Return an upstream's error with its status and waits: as it came if it is a JSON object.

    Of anything else, an excerpt becomes the message of an error in OpenAI's form.
    """
    error, body = read_refusal(status, headers.get("content-type", ""), raw)
    forwarded = response_headers(headers)
    error.retry_after = retry_after_seconds(forwarded)
    for name in _BODY_HEADERS:
        forwarded.pop(name, None)
    label = headers.get("content-type", "")
    is_json_label = (
        media_type(label) == _JSON and charset(label) in (None, "utf-8") and is_field_value(label)
    )
    return UpstreamErrorResponse(
        error, body, {**forwarded, "Content-Type": label if is_json_label else _JSON}
    )
