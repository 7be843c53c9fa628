"""Refusals that a changed request gets past, each change once, and what is kept of them."""

import json
from typing import Any

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.recovery import (
    NO_FALLBACKS,
    LearntFallbacks,
    RequestFallbacks,
    remedy,
)
from tests.support.strict_chat import RefusedError, check
from tests.upstreams.chat.requests import (
    DEEPSEEK,
    GPT_4,
    GPT_5,
    USER,
    VLLM,
    WEATHER,
    WEATHER_FUNCTION,
    Json,
    called,
    plan,
    result,
)

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}


def without(*names: str) -> RequestFallbacks:
    return RequestFallbacks(without=frozenset(names))


def fallbacks_after(
    message: str,
    target: Any = VLLM,
    done: RequestFallbacks = NO_FALLBACKS,
    *,
    param: str | None = None,
    status: int = 400,
    **fields: Any,
) -> RequestFallbacks | None:
    """Return the fallbacks of a request with *fields* after a refusal that says *message*."""
    made = plan(target, done, stream=True, **fields)
    return remedy(status, ProxyError(status, message, param=param), made.sent, done)


def asked_again(message: str, target: Any = VLLM, **fields: Any) -> Json:
    """Return the body that is sent after a refusal that says *message*."""
    found = fallbacks_after(message, target, **fields)
    assert found is not None
    body: Json = json.loads(plan(target, found, **fields).body)
    return body


def test_other_name_of_the_limit_is_tried() -> None:
    says = "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
    says += "'max_completion_tokens' instead."

    assert asked_again(says, VLLM, max_tokens=9)["max_completion_tokens"] == 9
    body = asked_again("Unknown field: max_completion_tokens", GPT_5, max_tokens=9)
    assert body["max_tokens"] == 9


def test_limit_that_is_too_high_is_not_tried_under_another_name() -> None:
    says = "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"

    assert fallbacks_after(says, max_tokens=9999) is None


@pytest.mark.parametrize(
    "says",
    [
        "Unsupported value: 'temperature' does not support 0.2 with this model.",
        "invalid temperature: only 1 is allowed for this model",
    ],
)
def test_temperature_is_left_out_where_it_is_refused(says: str) -> None:
    assert "temperature" not in asked_again(says, temperature=0.2)


def test_parameter_alone_shows_what_is_refused() -> None:
    assert fallbacks_after("Invalid value.", param="temperature", temperature=2) == without(
        "temperature"
    )


@pytest.mark.parametrize(
    ("says", "target", "fields", "name"),
    [
        ("Unrecognized request argument supplied: reasoning_effort", GPT_4,
         {"reasoning_effort": "high"}, "reasoning_effort"),
        ("Model does not support reasoning effort", VLLM,
         {"reasoning_effort": "high"}, "reasoning_effort"),
        ("`thinking` is not a parameter of this model", DEEPSEEK,
         {"reasoning_effort": "none"}, "thinking"),
    ],
)  # fmt: skip
def test_refused_wish_about_thinking_is_left_out(
    says: str, target: Any, fields: Json, name: str
) -> None:
    assert fallbacks_after(says, target, **fields) == without(name)
    assert name not in asked_again(says, target, **fields)
    assert fallbacks_after(says, target, without(name), **fields) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("top_p", 0.5),
        ("top_k", 5),
        ("seed", 5),
        ("presence_penalty", 0.5),
        ("frequency_penalty", 0.5),
        ("stop", ["x"]),
        ("logprobs", True),
    ],
)
def test_unsupported_parameter_is_left_out_and_named(field: str, value: object) -> None:
    says = f"Unsupported parameter: '{field}' is not supported with this model."
    fields: Json = {field: value}
    found = fallbacks_after(says, **fields)

    assert found == without(field)
    assert found is not None
    made = plan(VLLM, found, strict=True, **fields)
    assert field not in json.loads(made.body)
    assert made.ignored == (field,)
    assert fallbacks_after(f"'{field}' must be below 2.", **fields) is None


def test_extra_fields_deep_inside_are_left_out() -> None:
    strict = {"type": "function", "function": {**WEATHER_FUNCTION, "strict": True}}
    says = "tools.0.function.strict: Extra inputs are not permitted"
    assert "strict" not in asked_again(says, tools=[strict])["tools"][0]["function"]

    history = [USER, called("a", reasoning_content="Hm."), result("a")]
    says = "messages.1.reasoning_content: Extra inputs are not permitted"
    body = asked_again(says, status=422, messages=history)
    assert "reasoning_content" not in body["messages"][1]


def test_refused_request_for_usage_is_left_out() -> None:
    assert fallbacks_after("Unknown field: stream_options") == without("stream_options")


@pytest.mark.parametrize(
    "says",
    ["This response_format type is unavailable now", "json_schema is not supported", "Bad format"],
)
def test_refused_schema_stands_in_the_systems_words(says: str) -> None:
    param = "response_format.type" if says == "Bad format" else None
    found = fallbacks_after(says, DEEPSEEK, param=param, response_format=FORMAT)
    assert found == RequestFallbacks(schema_as_words=True)

    body = json.loads(plan(DEEPSEEK, found, response_format=FORMAT).body)
    assert body["response_format"] == {"type": "json_object"}
    assert body["messages"][0]["role"] == "system"
    assert json.dumps(SCHEMA, separators=(",", ":")) in body["messages"][0]["content"]
    assert "JSON" in body["messages"][0]["content"]
    check(body)


def test_words_stand_behind_the_systems_own() -> None:
    system = {"role": "system", "content": "Be brief."}
    found = plan(
        DEEPSEEK,
        RequestFallbacks(schema_as_words=True),
        messages=[system, USER],
        response_format=FORMAT,
    )

    content = json.loads(found.body)["messages"][0]["content"]
    assert content.startswith("Be brief.\n\nAnswer with one JSON object")


def test_format_that_is_refused_again_is_left_out() -> None:
    done = RequestFallbacks(schema_as_words=True)
    found = fallbacks_after("response_format is not supported", VLLM, done, response_format=FORMAT)

    assert found == RequestFallbacks(schema_as_words=True, without=frozenset(("response_format",)))
    body = json.loads(plan(VLLM, found, response_format=FORMAT).body)
    assert "response_format" not in body
    assert "JSON schema" in body["messages"][0]["content"]


@pytest.mark.parametrize(
    "says",
    [
        "The `reasoning_content` in the thinking mode must be passed back to the API.",
        "thinking is enabled but reasoning_content is missing in assistant tool call message",
    ],
)
def test_thinking_is_off_where_the_reasoning_is_lost(says: str) -> None:
    fields: Json = {"messages": [USER, called("a"), result("a")], "reasoning_effort": "high"}
    body = asked_again(says, DEEPSEEK, **fields)

    assert body["thinking"] == {"type": "disabled"}
    assert "reasoning_effort" not in body
    assert "reasoning_content" not in body["messages"][1]
    check(body)
    assert fallbacks_after(says, DEEPSEEK, RequestFallbacks(no_thinking=True), **fields) is None


def test_thinking_is_off_for_that_request_only() -> None:
    assert RequestFallbacks(no_thinking=True).lasting == NO_FALLBACKS


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}]
)
def test_refused_choice_is_left_to_the_model(choice: Any) -> None:
    says = "Thinking mode does not support this tool_choice"
    body = asked_again(says, DEEPSEEK, tools=[WEATHER], tool_choice=choice)

    assert body["tool_choice"] == "auto"
    made = plan(DEEPSEEK, RequestFallbacks(free_choice=True), tools=[WEATHER], tool_choice=choice)
    assert made.ignored == ("tool_choice",)
    assert RequestFallbacks(free_choice=True).lasting == NO_FALLBACKS


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "temperature"),
        (429, "temperature is too hot, slow down"),
        (500, "unsupported temperature"),
        (400, "The model does not exist."),
        (400, "Unsupported parameter: 'seed'"),
        (400, "mytemperature2 is unsupported"),
    ],
)
def test_other_refusals_change_nothing(status: int, message: str) -> None:
    assert fallbacks_after(message, status=status, temperature=1.5, max_tokens=5) is None


def test_prompt_that_is_too_long_changes_nothing() -> None:
    refusal = ProxyError(400, "temperature", code="context_length_exceeded")

    assert remedy(400, refusal, ("temperature",), NO_FALLBACKS) is None


def test_changes_add_up() -> None:
    fields: Json = {"temperature": 1.5, "reasoning_effort": "high", "response_format": FORMAT}
    done = NO_FALLBACKS
    for says in ("temperature", "reasoning_effort", "response_format", "response_format"):
        found = fallbacks_after(says, VLLM, done, **fields)
        assert found is not None
        done = found

    assert json.loads(plan(VLLM, done, **fields).body).keys() == {"model", "messages"}
    assert (
        fallbacks_after("temperature reasoning_effort response_format", VLLM, done, **fields)
        is None
    )


def test_strict_service_refuses_what_is_relaxed() -> None:
    body = json.loads(plan(DEEPSEEK, response_format=FORMAT).body)

    with pytest.raises(RefusedError, match="response_format"):
        check(body)


def test_what_was_learnt_is_kept_for_an_hour_and_for_each_model() -> None:
    learnt = LearntFallbacks()
    learnt.note("a", without("thinking") | RequestFallbacks(free_choice=True), now=1000.0)

    assert learnt.of("a", now=4600.0) == without("thinking")
    assert learnt.of("b", now=1000.0) == NO_FALLBACKS
    assert learnt.of("a", now=4600.1) == NO_FALLBACKS
    assert learnt.of("a", now=1000.0) == NO_FALLBACKS


def test_hour_runs_from_when_it_was_learnt() -> None:
    learnt = LearntFallbacks()
    learnt.note("a", without("thinking"), now=0.0)
    learnt.note("a", without("thinking"), now=3000.0)  # used again, not learnt again

    assert learnt.of("a", now=3700.0) == NO_FALLBACKS


def test_models_that_are_kept_are_limited() -> None:
    learnt = LearntFallbacks()
    for number in range(600):
        learnt.note(f"m{number}", without("seed"), now=0.0)

    kept = [n for n in range(600) if learnt.of(f"m{n}", now=0.0) != NO_FALLBACKS]
    assert kept == list(range(100, 600))
