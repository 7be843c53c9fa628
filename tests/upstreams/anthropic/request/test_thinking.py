"""How much a model thinks, and whether its thoughts are shown."""

import pytest

from tests.upstreams.anthropic.chat import (
    NEWEST,
    THOUGHT,
    V35,
    V45,
    Json,
    asking,
    assistant,
    body_for,
    call,
    function,
    ignored,
    refusal,
    result,
    user,
)

ADAPTIVE = {"type": "adaptive", "display": "summarized"}


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("fields", "thinking", "effort"),
    [
        ({}, None, None),
        ({"reasoning_effort": "none"}, {"type": "disabled"}, None),
        ({"thinking": {"type": "disabled"}}, {"type": "disabled"}, None),
        ({"reasoning": {"enabled": False}}, {"type": "disabled"}, None),
        ({"reasoning_effort": "minimal"}, ADAPTIVE, "low"),
        ({"reasoning_effort": "low"}, ADAPTIVE, "low"),
        ({"reasoning_effort": "medium"}, ADAPTIVE, "medium"),
        ({"reasoning": {"effort": "high"}}, ADAPTIVE, "high"),
        ({"reasoning_effort": "xhigh"}, ADAPTIVE, "xhigh"),
        ({"reasoning_effort": "max"}, ADAPTIVE, "max"),
        ({"reasoning_effort": "default"}, None, None),
        ({"thinking": {"type": "adaptive"}}, ADAPTIVE, None),
        ({"thinking": {"type": "something"}}, ADAPTIVE, None),
        ({"thinking": {"type": "adaptive"}, "reasoning_effort": "max"}, ADAPTIVE, "max"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, ADAPTIVE, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, ADAPTIVE, "medium"),
        ({"reasoning": {"max_tokens": 8193}}, ADAPTIVE, "high"),
        ({"include_thoughts": True}, ADAPTIVE, None),
    ],
)
def test_adaptive_models_get_an_effort(
    fields: Json, thinking: Json | None, effort: str | None
) -> None:
    body = body_for(asking(**fields))

    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort


@pytest.mark.parametrize(
    ("fields", "budget"),
    [
        ({}, None),
        ({"reasoning_effort": "none"}, None),
        ({"reasoning_effort": "minimal"}, 2048),
        ({"reasoning_effort": "low"}, 2048),
        ({"reasoning_effort": "medium"}, 8192),
        ({"reasoning_effort": "high"}, 16_384),
        ({"reasoning_effort": "xhigh"}, 32_000),
        ({"reasoning_effort": "max"}, 32_000),
        ({"thinking": {"type": "adaptive"}}, 8192),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}}, 5000),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, 1024),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}, "max_tokens": 4000}, 3999),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}, "max_tokens": 1024}, None),
        ({"reasoning_effort": "high", "max_tokens": 8000}, 4000),
        ({"reasoning_effort": "high", "max_tokens": 1500}, 1024),
        ({"reasoning_effort": "high", "max_tokens": 1000}, None),
    ],
)
def test_older_models_get_a_budget_below_max_tokens(fields: Json, budget: int | None) -> None:
    body = body_for(asking(**fields), V45)

    assert body.get("thinking", {}).get("budget_tokens") == budget
    assert "effort" not in body.get("output_config", {})


def test_a_budget_comes_on_top_of_the_default_limit() -> None:
    assert body_for(asking(reasoning_effort="xhigh"), V45)["max_tokens"] == 64_000
    assert body_for(asking(reasoning_effort="low"), V45)["max_tokens"] == 34_048


def test_a_model_that_cannot_think_is_not_asked_to() -> None:
    body = asking(reasoning_effort="high")

    assert "thinking" not in body_for(body, V35)
    assert ignored(body, V35) == ("reasoning_effort",)


def test_a_budget_needs_the_thinking_of_the_call_before() -> None:
    said = [user(), assistant(None, call(), thinking_blocks=[THOUGHT]), result()]
    without = [user(), assistant(None, call()), result()]
    options: Json = {"tools": [function()], "reasoning_effort": "high"}

    assert "thinking" in body_for(asking(*said, **options), V45)
    assert "thinking" not in body_for(asking(*without, **options), V45)
    assert "thinking" in body_for(asking(*without, user("and now?"), **options), NEWEST)
    assert "thinking" in body_for(asking(*without, **options), NEWEST)


@pytest.mark.parametrize(
    ("fields", "shows", "display"),
    [
        ({"reasoning_effort": "high"}, False, "summarized"),
        ({"reasoning_effort": "high", "include_thoughts": False}, True, "omitted"),
        ({"reasoning": {"effort": "high", "exclude": True}}, True, "omitted"),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, True, "omitted"),
        ({"thinking": {"type": "adaptive", "display": "updates"}}, False, "summarized"),
    ],
)
def test_thoughts_are_shown_where_they_are_wanted(fields: Json, shows: bool, display: str) -> None:
    assert body_for(asking(**fields), show_thoughts=shows)["thinking"]["display"] == display


def test_an_unknown_effort_is_refused() -> None:
    assert refusal(asking(reasoning_effort="huge")).param == "reasoning_effort"


def test_a_budget_is_left_out_where_thinking_is_missing() -> None:
    body = asking(
        user(), assistant(None, call()), result(), tools=[function()], reasoning_effort="high"
    )

    assert "thinking" not in body_for(body, V45)


def test_a_budget_is_always_below_max_tokens() -> None:
    for limit in (1, 1024, 1025, 2000, 64_000):
        body = body_for(asking(reasoning_effort="max", max_tokens=limit), V45)
        budget = body.get("thinking", {}).get("budget_tokens", 0)
        assert budget < body["max_tokens"] == limit


def test_enabled_is_never_sent_to_models_that_refuse_it() -> None:
    wish = {"type": "enabled", "budget_tokens": 4000}

    assert body_for(asking(thinking=wish), "claude-opus-4-7")["thinking"]["type"] == "adaptive"


def test_clients_that_ask_for_thoughts_get_them() -> None:
    assert body_for(asking(reasoning_effort="high"))["thinking"]["display"] == "summarized"
