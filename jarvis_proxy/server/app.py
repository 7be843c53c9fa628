"""The application: what is shared, the middlewares in order, the one route. IO."""

import asyncio
import logging
import secrets
import string
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from aiohttp import web

from jarvis_proxy.access.client_keys import KeyRing
from jarvis_proxy.access.connection_counter import ConnectionCounter, ConnectionLimits, affordable
from jarvis_proxy.access.rate_limits import Limiter, MemoryLimiter
from jarvis_proxy.accounting.price_files import load_prices
from jarvis_proxy.accounting.usage import NoStore, UsageBook, UsageStore
from jarvis_proxy.accounting.usage_sqlite import SqliteStore, UsageKeeper
from jarvis_proxy.aiohttp_ext.dispatch import direct_dispatch
from jarvis_proxy.aiohttp_ext.malformed_requests import (
    METHODS,
    method_not_allowed,
    strip_server_header,
)
from jarvis_proxy.aiohttp_ext.server_connection import ProxyRunner
from jarvis_proxy.canonical.exchange import Upstream
from jarvis_proxy.config.settings import Settings, UpstreamSettings
from jarvis_proxy.observability.file_limit import max_files
from jarvis_proxy.observability.live_stats import Live
from jarvis_proxy.observability.logging import AccessLog
from jarvis_proxy.observability.loop_monitor import Occasional
from jarvis_proxy.observability.metrics import Metrics
from jarvis_proxy.observability.worker_stats import Crew
from jarvis_proxy.redaction import Secrets
from jarvis_proxy.redis_backend.loader import open_shared
from jarvis_proxy.routing.compat_hints import Oddities
from jarvis_proxy.routing.endpoints import Kind
from jarvis_proxy.routing.key_pool import KeyPool
from jarvis_proxy.routing.model_list import Catalog
from jarvis_proxy.routing.models import DEFAULT_NAME, EMBEDDED, GEMINI, ModelRegistry
from jarvis_proxy.server.admission import Guard, Memory
from jarvis_proxy.server.context import MATCH, SHELL, Shell
from jarvis_proxy.server.handlers import dashboard, info, metrics, usage
from jarvis_proxy.server.handlers import inference as proxy
from jarvis_proxy.server.handlers.dashboard_feed import Board
from jarvis_proxy.server.middlewares import Handler, access_log, auth
from jarvis_proxy.server.relay.deadlines import TimeLimits, Watch
from jarvis_proxy.server.responses import rate_limits
from jarvis_proxy.upstream_client.endpoint import UpstreamEndpoint
from jarvis_proxy.upstream_client.hops import Hops
from jarvis_proxy.upstream_client.local import LocalTransport
from jarvis_proxy.upstream_client.media_fetcher import MediaFetcher
from jarvis_proxy.upstream_client.model_refresher import Refresher
from jarvis_proxy.upstream_client.transport import HttpTransport, TransportOptions
from jarvis_proxy.upstreams.echo import EchoUpstream
from jarvis_proxy.upstreams.gemini.signature_store import MemoryVault, SignatureVault
from jarvis_proxy.upstreams.gemini.upstream import GeminiUpstream
from jarvis_proxy.upstreams.openai import OpenAIUpstream

if TYPE_CHECKING:
    from jarvis_proxy.redis_backend.state import SharedState

_LOG: Final = logging.getLogger(__name__)
# Made before workers are forked: each of them knows the others' requests.
_SECRET: Final = secrets.token_bytes(32)
_ALPHABET: Final = string.ascii_letters + string.digits
"""The folder of server.py, beside which relative paths are."""
LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
_HANDLERS: Final[Mapping[Kind, Handler]] = {
    "root": info.root,
    "health": info.health,
    "ready": info.ready,
    "metrics": metrics.metrics,
    "models": info.models,
    "model": info.model,
    "usage": usage.usage,
    "subscription": usage.subscription,
    "billing": usage.billing,
    "infer": proxy.infer,
    "other": proxy.pass_on,
    "page": dashboard.page,
    "events": dashboard.events,
}


@dataclass(slots=True)
class Kept:
    """What outlives a change of settings, because clients' next requests build on it."""

    vault: SignatureVault = field(default_factory=lambda: MemoryVault(lock=Lock()))
    limiter: Limiter = field(default_factory=MemoryLimiter)
    memory: Memory = field(default_factory=Memory)
    metrics: Metrics = field(default_factory=Metrics)
    usage: UsageBook = field(default_factory=UsageBook)
    oddities: Oddities = field(default_factory=Oddities)
    keeper: UsageKeeper | None = None
    shells: list[Shell] = field(default_factory=list)
    """Of every application that is not closed yet."""
    live: Live = field(default_factory=Live)
    shared: "SharedState | None" = None
    """What other processes know too; None without REDIS_URL."""
    crew: Crew | None = None
    """The other workers of this machine; None where this process is alone."""
    board: Board = field(init=False)

    def __post_init__(self) -> None:
        self.board = Board(self.live, self.crew)

    async def open(self, redis_url: str) -> None:
        """Share with other processes through the store at *redis_url*; ``""``: with none."""
        shared = open_shared(redis_url)
        if shared is not None:
            self.shared, self.vault, self.limiter = shared, shared.vault, shared.limiter
            await shared.start()

    async def close(self) -> None:
        """Tell other processes what is left to tell; to be called after every application."""
        if self.shared is not None:
            await self.shared.close()


def create_app(settings: Settings, log: AccessLog, kept: Kept | None = None) -> web.Application:
    """Return the application; connections are opened when it starts.

    Without *kept*, which is open then and stays so, it has what outlives it for itself.
    """
    is_owner = kept is None
    kept = kept or Kept()
    # The order matters: the log sees every outcome, so it is outermost; auth decides first of
    # everything that may answer.
    app = web.Application(middlewares=[access_log, auth], client_max_size=settings.max_body)
    # One route: addresses are matched by routes.py, on the raw path, before any decoding.
    app.router.add_route("*", r"/{path:[\s\S]*}", _dispatch, expect_handler=_expect)

    async def kept_open(app: web.Application) -> AsyncIterator[None]:
        await kept.open(settings.redis_url)
        yield
        await kept.close()

    async def shared(app: web.Application) -> AsyncIterator[None]:
        shell = build_shell(settings, log, kept)
        app[SHELL] = shell
        app[metrics.SHELLS] = kept.shells
        app[metrics.CREW] = kept.crew
        kept.shells.append(shell)
        keeper = await _keep_usage(settings, kept)
        app[dashboard.BOARD] = kept.board
        clock = asyncio.create_task(shell.watch.run(), name="watch")
        models = asyncio.create_task(shell.refresher.run(), name="models")
        board = asyncio.create_task(kept.board.run(shell), name="board")
        saving = asyncio.create_task(keeper.run(), name="usage")
        try:
            yield
        finally:
            for task in (clock, models, board, saving):
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    pass
                except Exception as exc:  # what follows, such as the last sums, must be done yet
                    _LOG.error("the task of %s had failed", task.get_name(), exc_info=exc)
            for place in shell.places.values():
                await place.transport.close()
            await shell.fetcher.close()
            kept.shells.remove(shell)
            shell.offload.close()
            await keeper.save()

    if is_owner:
        app.cleanup_ctx.append(kept_open)
    app.cleanup_ctx.append(shared)
    app.on_response_prepare.append(strip_server_header)
    if settings.policies:
        app.on_response_prepare.append(rate_limits)
    return app


async def _keep_usage(settings: Settings, kept: Kept) -> UsageKeeper:
    """Return what stores usage; the first application opens it, and takes over what is stored."""
    kept.usage.budgets = {
        name: policy.budget for name, policy in settings.policies.items() if policy.budget
    }
    if kept.keeper is None:
        kept.keeper = _usage_keeper(settings, kept)
        await kept.keeper.load()
    return kept.keeper


def _usage_keeper(settings: Settings, kept: Kept) -> UsageKeeper:
    if kept.shared is not None:
        # Budgets are compared with what all processes used: it must not be a minute old.
        return UsageKeeper(kept.usage, kept.shared.usage, time.time, every=1, load_every=2)
    folder = settings.state_dir
    store: UsageStore = SqliteStore(Path(folder)) if folder else NoStore()
    return UsageKeeper(kept.usage, store, time.time)


def build_shell(settings: Settings, log: AccessLog, kept: Kept) -> Shell:
    """Return what requests share; must be called in the running loop."""
    registry = ModelRegistry(
        settings.upstreams,
        default_model=settings.default_model,
        aliases=settings.model_aliases,
        fallbacks=settings.fallbacks,
    )
    places = {upstream.name: _place(upstream, settings, kept) for upstream in settings.upstreams}
    hops = Hops(_SECRET, settings.upstreams)
    for name, mark in hops.marks.items():
        places[name].mark = mark
    catalog = Catalog(
        {**registry.aliases, DEFAULT_NAME: settings.default_model},
        registry.exact_models,
        place=lambda name: registry.route(name).upstream,
    )
    shell = Shell(
        settings=settings,
        keyring=KeyRing(settings.client_keys),
        registry=registry,
        places=places,
        catalog=catalog,
        fetcher=MediaFetcher(),
        watch=Watch(time_limits(settings), time.monotonic),
        access_log=log,
        refresher=Refresher(catalog, places),
        guard=Guard(
            settings,
            registry,
            kept.limiter,
            clock=time.monotonic,
            wall=time.time,
            connections=connection_limits(settings).total,
            memory=kept.memory,
        ),
        metrics=kept.metrics,
        usage=kept.usage,
        prices=load_prices(settings),
        oddities=kept.oddities,
        secrets=Secrets(key for upstream in settings.upstreams for key in upstream.keys),
        hops=hops,
        live=None if settings.admin_key is None else kept.live,
    )
    if kept.shared is not None:
        shell.vault = kept.shared.vault
        for name, place in places.items():
            kept.shared.health.watch(name, place.pool, place.breakers)
    places[EMBEDDED] = UpstreamEndpoint(EchoUpstream(EMBEDDED), LocalTransport())
    return shell


def _place(upstream: UpstreamSettings, settings: Settings, kept: Kept) -> UpstreamEndpoint:
    options = TransportOptions(
        connect_timeout=settings.connect_timeout,
        proxy=None if upstream.proxy is None else upstream.proxy.url,
    )
    if upstream.name == GEMINI:
        shaper: Upstream = GeminiUpstream(
            GEMINI,
            vault=kept.vault,
            new_id=new_call_id,
            image_urls=settings.image_urls,
            signature_sources=kept.metrics.signatures,
            lock=Lock(),
        )
        # In a header: a key in a URL ends up in logs.
        transport = HttpTransport(
            GEMINI, upstream.base_url, key_header="x-goog-api-key", key_prefix="", options=options
        )
    else:
        shaper = OpenAIUpstream(upstream.name)
        transport = HttpTransport(upstream.name, upstream.base_url, options=options)
    return UpstreamEndpoint(shaper, transport, KeyPool(upstream.keys))


def new_call_id() -> str:
    """Return 24 random letters and digits: a tool call id that every client keeps intact."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(24))


def time_limits(settings: Settings) -> TimeLimits:
    """Return the clock's limits."""
    return TimeLimits(
        first_byte=settings.first_byte_timeout,
        idle=settings.idle_timeout,
        total=settings.stream_total_timeout,
        commit_after=settings.commit_after,
        heartbeat=settings.heartbeat_interval,
        write_stall=settings.write_stall_timeout,
        body_idle=settings.body_idle_timeout,
        body_total=settings.body_total_timeout,
    )


def connection_limits(settings: Settings) -> ConnectionLimits:
    """Return how many connections clients may hold, within what this process may open."""
    return ConnectionLimits(
        total=affordable(settings.limits.max_connections, max_files()),
        per_network=settings.limits.max_connections_per_ip,
        # This machine's own connections are its reverse proxy's, with many clients behind them.
        trusted=(*settings.trusted_proxies, *LOOPBACK),
    )


def keepalive_timeout(settings: Settings) -> float:
    """Return how many seconds a connection may wait for a request's whole head.

    Reverse proxies keep idle connections for up to 120 s; others have no reason to.
    """
    return 130 if settings.trusted_proxies else 20


def make_runner(app: web.Application, settings: Settings) -> ProxyRunner:
    """Return the runner, every default that matters said out loud.

    Tests start the server through this too, so that they see what production does.
    """
    return ProxyRunner(
        app,
        counter=ConnectionCounter(connection_limits(settings)),
        warn=Occasional().warn,
        dispatch=direct_dispatch(app),
        access_log=None,  # ours writes one line a call, without queries or header values
        handler_cancellation=True,  # a client that leaves ends its upstream call at once
        keepalive_timeout=keepalive_timeout(settings),
        lingering_time=2,
        # After the drain: what has not ended by then is not going to.
        shutdown_timeout=0.25,
        auto_decompress=False,  # bodies are inflated within limits, see body.py
        max_line_size=8190,
        max_field_size=8190,
        max_headers=64,
    )


async def _dispatch(request: web.Request) -> web.StreamResponse:
    if request.method not in METHODS:
        raise method_not_allowed()
    return await _HANDLERS[request[MATCH].kind](request)


async def _expect(request: web.Request) -> None:
    """Leave ``Expect`` to the reader of the body, after auth and size are known."""
