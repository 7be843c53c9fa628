"""How much to think: the canonical request's wishes → ``thinking`` and ``effort``. Pure.

Source: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking, /effort and
/extended-thinking (read 2026-11).
"""

from dataclasses import dataclass
from typing import Any, Final

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.validation_errors import invalid

JsonObject = dict[str, Any]

LEAST_BUDGET: Final = 1024
DEFAULT_BUDGET: Final = 8192
_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# How gateways and their clients spell "none", and no value at all.
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
    """What the client asks for: *is_on* None leaves it to the model.

    *effort* is one of OpenAI's words, *budget* in tokens. *param* is where it stands. *display* is
    Anthropic's word for whether thoughts are shown; None: nobody said.
    """

    is_on: bool | None = None
    effort: str | None = None
    budget: int | None = None
    param: str = ""
    display: str | None = None


def read_wish(request: ChatRequest, *, show_thoughts: bool) -> ThinkingWish:
    """Return what *request* says about thinking.

    Thoughts are shown when an effort is asked for, unless the request says otherwise;
    *show_thoughts* decides where it says nothing.

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
            supported = ", ".join(f"'{effort}'" for effort in _EFFORTS)
            message = f"Invalid value: '{word[:64]}'. Supported values are: {supported}."
            raise invalid(param, message)
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
    """Return ``thinking`` and ``effort`` for a model that thinks by effort; None for nothing."""
    effort = _NATIVE.get(wish.effort, wish.effort) if wish.effort else None
    if wish.is_on is None:
        return None, effort
    if not wish.is_on:
        return {"type": "disabled"}, effort
    if effort is None and wish.budget is not None and wish.budget > 0:
        effort = "low" if wish.budget <= 2048 else "medium" if wish.budget <= 8192 else "high"
    return {"type": "adaptive", "display": wish.display}, effort


def wanted_budget(wish: ThinkingWish) -> int | None:
    """Return how many tokens a model that thinks by budget should spend; None for no thinking."""
    if not wish.is_on:
        return None
    if wish.budget is not None and wish.budget > 0:
        return max(wish.budget, LEAST_BUDGET)
    return _BUDGETS[wish.effort] if wish.effort else DEFAULT_BUDGET


def fitting_budget(wish: ThinkingWish, max_tokens: int) -> int | None:
    """Return the budget within *max_tokens*; None if there is no room to think.

    A budget that the client names only has to be less. One that is made of an effort leaves half
    to the answer.
    """
    wanted = wanted_budget(wish)
    if wanted is None or max_tokens <= LEAST_BUDGET:
        return None
    if wish.budget is not None:
        return min(wanted, max_tokens - 1)
    return max(LEAST_BUDGET, min(wanted, max_tokens // 2))
