"""Names of settings: finds mistyped ones, and the values from the environment. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from jarvis_proxy.config.addresses import address_in, is_loopback
from jarvis_proxy.config.key_policies import is_policy_setting
from jarvis_proxy.config.parsers import clean, split
from jarvis_proxy.config.settings import ALL_SETTINGS, SettingsError
from jarvis_proxy.config.upstreams import settings_of

_ALMOST: Final = 0.85
_ALMOST_ELSEWHERE: Final = 0.9
"""The environment holds names of many programs, so a hint needs a closer match there."""
_ELSEWHERE: Final = {
    "ALL_PROXY": "UPSTREAM_PROXY",
    "ANTHROPIC_AUTH_TOKEN": "ANTHROPIC_API_KEY",
    "API_KEY": "PROXY_API_KEYS",
    "API_KEYS": "PROXY_API_KEYS",
    "BIND": "HOST",
    "GOOGLE_API_KEY": "GEMINI_API_KEY",
    "GOOGLE_GEMINI_BASE_URL": "GEMINI_BASE_URL",
    "HTTPS_PROXY": "UPSTREAM_PROXY",
    "HTTP_PROXY": "UPSTREAM_PROXY",
    "LISTEN": "HOST",
    "NO_PROXY": "UPSTREAM_NO_PROXY",
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "PROXY_KEY": "PROXY_API_KEYS",
    "PROXY_KEYS": "PROXY_API_KEYS",
}
"""Other programs' names for a setting that are too different to be guessed."""


def known_names(upstreams: str) -> set[str]:
    """Return the names of all settings except client keys' ones; *upstreams* is UPSTREAMS."""
    return {
        *(setting.name for setting in ALL_SETTINGS),
        *settings_of(("openai", "gemini", "anthropic", *split(clean(upstreams)))),
    }


def meant_by(name: str, known: Iterable[str]) -> str | None:
    """Return the setting that *name*, in a .env file, was probably meant to be."""
    known = set(known)
    if name in known or is_policy_setting(name):
        return None
    if (meant := _ELSEWHERE.get(name.upper())) is not None:
        return meant
    return next(iter(get_close_matches(name.upper(), known, n=1, cutoff=_ALMOST)), None)


def environment_warnings(environ: Mapping[str, str], upstreams: str) -> tuple[str, ...]:
    """Return warnings about the process's environment, which overrides .env."""
    return (*_host_warnings(environ), *_mistyped(environ, known_names(upstreams)))


def _host_warnings(environ: Mapping[str, str]) -> Iterator[str]:
    names = [
        host
        for host in split(clean(environ.get("HOST", "")))
        if address_in(host.strip("[]")) is None and not is_loopback(host)
    ]
    if names:
        yield (
            "HOST is a name that the environment sets, and the environment overrides .env. Some"
            " shells and conda export it: run `unset HOST` unless you set it for this server."
        )


def _mistyped(environ: Mapping[str, str], known: set[str]) -> Iterator[str]:
    for name, value in environ.items():
        if name in known or is_policy_setting(name) or not value or "_" not in name:
            continue
        for meant in get_close_matches(name, known, n=1, cutoff=_ALMOST_ELSEWHERE):
            yield (f"{name} in the environment is no setting and has no effect; is {meant} meant?")


def with_origin(error: SettingsError, environ: Mapping[str, str]) -> SettingsError:
    """Return *error* with the environment named as the origin of the settings that it sets."""
    return SettingsError(tuple(_with_origin(problem, environ) for problem in error.problems))


def _with_origin(problem: str, environ: Mapping[str, str]) -> str:
    if not environ.get(problem.partition(":")[0]):
        return problem
    return f"{problem} The environment sets it, which overrides .env."
