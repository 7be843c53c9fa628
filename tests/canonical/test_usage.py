"""Token counts add up, and are clamped."""

import pytest

from jarvis_proxy.canonical.usage import TokenUsage


def test_tokens_add_up_field_by_field() -> None:
    total = TokenUsage(1, 2, 3, 4, 5, 6, 7, 8) + TokenUsage(10, 20, 30, 40, 50, 60, 70, 80)

    assert total == TokenUsage(11, 22, 33, 44, written=55, written_1h=66, audio=77, image=88)


@pytest.mark.parametrize(
    ("usage", "bounded"),
    [
        (TokenUsage(1, 2, 3, 4, 5, 6, 7, 8), (1, 2, 3, 4, 5, 6, 7, 8)),
        (TokenUsage(-1, 2, -3, 4, -5, -6, -7, -8), (0, 2, 0, 4, 0, 0, 0, 0)),
        (TokenUsage(10**30, 2, 3, 10**9 + 1, 10**10), (10**9, 2, 3, 10**9, 10**9, 0, 0, 0)),
    ],
)
def test_counts_are_clamped(usage: TokenUsage, bounded: tuple[int, ...]) -> None:
    assert usage.bounded() == bounded
