"""The methods of Google's models, as they stand behind the colon of an address. Pure.

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


def asks_for_events(query: str) -> bool:
    """Tell whether the raw *query* of a stream asks for events; else it is a JSON array."""
    values = [part.partition("=")[2] for part in query.split("&") if query_name(part) == "alt"]
    return bool(values) and values[-1].lower().startswith("sse")


def query_name(part: str) -> str:
    """Return the name of a *part* of a query, in small letters and without Google's ``$``."""
    return part.partition("=")[0].lower().replace("%24", "$").removeprefix("$")
