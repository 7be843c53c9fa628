"""The settings that are lists: upstreams, model aliases and fallbacks. Pure."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Literal

from jarvis_proxy.config.addresses import base_url, proxy_url
from jarvis_proxy.config.parsers import (
    EnvReader,
    is_placeholder,
    is_secret,
    model_name,
    split,
)
from jarvis_proxy.config.proxies import (
    OWN_NAMES,
    Exemption,
    OutboundProxy,
    choose_proxy,
    exemptions,
    upstream_proxy,
)

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"
GEMINI_BASE_URL: Final = "https://generativelanguage.googleapis.com/v1beta"
ANTHROPIC_BASE_URL: Final = "https://api.anthropic.com"
OPENAI_DEFAULT_MODEL: Final = "openai/gpt-4.1-mini"
GEMINI_DEFAULT_MODEL: Final = "gemini/gemini-3-flash"
ANTHROPIC_DEFAULT_MODEL: Final = "anthropic/claude-sonnet-5"

APIS: Final = ("chat", "responses", "embeddings", "images", "audio", "moderations")
"""The values that ``<NAME>_APIS`` may contain."""

_NOTHING: Final[tuple[Exemption, ...]] = ()
_RESERVED: Final = frozenset(
    ("openai", "gemini", "anthropic", "jarvis", "echo", "models", "google")
)
# Short, because problems show it as part of a setting's name: a pasted key does not fit.
_UPSTREAM_NAME: Final = re.compile(r"(?!sk-)[a-z][a-z0-9_-]{0,23}")


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """One upstream: its URLs, its keys (a pool), and the model names that lead to it.

    A name in *models* that ends in ``*`` is a prefix. Without *proxy*, connections are direct.
    *api* is the API at *base_url*. The same service may offer Anthropic's Messages API at
    *messages_url*, without ``/v1``. *apis* are the OpenAI APIs that it offers; if empty, the proxy
    finds out.
    """

    name: str
    base_url: str
    keys: tuple[str, ...] = field(default=(), repr=False)
    models: tuple[str, ...] = ()
    proxy: OutboundProxy | None = None
    api: Literal["openai", "gemini", "messages"] = "openai"
    messages_url: str = ""
    apis: tuple[str, ...] = ()

    @property
    def url_setting(self) -> str:
        """The setting that holds this upstream's URL."""
        is_compatible = self.api == "messages" and self.name != "anthropic"
        return f"{env_prefix(self.name)}_{'ANTHROPIC_URL' if is_compatible else 'BASE_URL'}"

    @property
    def messages_setting(self) -> str:
        """The setting that holds the URL of its Messages API."""
        return f"{env_prefix(self.name)}_ANTHROPIC_URL"

    @property
    def key_setting(self) -> str:
        """The setting that enables this upstream."""
        return f"{env_prefix(self.name)}_API_KEY"


DEFAULT_UPSTREAMS: Final = (
    UpstreamSettings("openai", OPENAI_BASE_URL),
    UpstreamSettings("gemini", GEMINI_BASE_URL, api="gemini"),
    UpstreamSettings("anthropic", ANTHROPIC_BASE_URL, api="messages"),
)


def env_prefix(upstream: str) -> str:
    """Return the prefix of an upstream's settings."""
    return upstream.upper().replace("-", "_")


def settings_of(upstreams: Iterable[str]) -> set[str]:
    """Return the names of all settings of *upstreams*."""
    return {
        f"{env_prefix(name)}_{what}"
        for name in upstreams
        for what in ("BASE_URL", "API_KEY", "MODELS", "PROXY", "ANTHROPIC_URL", "APIS")
    }


def upstreams(reader: EnvReader) -> tuple[UpstreamSettings, ...]:
    """Return OpenAI, Gemini, Anthropic and the upstreams in UPSTREAMS, in that order."""
    found = [_built_in(reader, upstream) for upstream in DEFAULT_UPSTREAMS]
    claimed: set[str] = set()
    for name in _upstream_names(reader):
        upstream = _extra_upstream(reader, name)
        if claimed.intersection(upstream.models):
            reader.add_problem(
                f"{env_prefix(name)}_MODELS",
                "holds a model that an earlier upstream has too; keep it in one list"
                f" (the other is still reached as {name}/model)",
            )
        claimed.update(upstream.models)
        found.append(upstream)
    return _with_proxies(reader, found)


def _built_in(reader: EnvReader, upstream: UpstreamSettings) -> UpstreamSettings:
    parse = messages_url if upstream.api == "messages" else base_url
    address = reader.read(upstream.url_setting, parse, default=upstream.base_url)
    return replace(upstream, base_url=address, keys=_key_pool(reader, upstream.key_setting))


def messages_url(text: str) -> str:
    """Parse the base URL of a Messages API; the result ends before ``/v1``."""
    return base_url(text.rstrip("/").removesuffix("/v1/messages")).removesuffix("/v1")


def _apis(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.lower() for name in split(text)))
    if not set(names) <= set(APIS):
        raise ValueError(f"must be some of {', '.join(APIS)}, comma-separated")
    return names


def _with_proxies(
    reader: EnvReader, found: Sequence[UpstreamSettings]
) -> tuple[UpstreamSettings, ...]:
    url = reader.read("UPSTREAM_PROXY", proxy_url, "")
    general = OutboundProxy(url) if url else None
    exempt = reader.read("UPSTREAM_NO_PROXY", exemptions, _NOTHING)
    chosen = []
    for upstream in found:
        setting = f"{env_prefix(upstream.name)}_PROXY"
        url = reader.read(setting, upstream_proxy, "")
        own = OutboundProxy(url, setting) if url else None
        proxy = choose_proxy(upstream.base_url, own=own, general=general, exempt=exempt)
        chosen.append(replace(upstream, proxy=proxy))
    return tuple(chosen)


def default_model(reader: EnvReader, known: tuple[UpstreamSettings, ...]) -> str:
    """Return DEFAULT_MODEL, or a default that fits the upstreams with keys."""
    enabled = {upstream.name for upstream in known if upstream.keys}
    fallback = OPENAI_DEFAULT_MODEL
    if enabled == {"gemini"}:
        fallback = GEMINI_DEFAULT_MODEL
    elif enabled == {"anthropic"}:
        fallback = ANTHROPIC_DEFAULT_MODEL
    model = reader.read("DEFAULT_MODEL", model_name, fallback)
    if model == "jarvis-default":
        reader.add_problem("DEFAULT_MODEL", "must not be jarvis-default, which stands for it")
    return model


def model_aliases(reader: EnvReader, known: Collection[str]) -> Mapping[str, str]:
    """Return MODEL_ALIASES as name → ``upstream/model``; *known* are the upstreams' names."""
    aliases: dict[str, str] = {}
    example = "fast=gemini/gemini-3-flash"
    for number, name, target in _pairs(reader, "MODEL_ALIASES", example, allows_prefix=True):
        upstream, _, model = target.partition("/")
        if upstream.lower() not in known or not _is_model(model):
            reader.add_problem(
                "MODEL_ALIASES",
                f"entry {number} must lead to upstream/model, where upstream is one of"
                f" {', '.join(known)}",
            )
        elif name in aliases:
            reader.add_problem("MODEL_ALIASES", f"entry {number} repeats an earlier name; keep one")
        aliases[name] = f"{upstream.lower()}/{model}"
    return MappingProxyType(aliases)


def fallbacks(reader: EnvReader) -> Mapping[str, tuple[str, ...]]:
    """Return FALLBACKS as model → the models to try after it, in order."""
    found: dict[str, tuple[str, ...]] = {}
    example = "gpt-4o=gemini-3-flash|deepseek/deepseek-chat"
    for number, name, text in _pairs(reader, "FALLBACKS", example):
        targets = tuple(target.strip() for target in text.split("|"))
        if not all(map(_is_model, targets)):
            reader.add_problem("FALLBACKS", f"entry {number} must look like {example}")
        elif name in targets or len(set(targets)) < len(targets):
            reader.add_problem("FALLBACKS", f"entry {number} names a model twice; keep one")
        elif name in found:
            reader.add_problem(
                "FALLBACKS", f"entry {number} repeats an earlier model; join them by |"
            )
        found[name] = targets
    return MappingProxyType(found)


def _key_pool(reader: EnvReader, setting: str) -> tuple[str, ...]:
    entries = reader.entries(setting)
    pool: dict[str, None] = {}
    for number, entry in enumerate(entries, 1):
        if is_placeholder(entry):
            reader.warnings.append(
                f"{setting} holds a placeholder, which counts as empty: put a real key there."
            )
        elif not is_secret(entry):
            reader.add_problem(
                setting,
                f"entry {number} must be the key alone: visible ASCII characters without spaces",
            )
        elif entry in pool:
            reader.warnings.append(f"{setting}: entry {number} repeats an earlier key: remove it.")
        pool[entry] = None
    return tuple(entry for entry in pool if not is_placeholder(entry))


def _upstream_names(reader: EnvReader) -> Iterator[str]:
    seen: set[str] = set()
    for number, entry in enumerate(split(reader.text("UPSTREAMS")), 1):
        name = entry.lower()
        if not _UPSTREAM_NAME.fullmatch(name):
            reader.add_problem(
                "UPSTREAMS",
                f"entry {number} must be a short name, such as deepseek: a letter, then letters,"
                " digits, - or _, 24 at most",
            )
        elif name in _RESERVED:
            reader.add_problem(
                "UPSTREAMS",
                f"entry {number} is a name that is taken ({', '.join(sorted(_RESERVED))});"
                " choose another",
            )
        elif env_prefix(name) in OWN_NAMES:
            reader.add_problem(
                "UPSTREAMS",
                f"entry {number} is a name whose proxy setting would mean something else;"
                " choose another",
            )
        elif f"{env_prefix(name)}_".startswith("KEY_"):
            reader.add_problem(
                "UPSTREAMS",
                f"entry {number} must not begin with key: its settings would look like those of a"
                " client key; choose another name",
            )
        elif env_prefix(name) in seen:
            # a-b and a_b would both use the setting A_B_BASE_URL.
            reader.add_problem("UPSTREAMS", f"entry {number} repeats an earlier name; remove it")
        else:
            seen.add(env_prefix(name))
            yield name


def _extra_upstream(reader: EnvReader, name: str) -> UpstreamSettings:
    prefix = env_prefix(name)
    address = reader.read(f"{prefix}_BASE_URL", base_url, "")
    messages = reader.read(f"{prefix}_ANTHROPIC_URL", messages_url, "")
    if not (address or messages) and not reader.problems_of(f"{prefix}_BASE_URL"):
        reader.add_problem(
            f"{prefix}_BASE_URL",
            f"must be set, because UPSTREAMS names {name}: its address, such as"
            " https://api.example.com/v1",
        )
    return UpstreamSettings(
        name,
        address or messages,
        _key_pool(reader, f"{prefix}_API_KEY"),
        _models(reader, f"{prefix}_MODELS"),
        api="openai" if address else "messages",
        messages_url=messages if address else "",
        apis=reader.read(f"{prefix}_APIS", _apis, ()),
    )


def _models(reader: EnvReader, setting: str) -> tuple[str, ...]:
    entries = reader.entries(setting)
    for number, entry in enumerate(entries, 1):
        prefix = entry.removesuffix("*")
        if prefix and not _is_model(prefix):
            reader.add_problem(
                setting,
                f"entry {number} must be a model's name; a * may stand at its end only",
            )
    return tuple(dict.fromkeys(entries))


def _pairs(
    reader: EnvReader, setting: str, example: str, *, allows_prefix: bool = False
) -> Iterator[tuple[int, str, str]]:
    for number, entry in enumerate(split(reader.text(setting)), 1):
        name, equals, target = (part.strip() for part in entry.partition("="))
        model = name.removesuffix("*") if allows_prefix else name
        if equals and _is_model(model) and target:
            yield number, name, target
        else:
            reader.add_problem(setting, f"entry {number} must look like {example}")


def _is_model(text: str) -> bool:
    try:
        model_name(text)
    except ValueError:
        return False
    return True
