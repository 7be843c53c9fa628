"""Estimates of tokens: rough, but not fooled by files."""

import pytest

from jarvis_proxy.token_estimates import estimate_answer, estimate_prompt

PICTURE = b'"data:image/png;base64,' + b"A" * 1_000_000


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b"", 0),
        (b"x" * 400, 100),
        (b'{"url":' + PICTURE + b'","text":"' + b"x" * 400 + b'"}', 108),
        (b"[" + PICTURE + b'",' + PICTURE + b'"]', 8),
        (PICTURE, 3),  # cut: no quote closes it
    ],
    ids=["nothing", "text", "a picture and text", "two pictures", "an open string"],
)
def test_a_prompt_counts_by_its_text(body: bytes, tokens: int) -> None:
    assert estimate_prompt(body) == pytest.approx(tokens, abs=4)


def test_an_answer_counts_by_its_events() -> None:
    assert estimate_answer(256 * 7 + 5, streamed=True) == 7
    assert estimate_answer(10**6, streamed=False) == 0
