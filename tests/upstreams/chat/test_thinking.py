"""How much to think, in each client's words, becomes what the upstream takes."""

from typing import Any

import pytest

from jarvis_proxy.errors import ProxyError
from tests.upstreams.chat.requests import DEEPSEEK, GPT_4, GPT_5, VLLM, sent


def thinking(target: Any, **fields: Any) -> dict[str, Any]:
    """Return the fields about thinking that are sent."""
    body = sent(target, **fields)
    return {name: body[name] for name in ("reasoning_effort", "thinking") if name in body}


@pytest.mark.parametrize(
    ("wish", "effort"),
    [
        ({"reasoning_effort": "minimal"}, "low"),
        ({"reasoning_effort": "low"}, "low"),
        ({"reasoning_effort": "medium"}, "medium"),
        ({"reasoning_effort": "high"}, "high"),
        ({"reasoning_effort": "xhigh"}, "high"),
        ({"reasoning_effort": "max"}, "high"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 31999}}, "high"),
        ({"reasoning": {"max_tokens": 4000}}, "medium"),
        ({"reasoning": {"effort": "high"}}, "high"),
        ({"thinking": {"type": "adaptive"}, "reasoning_effort": "high"}, "high"),
    ],
)
@pytest.mark.parametrize("target", [DEEPSEEK, VLLM, GPT_5])
def test_effort_is_sent_where_the_client_asked(
    target: Any, wish: dict[str, Any], effort: str
) -> None:
    assert thinking(target, **wish) == {"reasoning_effort": effort}


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"thinking": {"type": "adaptive"}},
        {"thinking": {"type": "enabled"}},
        {"thinking": {"type": "between_tools"}},
        {"thinking": {"type": "enabled", "budget_tokens": -1}},
        {"reasoning_effort": "auto"},
        {"reasoning_effort": None},
        {"reasoning": {"enabled": True}},
    ],
)
def test_nothing_is_sent_where_the_client_leaves_it_to_the_model(wish: dict[str, Any]) -> None:
    assert [thinking(target, **wish) for target in (DEEPSEEK, VLLM, GPT_5)] == [{}, {}, {}]


@pytest.mark.parametrize(
    "wish",
    [
        {"thinking": {"type": "disabled"}},
        {"reasoning_effort": "none"},
        {"reasoning_effort": "disable"},
        {"reasoning": {"enabled": False}},
        {"thinking": {"type": "enabled", "budget_tokens": 0}},
    ],
)
def test_thinking_is_switched_off_where_that_is_known(wish: dict[str, Any]) -> None:
    assert thinking(DEEPSEEK, **wish) == {"thinking": {"type": "disabled"}}
    assert thinking(GPT_5, **wish) == {"reasoning_effort": "none"}
    assert thinking(GPT_4, **wish) == {}
    assert thinking(VLLM, **wish) == {}


@pytest.mark.parametrize("wish", [{"reasoning_effort": "huge"}, {"reasoning": {"effort": "huge"}}])
def test_unknown_effort_is_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(ProxyError) as caught:
        sent(**wish)

    assert (caught.value.status, caught.value.code) == (400, "invalid_value")
    assert "xhigh" in caught.value.message
