"""What the application and a request carry: the typed keys. IO (types of the shell)."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiohttp import web

from jarvis_proxy.attempts import RetryBudget
from jarvis_proxy.catalog import Catalog
from jarvis_proxy.fetch import MediaFetcher
from jarvis_proxy.hops import Hops
from jarvis_proxy.keyring import KeyRing
from jarvis_proxy.live import Live
from jarvis_proxy.metrics import Metrics
from jarvis_proxy.prices import Prices
from jarvis_proxy.record import CallRecord
from jarvis_proxy.redaction import Secrets
from jarvis_proxy.registry import ModelRegistry
from jarvis_proxy.routes import Match
from jarvis_proxy.settings import Settings
from jarvis_proxy.spellings import Oddities
from jarvis_proxy.upstream_client.endpoint import UpstreamEndpoint
from jarvis_proxy.usage import UsageBook
from jarvis_proxy.web.guard import Admission, Guard
from jarvis_proxy.web.log import AccessLog
from jarvis_proxy.web.offload import Offload
from jarvis_proxy.web.refresh import Refresher
from jarvis_proxy.web.watch import Watch

if TYPE_CHECKING:
    from jarvis_proxy.shared.vault import SharedVault


@dataclass(slots=True)
class Shell:
    """Everything that requests share."""

    settings: Settings
    keyring: KeyRing
    registry: ModelRegistry
    places: dict[str, UpstreamEndpoint]
    catalog: Catalog
    fetcher: MediaFetcher
    watch: Watch
    access_log: AccessLog
    refresher: Refresher
    guard: Guard
    metrics: Metrics
    usage: UsageBook
    prices: Prices
    oddities: Oddities
    secrets: Secrets
    """The keys of all upstreams."""
    hops: Hops
    budget: RetryBudget = field(default_factory=RetryBudget)
    offload: Offload = field(default_factory=Offload)
    live: Live | None = None
    """What the live page shows; None where there is no such page."""
    vault: "SharedVault | None" = None
    """Where signatures of other processes are fetched from; None where there are no others."""
    draining: bool = False


SHELL: Final = web.AppKey("SHELL", Shell)
RECORD: Final = web.RequestKey("RECORD", CallRecord)
MATCH: Final = web.RequestKey("MATCH", Match)
ADMISSION: Final = web.RequestKey("ADMISSION", Admission)
