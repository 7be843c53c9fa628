"""ModelRegistry: maps the model that a client names to the upstream that serves it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Protocol

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.text import printable

OPENAI: Final = "openai"
GEMINI: Final = "gemini"
ANTHROPIC: Final = "anthropic"
EMBEDDED: Final = "jarvis"

ECHO_MODEL: Final = "jarvis-echo"
DEFAULT_NAME: Final = "jarvis-default"

BUILT_IN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gpt-4.1-mini": "openai/gpt-4.1-mini",
        "gpt-4.1": "openai/gpt-4.1",
        "gpt-4o": "openai/gpt-4o",
        "gpt-4o-mini": "openai/gpt-4o-mini",
        "gpt-3.5-turbo": "openai/gpt-3.5-turbo",
        "gemini-3-flash": "gemini/gemini-3-flash-preview",
        "gemini-3-pro": "gemini/gemini-3.1-pro-preview",
        "gemini-2-flash": "gemini/gemini-2.5-flash",
        ECHO_MODEL: f"{EMBEDDED}/{ECHO_MODEL}",
    }
)
"""The names that GET /v1/models always lists."""

# Google's ids for retired models, and for models with only one unusual id.
_GEMINI_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gemini-3-flash": "gemini-3-flash-preview",
        "gemini-3-pro": "gemini-3.1-pro-preview",
        "gemini-3-pro-preview": "gemini-3.1-pro-preview",
        "gemini-3.1-pro": "gemini-3.1-pro-preview",
        "gemini-2-flash": "gemini-2.5-flash",
        "gemini-2.0-flash": "gemini-2.5-flash",
        "gemini-2.0-flash-001": "gemini-2.5-flash",
        "gemini-2-flash-lite": "gemini-2.5-flash-lite",
        "gemini-2.0-flash-lite": "gemini-2.5-flash-lite",
        "gemini-2.0-flash-lite-001": "gemini-2.5-flash-lite",
    }
)
_GEMINI_PREFIXES: Final = ("models/", "google/", "gemini/")
_GEMINI_FAMILIES: Final = ("gemini-", "gemma-", "imagen-")
_CLAUDE: Final = "claude-"
_BUILT_IN_UPSTREAMS: Final = (OPENAI, GEMINI, ANTHROPIC)
_MAX_ALIAS_CHAIN: Final = 8
_MAX_NAME: Final = 256


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """An upstream's name, and that upstream's own name for the model."""

    upstream: str
    upstream_model: str


class _Upstream(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def keys(self) -> Sequence[str]: ...
    @property
    def models(self) -> Sequence[str]: ...


class ModelRegistry:
    """The routing table: aliases, extra upstreams' models, Google's, Anthropic's, OpenAI's."""

    def __init__(
        self,
        upstreams: Iterable[_Upstream],
        *,
        default_model: str,
        aliases: Mapping[str, str],
        fallbacks: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        upstreams = tuple(upstreams)
        self._names = {u.name for u in upstreams} | {EMBEDDED}
        self._keyless = {u.name for u in upstreams if not u.keys and u.name in _BUILT_IN_UPSTREAMS}
        self._default = default_model
        exact = {name: target for name, target in aliases.items() if not name.endswith("*")}
        self._aliases = {**BUILT_IN, **exact}
        self._alias_prefixes = sorted(
            ((name[:-1], aliases[name]) for name in aliases.keys() - exact.keys()),
            key=lambda alias: len(alias[0]),
            reverse=True,
        )
        self._fallbacks = fallbacks or {}
        self._exact: dict[str, str] = {}
        self._patterns: list[tuple[str, str]] = []
        for upstream in upstreams:
            for model in upstream.models:
                if model.endswith("*"):
                    self._patterns.append((model[:-1], upstream.name))
                else:
                    self._exact.setdefault(model, upstream.name)
        # Names come from clients, so the cache is bounded.
        self._cached_route = lru_cache(maxsize=1024)(self._find)
        # The longest prefix is the most specific, whatever the order of the settings.
        self._patterns.sort(key=lambda pattern: len(pattern[0]), reverse=True)

    @property
    def aliases(self) -> Mapping[str, str]:
        """Every alias with its ``upstream/model``, including built-in ones."""
        return self._aliases

    @property
    def exact_models(self) -> Mapping[str, str]:
        """Extra upstreams' models that are named in full, with their upstream's name."""
        return self._exact

    def resolve(self, model: str | None) -> ModelRoute:
        """Return the route of *model*; None or ``""`` means the default model.

        Raises:
            ProxyError: 404 `model_not_found`, the upstream has no key; the message names its
                setting.
        """
        route = self.route(model)
        if route.upstream in self._keyless:
            shown = printable(model or self._default)
            setting = f"{route.upstream.upper()}_API_KEY"
            raise ProxyError(
                404,
                f"The model '{shown}' is served by {route.upstream}, which has no key on this "
                f"proxy. Set {setting} in its .env and start it again.",
                code="model_not_found",
                param="model",
                should_retry=False,
            )
        return route

    def knows(self, model: str) -> bool:
        """Return whether *model* has a definite upstream, not one by default.

        Unknown names go to OpenAI, and every name that starts with ``claude-`` to Anthropic.
        """
        if self.names(model):
            return True
        upstream = self.route(model).upstream
        return upstream not in (OPENAI, ANTHROPIC) or model.startswith(f"{upstream}/")

    def names(self, model: str) -> bool:
        """Return whether a setting names *model*: as an upstream's model, or with an alias."""
        return model in self._exact or self._alias(model) is not None

    def default_of(self, upstream: str) -> ModelRoute:
        """Return the route to a built-in *upstream* for a request that needs no model.

        Raises:
            ProxyError: 404 `model_not_found`, the upstream has no key here.
        """
        self.resolve(f"{upstream}/any")
        return ModelRoute(upstream, "")

    def route(self, model: str | None) -> ModelRoute:
        """Return the route of *model*, whether or not its upstream has a key."""
        return self._cached_route(model or DEFAULT_NAME)

    def _find(self, name: str) -> ModelRoute:
        if len(name) > _MAX_NAME:
            raise ProxyError(
                404,
                f"The model '{printable(name)}…' does not exist: the name is too long.",
                code="model_not_found",
                param="model",
            )
        if name == DEFAULT_NAME and name not in self._aliases:
            name = self._default
        asked = name
        for _ in range(_MAX_ALIAS_CHAIN):
            target = self._alias(name)
            if target is None or target == name:
                break
            name = target
        # An alias leads to `upstream/model`, whatever names the other upstreams' lists claim.
        return self._assign_upstream(name, claimable=name == asked)

    def _alias(self, name: str) -> str | None:
        """Return the target of *name*: of its own alias, or else of its longest alias prefix."""
        if (target := self._aliases.get(name)) is not None:
            return target
        return next((to for prefix, to in self._alias_prefixes if name.startswith(prefix)), None)

    def fallbacks(self, model: str | None) -> tuple[ModelRoute, ...]:
        """Return the usable routes for a failed call to *model*, in order."""
        if not self._fallbacks:
            return ()
        others = self._fallbacks.get(model or DEFAULT_NAME, ())
        routes = (self.route(other) for other in others)
        return tuple(route for route in routes if route.upstream not in self._keyless)

    def is_usable(self, model: str) -> bool:
        """Return whether *model*'s upstream is configured well enough to answer."""
        return self.route(model).upstream not in self._keyless

    def _assign_upstream(self, name: str, *, claimable: bool) -> ModelRoute:
        """Return the route of *name*, which is no alias.

        *claimable*: an upstream's list may claim a name of the form `upstream/model`. Some
        upstreams have models with such names (`openai/gpt-oss-120b`): a list that contains one in
        full gets it. Patterns do not, because `*` would take every other upstream's models.
        """
        head, _, rest = name.partition("/")
        stated = bool(rest) and head in self._names
        if (claimable or not stated) and (upstream := self._exact.get(name)) is not None:
            return ModelRoute(upstream, name)
        if stated and head != GEMINI:
            return ModelRoute(head, rest)
        if not stated:
            for prefix, upstream in self._patterns:
                if name.startswith(prefix):
                    return ModelRoute(upstream, name)
        bare = _without_gemini_prefix(name)
        if bare != name or name.startswith(_GEMINI_FAMILIES):
            return ModelRoute(GEMINI, _GEMINI_NAMES.get(bare, bare))
        return ModelRoute(ANTHROPIC if name.startswith(_CLAUDE) else OPENAI, name)


def _without_gemini_prefix(name: str) -> str:
    """Strip ``models/``, ``google/``, ``gemini/``, and ``google/gemini/``."""
    for _ in range(2):
        for prefix in _GEMINI_PREFIXES:
            if name.startswith(prefix) and len(name) > len(prefix):
                name = name.removeprefix(prefix)
                break
    return name
