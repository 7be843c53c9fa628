"""The tokens of one call, for its record, limits, budgets and prices. Pure."""

from typing import Final

import msgspec

_MOST_TOKENS: Final = 1_000_000_000


class TokenUsage(msgspec.Struct, frozen=True):
    """Tokens of one call as the upstream counted them.

    *prompt* includes the *cached* tokens, read from a cache, and the *written* ones, written to
    it; *completion* includes the *reasoning* tokens.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    written: int = 0

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        return TokenUsage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.cached + other.cached,
            self.reasoning + other.reasoning,
            self.written + other.written,
        )

    def bounded(self) -> tuple[int, int, int, int]:
        """Return prompt, completion, cached and reasoning tokens, clamped to 0 and a billion.

        Negative ones would refill budgets, and huge ones overflow the store.
        """
        counts = (self.prompt, self.completion, self.cached, self.reasoning)
        if min(counts) >= 0 and max(counts) <= _MOST_TOKENS:
            return counts
        prompt, completion, cached, reasoning = (min(max(0, n), _MOST_TOKENS) for n in counts)
        return prompt, completion, cached, reasoning
