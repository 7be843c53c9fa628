"""The values that fill the client guides; no guide shows a key. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jarvis_proxy.config.addresses import WILDCARDS
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.routing.models import ECHO_MODEL, ModelRegistry
from jarvis_proxy.upstreams.gemini.model_traits import traits_of

PORTS: Final = {"http": 80, "https": 443}
"""The ports that a URL may omit."""

_MAX_MODELS: Final = 6
_WELL_KNOWN: Final = ("gemini-3-flash", "gpt-4.1-mini")
_VISION_PREFIXES: Final = ("gemini-", "gpt-4", "gpt-5", "gpt-6")


@dataclass(frozen=True, slots=True)
class ProxyUrl:
    """A URL of the proxy; *path* has no trailing slash and no ``/v1``."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def of_server(cls, settings: Settings, host: str) -> "ProxyUrl":
        """Return the URL of a server with *settings* at *host*."""
        return cls("https" if settings.tls_cert_file else "http", host, settings.port)

    @property
    def url(self) -> str:
        """The URL in its usual form, without ``/v1``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


@dataclass(frozen=True, slots=True)
class GuideContext:
    """The templates' values: *root* is a URL without ``/v1``; *models* has the best one first."""

    root: str
    models: tuple[str, ...]

    @property
    def base_url(self) -> str:
        """The URL with ``/v1``, as most clients expect it."""
        return f"{self.root}/v1"

    @property
    def values(self) -> dict[str, str]:
        """The values of every placeholder outside ``{{#each model}}``."""
        return {
            "root": self.root,
            "base_url": self.base_url,
            "model": self.models[0],
            "models": ", ".join(self.models),
            "model_list": ",".join(self.models),
            "added_models": ",".join(f"+{model}" for model in self.models),
        }

    def model_values(self, model: str) -> dict[str, str]:
        """Return the values inside ``{{#each model}}``; unknown models get cautious values."""
        bare = model.rpartition("/")[2]
        context_window, max_tokens, reasoning = 128_000, 8192, False
        if bare.startswith("gpt-4.1"):
            context_window, max_tokens = 1_000_000, 32_768
        elif bare.startswith("gemini-"):
            traits = traits_of(bare)
            context_window, max_tokens = 1_000_000, traits.output_limit
            reasoning = traits.thinking != "none"
        return {
            **self.values,
            "model": model,
            "reasoning": str(reasoning).lower(),
            "input": '"text", "image"' if bare.startswith(_VISION_PREFIXES) else '"text"',
            "context_window": str(context_window),
            "max_tokens": str(max_tokens),
        }


def guide_context(
    settings: Settings | None, registry: ModelRegistry | None, url: ProxyUrl | None, own: str | None
) -> GuideContext:
    """Return the context for clients of a server with *settings*.

    The URL is *url* if given. Otherwise it is made from HOST and PORT, with *own*, this machine's
    address, in place of a wildcard HOST. Without settings (the doctor runs on another machine) only
    `jarvis-echo` is certain.
    """
    if settings is None or registry is None:
        return GuideContext("http://HOST:9000" if url is None else url.url, (ECHO_MODEL,))
    host = settings.hosts[0]
    if not set(WILDCARDS).isdisjoint(settings.hosts):
        host = own or "127.0.0.1"
    root = (url or ProxyUrl.of_server(settings, host)).url
    return GuideContext(root, usable_models(settings, registry))


def usable_models(settings: Settings, registry: ModelRegistry) -> tuple[str, ...]:
    """Return a few models that a server with *settings* can reach, the best one first."""
    names = [name for name in _candidates(settings, registry) if registry.is_usable(name)]
    return tuple(dict.fromkeys(names))[:_MAX_MODELS] or (ECHO_MODEL,)


def _candidates(settings: Settings, registry: ModelRegistry) -> Iterator[str]:
    """Yield the default model, then the operator's names, then well-known ones."""
    yield _shortest(settings.default_model, registry)
    yield from settings.model_aliases
    yield from _WELL_KNOWN
    for upstream in settings.upstreams:
        yield from (model for model in upstream.models if not model.endswith("*"))


def _shortest(model: str, registry: ModelRegistry) -> str:
    """Return *model* without ``upstream/`` if it routes to the same place."""
    bare = model.partition("/")[2]
    return bare if bare and registry.route(bare) == registry.route(model) else model
