"""Requests of real agents and SDKs: all of them can be read, and nothing is lost unnamed."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.dialects.messages.request import MessagesRequest, read_request
from jarvis_proxy.errors import ProxyError
from tests.support.recordings import recordings

Json = dict[str, Any]

IS_STORED = "Stored files cannot be read here"


def asking(folder: str, wanted: Callable[[Json], bool]) -> list[Any]:
    """Return the recordings of *folder* that are *wanted*; the one that only skips stays."""
    return [
        param for param in recordings(folder) if param.values[0] is None or wanted(param.values[0])
    ]


def reading(asked: Json) -> MessagesRequest:
    return read_request(json.dumps(asked).encode(), counts_only="max_tokens" not in asked)


def blocks(asked: Json) -> list[Json]:
    contents = [message["content"] for message in asked["messages"]]
    return [block for content in contents if isinstance(content, list) for block in content]


@pytest.mark.parametrize("capture", asking("agents", lambda c: "/messages" in c["path"]))
def test_requests_of_agents_are_read_without_a_loss(capture: Json) -> None:
    asked = capture["body"]
    request = reading(asked)
    assert request.ignored == ()

    chat = json.loads(request.body)
    calls = [call["id"] for m in chat["messages"] for call in m.get("tool_calls", ())]
    results = [m["tool_call_id"] for m in chat["messages"] if m["role"] == "tool"]
    given = [block["id"] for block in blocks(asked) if block["type"] == "tool_use"]
    assert calls == results == given
    thoughts = [t for m in chat["messages"] for t in m.get("thinking_blocks", ())]
    assert thoughts == [b for b in blocks(asked) if b["type"] == "thinking" and b["signature"]]
    assert "x-anthropic-billing-header" not in request.body.decode()
    assert not chat.keys() & {"metadata", "context_management"}
    names = [tool["function"]["name"] for tool in chat.get("tools", ()) if "function" in tool]
    assert names == [
        tool["name"]
        for tool in asked.get("tools", ())
        if "type" not in tool and tool["name"] != "DeferredToolPlaceholder"
    ]


def has_request(recording: Json) -> bool:
    is_ours = recording["kind"] in ("messages", "count_tokens")
    return is_ours and recording["request"].get("body") is not None


@pytest.mark.parametrize("recording", asking("anthropic", has_request))
def test_recorded_requests_are_read_or_refused_as_anthropic_did(recording: Json) -> None:
    try:
        request = reading(recording["request"]["body"])
    except ProxyError as error:
        refusal = error.message
    else:
        refusal = ""
        assert msgspec.json.decode(request.body, type=ChatRequest).messages
    is_stored = '"file_id"' in json.dumps(recording["request"]["body"]["messages"])
    assert not refusal or recording["response"]["status"] == 400 or is_stored
    if is_stored and refusal:
        assert IS_STORED in refusal
