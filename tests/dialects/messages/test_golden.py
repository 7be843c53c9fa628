"""Answers byte for byte. How they are made is said in ``golden_files``."""

import json

import pytest

from tests.dialects.messages.answers import replay, without_tier
from tests.dialects.messages.golden_files import CASES, GOLDEN, body_of, stream_of


@pytest.mark.parametrize("name", CASES)
def test_golden_answer(name: str) -> None:
    assert stream_of(name).decode() == (GOLDEN / f"{name}.sse").read_text()
    assert body_of(name).decode() == (GOLDEN / f"{name}.json").read_text()


@pytest.mark.parametrize("name", CASES)
def test_a_golden_stream_is_the_whole_answer(name: str) -> None:
    whole = json.loads((GOLDEN / f"{name}.json").read_bytes())
    message = replay((GOLDEN / f"{name}.sse").read_bytes())
    assert without_tier(message.pop("usage")) == without_tier(whole.pop("usage"))
    assert message == whole


def test_no_golden_file_is_left_behind() -> None:
    files = {path.name for path in GOLDEN.iterdir()}
    assert files == {f"{name}.{kind}" for name in CASES for kind in ("sse", "json")}
