"""Converts Gemini's usageMetadata to OpenAI's usage. Pure.

Gemini counts thoughts separately from candidates, OpenAI counts them in the completion. Gemini also
counts prompts of server-side tools separately. In all complete blocks seen, the total is the sum of
the four. Within a stream each block replaces the previous one: counts may decrease.

Source: https://ai.google.dev/api/generate-content#UsageMetadata (read 2026-11).
"""

from typing import Final

import msgspec

from jarvis_proxy.upstreams.gemini.reply.error_body import DECODE_ERRORS
from jarvis_proxy.wire.chat_types import ChatUsage, CompletionTokensDetails, PromptTokensDetails


class _ModalityCount(msgspec.Struct, rename="camel"):
    modality: str | None = None
    token_count: int | None = None


class _UsageMetadata(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: list[_ModalityCount] | None = None
    candidates_tokens_details: list[_ModalityCount] | None = None
    service_tier: str | None = None


_METADATA: Final = msgspec.json.Decoder(_UsageMetadata, strict=False)
_TIERS: Final = {"standard": "default", "flex": "flex", "priority": "priority"}


def _decode(raw: bytes) -> _UsageMetadata:
    try:
        return _METADATA.decode(raw)
    except DECODE_ERRORS:
        # Counts of an unknown shape must not invalidate the answer.
        return _UsageMetadata()


def translate_usage(raw: bytes) -> ChatUsage:
    """Return one usageMetadata block as OpenAI's usage; missing counts are 0."""
    block = _decode(raw)
    prompt = (block.prompt_token_count or 0) + (block.tool_use_prompt_token_count or 0)
    candidates = block.candidates_token_count or 0
    thoughts = block.thoughts_token_count or 0
    total = block.total_token_count
    # If a model counts its thoughts in the candidates, the total shows it.
    completion = candidates if prompt + candidates == total else candidates + thoughts
    return ChatUsage(
        prompt,
        completion,
        prompt + completion if total is None else total,
        PromptTokensDetails(
            cached_tokens=block.cached_content_token_count or 0,
            audio_tokens=_audio(block.prompt_tokens_details),
        ),
        CompletionTokensDetails(
            reasoning_tokens=thoughts, audio_tokens=_audio(block.candidates_tokens_details)
        ),
    )


def service_tier(raw: bytes) -> str | None:
    """Return OpenAI's name of the tier that served the call, None without one."""
    return _TIERS.get((_decode(raw).service_tier or "").lower())


def _audio(counts: list[_ModalityCount] | None) -> int:
    return sum(c.token_count or 0 for c in counts or () if c.modality == "AUDIO")
