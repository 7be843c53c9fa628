"""Tokens, by blocks as Gemini sends them."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.usage import TokenUsage, add_usage, to_token_usage
from jarvis_proxy.upstreams.gemini.reply.usage import (
    service_tier,
    translate_usage,
)
from jarvis_proxy.wire.chat_types import ChatUsage, CompletionTokensDetails, PromptTokensDetails


def usage(**block: Any) -> ChatUsage:
    return translate_usage(json.dumps(block).encode())


def test_thoughts_are_part_of_the_completion() -> None:
    actual = usage(
        promptTokenCount=71, candidatesTokenCount=33, thoughtsTokenCount=93, totalTokenCount=197
    )

    expected = ChatUsage(
        71, 126, 197, completion_tokens_details=CompletionTokensDetails(reasoning_tokens=93)
    )
    assert expected == actual


def test_prompts_of_server_tools_are_part_of_the_prompt() -> None:
    actual = usage(
        promptTokenCount=17,
        candidatesTokenCount=41,
        totalTokenCount=572,
        toolUsePromptTokenCount=102,
        thoughtsTokenCount=412,
    )

    assert (actual.prompt_tokens, actual.completion_tokens, actual.total_tokens) == (119, 453, 572)


def test_thoughts_that_candidates_already_include_are_not_counted_twice() -> None:
    actual = usage(
        promptTokenCount=10, candidatesTokenCount=50, thoughtsTokenCount=40, totalTokenCount=60
    )

    assert actual.completion_tokens == 50
    assert actual.completion_tokens_details.reasoning_tokens == 40


def test_cached_and_audio_tokens_are_details_only() -> None:
    actual = usage(
        promptTokenCount=100,
        candidatesTokenCount=10,
        totalTokenCount=110,
        cachedContentTokenCount=80,
        promptTokensDetails=[
            {"modality": "TEXT", "tokenCount": 70},
            {"modality": "AUDIO", "tokenCount": 30},
        ],
        candidatesTokensDetails=[{"modality": "AUDIO", "tokenCount": 9}, {"modality": "AUDIO"}],
    )

    expected = ChatUsage(
        100,
        10,
        110,
        PromptTokensDetails(cached_tokens=80, audio_tokens=30),
        CompletionTokensDetails(audio_tokens=9),
    )
    assert expected == actual


def test_a_missing_total_is_the_sum_and_a_missing_part_is_zero() -> None:
    assert usage(promptTokenCount=5, candidatesTokenCount=7).total_tokens == 12
    assert usage(promptTokenCount=5, totalTokenCount=None).total_tokens == 5
    assert usage(promptTokenCount=12, thoughtsTokenCount=84, totalTokenCount=96) == ChatUsage(
        12, 84, 96, completion_tokens_details=CompletionTokensDetails(reasoning_tokens=84)
    )
    assert usage(trafficType="ON_DEMAND") == ChatUsage()


@pytest.mark.parametrize("block", [b"", b"null", b"[]", b'{"promptTokenCount":{}}', b"\xff"])
def test_a_block_of_an_unknown_shape_counts_nothing(block: bytes) -> None:
    assert translate_usage(block) == ChatUsage()
    assert service_tier(block) is None


def test_numbers_may_come_as_strings() -> None:
    assert usage(promptTokenCount="7").prompt_tokens == 7


def test_sums_add_every_count() -> None:
    one = ChatUsage(1, 2, 3, PromptTokensDetails(4, 5), CompletionTokensDetails(6, 7))
    other = ChatUsage(10, 20, 30, PromptTokensDetails(40, 50), CompletionTokensDetails(60, 70))

    expected = ChatUsage(11, 22, 33, PromptTokensDetails(44, 55), CompletionTokensDetails(66, 77))
    assert add_usage(one, other) == expected


def test_the_record_gets_the_four_counts() -> None:
    full = ChatUsage(1, 2, 3, PromptTokensDetails(cached_tokens=4), CompletionTokensDetails(5))

    assert to_token_usage(full) == TokenUsage(1, 2, 4, 5)


@pytest.mark.parametrize(
    ("native", "expected"),
    [("standard", "default"), ("FLEX", "flex"), ("priority", "priority"), ("other", None)],
)
def test_service_tier_is_in_openais_words(native: str, expected: str | None) -> None:
    assert service_tier(json.dumps({"serviceTier": native}).encode()) == expected
