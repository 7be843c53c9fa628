"""The settings that are lists: client keys, upstreams and the roads between models. Pure."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Final

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
OPENAI_DEFAULT_MODEL: Final = "openai/gpt-4.1-mini"
GEMINI_DEFAULT_MODEL: Final = "gemini/gemini-3-flash"

MIN_KEY_LENGTH: Final = 16
"""A shorter client key is weak: it can be guessed."""

_EXAMPLE_DIGEST: Final = sha256(b"jarvis-local-secret").digest()
_NOTHING: Final[tuple[Exemption, ...]] = ()
_RESERVED: Final = frozenset(("openai", "gemini", "jarvis", "echo", "models", "google"))
# Short, since problems show it as part of a setting's name: no key that was pasted here fits.
_UPSTREAM_NAME: Final = re.compile(r"(?!sk-)[a-z][a-z0-9_-]{0,23}")
_CLIENT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One key that clients may use: its SHA-256 digest, and the name that logs show.

    *weak*: given in clear and under 16 characters. *default*: the key of the documented example.
    """

    name: str
    digest: bytes = field(repr=False)
    weak: bool = False
    default: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """One upstream: where it is, its keys (a pool) and the model names that lead to it.

    A name in *models* that ends in ``*`` stands for every name that starts so. Without *proxy*,
    connections are made directly.
    """

    name: str
    base_url: str
    keys: tuple[str, ...] = field(default=(), repr=False)
    models: tuple[str, ...] = ()
    proxy: OutboundProxy | None = None

    @property
    def url_setting(self) -> str:
        """The setting that says where this upstream is."""
        return f"{env_prefix(self.name)}_BASE_URL"

    @property
    def key_setting(self) -> str:
        """The setting that enables this upstream."""
        return f"{env_prefix(self.name)}_API_KEY"


DEFAULT_UPSTREAMS: Final = (
    UpstreamSettings("openai", OPENAI_BASE_URL),
    UpstreamSettings("gemini", GEMINI_BASE_URL),
)


def env_prefix(upstream: str) -> str:
    """Return what the names of an upstream's settings start with."""
    return upstream.upper().replace("-", "_")


def settings_of(upstreams: Iterable[str]) -> set[str]:
    """Return the names of every setting of the upstreams that are so called."""
    return {
        f"{env_prefix(name)}_{what}"
        for name in upstreams
        for what in ("BASE_URL", "API_KEY", "MODELS", "PROXY")
    }


def client_keys(reader: EnvReader) -> tuple[ClientKey, ...]:
    """Return the keys in PROXY_API_KEYS; none at all is a problem."""
    name = "PROXY_API_KEYS"
    entries = reader.entries(name)
    real = [entry for entry in entries if not is_placeholder(entry)]
    if not real and not reader.problems_of(name):
        reader.add_problem(name, _no_client_key(reader.near(name)))
    elif len(real) < len(entries):
        reader.warnings.append(f"{name} holds a placeholder, which opens nothing: remove it.")
    keys: list[ClientKey] = []
    for number, entry in enumerate(entries, 1):
        if entry not in real:
            continue
        key = _client_key(entry)
        if isinstance(key, str):
            reader.add_problem(name, f"entry {number} {key}")
        elif any(key.digest == other.digest for other in keys):
            reader.add_problem(name, f"entry {number} repeats an earlier key; remove one of them")
        elif any(key.name == other.name for other in keys):
            reader.add_problem(name, f"entry {number} has the name of an earlier key; rename one")
        else:
            keys.append(key)
    return tuple(keys)


def _no_client_key(near: str | None) -> str:
    message = (
        "must hold at least one client key; ./start.sh makes a random one when there is no"
        " .env, or set it to a long random text, such as what `openssl rand -hex 32` prints"
    )
    return message if near is None else f"{message}. {near} is set, but is no setting: rename it"


def admin_key(text: str) -> ClientKey:
    """Parse the key of the live page: the key alone, or sha256:digest; no weak one."""
    return _own_key("admin", text)


def metrics_key(text: str) -> ClientKey:
    """Parse the key of /metrics, like that of the live page."""
    return _own_key("metrics", text)


def _own_key(name: str, text: str) -> ClientKey:
    key = None if is_placeholder(text) else _client_key(f"{name}:{text}")
    if not isinstance(key, ClientKey) or key.weak or key.default:
        raise ValueError(
            f"must be {MIN_KEY_LENGTH} or more visible ASCII characters without spaces and colons,"
            " best what `openssl rand -hex 32` prints, or the digest of such a key as"
            " sha256:digest"
        )
    return key


def upstreams(reader: EnvReader) -> tuple[UpstreamSettings, ...]:
    """Return OpenAI, Gemini and those that UPSTREAMS names, in that order."""
    found = [
        UpstreamSettings(
            upstream.name,
            reader.read(upstream.url_setting, base_url, default=upstream.base_url),
            _key_pool(reader, upstream.key_setting),
        )
        for upstream in DEFAULT_UPSTREAMS
    ]
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
    """Return DEFAULT_MODEL, or the default that fits the upstreams that have keys."""
    enabled = {upstream.name for upstream in known if upstream.keys}
    only_gemini = enabled == {"gemini"}
    fallback = GEMINI_DEFAULT_MODEL if only_gemini else OPENAI_DEFAULT_MODEL
    model = reader.read("DEFAULT_MODEL", model_name, fallback)
    if model == "jarvis-default":
        reader.add_problem("DEFAULT_MODEL", "must not be jarvis-default, which stands for it")
    return model


def model_aliases(reader: EnvReader, known: Collection[str]) -> Mapping[str, str]:
    """Return MODEL_ALIASES as name → ``upstream/model``; *known* are the upstreams' names."""
    aliases: dict[str, str] = {}
    for number, name, target in _pairs(reader, "MODEL_ALIASES", "fast=gemini/gemini-3-flash"):
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


def _client_key(entry: str) -> ClientKey | str:
    """Return the key, or the end of the sentence "entry N …" that says what is wrong."""
    name, colon, secret = entry.partition(":")
    name, secret = name.strip(), secret.strip()
    if not colon or name.lower() == "sha256":
        name, secret = "", entry
    elif not _CLIENT_NAME.fullmatch(name):
        return (
            "has a wrong name before its colon: letters, digits, . _ - and 64 of them at most"
            " (a key itself holds no colon)"
        )
    kind, colon, hexadecimal = secret.partition(":")
    if colon and kind.lower() == "sha256":
        if not _SHA256.fullmatch(hexadecimal := hexadecimal.strip().lower()):
            return "must have 64 hexadecimal digits after sha256:"
        digest, weak = bytes.fromhex(hexadecimal), False
    elif colon and ";" in secret:
        return "holds a semicolon; commas separate entries"
    elif colon:
        return "has two colons: it must be key, name:key, sha256:digest or name:sha256:digest"
    elif not secret or is_placeholder(secret):
        return "has a name but no key after the colon"
    elif not is_secret(secret):
        return "must be visible ASCII characters without spaces, so that it fits into a header"
    else:
        digest, weak = sha256(secret.encode()).digest(), len(secret) < MIN_KEY_LENGTH
    return ClientKey(name or digest.hex()[:8], digest, weak, digest == _EXAMPLE_DIGEST)


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
            # a-b and a_b would be set by the same A_B_BASE_URL.
            reader.add_problem("UPSTREAMS", f"entry {number} repeats an earlier name; remove it")
        else:
            seen.add(env_prefix(name))
            yield name


def _extra_upstream(reader: EnvReader, name: str) -> UpstreamSettings:
    prefix = env_prefix(name)
    address = reader.read(f"{prefix}_BASE_URL", base_url, "")
    if not address and not reader.problems_of(f"{prefix}_BASE_URL"):
        reader.add_problem(
            f"{prefix}_BASE_URL",
            f"must be set, because UPSTREAMS names {name}: its address, such as"
            " https://api.example.com/v1",
        )
    return UpstreamSettings(
        name, address, _key_pool(reader, f"{prefix}_API_KEY"), _models(reader, f"{prefix}_MODELS")
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


def _pairs(reader: EnvReader, setting: str, example: str) -> Iterator[tuple[int, str, str]]:
    for number, entry in enumerate(split(reader.text(setting)), 1):
        name, equals, target = (part.strip() for part in entry.partition("="))
        if equals and _is_model(name) and target:
            yield number, name, target
        else:
            reader.add_problem(setting, f"entry {number} must look like {example}")


def _is_model(text: str) -> bool:
    try:
        model_name(text)
    except ValueError:
        return False
    return True
