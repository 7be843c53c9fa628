"""Estimates of tokens: rough, but not fooled by files."""

import pytest

from jarvis_proxy.access.token_estimates import estimate_answer, estimate_prompt

PICTURE = b'"data:image/png;base64,' + b"A" * 1_000_000


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b"", 0),
        (b"x" * 400, 100),
        (b'{"url":' + PICTURE + b'","text":"' + b"x" * 400 + b'"}', 108),
        (b"[" + PICTURE + b'",' + PICTURE + b'"]', 8),
        (PICTURE, 3),  # cut: no quote closes it
        (b'";base64,' + b"word " * 800 + b'"', 1000),
    ],
    ids=["nothing", "text", "a picture and text", "two pictures", "an open string", "d9-no-file"],
)
def test_a_prompt_counts_by_its_text(body: bytes, tokens: int) -> None:
    assert estimate_prompt(body) == pytest.approx(tokens, abs=4)


def test_an_answer_counts_by_its_events() -> None:
    assert estimate_answer(256 * 7 + 5, streamed=True) == 7
    assert estimate_answer(10**6, streamed=False) == 0


def test_d9_a_whole_answer_of_text_counts_by_its_bytes() -> None:
    assert estimate_answer(4400, streamed=False, is_text=True) == 1000
    assert estimate_answer(10, streamed=False, is_text=True) == 0
