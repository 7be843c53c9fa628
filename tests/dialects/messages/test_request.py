"""Rows R1 to R33: what each part of a Messages request becomes, but for messages and tools."""

import json
from typing import Any

import pytest

from jarvis_proxy.dialects.messages.request import read_request
from jarvis_proxy.errors import ProxyError
from tests.dialects.messages.requests import (
    CACHED,
    SCHEMA,
    Json,
    body,
    chat,
    fault,
    reading,
)


def test_max_tokens_is_the_limit_of_the_output() -> None:
    assert chat(max_tokens=128_000)["max_completion_tokens"] == 128_000
    assert not reading(max_tokens=1).warms_cache
    assert reading(max_tokens=0).warms_cache


def test_max_tokens_must_be_there() -> None:
    error = fault(max_tokens=None)
    assert (error.message, error.param) == ("max_tokens: Field required", "max_tokens")
    assert error.code == "missing_required_parameter"
    assert fault(max_tokens=-1).message == (
        "max_tokens: Input should be greater than or equal to 0"
    )


@pytest.mark.parametrize(
    ("asked", "expected", "shown", "sealed"),
    [
        (None, None, False, False),
        ({"type": "disabled"}, {"type": "disabled"}, False, False),
        ({"type": "adaptive"}, {"type": "adaptive"}, False, True),
        (
            {"type": "adaptive", "display": "omitted"},
            {"type": "adaptive", "display": "omitted"},
            False,
            True,
        ),
        (
            {"type": "adaptive", "display": "updates"},
            {"type": "adaptive", "display": "updates"},
            True,
            True,
        ),
        (
            {"type": "enabled", "budget_tokens": 2048},
            {"type": "enabled", "budget_tokens": 2048},
            True,
            True,
        ),
        ({"type": "tomorrow"}, {"type": "adaptive"}, False, True),
    ],
)
def test_thinking(asked: Json | None, expected: Any, shown: bool, sealed: bool) -> None:
    request = reading(thinking=asked)
    body = json.loads(request.body)
    assert body.get("thinking") == expected
    assert (body["include_thoughts"], request.show_thoughts) == (shown, shown)
    assert request.sealed == sealed


def test_effort() -> None:
    effort = {"effort": "xhigh"}
    assert chat(output_config=effort)["reasoning_effort"] == "xhigh"
    off = chat(output_config=effort, thinking={"type": "disabled"})
    assert "reasoning_effort" not in off


CLOSED = {
    "type": "object",
    "properties": {"title": {"type": "string"}},
    "required": ["title"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "additionalProperties": True}, False),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "required": {}}, False),
        ({**CLOSED, "properties": {"title": SCHEMA}}, False),
        ({**CLOSED, "properties": {"title": {"anyOf": [CLOSED, {"type": "null"}]}}}, True),
        ({"type": "object", "additionalProperties": False}, True),
    ],
)
def test_the_form_of_the_answer(schema: Json, strict: bool) -> None:
    wanted = {"type": "json_schema", "schema": schema}
    for fields in ({"output_config": {"format": wanted}}, {"output_format": wanted}):
        assert chat(**fields)["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": strict},
        }


def test_a_form_that_cannot_be() -> None:
    missing = fault(output_config={"format": {"type": "json_schema"}})
    assert missing.message == "output_config.format.schema: Field required"
    assert fault(output_config={"format": {"type": "xml"}}).param == "output_config.format"
    assert "response_format" not in chat(output_config={"effort": "low"})


def test_stop_sequences() -> None:
    assert chat(stop_sequences=["a", "", " \n", "b "])["stop"] == ["a", "b "]
    assert "stop" not in chat(stop_sequences=["\n"])


def test_stop_sequences_beyond_the_models_limit_are_left_out() -> None:
    asked = body(stop_sequences=["a", " ", "b", "c"])
    cut = read_request(asked, most_stops=2)

    assert json.loads(cut.body)["stop"] == ["a", "b"]
    assert cut.ignored == ("stop_sequences",)
    assert read_request(asked, most_stops=3).ignored == ()
    with pytest.raises(ProxyError, match="stop_sequences"):
        read_request(asked, most_stops=2, strict=True)


def test_sampling() -> None:
    found = chat(temperature=0.5, top_p=0.9, top_k=40)
    assert (found["temperature"], found["top_p"], found["top_k"]) == (0.5, 0.9, 40)
    assert fault(temperature="warm").message == "temperature: Input should be a valid number"


def test_what_no_upstream_could_mean_is_dropped_silently() -> None:
    request = reading(
        metadata={"user_id": "u"},
        context_management={"edits": []},
        service_tier="auto",
        speed="fast",
        inference_geo="eu",
        diagnostics={},
        user_profile_id="p",
        workspace_id="w",
        betas=["x"],
        mcp_servers=[],
        whatever=1,
    )
    assert request.ignored == ()
    assert json.loads(request.body).keys() == {
        "messages",
        "max_completion_tokens",
        "include_thoughts",
    }


def test_containers_and_servers_are_named() -> None:
    fields: Json = {"container": "c", "mcp_servers": [{"url": "https://a.example"}]}
    assert reading(**fields).ignored == ("container", "mcp_servers")
    with pytest.raises(ProxyError) as caught:
        read_request(body(**fields), strict=True)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "container")


def test_a_header_has_room_for_forty_names() -> None:
    tools = [{"type": "mcp_toolset"}] * 50
    assert len(reading(tools=tools).ignored) == 40


def test_whether_it_is_a_stream_is_not_in_the_canonical_request() -> None:
    for stream in (True, False):
        assert not chat(stream=stream).keys() & {"stream", "model"}


@pytest.mark.parametrize("where", ["source", "input", "content"])
def test_what_is_read_late_is_judged_too(where: str) -> None:
    inner = b'{"type":"base64","media_type":"image/png","data":"\xff"}'
    block = {
        "source": b'{"type":"image","source":%b}' % inner,
        "input": b'{"type":"tool_use","id":"1","name":"f","input":%b}' % inner,
        "content": b'{"type":"tool_result","tool_use_id":"1","content":[%b]}' % inner,
    }[where]
    role = b"assistant" if where == "input" else b"user"
    raw = b'{"model":"m","max_tokens":1,"messages":[{"role":"%b","content":[%b]}]}' % (role, block)
    with pytest.raises(ProxyError, match="not valid JSON"):
        read_request(raw)


def test_half_of_an_emoji_is_replaced() -> None:
    raw = rb'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a\ud83d"}]}'
    found = json.loads(read_request(raw).body)
    assert found["messages"][0]["content"] == "a\ufffd"


def test_caching_of_the_whole_request_is_asked_for() -> None:
    assert chat(cache_control=CACHED)["cache_control"] == CACHED
