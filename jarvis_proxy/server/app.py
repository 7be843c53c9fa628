"""The application: shared objects, middlewares in order, one route. IO."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web

from jarvis_proxy.access.client_keys import ClientKeys
from jarvis_proxy.access.client_secrets import ClientSecrets
from jarvis_proxy.access.connection_counter import (
    ConnectionCounter,
    ConnectionLimits,
    connections_for_fd_limit,
)
from jarvis_proxy.access.rate_limits import MemoryRateLimiter, RateLimiter
from jarvis_proxy.accounting.prices import load_prices
from jarvis_proxy.accounting.usage import NullUsageStore, UsageLedger, UsageStore
from jarvis_proxy.accounting.usage_sqlite import SqliteUsageStore, UsagePersister
from jarvis_proxy.aiohttp_ext.malformed_requests import (
    METHODS,
    method_not_allowed,
    strip_server_header,
)
from jarvis_proxy.aiohttp_ext.server import ProxyRunner, direct_dispatch
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.observability.file_limit import max_files
from jarvis_proxy.observability.live_stats import LiveStats
from jarvis_proxy.observability.logging import AccessLog
from jarvis_proxy.observability.loop_monitor import RateLimitedLogger
from jarvis_proxy.observability.metrics import Metrics
from jarvis_proxy.observability.worker_stats import WorkerStats
from jarvis_proxy.redaction import Secrets
from jarvis_proxy.redis_backend.shared_state import load_shared_state
from jarvis_proxy.routing.compat_hints import CompatHints
from jarvis_proxy.routing.endpoints import EndpointKind
from jarvis_proxy.routing.model_list import ModelList
from jarvis_proxy.routing.models import DEFAULT_NAME, EMBEDDED, ModelRegistry
from jarvis_proxy.server.admission import AdmissionController, MemoryAccount
from jarvis_proxy.server.context import APP_CONTEXT, MATCH, AppContext
from jarvis_proxy.server.handlers import (
    client_secrets,
    dashboard,
    inference,
    info,
    metrics,
    realtime,
    usage,
)
from jarvis_proxy.server.handlers.dashboard_feed import DashboardFeed
from jarvis_proxy.server.middlewares import Handler, access_log, auth
from jarvis_proxy.server.relay.deadlines import CallTimeouts, DeadlineMonitor
from jarvis_proxy.server.responses import add_rate_limit_headers
from jarvis_proxy.server.upstream_apis import Signatures, build_endpoint
from jarvis_proxy.upstream_client.endpoint import UpstreamApi, UpstreamEndpoint
from jarvis_proxy.upstream_client.hops import LoopMarks
from jarvis_proxy.upstream_client.local import EchoTransport
from jarvis_proxy.upstream_client.media_fetcher import MediaFetcher
from jarvis_proxy.upstream_client.model_refresher import ModelListRefresher
from jarvis_proxy.upstreams.echo import EchoUpstream
from jarvis_proxy.upstreams.gemini.signature_store import MemorySignatureStore, SignatureStore

if TYPE_CHECKING:
    from jarvis_proxy.observability.tracing import CallTracer
    from jarvis_proxy.redis_backend.shared_state import SharedState

_LOG: Final = logging.getLogger(__name__)
# Created before workers fork, so that each worker recognises the others' requests.
_SECRET: Final = secrets.token_bytes(32)
LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
_HANDLERS: Final[Mapping[EndpointKind, Handler]] = {
    "root": info.root,
    "health": info.health,
    "ready": info.ready,
    "metrics": metrics.metrics,
    "models": info.models,
    "model": info.model,
    "usage": usage.usage,
    "subscription": usage.subscription,
    "billing": usage.billing,
    "infer": inference.infer,
    "realtime": realtime.realtime,
    "client_secret": client_secrets.client_secret,
    "other": inference.passthrough,
    "page": dashboard.page,
    "events": dashboard.events,
    "guides": dashboard.guides,
}


@dataclass(slots=True)
class PersistentState:
    """State that outlives a reload, because clients' next requests depend on it."""

    signatures: SignatureStore = field(default_factory=lambda: MemorySignatureStore(lock=Lock()))
    limiter: RateLimiter = field(default_factory=MemoryRateLimiter)
    memory: MemoryAccount = field(default_factory=MemoryAccount)
    metrics: Metrics = field(default_factory=Metrics)
    usage: UsageLedger = field(default_factory=UsageLedger)
    compat_hints: CompatHints = field(default_factory=CompatHints)
    usage_persister: UsagePersister | None = None
    contexts: list[AppContext] = field(default_factory=list)
    """The contexts of every application that is not closed yet."""
    live_stats: LiveStats = field(default_factory=LiveStats)
    shared: "SharedState | None" = None
    """State shared with other processes; None without REDIS_URL."""
    worker_stats: WorkerStats | None = None
    """The other workers' statistics; None in a single process."""
    dashboard_feed: DashboardFeed = field(init=False)

    def __post_init__(self) -> None:
        self.dashboard_feed = DashboardFeed(self.live_stats, self.worker_stats)

    async def open(self, redis_url: str) -> None:
        """Connect to the store at *redis_url*; ``""`` means no store."""
        shared = load_shared_state(redis_url)
        if shared is not None:
            self.shared, self.signatures, self.limiter = shared, shared.signatures, shared.limiter
            await shared.start()

    async def close(self) -> None:
        """Send pending state to the store; call this after every application is closed."""
        if self.shared is not None:
            await self.shared.close()


def create_app(
    settings: Settings, log: AccessLog, persistent: PersistentState | None = None
) -> web.Application:
    """Return the application; it opens connections when it starts.

    A *persistent* state is already open and stays open. Without one, the application has its own.
    """
    is_owner = persistent is None
    persistent = persistent or PersistentState()
    # The order matters: the log is outermost to see every outcome; auth precedes any answer.
    app = web.Application(middlewares=[access_log, auth], client_max_size=settings.max_body)
    # One route: routing/endpoints.py matches the raw path, before any decoding.
    app.router.add_route("*", r"/{path:[\s\S]*}", _dispatch, expect_handler=_expect)

    async def open_persistent(app: web.Application) -> AsyncIterator[None]:
        await persistent.open(settings.redis_url)
        yield
        await persistent.close()

    async def open_context(app: web.Application) -> AsyncIterator[None]:
        context = build_context(settings, log, persistent)
        app[APP_CONTEXT] = context
        app[metrics.CONTEXTS] = persistent.contexts
        app[metrics.WORKER_STATS] = persistent.worker_stats
        app[dashboard.DASHBOARD_FEED] = persistent.dashboard_feed
        async with _running(context, persistent, settings):
            yield

    if is_owner:
        app.cleanup_ctx.append(open_persistent)
    app.cleanup_ctx.append(open_context)
    app.on_response_prepare.append(strip_server_header)
    if settings.policies:
        app.on_response_prepare.append(add_rate_limit_headers)
    return app


@contextlib.asynccontextmanager
async def _running(
    context: AppContext, persistent: PersistentState, settings: Settings
) -> AsyncIterator[None]:
    """Run the background tasks of *context*; close it at the end."""
    persistent.contexts.append(context)
    usage_persister = await _open_usage_persister(settings, persistent)
    tasks = [
        asyncio.create_task(context.deadline_monitor.run(), name="deadlines"),
        asyncio.create_task(context.refresher.run(), name="models"),
        asyncio.create_task(persistent.dashboard_feed.run(context), name="dashboard"),
        asyncio.create_task(usage_persister.run(), name="usage"),
    ]
    try:
        yield
    finally:
        for task in tasks:
            await _cancel(task)
        for endpoint in context.endpoints.values():
            for transport in endpoint.transports:
                await transport.close()
        await context.fetcher.close()
        if context.tracer is not None:
            await asyncio.to_thread(context.tracer.close)
        persistent.contexts.remove(context)
        context.offload.close()
        await usage_persister.save()


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel *task* and wait for its end; log its failure if it failed before."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    except Exception as exc:
        # The last sums must still be saved.
        _LOG.error("the task of %s had failed", task.get_name(), exc_info=exc)


async def _open_usage_persister(settings: Settings, persistent: PersistentState) -> UsagePersister:
    """Return the usage persister; the first application opens it and loads stored usage."""
    persistent.usage.budgets = {
        name: policy.budget for name, policy in settings.policies.items() if policy.budget
    }
    if persistent.usage_persister is None:
        persistent.usage_persister = _build_usage_persister(settings, persistent)
        await persistent.usage_persister.load()
    return persistent.usage_persister


def _build_usage_persister(settings: Settings, persistent: PersistentState) -> UsagePersister:
    if persistent.shared is not None:
        # Budgets are compared with the usage of all processes, which must be recent.
        return UsagePersister(
            persistent.usage, persistent.shared.usage, time.time, every=1, load_every=2
        )
    folder = settings.state_dir
    store: UsageStore = SqliteUsageStore(Path(folder)) if folder else NullUsageStore()
    return UsagePersister(persistent.usage, store, time.time)


def build_context(settings: Settings, log: AccessLog, persistent: PersistentState) -> AppContext:
    """Return the state that requests share; call this in the running loop."""
    registry = ModelRegistry(
        settings.upstreams,
        default_model=settings.default_model,
        aliases=settings.model_aliases,
        fallbacks=settings.fallbacks,
    )
    loop_marks = LoopMarks(_SECRET, settings.upstreams)
    endpoints = _build_endpoints(settings, persistent, loop_marks)
    catalog = ModelList(
        {**registry.aliases, DEFAULT_NAME: settings.default_model},
        registry.exact_models,
        routed_upstream=lambda name: registry.route(name).upstream,
    )
    context = AppContext(
        settings=settings,
        client_keys=ClientKeys(settings.client_keys),
        client_secrets=ClientSecrets(_SECRET, settings.client_keys),
        registry=registry,
        endpoints=endpoints,
        model_list=catalog,
        fetcher=MediaFetcher(),
        deadline_monitor=DeadlineMonitor(build_timeouts(settings), time.monotonic),
        access_log=log,
        refresher=ModelListRefresher(catalog, endpoints),
        admission=_build_admission(settings, registry, persistent),
        metrics=persistent.metrics,
        usage=persistent.usage,
        prices=load_prices(settings),
        compat_hints=persistent.compat_hints,
        secrets=Secrets(key for upstream in settings.upstreams for key in upstream.keys),
        loop_marks=loop_marks,
        live_stats=None if settings.admin_key is None else persistent.live_stats,
        tracer=_build_tracer(settings),
    )
    if persistent.shared is not None:
        context.shared_signatures = persistent.shared.signatures
    return context


def _build_tracer(settings: Settings) -> "CallTracer | None":
    if not settings.otlp_endpoint:
        return None
    # Imported here, because its packages are optional and take half a second to load.
    from jarvis_proxy.observability.tracing import CallTracer

    urls = {upstream.name: urlsplit(upstream.base_url) for upstream in settings.upstreams}
    return CallTracer(
        settings.otlp_endpoint,
        headers=dict(settings.otlp_headers),
        service_name=settings.otel_service_name,
        hosts={
            name: (url.hostname or "", url.port or (443 if url.scheme == "https" else 80))
            for name, url in urls.items()
        },
    )


def _build_endpoints(
    settings: Settings, persistent: PersistentState, loop_marks: LoopMarks
) -> dict[str, UpstreamEndpoint]:
    """Return the upstreams by name, including the built-in one."""
    signatures = Signatures(persistent.signatures, persistent.metrics.signatures)
    endpoints = {
        upstream.name: build_endpoint(upstream, settings, signatures)
        for upstream in settings.upstreams
    }
    for name, mark in loop_marks.marks.items():
        endpoints[name].loop_mark = mark
    if persistent.shared is not None:
        for name, endpoint in endpoints.items():
            persistent.shared.health.watch(name, endpoint.key_pool, endpoint.breakers)
    endpoints[EMBEDDED] = UpstreamEndpoint(UpstreamApi(EchoUpstream(EMBEDDED), EchoTransport()))
    return endpoints


def _build_admission(
    settings: Settings, registry: ModelRegistry, persistent: PersistentState
) -> AdmissionController:
    return AdmissionController(
        settings,
        registry,
        persistent.limiter,
        clock=time.monotonic,
        wall=time.time,
        connections=connection_limits(settings).total,
        memory=persistent.memory,
    )


def build_timeouts(settings: Settings) -> CallTimeouts:
    """Return the timeouts of calls."""
    return CallTimeouts(
        first_byte=settings.first_byte_timeout,
        idle=settings.idle_timeout,
        total=settings.stream_total_timeout,
        headers_after=settings.commit_after,
        heartbeat=settings.heartbeat_interval,
        write_stall=settings.write_stall_timeout,
        body_idle=settings.body_idle_timeout,
        body_total=settings.body_total_timeout,
    )


def connection_limits(settings: Settings) -> ConnectionLimits:
    """Return the limits of client connections, within this process's file limit."""
    return ConnectionLimits(
        total=connections_for_fd_limit(settings.limits.max_connections, max_files()),
        per_network=settings.limits.max_connections_per_ip,
        # Connections from this machine come from its reverse proxy, which serves many clients.
        trusted=(*settings.trusted_proxies, *LOOPBACK),
    )


def keepalive_timeout(settings: Settings) -> float:
    """Return how many seconds a connection may wait for a complete request head.

    Reverse proxies keep idle connections for up to 120 s; other clients have no reason to.
    """
    return 130 if settings.trusted_proxies else 20


def make_runner(app: web.Application, settings: Settings) -> ProxyRunner:
    """Return the runner, with every relevant option set explicitly.

    Tests also use it, so that they see production behaviour.
    """
    return ProxyRunner(
        app,
        counter=ConnectionCounter(connection_limits(settings)),
        warn=RateLimitedLogger().warn,
        dispatch=direct_dispatch(app),
        # The proxy's own log has one line per call, without queries and headers.
        access_log=None,
        # If a client disconnects, its upstream call ends at once.
        handler_cancellation=True,
        keepalive_timeout=keepalive_timeout(settings),
        lingering_time=2,
        # After the drain, no remaining connection ends on its own.
        shutdown_timeout=0.25,
        # request_body.py decompresses within limits.
        auto_decompress=False,
        max_line_size=8190,
        max_field_size=8190,
        max_headers=64,
    )


async def _dispatch(request: web.Request) -> web.StreamResponse:
    if request.method not in METHODS:
        raise method_not_allowed()
    return await _HANDLERS[request[MATCH].kind](request)


async def _expect(request: web.Request) -> None:
    """Leave ``Expect`` to the reader of the body, which checks auth and size first."""
