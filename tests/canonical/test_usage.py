"""Token counts add up, and are clamped."""

import pytest

from jarvis_proxy.canonical.usage import TokenUsage


def test_tokens_add_up_field_by_field() -> None:
    total = TokenUsage(1, 2, 3, 4, 5) + TokenUsage(10, 20, 30, 40, 50)

    assert total == TokenUsage(prompt=11, completion=22, cached=33, reasoning=44, written=55)


@pytest.mark.parametrize(
    ("usage", "bounded"),
    [
        (TokenUsage(1, 2, 3, 4, 5), (1, 2, 3, 4, 5)),
        (TokenUsage(-1, 2, -3, 4, -5), (0, 2, 0, 4, 0)),
        (TokenUsage(10**30, 2, 3, 10**9 + 1, 10**10), (10**9, 2, 3, 10**9, 10**9)),
    ],
)
def test_counts_are_clamped(usage: TokenUsage, bounded: tuple[int, int, int, int, int]) -> None:
    assert usage.bounded() == bounded
