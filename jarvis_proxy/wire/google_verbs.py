"""The method (after the colon) and the query in URLs of Google's models. Pure.

Source: https://ai.google.dev/api/all-methods, https://cloud.google.com/apis/docs/system-parameters
(read 2026-11).
"""

from typing import Final

GENERATE: Final = "generateContent"
STREAM: Final = "streamGenerateContent"
COUNT_TOKENS: Final = "countTokens"
EMBED: Final = "embedContent"
BATCH_EMBED: Final = "batchEmbedContents"
PREDICT: Final = "predict"
"""Imagen draws by it."""

VERBS: Final = (GENERATE, STREAM, COUNT_TOKENS, EMBED, BATCH_EMBED, PREDICT)
"""The methods that are served; each is the ``endpoint`` of its calls."""

_CROSSING: Final = frozenset(("alt", "fields", "prettyprint", "quotauser", ".xgafv"))
"""Query parameters that cross, with or without a ``$``.

Any other one could be a key, or change the request's method or headers.
"""


def asks_for_events(query: str) -> bool:
    """Return whether a stream's raw *query* asks for SSE; otherwise it gets a JSON array."""
    values = [part.partition("=")[2] for part in query.split("&") if _query_name(part) == "alt"]
    return bool(values) and values[-1].lower().startswith("sse")


def _query_name(part: str) -> str:
    """Return the name in a *part* of a query, lower-cased and without Google's ``$``."""
    return part.partition("=")[0].lower().replace("%24", "$").removeprefix("$")


def relayed_query(query: str, *, narrows: bool = True) -> str:
    """Return the part of a raw *query* that crosses.

    *narrows*: the client may exclude fields from the answer, even its token counts.
    """
    parts = [part for part in query.split("&") if _query_name(part) in _CROSSING]
    if not narrows:
        parts = [part for part in parts if _query_name(part) != "fields"]
    return "&".join(parts)
