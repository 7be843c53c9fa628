"""The handler of client secrets: a server requests one, and a browser opens a session with it. IO.

The upstream's secret stays here; the client gets one of this proxy's (access/client_secrets.py).
"""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from jarvis_proxy.access.permissions import model_not_found
from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.dialects.realtime.models import model_for_secret, with_models_for_secret
from jarvis_proxy.dialects.realtime.secrets import with_own_secrets
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.models import ModelRoute
from jarvis_proxy.server.context import ADMITTED_CALL, CONTEXT, MATCH, RECORD
from jarvis_proxy.server.handlers.inference import with_deadlines
from jarvis_proxy.server.handlers.realtime import upstream_transport
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.server.relay.realtime_upstream import marked, refusal, with_a_key
from jarvis_proxy.server.relay.refusals import read_error_body
from jarvis_proxy.server.relay.replies import decompress, read_response_body
from jarvis_proxy.server.request_body import check_charset, read_body
from jarvis_proxy.server.responses import json_response
from jarvis_proxy.server.secrecy import forwarded_headers
from jarvis_proxy.upstream_client.transport import HttpTransport
from jarvis_proxy.wire.headers import request_headers

_Json = dict[str, Any]
_MAX_BODY: Final = 1024 * 1024
_MAX_ANSWER: Final = 1024 * 1024


async def client_secret(request: web.Request) -> web.StreamResponse:
    """Answer with one of this proxy's client secrets.

    Raises:
        ProxyError: the request was refused, here or by the upstream.
    """
    return await with_deadlines(request, _client_secret)


async def _client_secret(request: web.Request, deadlines: CallDeadlines) -> web.StreamResponse:
    admitted, record = request[ADMITTED_CALL], request[RECORD]
    check_charset(request)
    limit = min(_MAX_BODY, request[CONTEXT].settings.max_body)
    raw = await read_body(request, limit, deadlines)
    record.bytes_in = len(raw)
    body = _decoded(raw)
    model = model_for_secret(body)
    route = admitted.openai_route() if model is None else admitted.resolve(model)
    record.model = model or "-"
    record.upstream, record.upstream_model = route.upstream, route.upstream_model
    transport = upstream_transport(request, route)
    with_models_for_secret(body, _target(request, route))
    await admitted.check_rate_limit()
    answer = await _ask(request, deadlines, route, transport, msgspec.json.encode(body))
    record.first_byte_sent_at = time.monotonic()
    record.bytes_out = len(answer.body) if isinstance(answer.body, bytes) else 0
    return answer


def _decoded(raw: bytes) -> _Json:
    try:
        return msgspec.json.decode(raw or b"{}", type=_Json)
    except (msgspec.DecodeError, RecursionError):
        raise ProxyError(
            400, "The request body is not a JSON object.", code="invalid_json"
        ) from None


def _target(request: web.Request, route: ModelRoute) -> Callable[[str], str]:
    """Return a function that maps a model of the session to the upstream's own name."""
    admitted, registry = request[ADMITTED_CALL], request[CONTEXT].registry

    def target(name: str) -> str:
        found = admitted.resolve(name) if admitted.is_limited else registry.route(name)
        if found.upstream == route.upstream:
            return found.upstream_model
        if admitted.is_limited:
            raise model_not_found(name)
        return name

    return target


async def _ask(
    request: web.Request,
    deadlines: CallDeadlines,
    route: ModelRoute,
    transport: HttpTransport,
    body: bytes,
) -> web.Response:
    """Return the upstream's answer, with one of this proxy's secrets in it.

    Raises:
        ProxyError: the upstream answered with an error, or could not be reached.
    """
    headers = {**request_headers(request.headers), "content-type": "application/json"}
    headers.pop("idempotency-key", None)
    asked = UpstreamRequest("POST", f"/{request[MATCH].endpoint}", headers, body)
    held = request[ADMITTED_CALL].open_reservation()

    async def ask(key: str | None) -> web.Response:
        reply = await transport.send(marked(request, asked), key)
        deadlines.upstream_answered = True
        try:
            if reply.status >= 300:
                raw = await read_error_body(reply, deadlines, held.add)
                raise refusal(request, reply.status, reply.headers, raw, is_own=False)
            read = await read_response_body(reply, _MAX_ANSWER, deadlines, held.add)
            answer = _with_own_secrets(request, route, decompress(reply, read, held.add))
            headers = forwarded_headers(request, reply.headers)
            for name in ("content-encoding", "content-type"):
                headers.pop(name, None)
            return json_response(request, answer, reply.status, headers)
        finally:
            reply.close()

    return await with_a_key(request, deadlines, route, ask)


def _with_own_secrets(request: web.Request, route: ModelRoute, answer: bytes) -> bytes:
    name, secrets = request[RECORD].key_name, request[CONTEXT].client_secrets

    def own(secret: str, expires_at: int) -> str:
        return secrets.make(name, route.upstream, route.upstream_model, secret, expires_at)

    return with_own_secrets(answer, time.time(), own)
