"""GET /metrics for Prometheus: with its own key, or from this machine only. IO."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Final, cast

from aiohttp import web

from jarvis_proxy import __version__
from jarvis_proxy.access.client_keys import ClientKeys, presented_keys
from jarvis_proxy.access.connection_counter import ConnectionCounter
from jarvis_proxy.aiohttp_ext.server_connection import connection_of
from jarvis_proxy.config.addresses import is_loopback
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.observability.metrics import MetricFamily, gauge
from jarvis_proxy.observability.prometheus import render
from jarvis_proxy.observability.worker_stats import WorkerStats
from jarvis_proxy.server.context import CONTEXT, RECORD, AppContext
from jarvis_proxy.upstream_client.endpoint import UpstreamEndpoint

CONTEXTS: Final = web.AppKey("CONTEXTS", list[AppContext])
"""The contexts of all configurations with open calls, the newest one last."""
WORKER_STATS: Final = web.AppKey("WORKER_STATS", cast(type[WorkerStats | None], WorkerStats))
"""The other workers' statistics; None in a single process."""

METRICS_NAME: Final = "metrics"
"""The key name of METRICS_KEY in the log."""

_FORWARDED: Final = ("Forwarded", "Via", "X-Forwarded-For", "X-Real-IP")


async def metrics(request: web.Request) -> web.StreamResponse:
    """Send every metric in the requested format.

    Raises:
        ProxyError: 401 `invalid_api_key`; 429 `rate_limit_exceeded`, repeated wrong keys.
    """
    check_access(request)
    connections = connection_of(request).counter
    contexts = request.app[CONTEXTS]
    found = families(contexts, connections)
    worker_stats = request.app[WORKER_STATS]
    if worker_stats is not None:
        found = worker_stats.merged_families(found)
    accept = request.headers.get("Accept", "")
    # Rendering thousands of series takes time; their values do not change meanwhile.
    body, content_type = await asyncio.to_thread(
        render, found, accept, process=worker_stats is None
    )
    headers = {"x-request-id": request[RECORD].request_id, "Content-Type": content_type}
    return web.Response(body=body, headers=headers)


def check_access(request: web.Request) -> None:
    """Check METRICS_KEY; without that setting, allow only programs on this machine.

    A wrong key counts like a client's wrong key.

    Raises:
        ProxyError: 401 `invalid_api_key`, 429 `rate_limit_exceeded`.
    """
    context, record = request[CONTEXT], request[RECORD]
    key = context.settings.metrics_key
    accepted = ClientKeys(() if key is None else (key,))
    keys = presented_keys(request.headers, None)
    if accepted.authenticate(keys) is not None:
        record.key_name, record.authenticated = METRICS_NAME, True
    elif context.settings.metrics_need_key or not _is_local(request):
        if not keys:
            raise _unauthorized()  # without a key there is no guess
        raise context.admission.record_auth_failure(record.client_ip, len(keys), _unauthorized())


def _is_local(request: web.Request) -> bool:
    """Return whether a program on this machine requests for itself.

    A reverse proxy requests for others. So does a browser for a page, whose host name may even
    resolve to this machine.
    """
    headers = request.headers
    if not is_loopback(request.remote or "") or "Origin" in headers:
        return False
    if any(name in headers for name in _FORWARDED):
        return False
    name = headers.get("Host", "").rpartition("]")[0].lstrip("[")
    return is_loopback(name or headers.get("Host", "").partition(":")[0])


def _unauthorized() -> ProxyError:
    return ProxyError(
        401,
        "Send METRICS_KEY of this proxy's .env as 'Authorization: Bearer KEY'. Without that "
        "setting, metrics are only for this machine (http://127.0.0.1), and only while HOST is a "
        "loopback address and TRUSTED_PROXIES is empty.",
        code="invalid_api_key",
        should_retry=False,
    )


def families(contexts: Sequence[AppContext], connections: ConnectionCounter) -> list[MetricFamily]:
    """Return every metric of this process; the last of *contexts* is active."""
    return [*contexts[-1].metrics.families(), *_now(contexts, connections)]


def _now(contexts: Sequence[AppContext], connections: ConnectionCounter) -> Iterator[MetricFamily]:
    """Yield the gauges with their current values."""
    yield gauge(
        "jarvis_info", "The proxy's version.", {(__version__,): 1}, ["version"], merge="max"
    )
    yield gauge(
        "jarvis_requests_in_progress",
        "Calls of models that have not ended.",
        {(): sum(len(context.deadline_monitor) for context in contexts)},
    )
    yield gauge(
        "jarvis_streams_open",
        "Streams that have begun and not ended.",
        {(): sum(context.deadline_monitor.streams for context in contexts)},
    )
    endpoints = {
        name: endpoint
        for name, endpoint in contexts[-1].endpoints.items()
        if endpoint.key_pool.keys
    }
    yield from _upstreams(endpoints, time.monotonic())
    yield gauge("jarvis_connections_open", "Open client connections.", {(): len(connections)})
    yield MetricFamily(
        "jarvis_connections_refused",
        "counter",
        "Client connections that were refused, by the limit: in all, or of one network.",
        ("limit",),
        samples={(limit,): count for limit, count in connections.refused.items()},
    )


def _upstreams(endpoints: dict[str, UpstreamEndpoint], now: float) -> Iterator[MetricFamily]:
    label = ["upstream"]
    yield gauge(
        "jarvis_upstream_keys",
        "Keys of an upstream.",
        {(name,): len(endpoint.key_pool.keys) for name, endpoint in endpoints.items()},
        label,
        merge="max",
    )
    yield gauge(
        "jarvis_upstream_keys_quarantined",
        "Keys of an upstream in quarantine after a refusal, for all models or for some.",
        {(name,): endpoint.key_pool.quarantined(now) for name, endpoint in endpoints.items()},
        label,
        merge="max",
    )
    yield gauge(
        "jarvis_upstream_held_off",
        "1 while the circuit of an upstream is open: it was unreachable or silent.",
        {
            (name,): int(endpoint.breakers.is_upstream_open(now))
            for name, endpoint in endpoints.items()
        },
        label,
        merge="max",
    )
    # A number instead of the models' names, because those come from clients.
    yield gauge(
        "jarvis_upstream_models_held_off",
        "Models of an upstream whose circuit is open after repeated failures.",
        {(name,): endpoint.breakers.open_models(now) for name, endpoint in endpoints.items()},
        label,
        merge="max",
    )
