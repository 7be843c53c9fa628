"""Addresses of all client APIs: from a request's path to what answers it. IO (types)."""

from typing import Final

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.dialects.generate_content.paths import GooglePath, is_googles, read_path
from jarvis_proxy.routing.endpoints import EndpointKind, EndpointMatch, match_endpoint

_SHARED: Final[frozenset[EndpointKind]] = frozenset({"model", "other"})
"""Kinds whose addresses Google's API may mean in its own way."""
_KINDS: Final[dict[str, EndpointKind]] = {"call": "infer", "models": "models", "model": "model"}
_GOOGLE_ROUTE: Final = "/v1beta/models"


def find_address(path: str, method: str, settings: Settings) -> EndpointMatch | None:
    """Return the address that *path* (raw, without query) spells, or None.

    Raises:
        ProxyError: 404, it is one of Google's that is not served; the message says why.
    """
    found = match_endpoint(path, allow_any=settings.passthrough == "all", method=method)
    if found is not None and found.kind not in _SHARED:
        return found
    if found is not None and not is_googles(path):
        return found
    google = read_path(path, method)
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
        "generate_content" if is_googles(path) else None,
    )
