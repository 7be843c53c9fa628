"""Checks the settings alone: wrong ones, weak keys, exposure, models without a key. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from jarvis_proxy.config.addresses import is_loopback
from jarvis_proxy.config.client_keys import ClientKey
from jarvis_proxy.config.names import environment_warnings, known_names
from jarvis_proxy.config.parsers import clean, is_placeholder, split
from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.config.warnings import exposure_warnings, upstream_warnings
from jarvis_proxy.doctor.findings import Check, Finding, counted
from jarvis_proxy.routing.models import GEMINI, OPENAI, ModelRegistry

_FILE: Final = "checks/settings"
_EXAMPLES: Final = {OPENAI: "openai/gpt-4.1-mini", GEMINI: "gemini/gemini-3-flash"}


def startup_errors(error: SettingsError) -> list[Finding]:
    """Return a problem for each reason for which the server would not start."""
    return _hints("settings", error.problems, result="refused")


def check_settings(
    settings: Settings, file_values: Mapping[str, str], environ: Mapping[str, str]
) -> list[Finding]:
    """Return the findings about *settings*, which come from *file_values* and *environ*."""
    upstreams = environ.get("UPSTREAMS", file_values.get("UPSTREAMS", ""))
    # Other checks report these hints in more detail.
    elsewhere = {*_exposure(settings, settings.client_keys), *upstream_warnings(settings.upstreams)}
    hints = (hint for hint in settings.warnings if hint not in elsewhere)
    return [
        *_hints("settings", hints, otherwise="ok"),
        *overrides(file_values, environ),
        *_hints("environment", environment_warnings(environ, upstreams)),
        *client_keys(settings.client_keys),
        *listening(settings),
        *enabled_upstreams(settings),
    ]


def _hints(
    name: str, hints: Iterable[str], *, result: str = "hint", otherwise: str = ""
) -> list[Finding]:
    """Return a finding for each of *hints*; if there is none, the result *otherwise*."""
    check = Check(_FILE, name)
    found = [check.finding(result, hint=hint) for hint in hints]
    return found or ([check.finding(otherwise)] if otherwise else [])


def _exposure(settings: Settings, keys: tuple[ClientKey, ...]) -> Iterable[str]:
    tls = bool(settings.tls_cert_file)
    return exposure_warnings(
        settings.hosts, keys, tls=tls, trusted_proxies=settings.trusted_proxies
    )


def overrides(file_values: Mapping[str, str], environ: Mapping[str, str]) -> list[Finding]:
    """Return a warning for settings that the file and the environment set differently."""
    known = known_names(file_values.get("UPSTREAMS", ""))
    names = ", ".join(
        name
        for name in sorted(known & file_values.keys() & environ.keys())
        if clean(file_values[name]) != clean(environ[name])
    )
    return [Check(_FILE, "environment").finding("overrides", names=names)] if names else []


def client_keys(keys: tuple[ClientKey, ...]) -> list[Finding]:
    """Check how safe the client keys are."""
    check = Check(_FILE, "client keys")
    found = [check.finding("example_key")] if any(key.default for key in keys) else []
    # A generated name is the start of the digest, which helps to guess a short key offline.
    weak = [
        f"key {number}" if key.digest.hex().startswith(key.name) else key.name
        for number, key in enumerate(keys, 1)
        if key.weak
    ]
    if weak:
        found.append(check.finding("weak", names=", ".join(weak)))
    return found or [check.finding("strong", count=counted(len(keys), "key"))]


def listening(settings: Settings) -> list[Finding]:
    """Check who can reach the server, and whether others can read the traffic on its way."""
    result = "local" if all(map(is_loopback, settings.hosts)) else "tls"
    return _hints("listening", _exposure(settings, ()), otherwise=result)


def enabled_upstreams(settings: Settings) -> list[Finding]:
    """Check which upstreams have keys, and whether these keys look right."""
    check = Check(_FILE, "upstream keys")
    with_keys = tuple(upstream for upstream in settings.upstreams if upstream.keys)
    without = [upstream for upstream in settings.upstreams if not upstream.keys]
    if not with_keys:
        return [check.finding("none")]
    found = _hints("upstream keys", upstream_warnings(with_keys))
    if not found:
        names = ", ".join(f"{upstream.name} ({len(upstream.keys)})" for upstream in with_keys)
        found.append(check.finding("set", names=names))
    if without:
        names = ", ".join(upstream.name for upstream in without)
        missing = " or ".join(upstream.key_setting for upstream in without)
        found.append(check.finding("missing", names=names, settings=missing))
    return found


def models(
    settings: Settings, registry: ModelRegistry | None, listed: Mapping[str, frozenset[str]]
) -> list[Finding]:
    """Check for settings that lead to missing models; *listed* has each upstream's models."""
    if registry is None or not any(upstream.keys for upstream in settings.upstreams):
        return []
    model = settings.default_model
    default = registry.route(model)
    is_listed = default.upstream_model in listed.get(default.upstream, {default.upstream_model})
    result = "usable" if is_listed else "not_listed"
    if not registry.is_usable(model):
        result = "without_key"
    values = {"model": model, "upstream": default.upstream, "target": default.upstream_model}
    upstream = next(upstream for upstream in settings.upstreams if upstream.keys)
    exact = (name for name in upstream.models if not name.endswith("*"))
    example = _EXAMPLES.get(upstream.name) or f"{upstream.name}/{next(exact, 'MODEL')}"
    fallbacks = (name for names in settings.fallbacks.values() for name in names)
    return [
        Check(_FILE, "default model").finding(result, example=example, **values),
        *_dead_ends("FALLBACKS", fallbacks, registry),
        *_dead_ends("MODEL_ALIASES", settings.model_aliases, registry),
    ]


def _dead_ends(setting: str, models: Iterable[str], registry: ModelRegistry) -> list[Finding]:
    dead = [name for name in dict.fromkeys(models) if not registry.is_usable(name)]
    if not dead:
        return []
    upstreams = ", ".join(dict.fromkeys(registry.route(name).upstream for name in dead))
    check, names = Check(_FILE, "models"), ", ".join(dead)
    return [check.finding("without_key", setting=setting, names=names, upstreams=upstreams)]


def clear_client_key(env: Mapping[str, str]) -> str | None:
    """Return a client key in clear, for trying the server; None without one.

    JARVIS_KEY takes precedence: it supplies the key if .env has only a digest.
    """
    if given := clean(env.get("JARVIS_KEY", "")):
        return given
    for entry in split(clean(env.get("PROXY_API_KEYS", ""))):
        name, _, secret = (part.strip() for part in entry.rpartition(":"))
        is_digest = name.rpartition(":")[2].lower() == "sha256"
        if secret and not is_digest and not is_placeholder(secret):
            return secret
    return None


def secrets(env: Mapping[str, str], settings: Settings | None) -> set[str]:
    """Return every text that the report must never show."""
    entries = split(clean(env.get("PROXY_API_KEYS", "")))
    found = {clean(env.get("JARVIS_KEY", "")), *(e.rpartition(":")[2].strip() for e in entries)}
    if settings is not None:
        found.update(key for upstream in settings.upstreams for key in upstream.keys)
        found.update(value for _, value in settings.otlp_headers)
        proxies = (upstream.proxy.url for upstream in settings.upstreams if upstream.proxy)
        found.update(urlsplit(url).password or "" for url in (*proxies, settings.redis_url))
    return found - {""}
