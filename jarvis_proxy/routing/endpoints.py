"""Matches any spelling of a path to an endpoint, or finds the nearest one. Pure.

Clients differ in what they append to the base URL, so every API is served under several prefixes;
doubled slashes and one trailing slash are tolerated. Otherwise paths are exact: nothing is decoded
and no dots are resolved, so the matched path is the one that is sent upstream.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote

from jarvis_proxy.canonical.client_api import ApiName
from jarvis_proxy.wire.chat_types import INFERENCE
from jarvis_proxy.wire.google_verbs import VERBS

PREFIXES: Final = ("", "/v1", "/v1/v1", "/openai/v1", "/api/v1", "/v1beta/openai")
_ANTHROPIC_PREFIXES: Final = ("/anthropic", "/anthropic/v1")
MESSAGES: Final = "messages"
COUNT_TOKENS: Final = "messages/count_tokens"
_MESSAGES_API: Final = (MESSAGES, COUNT_TOKENS)

EndpointKind = Literal[
    "root",
    "health",
    "ready",
    "metrics",
    "models",
    "model",
    "usage",
    "subscription",
    "billing",
    "infer",
    "realtime",
    "client_secret",
    "other",
    "page",
    "events",
    "guides",
]

PUBLIC: Final[frozenset[EndpointKind]] = frozenset(
    {"root", "health", "ready", "metrics", "page", "events", "guides"}
)
"""Kinds without a client key; ``metrics``, ``events`` and ``guides`` check their own keys."""

DASHBOARD: Final[frozenset[EndpointKind]] = frozenset({"page", "events", "guides"})
"""The dashboard at /dashboard, which exists only with an admin key."""

ASSETS: Final = (
    "charts.js",
    "client_apis.js",
    "clients.js",
    "dashboard.css",
    "dashboard.js",
    "errors.html",
    "errors.zh-CN.html",
    "icon.svg",
    "playground.js",
    "reasons.js",
    "stream.js",
    "tables.js",
    "uPlot.iife.min.js",
    "uPlot.min.css",
    "usage.js",
    "words.js",
)
"""The files that the dashboard loads or links to."""

REALTIME: Final = ("realtime", "realtime/translations")
"""The WebSockets of OpenAI's Realtime API: a conversation, and an interpreter.

Source: https://platform.openai.com/docs/guides/realtime-translation (read 2026-11).
"""

CLIENT_SECRETS: Final = (
    "realtime/client_secrets",
    "realtime/sessions",
    "realtime/transcription_sessions",
    "realtime/translations/client_secrets",
)
"""The endpoints where a server requests a secret for such a WebSocket. "…sessions" are beta.

Source: https://platform.openai.com/docs/api-reference/realtime-sessions (read 2026-11).
"""

RELAYED: Final = "/v1/*"
"""The route in logs for every endpoint of kind ``other``."""

SERVED: Final = frozenset((*INFERENCE, *VERBS, *_MESSAGES_API))
"""Endpoints that an upstream may answer by translation; all others are relayed."""

_READ: Final = ("GET", "HEAD")
_BILLING: Final[dict[str, EndpointKind]] = {
    "dashboard/billing/subscription": "subscription",
    "dashboard/billing/usage": "billing",
}
"""NextChat requests these for the balance that it shows; OpenAI once offered them."""
_SEGMENTS: Final = re.compile(
    r"[A-Za-z0-9_~:@-][A-Za-z0-9._~:@-]*(?:/[A-Za-z0-9_~:@-][A-Za-z0-9._~:@-]*)*"
)
_UNSAFE_ID: Final = re.compile(r"[%\\;#?]|\.\.|//|^/|/$|(?:^|/)\.(?:/|$)")
_MAX_PATH: Final = 1024
_OPENAIS: Final[frozenset[EndpointKind]] = frozenset(
    {"infer", "models", "model", "realtime", "client_secret"}
)
_RELAYED_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class EndpointMatch:
    """A known endpoint. *endpoint* is the normalised path; *route* is its name in logs."""

    kind: EndpointKind
    endpoint: str
    route: str
    methods: tuple[str, ...]
    model_id: str = ""
    api: ApiName | None = None
    """The only client API with this endpoint; None if clients of several APIs use it."""


def _below_prefixes() -> dict[str, EndpointMatch]:
    """Return the endpoints that are served below every prefix of ``PREFIXES``, by their path."""
    matches = [
        EndpointMatch("health", "health", "/health", _READ),
        EndpointMatch("ready", "ready", "/ready", _READ),
        EndpointMatch("models", "models", "/v1/models", _READ),
        EndpointMatch("usage", "usage", "/v1/usage", _READ),
    ]
    calls: tuple[tuple[EndpointKind, str, ApiName, Iterable[str]], ...] = (
        ("infer", "POST", "openai", INFERENCE),
        ("infer", "POST", "messages", _MESSAGES_API),
        ("realtime", "GET", "openai", REALTIME),
        ("client_secret", "POST", "openai", CLIENT_SECRETS),
    )
    for kind, method, api, endpoints in calls:
        matches += [
            EndpointMatch(kind, endpoint, f"/v1/{endpoint}", (method,), api=api)
            for endpoint in endpoints
        ]
    matches += [
        EndpointMatch(kind, endpoint, f"/v1/{endpoint}", _READ)
        for endpoint, kind in _BILLING.items()
    ]
    return {match.endpoint: match for match in matches}


def _without_prefixes() -> dict[str, EndpointMatch]:
    """Return the endpoints that are served at one path only, by that path."""
    root = EndpointMatch("root", "", "/", _READ)
    return {
        "/": root,
        "/api/hello": root,  # Claude Code requests this before it has a key.
        "/metrics": EndpointMatch("metrics", "metrics", "/metrics", _READ),
        "/dashboard": EndpointMatch("page", "dashboard.html", "/dashboard", _READ),
        "/dashboard/events": EndpointMatch("events", "events", "/dashboard/events", ("GET",)),
        "/dashboard/clients": EndpointMatch("guides", "clients", "/dashboard/clients", ("GET",)),
        **{
            f"/dashboard/{name}": EndpointMatch("page", name, "/dashboard", _READ)
            for name in ASSETS
        },
    }


def _every_spelling() -> dict[str, EndpointMatch]:
    table = _below_prefixes()
    anthropic = (*_MESSAGES_API, "models")
    return {
        **{f"{prefix}/{path}": match for path, match in table.items() for prefix in PREFIXES},
        **{f"{prefix}/{path}": table[path] for path in anthropic for prefix in _ANTHROPIC_PREFIXES},
        **_without_prefixes(),
    }


SPELLINGS: Final = _every_spelling()
"""The endpoints by every path that spells them. Model paths are matched by ``match_endpoint``."""
_LONGEST_FIRST: Final = sorted((*PREFIXES, *_ANTHROPIC_PREFIXES), key=len, reverse=True)
_ADDRESSES: Final = (
    "/health",
    "/ready",
    "/v1/models",
    *(f"/v1/{e}" for e in (*INFERENCE, *_MESSAGES_API, *REALTIME, *CLIENT_SECRETS)),
)


def match_endpoint(path: str, *, allow_any: bool = False, method: str = "") -> EndpointMatch | None:
    """Return the endpoint of *path* (raw, without query), or None.

    With *allow_any*, any well-formed path below a prefix is an endpoint of kind ``other``. So is a
    known one with a *method* that the proxy does not serve (such as DELETE of a model).
    """
    if (found := SPELLINGS.get(path)) is not None:
        return _by_method(found, path, method) if allow_any else found
    if len(path) > _MAX_PATH or not path.startswith("/"):
        return None
    path = re.sub(r"/{2,}", "/", path)
    if len(path) > 1:
        path = path.removesuffix("/")
    found = SPELLINGS.get(path)
    rest = _without_prefix(path)
    if found is None and rest.startswith("models/"):
        found = _model(rest.removeprefix("models/"))
    if not allow_any:
        return found
    return relayed_endpoint(rest) if found is None else _by_method(found, path, method)


def _by_method(found: EndpointMatch, path: str, method: str) -> EndpointMatch:
    if found.kind not in _OPENAIS or method not in _RELAYED_METHODS or method in found.methods:
        return found
    return relayed_endpoint(_without_prefix(path)) or found


def relayed_endpoint(
    rest: str, route: str = RELAYED, api: ApiName | None = None
) -> EndpointMatch | None:
    """Return the endpoint of kind ``other`` for *rest*, a path below the version, or None."""
    return EndpointMatch("other", rest, route, (), api=api) if _SEGMENTS.fullmatch(rest) else None


def _without_prefix(path: str) -> str:
    for prefix in _LONGEST_FIRST:
        if path.startswith(prefix + "/"):
            return path[len(prefix) + 1 :]
    # The path is "*" or an absolute URL.
    return path


def _model(raw_id: str) -> EndpointMatch | None:
    """Return the endpoint of one model, whose id may contain a slash, plain or as %2F."""
    model_id = unquote(raw_id)
    if not model_id.isprintable() or _UNSAFE_ID.search(model_id):
        return None
    return EndpointMatch("model", "models/{id}", "/v1/models/{id}", _READ, model_id)


def closest_endpoint(path: str) -> str:
    """Return the known path most similar to *path*, for a helpful 404."""
    asked = _without_prefix(re.sub(r"/{2,}", "/", path[:200])).strip("/*")
    if not asked:
        return "/v1/models"  # A base URL by itself; any short path would be similar to it.
    found = difflib.get_close_matches(f"/v1/{asked}", _ADDRESSES, n=1, cutoff=0.5)
    return found[0] if found else "/v1/chat/completions"
