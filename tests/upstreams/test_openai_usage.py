"""Usage, read field by field wherever it stands."""

from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.upstreams.openai_usage import (
    AnswerUsage,
    InputTokens,
    OpenAIUsage,
    read_usage,
    usage_in,
)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (OpenAIUsage(), TokenUsage()),
        (OpenAIUsage(prompt_tokens=3, completion_tokens=0), TokenUsage(3)),
        (OpenAIUsage(input_tokens=3, output_tokens=4), TokenUsage(3, 4)),
        (
            OpenAIUsage(input_tokens=3, input_token_details=InputTokens(audio_tokens=2)),
            TokenUsage(3, audio=2),
        ),
        (
            OpenAIUsage(input_tokens=3, input_tokens_details=InputTokens(image_tokens=2)),
            TokenUsage(3, image=2),
        ),
    ],
)
def test_absent_counts_are_zero(usage: OpenAIUsage, expected: TokenUsage) -> None:
    assert usage.counted() == expected


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 3}, TokenUsage(9, 3)),
        ({"prompt_tokens": 9.0, "completion_tokens": "3"}, TokenUsage(9, 3)),
        ({"prompt_tokens": "nine", "completion_tokens": 3}, TokenUsage(0, 3)),
        ({"prompt_tokens": 9, "prompt_tokens_details": []}, TokenUsage(9)),
        (
            {
                "input_tokens": "5.0",
                "output_tokens": 7,
                "input_tokens_details": {"cached_tokens": "1"},
                "output_tokens_details": {"reasoning_tokens": 6.9},
            },
            TokenUsage(5, 7, 1, 6),
        ),
        ({"prompt_tokens": 0, "input_tokens": 4}, TokenUsage(4)),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"audio_tokens": 5}},
            TokenUsage(9, audio=5),
        ),
        (
            {"input_tokens": 9, "input_tokens_details": {"image_tokens": 5, "text_tokens": 4}},
            TokenUsage(9, image=5),
        ),
        (
            {"input_tokens": 9, "input_token_details": {"audio_tokens": 5, "text_tokens": 4}},
            TokenUsage(9, audio=5),
        ),
        ({"prompt_tokens": None, "completion_tokens": 0}, TokenUsage()),
        ({"prompt_tokens": float("inf"), "completion_tokens": 2}, TokenUsage(0, 2)),
        ({"prompt_tokens": "nan", "completion_tokens": 2}, TokenUsage(0, 2)),
        ({"prompt_tokens": "9" * 5000, "completion_tokens": 2}, TokenUsage(0, 2)),
        ({"prompt_tokens": True, "completion_tokens": 2}, TokenUsage(0, 2)),
        ({"prompt_tokens": -5}, TokenUsage(-5)),
        ({"prompt_tokens": "five"}, None),
        ({}, None),
        ([], None),
        ([1], None),
        ("9", None),
        (None, None),
    ],
    ids=lambda value: str(value)[:50],
)
def test_usage_is_read_field_by_field(value: object, expected: TokenUsage | None) -> None:
    assert read_usage(value) == expected


@pytest.mark.parametrize(
    "cached",
    [
        {"prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 3},
        {"cached_tokens": 6},
        {"prompt_cache_hit_tokens": 6, "prompt_tokens_details": {"cached_tokens": 0}},
        {"prompt_cache_hit_tokens": 1, "prompt_tokens_details": {"cached_tokens": 6}},
    ],
)
def test_cached_tokens_may_stand_next_to_the_others(cached: dict[str, object]) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 1, **cached}
    expected = TokenUsage(9, 1, 6)

    assert read_usage(usage) == expected
    assert msgspec.convert(usage, OpenAIUsage).counted() == expected


PLACES: list[tuple[dict[str, Any], TokenUsage | None]] = [
    ({"usage": {"prompt_tokens": 1}, "x_groq": {"usage": {"prompt_tokens": 2}}}, TokenUsage(1)),
    ({"usage": None, "x_groq": {"id": "x", "usage": {"prompt_tokens": 2}}}, TokenUsage(2)),
    ({"choices": [{"usage": {"prompt_tokens": 3}}]}, TokenUsage(3)),
    ({"choices": [{"usage": {"prompt_tokens": 3}}, {"usage": None}]}, TokenUsage(3)),
    ({"usage": [], "choices": [{"usage": {"prompt_tokens": "3"}}]}, TokenUsage(3)),
    ({"usage": "none", "x_groq": 7, "choices": [None, 5, {"usage": []}]}, None),
    ({"choices": 5}, None),
    ({}, None),
]


@pytest.mark.parametrize(("fields", "expected"), PLACES, ids=str)
def test_usage_is_found_where_it_stands(
    fields: dict[str, Any], expected: TokenUsage | None
) -> None:
    assert usage_in(fields) == expected
    try:
        answer = msgspec.json.decode(msgspec.json.encode(fields), type=AnswerUsage)
    except msgspec.ValidationError:
        return  # the odd ones are read by usage_in only
    assert answer.counted() == expected
