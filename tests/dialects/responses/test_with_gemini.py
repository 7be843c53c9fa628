"""One Responses call there and back: headers, errors, recoveries, retries."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.exchange import Prerequisites, RetryableError
from jarvis_proxy.canonical.translation import Translation
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.signature_store import MemorySignatureStore
from tests.dialects.responses.events import (
    JSON,
    a_request,
    outcome,
    read,
    responding,
    streamed,
    whole,
)
from tests.support.recordings import recordings
from tests.support.translated import gemini
from tests.upstreams.gemini.google_types import assert_google_accepts
from tests.upstreams.gemini.replies import a_frame, a_function_call, a_usage, ids, refused, sse

END = a_frame({"text": ""}, finish="STOP")


def sent(exchange: Translation) -> JSON:
    body: JSON = json.loads(exchange.requests[0].body)
    return body


def refusal(body: JSON, **more: Any) -> ProxyError:
    with pytest.raises(ProxyError) as caught:
        responding(body, **more)
    return caught.value


def test_a_request_goes_to_generate_content() -> None:
    (request,) = responding({"instructions": "Be brief."}, stream=True).requests

    assert request.path == "/models/gemini-3.5-flash:streamGenerateContent?alt=sse"
    assert json.loads(request.body) == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
    }


def test_what_the_request_said_is_repeated() -> None:
    body = {
        "instructions": "Be brief.",
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "f"},
        "metadata": {"a": "b"},
        "temperature": 0.5,
        "max_output_tokens": 99,
        "text": {"verbosity": "low"},
        "reasoning": {"effort": "low"},
    }

    response = whole(a_frame({"text": "a"}, finish="STOP"), body=body)

    assert response["instructions"] == "Be brief."
    assert response["tools"] == [{**body["tools"][0], "strict": False}]  # type: ignore[index]
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert response["reasoning"] == {"effort": "low", "summary": None}
    for name in ("tool_choice", "metadata", "temperature", "max_output_tokens"):
        assert response[name] == body[name]


def test_a_response_has_the_call_s_id_and_the_client_s_model() -> None:
    response = whole(a_frame({"text": "a"}, finish="STOP"))

    assert (response["id"], response["model"]) == ("resp_req-1", "my-model")
    assert response["store"] is False


def test_nothing_follows_the_last_event() -> None:
    out, _ = outcome([sse(a_frame({"text": "a"}), END)])

    assert read(out)[-1]["type"] == "response.completed"
    assert b"[DONE]" not in out


def test_headers_name_what_was_left_out_as_the_client_knows_it() -> None:
    exchange = responding({"max_tool_calls": 3, "text": {"verbosity": "low"}})
    assert exchange.headers == (("x-jarvis-ignored", "max_tool_calls, text.verbosity"),)

    frame = {**a_frame({"text": "a"}, finish="STOP"), "modelVersion": "gemini-3.8-flash"}
    exchange.translate_reply(json.dumps(frame).encode())

    assert ("x-gemini-model-version", "gemini-3.8-flash") in list(exchange.headers)
    assert responding().headers == ()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"temperature": 9}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": "x"}, "max_output_tokens"),
        ({"reasoning": {"effort": "utmost"}}, "reasoning.effort"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"input": []}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
         "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
        ({"tools": [{"type": "file_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ],
)  # fmt: skip
def test_an_error_is_about_the_client_s_param(body: JSON, param: str) -> None:
    error = refusal(body)

    assert (error.status, error.param) == (400, param)
    assert "messages" not in error.message


def test_a_refusal_of_google_s_is_about_the_client_s_param() -> None:
    body = b'{"error":{"code":400,"message":"Invalid max_output_tokens"}}'

    assert refused(responding(), 400, body).param == "max_output_tokens"


def test_needs_are_those_of_the_chat() -> None:
    upstream = gemini(new_id=ids())
    picture = {"type": "input_image", "image_url": "https://example.com/a.png"}
    items = [
        {"role": "user", "content": [picture]},
        {"type": "message", "role": "assistant", "id": "msg_a", "content": "x"},
        {"type": "function_call", "call_id": "call_a", "name": "f", "arguments": "{}"},
    ]

    needs = upstream.needs(a_request({"input": items}))

    assert needs == Prerequisites(("https://example.com/a.png",), ("call_a", "msg_a"))
    with pytest.raises(ProxyError) as caught:
        upstream.needs(a_request({"input": []}))
    assert caught.value.param == "input"


def test_models_that_speak_are_not_served_here() -> None:
    error = refusal({}, target="gemini-3.8-flash-tts")

    assert error.code == "unsupported_endpoint"


def test_a_refused_signature_is_replaced_once() -> None:
    items = [
        {"role": "user", "content": "a"},
        {"type": "reasoning", "summary": [], "encrypted_content": "gemini:c2ln"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
    ]
    exchange = responding({"input": items})
    assert sent(exchange)["contents"][1]["parts"][0]["thoughtSignature"] == "c2ln"

    fault = b'{"error":{"code":400,"message":"Thought signature is not valid"}}'
    again = exchange.recover(400, fault)

    assert isinstance(again, Translation)
    signature = sent(again)["contents"][1]["parts"][0]["thoughtSignature"]
    assert signature == "skip_thought_signature_validator"
    assert again.recover(400, fault) is None


def test_the_first_candidate_is_the_answer() -> None:
    second: JSON = {"index": 1, "content": {"parts": [{"text": "b"}]}, "finishReason": "STOP"}
    first: JSON = {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}

    response = whole({"candidates": [first, second]})
    (event,) = [e for e in streamed(sse({"candidates": [first, second]})) if "delta" in e]

    assert response["output"][0]["content"][0]["text"] == event["delta"] == "a"


def test_an_answer_that_goes_on_is_one_response() -> None:
    exchange = responding()
    hop = a_frame({"text": "a"}, finish="CONTINUATION", continuationToken="t")

    following = exchange.translate_reply(json.dumps(hop).encode())
    assert following is not None
    end = a_frame({"text": "b"}, finish="STOP", usage=a_usage(1, 2))
    exchange.translate_reply(json.dumps(end).encode())

    (item,) = json.loads(exchange.answer())["output"]
    assert item["content"][0]["text"] == "ab"
    assert exchange.usage == TokenUsage(1, 2)


def test_a_second_attempt_starts_over() -> None:
    exchange = responding(stream=True)
    broken = sse(a_frame(finish="MALFORMED_FUNCTION_CALL"))
    first = exchange.stream_translator()
    assert first.feed(broken) == b""
    with pytest.raises(RetryableError):
        first.feed_eof()

    assert exchange.requests
    second = exchange.stream_translator()
    events = read(second.feed(sse(a_frame({"text": "a"}), END)) + second.feed_eof())

    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "a"


def test_a_second_attempt_at_a_whole_answer_starts_over() -> None:
    exchange = responding()
    assert exchange.requests
    thought = a_frame({"text": "hm", "thought": True}, finish="MALFORMED_FUNCTION_CALL")
    with pytest.raises(RetryableError):
        exchange.translate_reply(json.dumps(thought).encode())

    assert exchange.requests
    exchange.translate_reply(json.dumps(a_frame({"text": "a"}, finish="STOP")).encode())

    (item,) = json.loads(exchange.answer())["output"]
    assert item["content"][0]["text"] == "a"


def test_an_error_comes_behind_what_was_whole() -> None:
    fault = b'data: {"error":{"code":503,"message":"overloaded"}}\r\n\r\n'

    out, error = outcome([sse(a_frame({"text": "a"})) + fault])

    assert error is not None
    assert error.code == "overloaded"
    kinds = [event["type"] for event in read(out)]
    assert kinds[-1] == "response.output_text.delta"


def test_a_call_that_was_answered_is_signed_when_it_comes_back() -> None:
    store = MemorySignatureStore()
    part = {**a_function_call("f", {"a": 1}, id="dv8szvqe"), "thoughtSignature": "EvsBCvgB"}
    (call,) = whole(a_frame(part, finish="STOP"), store=store)["output"]
    signed = a_frame({"text": "a", "thoughtSignature": "Eq4=" }, finish="STOP")  # fmt: skip
    (said,) = whole(signed, store=store)["output"]
    items = [
        {"role": "user", "content": "Hi"},
        call,
        {"type": "function_call_output", "call_id": call["call_id"], "output": "done"},
        said,
        {"role": "user", "content": "More"},
    ]

    contents = sent(responding({"input": items}, store=store))["contents"]

    assert contents[1]["parts"][0]["thoughtSignature"] == "EvsBCvgB"
    assert contents[1]["parts"][0]["functionCall"]["id"] == "dv8szvqe"
    assert contents[3]["parts"] == [{"text": "a", "thoughtSignature": "Eq4="}]


WEATHER = {
    "type": "namespace",
    "name": "mcp__wx",
    "description": "Weather.",
    "tools": [
        {"type": "function", "name": "get_weather", "parameters": {"type": "object"}},
        {"type": "custom", "name": "sql"},
    ],
}


def functions(exchange: Translation) -> list[str]:
    (tool,) = sent(exchange)["tools"]
    return [function["name"] for function in tool["functionDeclarations"]]


@pytest.mark.parametrize(
    "called",
    [
        "mcp__wx__get_weather",
        "get_weather",
        "mcp__wx.get_weather",
        "default_api.mcp__wx__get_weather",
    ],
)
def test_a_call_comes_back_bare_with_its_namespace(called: str) -> None:
    frames = [a_frame(a_function_call(called, {"city": "Rome"})), END]
    events = streamed(sse(*frames), {"tools": [WEATHER]})

    added, done = (
        [event["item"] for event in events if event["type"] == f"response.output_item.{kind}"]
        for kind in ("added", "done")
    )
    (item,) = events[-1]["response"]["output"]
    (written,) = whole(*frames, body={"tools": [WEATHER]})["output"]
    for found in (added[0], done[0], item, written):
        assert (found["type"], found["name"]) == ("function_call", "get_weather")
        assert found["namespace"] == "mcp__wx"
    assert done[0]["arguments"] == '{"city":"Rome"}'
    arguments = [e for e in events if e["type"] == "response.function_call_arguments.done"]
    assert [event["name"] for event in arguments] == ["get_weather"]


def test_a_custom_member_comes_back_so_too() -> None:
    frames = [a_frame(a_function_call("mcp__wx__sql", {"input": "SELECT 1"})), END]

    (item,) = streamed(sse(*frames), {"tools": [WEATHER]})[-1]["response"]["output"]

    assert (item["type"], item["name"], item["namespace"], item["input"]) == (
        "custom_tool_call",
        "sql",
        "mcp__wx",
        "SELECT 1",
    )


def test_a_plain_function_has_no_namespace() -> None:
    frames = [a_frame(a_function_call("f", {})), END]
    plain = {"type": "function", "name": "f"}

    (item,) = streamed(sse(*frames), {"tools": [WEATHER, plain]})[-1]["response"]["output"]

    assert "namespace" not in item


def test_the_history_has_the_names_that_are_declared() -> None:
    """The function of the second call is no longer declared; its name is made in the same way."""
    call = {"type": "function_call", "name": "get_weather", "arguments": "{}"}
    items = [
        {"role": "user", "content": "Hi"},
        {**call, "call_id": "a", "namespace": "mcp__wx"},
        {"type": "function_call_output", "call_id": "a", "output": "21"},
        {**call, "call_id": "b", "namespace": "mcp__old"},
        {"type": "function_call_output", "call_id": "b", "output": "22"},
    ]
    exchange = responding({"input": items, "tools": [WEATHER]})

    parts = [part for content in sent(exchange)["contents"] for part in content["parts"]]
    assert [part["functionCall"]["name"] for part in parts if "functionCall" in part] == [
        "mcp__wx__get_weather",
        "mcp__old__get_weather",
    ]
    assert [part["functionResponse"]["name"] for part in parts if "functionResponse" in part] == [
        "mcp__wx__get_weather",
        "mcp__old__get_weather",
    ]


SEARCHING = {"type": "tool_search", "execution": "client", "description": "Find tools."}


def test_a_search_is_answered_as_one() -> None:
    frames = [a_frame(a_function_call("tool_search", {"query": "weather"})), END]
    events = streamed(sse(*frames), {"tools": [SEARCHING]})

    added, done = (event["item"] for event in events if "output_item" in event["type"])
    (item,) = events[-1]["response"]["output"]
    assert (added["type"], added["status"], added["arguments"]) == (
        "tool_search_call",
        "in_progress",
        {},
    )
    assert done == item
    assert item["id"].startswith("tsc_")
    assert {key: item[key] for key in ("type", "execution", "status", "arguments")} == {
        "type": "tool_search_call",
        "execution": "client",
        "status": "completed",
        "arguments": {"query": "weather"},
    }
    assert item["call_id"].startswith("call_")


def test_a_function_of_that_name_stays_a_function() -> None:
    frames = [a_frame(a_function_call("tool_search", {})), END]
    plain = {"type": "function", "name": "tool_search"}

    (item,) = streamed(sse(*frames), {"tools": [plain]})[-1]["response"]["output"]

    assert item["type"] == "function_call"


def test_what_a_search_found_is_declared_and_signed() -> None:
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "summary": [], "encrypted_content": "gemini:QUJD"},
        {
            "type": "tool_search_call",
            "call_id": "a",
            "execution": "client",
            "arguments": {"query": "weather"},
            "status": "completed",
        },
        {"type": "tool_search_output", "call_id": "a", "execution": "client", "tools": [WEATHER]},
    ]
    exchange = responding({"input": items, "tools": [SEARCHING]})

    assert functions(exchange) == ["tool_search", "mcp__wx__get_weather", "mcp__wx__sql"]
    _, model, user = sent(exchange)["contents"]
    assert model["parts"][0]["functionCall"]["args"] == {"query": "weather"}
    assert model["parts"][0]["thoughtSignature"] == "QUJD"
    (result,) = user["parts"]
    assert "mcp__wx__get_weather" in result["functionResponse"]["response"]["output"]


CODEX = [
    param
    for param in recordings("agents")
    if param.values[0] is None or "input" in (param.values[0]["body"] or {})
]


@pytest.mark.parametrize("recording", CODEX)
def test_every_captured_request_of_an_agent_is_one_for_gemini(recording: Any) -> None:
    """Codex declares its MCP servers as namespaces, which others refuse as an unknown type."""
    body = recording["body"]
    exchange = responding(body)
    declared = {
        function["name"]
        for tool in sent(exchange).get("tools", ())
        for function in tool.get("functionDeclarations", ())
    }
    spaces = [tool for tool in body["tools"] if tool["type"] == "namespace"]
    members = [f"{space['name']}__{tool['name']}" for space in spaces for tool in space["tools"]]

    assert {member.replace("____", "__") for member in members} <= declared
    assert_google_accepts(sent(exchange))
