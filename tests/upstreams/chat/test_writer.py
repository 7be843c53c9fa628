"""The body for a chat completions upstream: a whitelist, by what the upstream is known to take."""

import json
from typing import Any

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.writer import write_chat
from tests.support.strict_chat import FIELDS, check
from tests.upstreams.chat.requests import (
    DEEPSEEK,
    GPT_4,
    GPT_5,
    USER,
    VLLM,
    WEATHER,
    Json,
    called,
    plan,
    result,
    sent,
)

EVERYTHING: Json = {
    "tools": [WEATHER],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 5,
    "max_completion_tokens": 100,
    "stop": ["a"],
    "seed": 7,
    "n": 1,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "logprobs": True,
    "top_logprobs": 3,
    "reasoning_effort": "high",
    "service_tier": "flex",
    "prompt_cache_key": "key-1",
    "verbosity": "low",
    "user": "someone",
    "safety_identifier": "someone",
    "metadata": {"user_id": "someone"},
    "store": True,
    "include_thoughts": True,
    "thinking": {"type": "adaptive"},
    "context_management": {},
    "container": "c",
    "mcp_servers": [],
    "cache_control": {"type": "ephemeral"},
    "extra_body": {"x": 1},
    "next_years_field": 1,
}
COMMON = {
    "model", "messages", "tools", "tool_choice", "response_format", "temperature", "top_p", "stop",
    "seed", "n", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs",
    "reasoning_effort", "stream", "stream_options",
}  # fmt: skip


def test_only_known_fields_are_sent() -> None:
    assert sent(VLLM, stream=True, **EVERYTHING).keys() == COMMON | {"top_k", "max_tokens"}
    assert sent(GPT_4, stream=True, **EVERYTHING).keys() == COMMON | {
        "max_completion_tokens", "parallel_tool_calls", "service_tier", "prompt_cache_key",
        "verbosity",
    }  # fmt: skip


def test_cache_key_is_the_clients_or_none() -> None:
    assert sent(GPT_4, prompt_cache_key="key-1")["prompt_cache_key"] == "key-1"
    assert "prompt_cache_key" not in sent(GPT_4)
    assert "prompt_cache_key" not in sent(VLLM, prompt_cache_key="key-1")


def test_null_is_nothing() -> None:
    fields: Json = dict.fromkeys(EVERYTHING)

    assert sent(VLLM, **fields).keys() == {"model", "messages"}
    assert sent(GPT_4, **fields).keys() == {"model", "messages"}


def test_numbers_are_sent_as_they_were_written() -> None:
    body = b'{"messages":[{"role":"user","content":"x"}],"temperature":1,"seed":12345678901234567}'
    made = write_chat(body, VLLM, stream=False)

    assert b'"temperature":1,' in made.body
    assert b'"seed":12345678901234567' in made.body


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_limit_has_the_upstreams_name(name: str) -> None:
    fields: Json = {name: 9}

    assert sent(GPT_4, **fields)["max_completion_tokens"] == 9
    assert sent(VLLM, **fields)["max_tokens"] == 9


def test_newer_name_of_the_limit_counts() -> None:
    assert sent(VLLM, max_tokens=1, max_completion_tokens=9)["max_tokens"] == 9


def test_stream_asks_for_usage() -> None:
    body = sent(VLLM, stream=True)

    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert sent(VLLM).keys() == {"model", "messages"}


def test_temperature_is_left_out_for_openais_reasoning_models() -> None:
    made = plan(GPT_5, temperature=0.2)

    assert "temperature" not in json.loads(made.body)
    assert made.ignored == ("temperature",)
    assert plan(GPT_5, temperature=1.0).ignored == ()
    assert sent(GPT_4, temperature=0.2)["temperature"] == 0.2


@pytest.mark.parametrize("name", ["a name", None, "x" * 80])
def test_format_has_a_name_that_openai_takes(name: str | None) -> None:
    schema = {"type": "object"}
    inner = {"name": name, "schema": schema, "strict": True, "description": None}
    form = sent(GPT_4, response_format={"type": "json_schema", "json_schema": inner})

    expected = {"a name": "a_name", None: "answer", "x" * 80: "x" * 64}[name]
    assert form["response_format"]["json_schema"] == {
        "name": expected, "schema": schema, "strict": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object", "schema": {}}, {"type": "json_object"}),
        ({"type": "json_schema"}, {"type": "json_object"}),
        ({"type": "grammar"}, None),
    ],
)
def test_other_formats(form: Json, expected: Json | None) -> None:
    assert sent(response_format=form).get("response_format") == expected


def test_stops_beyond_openais_limit_are_cut_and_named() -> None:
    stops = ["a", "b", "c", "d", "e"]
    made = plan(GPT_4, stop=stops)

    assert json.loads(made.body)["stop"] == stops[:4]
    assert (made.stops, made.ignored) == (("a", "b", "c", "d"), ("stop",))
    assert plan(VLLM, stop=stops).stops == tuple(stops)
    assert plan(VLLM, stop="a").stops == ("a",)


def test_top_k_is_named_for_openai() -> None:
    assert plan(GPT_4, top_k=5).ignored == ("top_k",)
    assert sent(VLLM, top_k=5)["top_k"] == 5


def test_one_call_at_a_time_is_asked_of_openai_and_cut_elsewhere() -> None:
    fields: Json = {"tools": [WEATHER], "parallel_tool_calls": False}

    assert sent(GPT_4, **fields)["parallel_tool_calls"] is False
    assert not plan(GPT_4, **fields).one_call
    assert "parallel_tool_calls" not in sent(VLLM, **fields)
    assert plan(VLLM, **fields).one_call


@pytest.mark.parametrize("tier", ["standard_only", "priority"])
def test_service_tier_goes_to_openai_if_it_is_one_of_its_own(tier: str) -> None:
    assert ("service_tier" in sent(GPT_4, service_tier=tier)) is (tier == "priority")
    assert "service_tier" not in sent(VLLM, service_tier=tier)


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"safety_settings": [{"category": "X", "threshold": "BLOCK_LOW"}]}, ("safety_settings",)),
        ({"safetySettings": [{"category": "X", "threshold": "OFF"}]}, ()),
        ({"safety_settings": [{"category": "X", "threshold": "BLOCK_NONE"}]}, ()),
        ({"cached_content": "cachedContents/1"}, ("cached_content",)),
        ({"cachedContent": "cachedContents/1"}, ("cached_content",)),
        ({"google": {"thinking_config": {}}}, ("google",)),
        ({"logprobs": True, "top_logprobs": 25}, ("top_logprobs",)),
    ],
)
def test_what_only_gemini_could_do_is_named(fields: Json, ignored: tuple[str, ...]) -> None:
    assert plan(VLLM, **fields).ignored == ignored


def test_more_log_probabilities_than_services_give_are_cut() -> None:
    assert sent(VLLM, logprobs=True, top_logprobs=25)["top_logprobs"] == 20


def test_strict_service_takes_what_is_sent() -> None:
    fields = {name: value for name, value in EVERYTHING.items() if name in FIELDS}
    fields["response_format"] = {"type": "json_object"}

    check(sent(DEEPSEEK, stream=True, **fields))


def test_strict_params_refuse_what_would_be_left_out() -> None:
    with pytest.raises(ProxyError) as caught:
        plan(GPT_4, strict=True, top_k=5)

    assert (caught.value.status, caught.value.code) == (400, "unsupported_parameter")


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"messages":5}', b"{}", b'{"messages":[],"temperature":"hot"}', b"\xff",
     b'{"messages":' + b"[" * 5000 + b"]" * 5000 + b"}"],
)  # fmt: skip
def test_broken_body_is_refused(body: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        write_chat(body, VLLM, stream=False)

    assert caught.value.status == 400


def test_origins_say_which_message_each_one_comes_from() -> None:
    history: list[Any] = [
        {"role": "system", "content": "A"},
        {"role": "system", "content": "B"},
        USER,
        called("a"),
        USER,
        result("a"),
    ]

    assert plan(messages=history).origins == (0, 2, 3, 5, 4)


def test_plan_has_what_the_reader_needs() -> None:
    made = plan(DEEPSEEK, tools=[WEATHER], parallel_tool_calls=False, stop=["x"])

    assert (made.stops, made.one_call) == (("x",), True)
    assert made.tools.called("get_weather").name == "get_weather"
