"""Messages calls answered by a chat completions service: requests, answers, and the next turn."""

import itertools
import json
from typing import Any

import pytest

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import Exchange, Media
from jarvis_proxy.dialects.messages.dialect import MessagesDialect
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.upstream import CompatibleUpstream
from tests.dialects.messages.answers import CALL_ID, replay
from tests.dialects.messages.requests import body, result, user
from tests.support.recordings import recordings

Json = dict[str, Any]

CAPTURES = [
    param
    for param in recordings("agents")
    if param.values[0] is None or param.values[0]["path"].startswith("/v1/messages")
]
MEDIA: dict[str, Media | ProxyError] = {}


def exchange(data: bytes, *, stream: bool = True, base_url: str = "") -> Exchange:
    """Return the exchange of a Messages call with a service."""
    counter = itertools.count()

    def new_id() -> str:
        return f"{next(counter):024}"

    upstream = CompatibleUpstream(
        "deepseek",
        base_url or "https://api.deepseek.com",
        dialects={"messages": MessagesDialect(new_id)},
        new_id=new_id,
    )
    call = Call(
        endpoint="messages",
        model="my-model",
        target_model="deepseek-chat",
        stream=stream,
        body=data,
        id=CALL_ID,
        created=5,
        now=0.0,
    )
    return upstream.exchange(call, MEDIA, upstream.needs(call).decoded)


def asked(made: Exchange) -> Json:
    """Return the body that goes to the service."""
    (request,) = made.requests
    found: Json = json.loads(request.body)
    return found


@pytest.mark.parametrize("capture", CAPTURES)
@pytest.mark.parametrize("base_url", ["https://api.deepseek.com", "https://api.openai.com/v1"])
def test_requests_of_agents_lose_nothing_but_tools_of_servers(capture: Json, base_url: str) -> None:
    data = capture["body"] | {"max_tokens": capture["body"].get("max_tokens", 1)}

    made = exchange(json.dumps(data).encode(), base_url=base_url)

    request = asked(made)
    assert request["messages"]
    named = [f"tools.{n}" for n, tool in enumerate(data.get("tools", ())) if "type" in tool]
    allowed = {"thinking", "thinking.display", "temperature", "output_config.effort"}
    ignored = set(filter(None, dict(made.headers).get("x-jarvis-ignored", "").split(", ")))
    assert ignored - allowed == set(named)


def chunk(delta: Json, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**body, "choices": [choice]}).encode() + b"\n\n"


CALLED = {"id": "call_A", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
ANSWER = b"".join(
    (
        chunk({"role": "assistant", "reasoning_content": "so I "}),
        chunk({"reasoning_content": "think"}),
        chunk({"content": "I look."}),
        chunk({"tool_calls": [{"index": 0, **CALLED}]}),
        chunk({}, "tool_calls"),
        b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}\n\n',
        b"data: [DONE]\n\n",
    )
)
TOOLS = [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]


def streamed(made: Exchange, data: bytes) -> Json:
    """Return the message that the client gets for the service's stream."""
    asked(made)
    translator = made.stream_translator()
    out = translator.feed(data)
    return replay(out if translator.done else out + translator.feed_eof())


@pytest.mark.parametrize("shows", [True, False])
def test_an_answer_and_the_turn_after_it(shows: bool) -> None:
    thinking = {"type": "adaptive", "display": "summarized" if shows else "omitted"}
    fields: Json = {"tools": TOOLS, "thinking": thinking}

    message = streamed(exchange(body(**fields)), ANSWER)

    thought, said, called = message["content"]
    assert thought["thinking"] == ("so I think" if shows else "")
    assert thought["signature"].startswith("chat.deepseek:")
    assert said == {"type": "text", "text": "I look."}
    assert called == {"type": "tool_use", "id": "call_A", "name": "f", "input": {"a": 1}}
    assert (message["stop_reason"], message["usage"]["input_tokens"]) == ("tool_use", 9)

    turn = {"role": "assistant", "content": message["content"]}
    history = [user("Hi"), turn, user(result("call_A", "x"))]
    _, model, tool = asked(exchange(body(messages=history, **fields)))["messages"]
    assert (model["reasoning_content"], model["content"]) == ("so I think", "I look.")
    (again,) = model["tool_calls"]
    assert (again["id"], json.loads(again["function"]["arguments"])) == ("call_A", {"a": 1})
    assert tool == {"role": "tool", "tool_call_id": "call_A", "content": "x"}


def test_a_whole_answer_is_that_of_the_stream() -> None:
    message = {"role": "assistant", "content": "I look.", "tool_calls": [CALLED]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    made = exchange(body(tools=TOOLS), stream=False)
    asked(made)
    made.translate_reply(json.dumps({"choices": [choice], "usage": usage}).encode())
    whole = json.loads(made.answer())
    assert [block["type"] for block in whole["content"]] == ["text", "tool_use"]
    assert whole["usage"]["output_tokens"] == 4


def test_a_fault_that_the_service_writer_finds_has_the_clients_path() -> None:
    tools = [{"type": "mcp_toolset"}, *TOOLS, *TOOLS]
    with pytest.raises(ProxyError) as caught:
        asked(exchange(body(tools=tools)))
    assert (caught.value.status, caught.value.param) == (400, "tools.2.name")
