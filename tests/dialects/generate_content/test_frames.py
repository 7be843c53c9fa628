"""Tokens and log probabilities in Google's words."""

from msgspec import UNSET

from jarvis_proxy.dialects.generate_content.frames import UsageMetadata, usage_of
from jarvis_proxy.wire.chat_types import ChatUsage, CompletionTokensDetails


def test_tokens_of_thoughts_are_counted_apart_from_the_candidates() -> None:
    usage = ChatUsage(
        7, 5, 12, completion_tokens_details=CompletionTokensDetails(reasoning_tokens=3)
    )

    assert usage_of(usage) == UsageMetadata(7, 2, 12, UNSET, 3)


def test_counts_are_never_negative() -> None:
    usage = ChatUsage(
        7, 2, 9, completion_tokens_details=CompletionTokensDetails(reasoning_tokens=3)
    )

    assert usage_of(usage).candidates_token_count == 0
