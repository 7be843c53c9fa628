"""Maps a request's path, in any client API, to its endpoint. IO (types)."""

from typing import Final

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.dialects.generate_content.paths import (
    GooglePath,
    is_googles,
    read_path,
    unserved_path,
)
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.endpoints import (
    EndpointKind,
    EndpointMatch,
    match_endpoint,
    relayed_endpoint,
)

_SHARED: Final[frozenset[EndpointKind]] = frozenset({"model", "other"})
"""Kinds of endpoints whose paths may have another meaning in Google's API."""
_KINDS: Final[dict[str, EndpointKind]] = {"call": "infer", "models": "models", "model": "model"}
_GOOGLE_ROUTE: Final = "/v1beta/models"
_GOOGLE_RELAYED: Final = "/v1beta/*"
_GOOGLE: Final = "generate_content"


def find_address(path: str, method: str, settings: Settings) -> EndpointMatch | None:
    """Return the endpoint of *path* (raw, without query), or None.

    Raises:
        ProxyError: 404, an unserved path of Google's API; the message says why.
    """
    relays_all = settings.passthrough == "all"
    found = match_endpoint(path, allow_any=relays_all, method=method)
    if found is not None and found.kind not in _SHARED:
        return found
    if found is not None and not is_googles(path):
        return found
    try:
        google = read_path(path, method)
    except ProxyError:
        rest = unserved_path(path) if relays_all else None
        relayed = None if rest is None else relayed_endpoint(rest, _GOOGLE_RELAYED, _GOOGLE)
        if relayed is None:
            raise
        return relayed
    return found if google is None else _google_address(google, path)


def _google_address(google: GooglePath, path: str) -> EndpointMatch:
    kind = _KINDS[google.kind]
    route = {
        "call": f"{_GOOGLE_ROUTE}/{{model}}:{google.verb}",
        "models": _GOOGLE_ROUTE,
        "model": f"{_GOOGLE_ROUTE}/{{model}}",
    }[google.kind]
    return EndpointMatch(
        kind,
        google.verb or google.kind,
        route,
        google.methods,
        google.model,
        _GOOGLE if is_googles(path) else None,
    )
