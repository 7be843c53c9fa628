"""Reads the usage that OpenAI-compatible upstreams report, in any of its places. Pure.

It is read field by field: an invalid field hides no other one, and never fails a call.

Source: https://platform.openai.com/docs/api-reference/chat/object (read 2026-11); Groq's streams
have it in ``x_groq.usage``, Moonshot's in ``choices[0].usage``. DeepSeek and Moonshot report cached
tokens in fields of usage itself: ``prompt_cache_hit_tokens``, ``cached_tokens``. Transcriptions
have ``input_token_details``.
"""

import math
from typing import Final

import msgspec

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.upstreams.json_values import Fields, fields_of, items_of

_MAX_NUMBER: Final = 20
_CACHED_TOKENS: Final = ("prompt_cache_hit_tokens", "cached_tokens")


class InputTokens(msgspec.Struct):
    """The prompt tokens that were read from a cache or written to it, and those of no text."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class ReasoningTokens(msgspec.Struct):
    """The completion tokens that were thoughts."""

    reasoning_tokens: int | None = None


class OpenAIUsage(msgspec.Struct):
    """The usage fields that are counted, by chat's and by the Responses API's names."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    prompt_tokens_details: InputTokens | None = None
    input_tokens_details: InputTokens | None = None
    input_token_details: InputTokens | None = None
    completion_tokens_details: ReasoningTokens | None = None
    output_tokens_details: ReasoningTokens | None = None

    def counted(self) -> TokenUsage:
        """Return the counts; missing ones are 0."""
        details = self.prompt_tokens_details or self.input_tokens_details
        details = details or self.input_token_details or _NO_DETAILS
        reasoning = self.completion_tokens_details or self.output_tokens_details
        return TokenUsage(
            self.prompt_tokens or self.input_tokens or 0,
            self.completion_tokens or self.output_tokens or 0,
            details.cached_tokens or self.prompt_cache_hit_tokens or self.cached_tokens or 0,
            (reasoning and reasoning.reasoning_tokens) or 0,
            details.cache_write_tokens or 0,
            audio=details.audio_tokens or 0,
            image=details.image_tokens or 0,
        )


_NO_DETAILS: Final = InputTokens()


class UsageHolder(msgspec.Struct, gc=False):
    """An object that may contain usage."""

    usage: OpenAIUsage | None = None


class AnswerUsage(msgspec.Struct):
    """The fields of a whole answer, or of an event, that may contain usage."""

    usage: OpenAIUsage | None = None
    choices: list[UsageHolder] | None = None
    x_groq: UsageHolder | None = None

    def counted(self) -> TokenUsage | None:
        """Return the counts, None if there are none."""
        usage = self.usage
        if usage is None and self.x_groq is not None:
            usage = self.x_groq.usage
        if usage is None:
            usage = next((c.usage for c in reversed(self.choices or ()) if c.usage), None)
        return None if usage is None else usage.counted()


def usage_in(fields: Fields) -> TokenUsage | None:
    """Return the usage in an answer's or an event's *fields*, even if types in it are wrong."""
    places = (
        fields,
        fields_of(fields.get("x_groq")),
        *(fields_of(choice) for choice in reversed(items_of(fields.get("choices")))),
    )
    found = (read_usage(place.get("usage")) for place in places)
    return next((usage for usage in found if usage is not None), None)


def read_usage(value: object) -> TokenUsage | None:
    """Return the counts in *value*, the JSON value of ``usage``; None if none can be read."""
    fields = fields_of(value)
    details = _details(
        fields, "prompt_tokens_details", "input_tokens_details", "input_token_details"
    )
    reasoning = _details(fields, "completion_tokens_details", "output_tokens_details")
    counts = (
        _first(fields, "prompt_tokens", "input_tokens"),
        _first(fields, "completion_tokens", "output_tokens"),
        _first(details, "cached_tokens") or _first(fields, *_CACHED_TOKENS),
        _first(reasoning, "reasoning_tokens"),
        _first(details, "cache_write_tokens"),
    )
    if all(count is None for count in counts):
        return None
    prompt, completion, cached, thoughts, written = (count or 0 for count in counts)
    return TokenUsage(
        prompt,
        completion,
        cached,
        thoughts,
        written,
        audio=_first(details, "audio_tokens") or 0,
        image=_first(details, "image_tokens") or 0,
    )


def _details(fields: Fields, *names: str) -> Fields:
    return next((found for name in names if (found := fields_of(fields.get(name)))), {})


def _first(fields: Fields, *names: str) -> int | None:
    counts = [count for name in names if (count := _count(fields.get(name))) is not None]
    return next((count for count in counts if count), counts[0] if counts else None)


def _count(value: object) -> int | None:
    """Return a token count that is an integer, a float or a text; None if it is invalid."""
    if isinstance(value, str):
        if len(value) > _MAX_NUMBER:
            return None
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
