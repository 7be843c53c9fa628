"""Usage of a chat upstream in OpenAI's form."""

from typing import Any

import pytest

from jarvis_proxy.upstreams.chat.usage import chat_usage
from jarvis_proxy.wire.chat_types import ChatUsage, CompletionTokensDetails, PromptTokensDetails


@pytest.mark.parametrize(
    "fields",
    [
        {"usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 4}},
        {"choices": [{"usage": {"prompt_tokens": 9, "completion_tokens": 3, "cached_tokens": 4}}]},
        {"x_groq": {"usage": {"prompt_tokens": 9, "completion_tokens": 3, "cached_tokens": 4}}},
    ],
)
def test_c7_cached_tokens_of_deepseek_and_others_are_counted(fields: dict[str, Any]) -> None:
    expected = ChatUsage(9, 3, 12, prompt_tokens_details=PromptTokensDetails(cached_tokens=4))

    assert chat_usage(fields) == expected


def test_details_are_kept() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }

    assert chat_usage({"usage": usage}) == ChatUsage(
        9,
        3,
        12,
        PromptTokensDetails(cached_tokens=2, cache_write_tokens=5),
        CompletionTokensDetails(reasoning_tokens=1),
    )


@pytest.mark.parametrize("written", [-5, True, "five", None])
def test_odd_count_of_written_tokens_is_zero(written: object) -> None:
    details = {"cache_write_tokens": written}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": details}

    assert chat_usage({"usage": usage}) == ChatUsage(9, 3, 12)


@pytest.mark.parametrize("fields", [{}, {"usage": None}, {"usage": {}}, {"choices": []}])
def test_no_usage_is_none(fields: dict[str, Any]) -> None:
    assert chat_usage(fields) is None
