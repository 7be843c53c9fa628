"""One configured upstream: its APIs, transports, keys and health. IO (types)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from jarvis_proxy.canonical.exchange import Upstream
from jarvis_proxy.routing.circuit_breaker import CircuitBreakers
from jarvis_proxy.routing.endpoints import SERVED
from jarvis_proxy.routing.key_pool import KeyPool
from jarvis_proxy.upstream_client.transport import UpstreamTransport


@dataclass(slots=True)
class UpstreamApi:
    """One API of an upstream: its translator and its transport.

    *relays* are the endpoints that it passes on unchanged. *forms* are the endpoints whose forms it
    translates, so these are read whole. *kind* names the API.

    """

    upstream: Upstream
    transport: UpstreamTransport
    relays: frozenset[str] = frozenset()
    forms: frozenset[str] = frozenset()
    kind: Literal["openai", "gemini", "messages"] = "openai"


@dataclass(slots=True)
class UpstreamEndpoint:
    """One upstream as calls reach it.

    *api* serves every endpoint that *others* does not name: a service may have several APIs, and a
    call goes to the one that its client speaks. *rest* passes on requests that call no model, such
    as files; if it is None, *api* does. Each request carries *loop_mark*, by which the proxy
    recognises its own requests; ``""`` sends none.
    """

    api: UpstreamApi
    key_pool: KeyPool = field(default_factory=lambda: KeyPool(()), repr=False)
    breakers: CircuitBreakers = field(default_factory=CircuitBreakers)
    loop_mark: str = ""
    others: Mapping[str, UpstreamApi] = field(default_factory=dict)
    rest: UpstreamApi | None = None

    def api_for(self, endpoint: str) -> UpstreamApi:
        """Return the API that serves calls to *endpoint*."""
        if self.rest is not None and endpoint not in SERVED:
            return self.rest
        return self.others.get(endpoint, self.api)

    def relays(self, endpoint: str) -> bool:
        """Return whether calls to *endpoint* are passed on unchanged."""
        return endpoint in self.api_for(endpoint).relays

    @property
    def transports(self) -> tuple[UpstreamTransport, ...]:
        """Every transport of this upstream."""
        apis = (self.api, *self.others.values())
        return tuple({id(api.transport): api.transport for api in apis}.values())
