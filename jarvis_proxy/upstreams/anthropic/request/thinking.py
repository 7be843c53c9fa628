"""Converts the canonical request's wishes for thinking to ``thinking`` and ``effort``. Pure.

Source: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking, /effort and
/extended-thinking (read 2026-11).
"""

from dataclasses import dataclass
from typing import Any, Final

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.validation_errors import unknown_value

JsonObject = dict[str, Any]

LEAST_BUDGET: Final = 1024
DEFAULT_BUDGET: Final = 8192
_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# Spellings of "none", or of no value, that gateways and their clients use.
_SYNONYMS: Final[dict[str, str | None]] = {"disable": "none", "default": None, "auto": None}
_NATIVE: Final = {"minimal": "low"}
_BUDGETS: Final = {
    "minimal": 2048,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 32_000,
    "max": 32_000,
}
_DISPLAYS: Final = ("summarized", "omitted")


@dataclass(frozen=True, slots=True)
class ThinkingWish:
    """The client's wish for thinking; *is_on* is None to leave it to the model.

    *effort* is one of OpenAI's values, *budget* is in tokens. *param* is their origin. *display* is
    Anthropic's value for showing thoughts, None if unspecified.
    """

    is_on: bool | None = None
    effort: str | None = None
    budget: int | None = None
    param: str = ""
    display: str | None = None


def read_wish(request: ChatRequest, *, show_thoughts: bool) -> ThinkingWish:
    """Return the wish for thinking in *request*.

    A requested effort shows thoughts, unless the request says otherwise; *show_thoughts* is the
    default if the request says nothing.

    Raises:
        ProxyError: 400, an unknown effort.
    """
    reasoning, thinking = request.reasoning, request.thinking
    effort, param = _effort(request)
    budget = reasoning.max_tokens if reasoning is not None else None
    is_on = effort != "none" if effort is not None else None
    if thinking is not None:
        param = param or "thinking"
        is_on = thinking.type != "disabled"
        budget = thinking.budget_tokens if budget is None else budget
    elif reasoning is not None and reasoning.enabled is not None and is_on is None:
        is_on = reasoning.enabled
    if budget is not None and is_on is None:
        is_on = budget != 0
    if request.include_thoughts and is_on is None:
        is_on = True
    display = _display(request, asked=is_on is True or show_thoughts)
    named = None if effort == "none" else effort
    return ThinkingWish(is_on, named, budget or None, param or "reasoning", display)


def _effort(request: ChatRequest) -> tuple[str | None, str]:
    named = [("reasoning_effort", request.reasoning_effort)]
    if request.reasoning is not None:
        named.append(("reasoning.effort", request.reasoning.effort))
    for param, value in named:
        word = _SYNONYMS.get(value, value) if value else None
        if word is None:
            continue
        if word not in _EFFORTS:
            raise unknown_value(param, word, _EFFORTS)
        return word, param
    return None, ""


def _display(request: ChatRequest, *, asked: bool) -> str:
    thinking, reasoning = request.thinking, request.reasoning
    if thinking is not None and thinking.display in _DISPLAYS:
        return str(thinking.display)
    shown = asked if request.include_thoughts is None else request.include_thoughts
    if reasoning is not None and reasoning.exclude:
        shown = False
    return "summarized" if shown else "omitted"


def adaptive_fields(wish: ThinkingWish) -> tuple[JsonObject | None, str | None]:
    """Return ``thinking`` and ``effort`` for a model that thinks by effort; None omits a field."""
    effort = _NATIVE.get(wish.effort, wish.effort) if wish.effort else None
    if wish.is_on is None:
        return None, effort
    if not wish.is_on:
        return {"type": "disabled"}, effort
    if effort is None and wish.budget is not None and wish.budget > 0:
        effort = "low" if wish.budget <= 2048 else "medium" if wish.budget <= 8192 else "high"
    return {"type": "adaptive", "display": wish.display}, effort


def wanted_budget(wish: ThinkingWish) -> int | None:
    """Return the thinking budget in tokens, None for no thinking."""
    if not wish.is_on:
        return None
    if wish.budget is not None and wish.budget > 0:
        return max(wish.budget, LEAST_BUDGET)
    return _BUDGETS[wish.effort] if wish.effort else DEFAULT_BUDGET


def fitting_budget(wish: ThinkingWish, max_tokens: int) -> int | None:
    """Return the budget within *max_tokens*, None if there is no room to think.

    A client's own budget only has to be smaller. A budget derived from an effort leaves half of the
    tokens for the answer.
    """
    wanted = wanted_budget(wish)
    if wanted is None or max_tokens <= LEAST_BUDGET:
        return None
    if wish.budget is not None:
        return min(wanted, max_tokens - 1)
    return max(LEAST_BUDGET, min(wanted, max_tokens // 2))
