"""Converts wishes for thinking to ``reasoning_effort`` and ``thinking``. Pure.

Source: https://platform.openai.com/docs/guides/reasoning and
https://api-docs.deepseek.com/guides/thinking_mode (read 2026-11).
"""

from typing import Any, Final

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.validation_errors import unknown_value
from jarvis_proxy.upstreams.chat.target import ChatTarget

_EFFORTS: Final = {
    "none": "none",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_SYNONYMS: Final[dict[str, str | None]] = {"disable": "none", "default": None, "auto": None}
_LOW_BUDGET: Final = 2048
_MEDIUM_BUDGET: Final = 8192
DISABLED: Final = {"type": "disabled"}


def thinking_fields(request: ChatRequest, target: ChatTarget) -> dict[str, Any]:
    """Return the fields for the thinking that the client wants; {} leaves it to the model.

    Raises:
        ProxyError: 400, an unknown effort.
    """
    effort = _effort(request)
    if effort is None:
        return {}
    if effort != "none":
        return {"reasoning_effort": effort}
    if target.switches_thinking:
        return {"thinking": DISABLED}
    return {"reasoning_effort": "none"} if target.is_openais_reasoning_model else {}


def _effort(request: ChatRequest) -> str | None:
    """Return one of none, low, medium and high; None if the client wants none of them."""
    reasoning, thinking = request.reasoning, request.thinking
    named = [("reasoning_effort", request.reasoning_effort)]
    if reasoning is not None:
        named.append(("reasoning.effort", reasoning.effort))
    for param, value in named:
        if (word := _SYNONYMS.get(value, value) if value else None) is not None:
            return _known(param, word)
    if (thinking is not None and thinking.type == "disabled") or (
        reasoning is not None and reasoning.enabled is False
    ):
        return "none"
    budget = reasoning.max_tokens if reasoning is not None else None
    if budget is None and thinking is not None:
        budget = thinking.budget_tokens
    return None if budget is None else _for_budget(budget)


def _known(param: str, word: str) -> str:
    if word not in _EFFORTS:
        raise unknown_value(param, word, _EFFORTS)
    return _EFFORTS[word]


def _for_budget(budget: int) -> str | None:
    """Return the effort for a budget in tokens; a negative budget is the model's choice."""
    if budget < 0:
        return None
    if budget == 0:
        return "none"
    return "low" if budget <= _LOW_BUDGET else "medium" if budget <= _MEDIUM_BUDGET else "high"
