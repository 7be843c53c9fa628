"""Responses that are not streamed: JSON, errors, and the headers of all responses. IO."""

import math
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from aiohttp import web

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.redaction import Secrets
from jarvis_proxy.server.client_apis import api_name, client_api
from jarvis_proxy.server.context import ADMITTED_CALL, CONTEXT, MATCH, RECORD
from jarvis_proxy.upstreams.json_values import loads
from jarvis_proxy.wire.headers import EXPOSED, RATE_LIMIT_PREFIXES, is_field_value, retry_after

_JSON: Final = "application/json"
_MAX_RETRY_AFTER: Final = 60


class UpstreamErrorResponse(ProxyError):
    """An upstream's own error: its status, its headers, and *raw*, its JSON body."""

    from_upstream = True

    def __init__(self, error: ProxyError, raw: bytes, raw_headers: Mapping[str, str]) -> None:
        super().__init__(
            error.status,
            error.message,
            error_type=error.error_type,
            code=error.code,
            param=error.param,
            retry_after=error.retry_after,
        )
        self.reason = error.reason
        self.raw = raw
        self.raw_headers = raw_headers

    def redact(self, secrets: Secrets) -> None:
        """Redact *secrets* in the raw body and headers too."""
        super().redact(secrets)
        self.raw_headers = secrets.redact_headers(self.raw_headers)
        raw = secrets.redact_bytes(self.raw)
        if raw is not self.raw:
            # If the key was part of a number, the rest is not valid JSON.
            self.raw = raw if _is_json(raw) else self.body()


def _is_json(raw: bytes) -> bool:
    try:
        loads(raw)
    except ValueError:
        return False
    return True


def common_headers(request: web.Request) -> dict[str, str]:
    """Return the headers of every response to *request*."""
    record = request[RECORD]
    return {
        "x-request-id": record.request_id,
        **client_api(request).answer_headers(record.request_id.removeprefix("req_")),
        **_routing_headers(record.upstream, record.attempts, record.upstream_model),
        **cors_headers(request),
    }


# Most calls go to the same few models, at the first attempt.
@lru_cache(maxsize=256)
def _routing_headers(upstream: str, attempts: int, target: str) -> Mapping[str, str]:
    """Return the headers with a call's upstream, attempts and model; none without an upstream."""
    headers: dict[str, str] = {}
    if upstream != "-":
        headers["x-jarvis-upstream"] = upstream
        headers["x-jarvis-attempts"] = str(max(1, attempts))
    if target not in ("-", "") and is_field_value(target):
        headers["x-jarvis-model"] = target
    return headers


def cors_headers(request: web.Request) -> dict[str, str]:
    """Return the CORS headers of a response; none without an ``Origin``."""
    origin = request.headers.get("Origin")
    if origin is None:
        return {}
    allowed = request[CONTEXT].settings.cors_origins
    if "*" in allowed:
        # The proxy uses no cookies, so any origin may call it; it still needs a key.
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
    if origin in allowed:
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": EXPOSED,
            "Vary": "Origin",
        }
    return {}


def json_response(
    request: web.Request,
    body: bytes,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return a response with the JSON *body*; *headers* override the common ones."""
    merged = common_headers(request)
    merged["Content-Type"] = _JSON
    if headers:
        merged.update(headers)
    return web.Response(body=body, status=status, headers=merged)


async def add_rate_limit_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the state of the key's rate limits to every response that counts against them.

    It replaces the upstream's limits, which concern the proxy's account.
    """
    admitted = request.get(ADMITTED_CALL)
    if admitted is None or admitted.verdict is None:
        return
    headers = response.headers
    for name in [name for name in headers if name.lower().startswith(RATE_LIMIT_PREFIXES)]:
        headers.popall(name, None)
    headers.update(admitted.verdict.headers())


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds an upstream's *headers* ask to wait, like ``retry_after``.

    This converts a date to seconds once, so that no timeout depends on the wall clock.
    """
    return retry_after(headers, time.time())


def error_response(request: web.Request, error: ProxyError) -> web.Response:
    """Return *error* in the form of the client's API, or an upstream's own error unchanged."""
    record = request[RECORD]
    record.code = "" if error.code is None else str(error.code)
    if isinstance(error, UpstreamErrorResponse) and _is_relayed(request):
        return json_response(request, error.raw, error.status, _relayed_headers(error))
    answer = client_api(request).error(error, record.request_id.removeprefix("req_"))
    headers = error_headers(error)
    headers.update(answer.headers)
    return json_response(request, answer.body, answer.status, headers)


def _is_relayed(request: web.Request) -> bool:
    """Return whether upstream errors are already in the client's API, like its answers."""
    match = request.get(MATCH)
    return api_name(request) == "openai" or (match is not None and match.kind == "other")


def _relayed_headers(error: UpstreamErrorResponse) -> dict[str, str]:
    headers = dict(error.raw_headers)
    if error.retry_after is not None and error.retry_after > _MAX_RETRY_AFTER:
        # The client can see the time. Otherwise the Node SDK would silently sleep for hours.
        headers["x-should-retry"] = "false"
    if error.should_retry is not None:
        headers.setdefault("x-should-retry", "true" if error.should_retry else "false")
    return headers


def error_headers(error: ProxyError) -> dict[str, str]:
    """Return the headers of an error: whether and when to retry."""
    headers = dict(error.headers)
    if error.should_retry is not None:
        headers["x-should-retry"] = "true" if error.should_retry else "false"
    if error.retry_after is not None:
        seconds = max(1, math.ceil(error.retry_after))
        if seconds <= _MAX_RETRY_AFTER:
            headers["Retry-After"] = str(seconds)
            headers["retry-after-ms"] = str(max(1, math.ceil(error.retry_after * 1000)))
        else:
            # Otherwise the Node SDK would silently sleep for hours.
            headers["x-should-retry"] = "false"
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers
