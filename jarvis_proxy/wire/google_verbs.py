"""The methods of Google's models, as they stand behind the colon of an address. Pure.

Source: https://ai.google.dev/api/all-methods (read 2026-11).
"""

from typing import Final

GENERATE: Final = "generateContent"
STREAM: Final = "streamGenerateContent"
COUNT_TOKENS: Final = "countTokens"
EMBED: Final = "embedContent"
BATCH_EMBED: Final = "batchEmbedContents"

VERBS: Final = (GENERATE, STREAM, COUNT_TOKENS, EMBED, BATCH_EMBED)
"""Those that are served; each is the ``endpoint`` of its calls."""
