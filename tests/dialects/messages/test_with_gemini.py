"""Messages calls answered by Gemini: what other gateways get wrong."""

import json
from typing import Any

from msgspec.structs import replace

from tests.support.translated import gemini
from tests.upstreams.gemini.replies import a_call, a_frame

Json = dict[str, Any]
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}


def test_bug_57_searches_of_gemini_are_counted() -> None:
    """Clients tell their user "Did 0 searches" where the usage names none."""
    body = {
        "model": "m",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Who won?"}],
        "tools": [SEARCH],
    }
    call = replace(a_call(), endpoint="messages", body=json.dumps(body).encode())
    exchange = gemini().exchange(call, {})
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
