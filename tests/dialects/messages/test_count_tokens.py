"""Rows T1 to T5: the estimate of a prompt's tokens."""

import json
import math
from typing import Any

import pytest

from jarvis_proxy.canonical.prompt_tokens import estimate_tokens
from jarvis_proxy.dialects.messages.count_tokens import count_tokens
from jarvis_proxy.dialects.messages.request import read_request
from jarvis_proxy.errors import ProxyError
from tests.dialects.messages.requests import (
    Json,
    base64_source,
    body,
    call,
    model,
    result,
    text,
    thinking,
    user,
)


def count(**fields: Any) -> int:
    answer = json.loads(count_tokens(body(max_tokens=None, **fields)))
    assert answer.keys() == {"input_tokens"}
    return int(answer["input_tokens"])


def test_t1_a_request_without_max_tokens_is_counted_and_a_wrong_one_is_refused() -> None:
    assert count() == count(thinking={"type": "enabled", "budget_tokens": 1024})
    with pytest.raises(ProxyError, match="messages: Field required"):
        count_tokens(b'{"model":"m"}')


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a" * 35, 10),
        ("ü" * 35, 20),
        ([text("a" * 35), text("a" * 35)], 20),
        ([{"type": "image", "source": base64_source("image/png", "A" * 100_000)}], 1600),
        ([{"type": "image", "source": {"type": "url", "url": "https://a.example/b"}}], 1600),
        (
            [{"type": "document", "source": base64_source("application/pdf", "A" * 80_000)}],
            1000,
        ),
        ([{"type": "document", "source": {"type": "url", "url": "https://a.example"}}], 1600),
        (
            [{"type": "document", "source": {"type": "text", "data": "a" * 35}}],
            10,
        ),
    ],
)
def test_t3_what_content_costs(content: str | list[Json], expected: int) -> None:
    assert count(messages=[{"role": "user", "content": content}]) == 8 + expected


def test_t3_a_search_result_costs_its_text() -> None:
    block = {"type": "search_result", "source": "s", "title": "t", "content": [text("a" * 350)]}
    assert 108 < count(messages=[user(block)]) < 150


def test_t3_system_calls_thoughts_and_results_count() -> None:
    plain = count(messages=[user("a"), model(call("1")), user(result("1", "x"))])
    longer = count(
        system="a" * 35,
        messages=[
            user("a"),
            model(thinking("EqQBCkYIBRgC" * 100, "a" * 35), call("1", {"a": "a" * 35})),
            user(result("1", "x" + "a" * 35)),
        ],
    )
    assert 8 + 40 <= longer - plain <= 8 + 45


def test_t3_a_tool_costs_its_schema_and_a_form_too() -> None:
    schema = {"type": "object", "properties": {"a": {"description": "a" * 350}}}
    assert 140 < count(tools=[{"name": "f", "input_schema": schema}]) - count() < 190
    form = {"format": {"type": "json_schema", "schema": schema}}
    assert 100 < count(output_config=form) - count() < 160


def test_t3_the_count_is_rounded_up_and_at_least_one() -> None:
    assert count(messages=[user("a")]) == 9
    assert math.ceil(8 + 1 / 3.5) == 9


def test_bug_60_the_count_of_code_and_prose_is_not_too_low() -> None:
    """Common tokenizers take four bytes of English for a token, and three of code."""
    prose = "The quick brown fox jumps over the lazy dog. " * 100
    assert count(messages=[user(prose)]) > len(prose) / 4


def test_t5_bug_59_the_answer_needs_no_upstream() -> None:
    assert count_tokens(body()) == b'{"input_tokens":9}'


def test_the_estimate_serves_any_canonical_request() -> None:
    assert estimate_tokens(read_request(body())) == 9
