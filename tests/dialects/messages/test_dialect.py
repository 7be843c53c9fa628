"""The Messages API as a dialect: a call is read, and its answer is made as the call asks."""

import json
import math
from typing import Any

import pytest

from jarvis_proxy.canonical.adapters import Dialect, ModelFeatures
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.prompt_tokens import estimate_tokens
from jarvis_proxy.dialects.messages.dialect import MessagesDialect, count_tokens
from jarvis_proxy.dialects.messages.request import read_request
from jarvis_proxy.errors import ProxyError
from tests.dialects.messages.answers import CALL_ID, USAGE, finish, replay, text, thought
from tests.dialects.messages.requests import (
    Json,
    base64_source,
    body,
    call,
    model,
    result,
    thinking,
    user,
)
from tests.dialects.messages.requests import (
    text as text_block,
)

DIALECT: Dialect = MessagesDialect(lambda: "0" * 24)


def a_call(*, strict: bool = False, **fields: object) -> Call:
    return Call(
        endpoint="messages",
        model="my-model",
        target_model="m",
        stream=False,
        body=body(**fields),
        id=CALL_ID,
        created=5,
        now=0.0,
        strict_params=strict,
    )


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("shows", [True, False])
def test_an_answer_shows_what_the_call_asked_for(streamed: bool, shows: bool) -> None:
    asked = {"type": "enabled", "budget_tokens": 1024} if shows else None
    _, new_answer, _ = DIALECT.read(a_call(thinking=asked), ModelFeatures())
    answer = new_answer(stream=streamed)
    for event in (thought("hm"), text("Hi"), finish()):
        event(answer.choice(0))
    answer.end(USAGE)
    message = replay(answer.take()) if streamed else json.loads(answer.body())
    assert (message["id"], message["model"]) == (f"msg_{CALL_ID}", "my-model")
    kinds = [block["type"] for block in message["content"]]
    assert kinds == (["thinking", "text"] if shows else ["text"])


def test_with_strict_params_a_loss_is_refused() -> None:
    tools = [{"type": "mcp_toolset"}]
    assert DIALECT.read(a_call(tools=tools), ModelFeatures()).request.ignored == ("tools.0",)
    with pytest.raises(ProxyError, match=r"tools\.0"):
        DIALECT.read(a_call(tools=tools, strict=True), ModelFeatures())


def count(**fields: Any) -> int:
    answer = json.loads(count_tokens(body(max_tokens=None, **fields)))
    assert answer.keys() == {"input_tokens"}
    return int(answer["input_tokens"])


def test_a_request_without_max_tokens_is_counted_and_a_wrong_one_is_refused() -> None:
    assert count() == count(thinking={"type": "enabled", "budget_tokens": 1024})
    with pytest.raises(ProxyError, match="messages: Field required"):
        count_tokens(b'{"model":"m"}')


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a" * 35, 10),
        ("ü" * 35, 20),
        ([text_block("a" * 35), text_block("a" * 35)], 20),
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
def test_what_content_costs(content: str | list[Json], expected: int) -> None:
    assert count(messages=[{"role": "user", "content": content}]) == 8 + expected


def test_a_search_result_costs_its_text() -> None:
    block = {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": [text_block("a" * 350)],
    }
    assert 108 < count(messages=[user(block)]) < 150


def test_system_calls_thoughts_and_results_count() -> None:
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


def test_a_tool_costs_its_schema_and_a_form_too() -> None:
    schema = {"type": "object", "properties": {"a": {"description": "a" * 350}}}
    assert 140 < count(tools=[{"name": "f", "input_schema": schema}]) - count() < 190
    form = {"format": {"type": "json_schema", "schema": schema}}
    assert 100 < count(output_config=form) - count() < 160


def test_the_count_is_rounded_up_and_at_least_one() -> None:
    assert count(messages=[user("a")]) == 9
    assert math.ceil(8 + 1 / 3.5) == 9


def test_the_count_of_code_and_prose_is_not_too_low() -> None:
    """Common tokenizers take four bytes of English for a token, and three of code."""
    prose = "The quick brown fox jumps over the lazy dog. " * 100
    assert count(messages=[user(prose)]) > len(prose) / 4


def test_the_answer_needs_no_upstream() -> None:
    assert count_tokens(body()) == b'{"input_tokens":9}'


def test_the_estimate_serves_any_canonical_request() -> None:
    assert estimate_tokens(read_request(body())) == 9
