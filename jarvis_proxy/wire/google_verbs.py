"""Addresses of Google's models: the method behind the colon, and the query. Pure.

Source: https://ai.google.dev/api/all-methods, https://cloud.google.com/apis/docs/system-parameters
(read 2026-11).
"""

from typing import Final

GENERATE: Final = "generateContent"
STREAM: Final = "streamGenerateContent"
COUNT_TOKENS: Final = "countTokens"
EMBED: Final = "embedContent"
BATCH_EMBED: Final = "batchEmbedContents"

VERBS: Final = (GENERATE, STREAM, COUNT_TOKENS, EMBED, BATCH_EMBED)
"""Those that are served; each is the ``endpoint`` of its calls."""

_CROSSING: Final = frozenset(("alt", "fields", "prettyprint", "quotauser", ".xgafv"))
"""Parameters of the query that cross, with or without a ``$``. Any other could be a key, or change
the method or the headers of the request."""


def asks_for_events(query: str) -> bool:
    """Return whether the raw *query* of a stream asks for events; else it is a JSON array."""
    values = [part.partition("=")[2] for part in query.split("&") if _query_name(part) == "alt"]
    return bool(values) and values[-1].lower().startswith("sse")


def _query_name(part: str) -> str:
    """Return the name of a *part* of a query, in small letters and without Google's ``$``."""
    return part.partition("=")[0].lower().replace("%24", "$").removeprefix("$")


def relayed_query(query: str, *, narrows: bool = True) -> str:
    """Return what of a raw *query* crosses.

    *narrows*: the client may leave fields out of the answer, among them the count of its tokens.
    """
    parts = [part for part in query.split("&") if _query_name(part) in _CROSSING]
    if not narrows:
        parts = [part for part in parts if _query_name(part) != "fields"]
    return "&".join(parts)
