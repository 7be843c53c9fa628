"""Refusals: what an upstream's status of 400 and above becomes for the client. IO (reads it)."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final

from jarvis_proxy.canonical.exchange import Exchange
from jarvis_proxy.errors import LimitReached, ProxyError
from jarvis_proxy.server.relay.deadlines import Watched
from jarvis_proxy.server.relay.replies import unpacked
from jarvis_proxy.server.responses import RelayedError, asked_wait
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS
from jarvis_proxy.upstream_client.transport import Response
from jarvis_proxy.upstreams.refusal_body import read_refusal
from jarvis_proxy.wire.headers import charset, is_field_value, media_type, response_headers

_JSON: Final = "application/json"
_MAX_BODY: Final = 1024 * 1024
_PATIENCE: Final = 10.0
# They describe the body that came, which is not always the one that goes out.
_OF_THE_BODY: Final = (
    "accept-ranges",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-range",
    "content-type",
    "last-modified",
)


class Refused(ProxyError):
    """An upstream's status ≥ 400, with what it takes to think of a better request."""

    is_upstreams = True

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
        self.upstream_status = upstream_status
        self.raw = raw


async def read_refused(reply: Response, watched: Watched, hold: Callable[[int], None]) -> bytes:
    """Return an error's body, as much of it as there is: its head says enough to go on.

    Bodies that are cut, endless, packed in an unknown way, or for which *hold* has no memory are
    no reason to lose the status.
    """
    watched.heard = True
    pieces: list[bytes] = []
    size = 0
    with contextlib.suppress(TimeoutError, LimitReached, *NETWORK_ERRORS):
        async with asyncio.timeout(_PATIENCE):
            while size < _MAX_BODY and (data := await reply.readany()):
                watched.heard = True
                hold(len(data))
                size += len(data)
                pieces.append(data)
    reply.finish()
    try:
        return unpacked(reply, b"".join(pieces)[:_MAX_BODY], hold, _MAX_BODY)
    except ProxyError:
        return b""


def redirected() -> ProxyError:
    """Return 502 `upstream_redirect`: following it would carry the key and the prompt elsewhere."""
    return ProxyError(
        502,
        "The upstream answered with a redirect, which is not followed.",
        code="upstream_redirect",
        should_retry=False,
    )


def refusal(reply: Response, exchange: Exchange, raw: bytes) -> ProxyError:
    """Return the error that *exchange* makes of a refusal with the body *raw*, or it as it came."""
    error = exchange.translate_error(reply.status, reply.headers, raw)
    if error is not None:
        return Refused(error, reply.status, raw)
    return relayed_error(reply.status, reply.headers, raw)


def relayed_error(status: int, headers: Mapping[str, str], raw: bytes) -> RelayedError:
    """Return an upstream's error with its status and waits: as it came if it is a JSON object.

    Of anything else, an excerpt becomes the message of an error in OpenAI's form.
    """
    error, body = read_refusal(status, headers.get("Content-Type", ""), raw)
    crossing = response_headers(headers)
    error.retry_after = asked_wait(crossing)
    for name in _OF_THE_BODY:
        crossing.pop(name, None)
    label = headers.get("Content-Type", "")
    kept = (
        media_type(label) == _JSON and charset(label) in (None, "utf-8") and is_field_value(label)
    )
    return RelayedError(error, body, {**crossing, "Content-Type": label if kept else _JSON})
