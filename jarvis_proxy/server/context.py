"""Typed keys of the application and of a request. IO (types only)."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiohttp import web

from jarvis_proxy.access.client_keys import ClientKeys
from jarvis_proxy.access.client_secrets import ClientSecret, ClientSecrets
from jarvis_proxy.accounting.prices import Prices
from jarvis_proxy.accounting.usage import UsageLedger
from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.observability.live_stats import LiveStats
from jarvis_proxy.observability.logging import AccessLog
from jarvis_proxy.observability.metrics import Metrics
from jarvis_proxy.redaction import Secrets
from jarvis_proxy.routing.compat_hints import CompatHints
from jarvis_proxy.routing.endpoints import EndpointMatch
from jarvis_proxy.routing.model_list import ModelList
from jarvis_proxy.routing.models import ModelRegistry
from jarvis_proxy.routing.retries import RetryBudget
from jarvis_proxy.server.admission import AdmissionController, AdmittedCall
from jarvis_proxy.server.concurrency import Offload
from jarvis_proxy.server.relay.deadlines import DeadlineMonitor
from jarvis_proxy.server.sound_encoder import SoundEncoder, find_program
from jarvis_proxy.upstream_client.endpoint import UpstreamEndpoint
from jarvis_proxy.upstream_client.hops import LoopMarks
from jarvis_proxy.upstream_client.media_fetcher import MediaFetcher
from jarvis_proxy.upstream_client.model_refresher import ModelListRefresher

if TYPE_CHECKING:
    from jarvis_proxy.observability.tracing import CallTracer
    from jarvis_proxy.redis_backend.signature_store import RedisSignatureStore


@dataclass(slots=True)
class AppContext:
    """The state that all requests share."""

    settings: Settings
    client_keys: ClientKeys
    client_secrets: ClientSecrets
    registry: ModelRegistry
    endpoints: dict[str, UpstreamEndpoint]
    model_list: ModelList
    fetcher: MediaFetcher
    deadline_monitor: DeadlineMonitor
    access_log: AccessLog
    refresher: ModelListRefresher
    admission: AdmissionController
    metrics: Metrics
    usage: UsageLedger
    prices: Prices
    compat_hints: CompatHints
    secrets: Secrets
    """The keys of all upstreams."""
    loop_marks: LoopMarks
    retry_budget: RetryBudget = field(default_factory=RetryBudget)
    offload: Offload = field(default_factory=Offload)
    sound_encoder: SoundEncoder = field(default_factory=lambda: SoundEncoder(find_program()))
    live_stats: LiveStats | None = None
    """Statistics for the dashboard; None without ADMIN_KEY."""
    shared_signatures: "RedisSignatureStore | None" = None
    """Signatures of other processes; None without REDIS_URL."""
    tracer: "CallTracer | None" = None
    """Exports traces; None without OTEL_EXPORTER_OTLP_ENDPOINT."""
    draining: bool = False
    cannot_count: dict[str, float] = field(default_factory=dict)
    """Upstreams without an endpoint for token counts, with the monotonic time of that finding."""


APP_CONTEXT: Final = web.AppKey("APP_CONTEXT", AppContext)
CONTEXT: Final = web.RequestKey("CONTEXT", AppContext)
"""That of the request's application, a shorter way to it."""
RECORD: Final = web.RequestKey("RECORD", CallRecord)
MATCH: Final = web.RequestKey("MATCH", EndpointMatch)
CLIENT_SECRET: Final = web.RequestKey("CLIENT_SECRET", ClientSecret)
"""The client secret that the client presented instead of a key, if any."""
ADMITTED_CALL: Final = web.RequestKey("ADMITTED_CALL", AdmittedCall)
