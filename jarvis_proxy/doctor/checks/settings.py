"""What the settings alone tell: wrong ones, weak keys, who listens, models without a key. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from jarvis_proxy.doctor.findings import Finding, ok, problem, skipped, warning
from jarvis_proxy.registry import GEMINI, OPENAI, ModelRegistry
from jarvis_proxy.settings import Settings, SettingsError
from jarvis_proxy.settings_addresses import is_loopback
from jarvis_proxy.settings_hints import exposure_hints, upstream_hints
from jarvis_proxy.settings_names import environment_hints, known_names
from jarvis_proxy.settings_parse import clean, is_placeholder, split
from jarvis_proxy.settings_routes import ClientKey

_NEW_KEY: Final = "openssl rand -hex 32"
_CLIENT_KEYS: Final = "client keys"
_ENABLED: Final = "upstream keys"


def startup_errors(error: SettingsError) -> list[Finding]:
    """Return a problem for each reason why the server would not start."""
    advice = "Fix it in .env, or in the environment if it is set there."
    return [problem("settings", sentence, advice) for sentence in error.problems]


def check_settings(
    settings: Settings, file_values: Mapping[str, str], environ: Mapping[str, str]
) -> list[Finding]:
    """Return what is worth knowing about *settings*, made of a file's values and *environ*."""
    return [
        *_hints(settings),
        *overrides(file_values, environ),
        *(
            warning("environment", hint)
            for hint in environment_hints(environ, _upstreams(file_values, environ))
        ),
        *client_keys(settings.client_keys),
        *listening(settings),
        *enabled_upstreams(settings),
    ]


def _hints(settings: Settings) -> list[Finding]:
    """Return the hints of reading the settings; what others check here better is left to them."""
    tls = bool(settings.tls_cert_file)
    elsewhere = {
        *exposure_hints(
            settings.hosts, settings.client_keys, tls=tls, trusted_proxies=settings.trusted_proxies
        ),
        *upstream_hints(settings.upstreams),
    }
    hints = [hint for hint in settings.hints if hint not in elsewhere]
    if not hints:
        return [ok("settings", "all of them can be used")]
    return [warning("settings", hint) for hint in hints]


def overrides(file_values: Mapping[str, str], environ: Mapping[str, str]) -> list[Finding]:
    """Return a warning for settings that the file and the environment set differently.

    It explains the most puzzling of faults: .env says one thing, the server does another.
    """
    known = known_names(file_values.get("UPSTREAMS", ""))
    differing = [
        name
        for name in sorted(known & file_values.keys() & environ.keys())
        if clean(file_values[name]) != clean(environ[name])
    ]
    if not differing:
        return []
    return [
        warning(
            "environment",
            f"it sets {', '.join(differing)} differently from .env, and the environment wins",
            "If .env is meant, take it out of the environment (unset NAME, or look into the"
            " service's unit or compose file).",
        )
    ]


def _upstreams(file_values: Mapping[str, str], environ: Mapping[str, str]) -> str:
    return environ.get("UPSTREAMS", file_values.get("UPSTREAMS", ""))


def client_keys(keys: tuple[ClientKey, ...]) -> list[Finding]:
    """Return how safe the keys are that clients use."""
    found: list[Finding] = []
    if any(key.default for key in keys):
        found.append(
            warning(
                _CLIENT_KEYS,
                "one is the key of the documented example, which everyone knows",
                "Put a long random one into PROXY_API_KEYS, start the server again, and give it"
                " to your clients. This prints one:",
                _NEW_KEY,
            )
        )
    weak = [_key_name(key, number) for number, key in enumerate(keys, 1) if key.weak]
    if weak:
        found.append(
            warning(
                _CLIENT_KEYS,
                f"shorter than 16 characters, so they can be guessed: {', '.join(weak)}",
                "Replace them in PROXY_API_KEYS by long random ones. This prints one:",
                _NEW_KEY,
            )
        )
    count = f"{len(keys)} key{'' if len(keys) == 1 else 's'}"
    return found or [ok(_CLIENT_KEYS, f"{count}, long enough")]


def _key_name(key: ClientKey, number: int) -> str:
    """Return what to call a key; one without a name is called by its place.

    Its made-up name is the start of its digest, by which a short key could be guessed offline.
    """
    is_made_up = key.digest.hex().startswith(key.name)
    return f"key {number}" if is_made_up else key.name


def listening(settings: Settings) -> list[Finding]:
    """Return who can reach the server, and whether what they send can be read on the way."""
    tls = bool(settings.tls_cert_file)
    hints = exposure_hints(settings.hosts, (), tls=tls, trusted_proxies=settings.trusted_proxies)
    found = [warning("listening", hint) for hint in hints]
    if found:
        return found
    if all(map(is_loopback, settings.hosts)):
        return [ok("listening", "on this machine only, or behind a reverse proxy on it")]
    return [ok("listening", "on the network, with TLS")]


def enabled_upstreams(settings: Settings) -> list[Finding]:
    """Return which upstreams have keys, and what is odd about these keys."""
    with_keys = [upstream for upstream in settings.upstreams if upstream.keys]
    without = [upstream for upstream in settings.upstreams if not upstream.keys]
    found: list[Finding] = []
    if not with_keys:
        found.append(
            warning(
                _ENABLED,
                "none is set, so only the embedded model jarvis-echo answers",
                "Set OPENAI_API_KEY or GEMINI_API_KEY in .env and start the server again.",
            )
        )
    found += [warning(_ENABLED, hint) for hint in upstream_hints(tuple(with_keys)) if with_keys]
    if with_keys and not found:
        names = ", ".join(f"{upstream.name} ({len(upstream.keys)})" for upstream in with_keys)
        found.append(ok(_ENABLED, f"set for {names}"))
    if with_keys and without:
        names = ", ".join(upstream.name for upstream in without)
        settings_names = " or ".join(upstream.key_setting for upstream in without)
        found.append(skipped(_ENABLED, f"none for {names}; {settings_names} would enable it"))
    return found


def models(
    settings: Settings, registry: ModelRegistry, listed: Mapping[str, frozenset[str]]
) -> list[Finding]:
    """Return which of the settings lead to models that cannot answer.

    *listed* holds, for each upstream that gave its list, the models in it.
    """
    if not any(upstream.keys for upstream in settings.upstreams):
        return []
    found: list[Finding] = []
    default = registry.route(settings.default_model)
    if not registry.is_usable(settings.default_model):
        found.append(
            warning(
                "default model",
                f"DEFAULT_MODEL ({settings.default_model}) belongs to {default.upstream}, which"
                " has no key: requests for jarvis-default, or without a model, get 404",
                "Set DEFAULT_MODEL to a model of an upstream that has one, such as"
                f" {_usable_example(settings)}.",
            )
        )
    elif default.target not in listed.get(default.upstream, {default.target}):
        found.append(
            warning(
                "default model",
                f"{default.upstream} does not list {default.target} for this key"
                f" (DEFAULT_MODEL is {settings.default_model})",
                "Choose one that GET /v1/models lists.",
            )
        )
    else:
        found.append(ok("default model", settings.default_model))
    found += _dead_ends(
        "FALLBACKS", (name for names in settings.fallbacks.values() for name in names), registry
    )
    found += _dead_ends("MODEL_ALIASES", settings.model_aliases, registry)
    return found


def _dead_ends(setting: str, names: Iterable[str], registry: ModelRegistry) -> list[Finding]:
    dead = [name for name in dict.fromkeys(names) if not registry.is_usable(name)]
    if not dead:
        return []
    upstreams = ", ".join(dict.fromkeys(registry.route(name).upstream for name in dead))
    return [
        warning(
            "models",
            f"{setting} names {', '.join(dead)}, and {upstreams} has no key",
            f"Set the key, or take the names out of {setting}.",
        )
    ]


def _usable_example(settings: Settings) -> str:
    upstream = next(upstream for upstream in settings.upstreams if upstream.keys)
    if upstream.name in _EXAMPLES:
        return _EXAMPLES[upstream.name]
    exact = (model for model in upstream.models if not model.endswith("*"))
    return f"{upstream.name}/{next(exact, 'MODEL')}"


_EXAMPLES: Final = {OPENAI: "openai/gpt-4.1-mini", GEMINI: "gemini/gemini-3-flash"}


def clear_client_key(env: Mapping[str, str]) -> str | None:
    """Return a client key that is given in clear, to try the server with; None if none is.

    JARVIS_KEY counts first: it is where the doctor is given a key that .env holds only as a digest.
    """
    if given := clean(env.get("JARVIS_KEY", "")):
        return given
    for entry in split(clean(env.get("PROXY_API_KEYS", ""))):
        name, colon, secret = entry.partition(":")
        key = secret.strip() if colon else name.strip()
        is_digest = name.strip().lower() == "sha256" or key.lower().startswith("sha256:")
        if key and not is_digest and not is_placeholder(key):
            return key
    return None


def secrets(env: Mapping[str, str], settings: Settings | None) -> set[str]:
    """Return every text that must not be shown, whatever happens."""
    found = {clean(env.get("JARVIS_KEY", ""))}
    for entry in split(clean(env.get("PROXY_API_KEYS", ""))):
        found.add(entry.rpartition(":")[2].strip())
    if settings is not None:
        found.update(key for upstream in settings.upstreams for key in upstream.keys)
        proxies = (upstream.proxy.url for upstream in settings.upstreams if upstream.proxy)
        for url in (*proxies, settings.redis_url):
            found.add(urlsplit(url).password or "")
    return found - {""}
