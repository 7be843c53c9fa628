"""Refusals by Anthropic lead to one changed request each."""

import json

import pytest

from jarvis_proxy.upstreams.anthropic.recovery import NO_FALLBACKS, remedies
from tests.support.strict_anthropic import check
from tests.upstreams.anthropic.chat import (
    NEWEST,
    THOUGHT,
    V45,
    V46,
    Json,
    asking,
    assistant,
    call,
    function,
    result,
    user,
)
from tests.upstreams.anthropic.upstream import call_for

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}

SIGNATURE = "messages.1.content.0: Invalid `signature` in `thinking` block"
ENABLED = (
    '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
    '"output_config.effort" to control thinking behavior.'
)
ADAPTIVE = "adaptive thinking is not supported on this model"
PREFILL = (
    "This model does not support assistant message prefill. The conversation must end with a "
    "user message."
)
STEP = [user(), assistant(None, call(), thinking_blocks=[THOUGHT]), result()]
TOOLS: Json = {"tools": [function()]}


def refused(message: str) -> bytes:
    """Return the body of a refusal."""
    error = {"type": "invalid_request_error", "message": message}
    return json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode()


def recovered(body: Json, model: str, message: str) -> Json | None:
    """Return the request that follows a refusal of *body* with *message*, None for no other."""
    better = call_for(body, model).recover(400, refused(message))
    if better is None:
        return None
    sent: Json = json.loads(better.requests[0].body)
    check(sent, [THOUGHT])
    return sent


def needed(body: Json, model: str, message: str) -> Json:
    """Return the request that follows a refusal."""
    sent = recovered(body, model, message)
    assert sent is not None
    return sent


def test_a_signature_fault_removes_all_thinking() -> None:
    sent = needed(asking(*STEP, reasoning_effort="high", **TOOLS), V45, SIGNATURE)

    assert "thinking" not in sent
    assert [block["type"] for block in sent["messages"][1]["content"]] == ["tool_use"]


def test_adaptive_thinking_outlives_a_signature_fault() -> None:
    sent = needed(asking(*STEP, reasoning_effort="high", **TOOLS), NEWEST, SIGNATURE)

    assert sent["thinking"]["type"] == "adaptive"
    assert "Sig==" not in json.dumps(sent)


def test_enabled_refused_becomes_adaptive() -> None:
    better = call_for(asking(reasoning_effort="high"), V45).recover(400, refused(ENABLED))
    assert better is not None

    sent = json.loads(better.requests[0].body)
    assert sent["thinking"]["type"] == "adaptive"
    assert sent["output_config"] == {"effort": "high"}
    last = better.recover(400, refused(ENABLED))
    assert last is not None
    assert "thinking" not in json.loads(last.requests[0].body)


def test_adaptive_refused_becomes_a_budget() -> None:
    better = call_for(asking(thinking={"type": "adaptive"}), NEWEST).recover(400, refused(ADAPTIVE))
    assert better is not None

    thinking = json.loads(better.requests[0].body)["thinking"]
    assert thinking == {"type": "enabled", "budget_tokens": 8192}


def test_thinking_refused_altogether_is_left_out() -> None:
    message = "claude-next does not support thinking."
    sent = needed(asking(reasoning_effort="high"), NEWEST, message)

    assert "thinking" not in sent


def test_disabled_refused_becomes_the_least_effort() -> None:
    message = '"thinking.type.disabled" is not supported for this model.'
    sent = needed(asking(reasoning_effort="none"), NEWEST, message)

    assert sent["thinking"]["type"] == "adaptive"
    assert sent["output_config"] == {"effort": "low"}


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("`temperature` is deprecated for this model.", {"top_k": 4}),
        ("top_k: Extra inputs are not permitted", {"temperature": 0.5}),
        ("`temperature` and `top_k` may not be set", {}),
    ],
)
def test_a_refused_sampling_parameter_is_left_out(message: str, left: Json) -> None:
    sent = needed(asking(temperature=0.5, top_k=4), V46, message)

    assert {name: sent[name] for name in ("temperature", "top_k") if name in sent} == left


@pytest.mark.parametrize(
    "message",
    [
        "output_config.format: Extra inputs are not permitted",
        "Schema is too complex for compilation. Try reducing the number of tools",
        "Schemas contains too many parameters with union types (17 parameters)",
        "tools.0.custom: Invalid schema: Circular reference detected in schema definitions",
    ],
)
def test_a_refused_schema_stands_in_words(message: str) -> None:
    tools = [function("f", SCHEMA, strict=True)]
    sent = needed(asking(response_format=FORM, tools=tools), NEWEST, message)

    assert "output_config" not in sent
    assert "JSON only" in sent["system"][0]["text"]
    assert "strict" not in sent["tools"][0]


def test_a_refused_effort_is_lowered_and_then_left_out() -> None:
    message = "output_config.effort: 'max' is not supported"
    first = call_for(asking(reasoning_effort="max"), NEWEST).recover(400, refused(message))
    assert first is not None
    assert json.loads(first.requests[0].body)["output_config"] == {"effort": "high"}

    second = first.recover(400, refused("This model does not support the effort parameter."))
    assert second is not None
    assert "output_config" not in json.loads(second.requests[0].body)


def test_refused_marks_are_left_out() -> None:
    marked = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    sent = needed(asking(user([marked])), NEWEST, "cache_control: Extra inputs are not permitted")

    assert "cache_control" not in json.dumps(sent)


def test_a_refused_prefill_becomes_a_turn_of_the_users() -> None:
    sent = needed(asking(user(), assistant("The answer:")), V45, PREFILL)

    assert sent["messages"][-1]["role"] == "user"


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        ("max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens", 8192),
        (
            "input length and `max_tokens` exceed context limit: 178959 + 32000 > 200000, decrease "
            "input length or `max_tokens` and try again",
            21_041,
        ),
    ],
)
def test_a_limit_that_is_too_high_is_lowered(message: str, limit: int) -> None:
    assert needed(asking(), NEWEST, message)["max_tokens"] == limit


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (asking(), "prompt is too long: 207791 tokens > 200000 maximum"),
        (asking(), "exceed context limit: 200001 + 5 > 200000"),
        (asking(), SIGNATURE),
        (asking(), ENABLED),
        (asking(), PREFILL),
        (asking(), "`temperature` is deprecated for this model."),
        (asking(), "tools.0.custom.input_schema.type: Field required"),
        (asking(), ""),
    ],
)
def test_what_was_not_sent_cannot_be_changed(body: Json, message: str) -> None:
    assert recovered(body, NEWEST, message) is None


def test_each_change_is_made_once() -> None:
    body = asking(*STEP, reasoning_effort="high", **TOOLS)
    better = call_for(body, V45).recover(400, refused(SIGNATURE))

    assert better is not None
    assert better.recover(400, refused(SIGNATURE)) is None


@pytest.mark.parametrize("status", [401, 404, 413, 429, 500, 529])
def test_only_invalid_requests_are_changed(status: int) -> None:
    body = asking(*STEP, reasoning_effort="high", **TOOLS)

    assert call_for(body, V45).recover(status, refused(SIGNATURE)) is None


def test_signatures_of_other_services_are_removed_once_refused() -> None:
    foreign = {"type": "thinking", "thinking": "Hm.", "signature": "f3a1-deepseek"}
    body = asking(user(), assistant("a", thinking_blocks=[foreign]), user())
    sent = needed(body, NEWEST, SIGNATURE)

    assert "f3a1" not in json.dumps(sent)


def test_every_remedy_ends() -> None:
    """However often a refusal comes, the changes run out."""
    message = f"{SIGNATURE} {ENABLED} {PREFILL} temperature schema cache_control max_tokens: 5 > 4"
    done, steps = NO_FALLBACKS, 0
    while (more := next(remedies(message, done), None)) is not None:
        done, steps = more, steps + 1
        assert steps < 20
    assert steps >= 8


@pytest.mark.parametrize("message", ["max_tokens: is too large", "max_tokens: 5 > 0"])
def test_a_limit_that_is_not_named_changes_nothing(message: str) -> None:
    assert recovered(asking(max_tokens=5), NEWEST, message) is None


def test_nothing_is_left_out_in_strict_mode() -> None:
    asked = asking(*STEP, reasoning_effort="high", **TOOLS)
    message = "claude-next does not support thinking."

    assert call_for(asked, NEWEST).recover(400, refused(message)) is not None
    assert call_for(asked, NEWEST, strict=True).recover(400, refused(message)) is None
