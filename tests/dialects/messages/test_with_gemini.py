"""Messages calls answered by Gemini: what other gateways get wrong."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from jarvis_proxy.canonical.exchange import Exchange
from tests.support.translated import gemini
from tests.upstreams.gemini.replies import a_call, a_frame

Json = dict[str, Any]
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}


def asking(messages: list[Json], **fields: Any) -> Exchange:
    body = {"model": "m", "max_tokens": 100, "messages": messages, **fields}
    call = replace(a_call(), endpoint="messages", body=json.dumps(body).encode())
    return gemini().exchange(call, {})


def test_searches_of_gemini_are_counted() -> None:
    """Clients tell their user "Did 0 searches" where the usage names none."""
    exchange = asking([{"role": "user", "content": "Who won?"}], tools=[SEARCH])
    (request,) = exchange.requests
    found = {"webSearchQueries": ["who won", "who won 2026"]}
    frame = a_frame({"text": "They did."}, finish="STOP")
    frame["candidates"][0]["groundingMetadata"] = found
    exchange.translate_reply(json.dumps(frame).encode())
    answer: Json = json.loads(exchange.answer())

    assert json.loads(request.body)["tools"] == [{"googleSearch": {}}]
    assert answer["usage"]["server_tool_use"] == {
        "web_search_requests": 2,
        "web_fetch_requests": 0,
    }
    assert [block["type"] for block in answer["content"]] == ["text"]


REFERENCE = {"type": "tool_reference", "tool_name": "WebFetch"}
FOUND = {
    "type": "search_result",
    "source": "https://a.example",
    "title": "Weather",
    "content": [{"type": "text", "text": "21 °C"}],
}


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (REFERENCE, "Tool WebFetch is available now."),
        (FOUND, "Weather\nhttps://a.example\n21 °C"),
    ],
)
def test_results_of_claude_codes_search_for_tools_reach_the_model(part: Json, words: str) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "ToolSearch", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [part]}
    exchange = asking(
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
    )
    (request,) = exchange.requests
    (said,) = json.loads(request.body)["contents"][-1]["parts"]

    assert said["functionResponse"]["response"] == {"output": words}
    assert exchange.headers == ()
