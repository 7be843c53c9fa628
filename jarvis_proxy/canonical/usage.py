"""The token counts of one call, for its record, limits, budgets and prices. Pure."""

from typing import Final

import msgspec
from msgspec import UNSET

from jarvis_proxy.wire.chat_types import ChatUsage, CompletionTokensDetails, PromptTokensDetails

_MAX_TOKENS: Final = 1_000_000_000


class TokenUsage(msgspec.Struct, frozen=True):
    """Tokens of one call as the upstream counted them.

    *prompt* includes the *cached* tokens, read from a cache, and the *written* tokens, written to
    it; *written_1h* are those of *written* that stay for an hour. *audio* and *image* are prompt
    tokens of sound and of pictures that came from no cache, as far as the upstream tells them
    apart. *completion* includes the *reasoning* tokens.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    written: int = 0
    written_1h: int = 0
    audio: int = 0
    image: int = 0

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        return TokenUsage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.cached + other.cached,
            self.reasoning + other.reasoning,
            self.written + other.written,
            self.written_1h + other.written_1h,
            self.audio + other.audio,
            self.image + other.image,
        )

    def bounded(self) -> tuple[int, int, int, int, int, int, int, int]:
        """Return the eight counts in their order, clamped to 0 and a billion.

        Negative ones would refill budgets, and huge ones overflow the store.
        """
        counts = (
            self.prompt,
            self.completion,
            self.cached,
            self.reasoning,
            self.written,
            self.written_1h,
            self.audio,
            self.image,
        )
        if min(counts) >= 0 and max(counts) <= _MAX_TOKENS:
            return counts
        clamped = (min(max(0, count), _MAX_TOKENS) for count in counts)
        prompt, completion, cached, reasoning, written, written_1h, audio, image = clamped
        return prompt, completion, cached, reasoning, written, written_1h, audio, image


def add_usage(one: ChatUsage, other: ChatUsage) -> ChatUsage:
    """Return the sum of the token counts of two answers."""
    a, b = one.prompt_tokens_details, other.prompt_tokens_details
    c, d = one.completion_tokens_details, other.completion_tokens_details
    return ChatUsage(
        one.prompt_tokens + other.prompt_tokens,
        one.completion_tokens + other.completion_tokens,
        one.total_tokens + other.total_tokens,
        PromptTokensDetails(
            a.cached_tokens + b.cached_tokens,
            a.audio_tokens + b.audio_tokens,
            a.cache_write_tokens + b.cache_write_tokens,
            (a.cache_write_1h_tokens or 0) + (b.cache_write_1h_tokens or 0) or UNSET,
        ),
        CompletionTokensDetails(
            c.reasoning_tokens + d.reasoning_tokens, c.audio_tokens + d.audio_tokens
        ),
    )


def to_token_usage(usage: ChatUsage) -> TokenUsage:
    """Return the token counts in the form of the call's record."""
    return TokenUsage(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.prompt_tokens_details.cached_tokens,
        usage.completion_tokens_details.reasoning_tokens,
        usage.prompt_tokens_details.cache_write_tokens,
        usage.prompt_tokens_details.cache_write_1h_tokens or 0,
        usage.prompt_tokens_details.audio_tokens,
    )
