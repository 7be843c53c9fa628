"""One configured upstream: its dialect, the way to it, our keys and its health. IO (types)."""

from dataclasses import dataclass, field

from jarvis_proxy.canonical.exchange import Upstream
from jarvis_proxy.routing.circuit_breaker import Breakers
from jarvis_proxy.routing.key_pool import KeyPool
from jarvis_proxy.upstream_client.transport import Transport


@dataclass(slots=True)
class UpstreamEndpoint:
    """One upstream as calls reach it.

    *mark* goes with each request, so that one that comes back is known; ``""``: none goes.
    """

    upstream: Upstream
    transport: Transport
    pool: KeyPool = field(default_factory=lambda: KeyPool(()), repr=False)
    breakers: Breakers = field(default_factory=Breakers)
    mark: str = ""
