"""The Messages API as a dialect: a call is read, and its answer is made as the call asks."""

import json

import pytest

from jarvis_proxy.canonical.adapters import Dialect, ModelFeatures
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.dialects.messages.dialect import MessagesDialect
from jarvis_proxy.errors import ProxyError
from tests.dialects.messages.answers import CALL_ID, USAGE, finish, replay, text, thought
from tests.dialects.messages.requests import body

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
    _, new_answer = DIALECT.read(a_call(thinking=asked), ModelFeatures())
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
