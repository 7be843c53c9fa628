"""What the client templates are filled with, from the settings and the machine. Pure."""

from collections.abc import Iterator
from typing import Final

from jarvis_proxy.doctor.client_guides.steps import GuideContext
from jarvis_proxy.doctor.options import ProxyUrl
from jarvis_proxy.registry import ECHO_MODEL, ModelRegistry
from jarvis_proxy.settings import Settings
from jarvis_proxy.settings_addresses import WILDCARDS

_MOST: Final = 6
_WELL_KNOWN: Final = ("gemini-3-flash", "gpt-4.1-mini")
_EXAMPLE_ROOT: Final = "http://HOST:9000"


def guide_context(
    settings: Settings | None,
    registry: ModelRegistry | None,
    site: ProxyUrl | None,
    own: str | None,
) -> GuideContext:
    """Return the facts for clients of a server with *settings*.

    *site* is the address that clients use, where it is known; else it is made of HOST and PORT, or
    of *own*, this machine's address, where the server listens on all of them. Without settings (the
    doctor runs on another machine) the models are those that every server has.
    """
    root = site.url if site is not None else _root(settings, own)
    if settings is None or registry is None:
        return GuideContext(root, (ECHO_MODEL,))
    return GuideContext(root, _models(settings, registry))


def _root(settings: Settings | None, own: str | None) -> str:
    if settings is None:
        return _EXAMPLE_ROOT
    host = settings.hosts[0]
    if not set(WILDCARDS).isdisjoint(settings.hosts):
        host = own or "127.0.0.1"
    return ProxyUrl("https" if settings.tls_cert_file else "http", host, settings.port).url


def _models(settings: Settings, registry: ModelRegistry) -> tuple[str, ...]:
    names = [name for name in _candidates(settings, registry) if registry.is_usable(name)]
    return tuple(dict.fromkeys(names))[:_MOST] or (ECHO_MODEL,)


def _candidates(settings: Settings, registry: ModelRegistry) -> Iterator[str]:
    """Yield names worth showing: the default, what people added, then what everyone knows."""
    yield _shortest(settings.default_model, registry)
    yield from settings.model_aliases
    yield from _WELL_KNOWN
    for upstream in settings.upstreams:
        yield from (model for model in upstream.models if not model.endswith("*"))


def _shortest(model: str, registry: ModelRegistry) -> str:
    """Return *model* without ``upstream/`` where that leads to the same place."""
    bare = model.partition("/")[2]
    return bare if bare and registry.route(bare) == registry.route(model) else model
