"""Converts reasoning_effort and similar fields to thinkingConfig. Pure.

Source: https://ai.google.dev/gemini-api/docs/openai#thinking (Google's own table of efforts) and
/gemini-api/docs/thinking (read 2026-11).
"""

from typing import Final

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.validation_errors import invalid, unknown_value
from jarvis_proxy.upstreams.gemini.model_traits import ModelTraits
from jarvis_proxy.upstreams.gemini.request.google_options import GoogleOptions, ThinkingOptions
from jarvis_proxy.upstreams.gemini.request.types import ThinkingConfig

_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# Spellings of "none", or of no value, that gateways and their clients use.
_SYNONYMS: Final[dict[str, str | None]] = {"disable": "none", "default": None, "auto": None}
_BUDGETS: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
# XHIGH is in the SDK's enum, but it is unverified which model accepts it, so it is never sent.
_LEVELS: Final = {"low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}
_NATIVE_LEVELS: Final = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")
_LOW_BUDGET: Final = 1024
_MEDIUM_BUDGET: Final = 8192


def thinking_config(
    request: ChatRequest,
    options: GoogleOptions,
    traits: ModelTraits,
    ignored: IgnoredParams,
    *,
    show_thoughts: bool,
) -> ThinkingConfig | None:
    """Return the thinking configuration, None to leave it to the model.

    Google's own ``thinking_config`` takes precedence, then ``reasoning_effort``, then
    ``reasoning``, then ``thinking``. A requested effort shows thoughts, unless the request says
    otherwise; *show_thoughts* is the default if the request says nothing.


    Raises:
        ProxyError: 400, values are contradictory or unknown.
    """
    param = thinking_param(request, options) or ""
    if options.thinking_config is not None:
        config = _native(options.thinking_config, request, traits, ignored, param=param)
    elif (effort := _effort(request)) is not None:
        config = _for_effort(effort, traits, ignored, param)
    elif (budget := _budget(request)) is not None:
        config = _for_budget(budget, traits, ignored, param)
    else:
        config = ThinkingConfig(include_thoughts=_enabled(request) or None)
    if traits.thinking == "none":
        return None
    said = request.include_thoughts
    if request.reasoning is not None and request.reasoning.exclude:
        said = False
    if said is None:
        said = config.include_thoughts
    if said is None:
        said = show_thoughts and config.thinking_budget != 0
    config.include_thoughts = True if said else None
    return None if config == ThinkingConfig() else config


def thinking_param(request: ChatRequest, options: GoogleOptions) -> str | None:
    """Return the name of the parameter about thinking, None without one."""
    if options.thinking_config is not None:
        return f"{options.param}.thinking_config"
    if _named_effort(request.reasoning_effort) is not None:
        return "reasoning_effort"
    names = ("reasoning", "thinking", "include_thoughts")
    return next((name for name in names if getattr(request, name) is not None), None)


def _native(
    wish: ThinkingOptions,
    request: ChatRequest,
    traits: ModelTraits,
    ignored: IgnoredParams,
    *,
    param: str,
) -> ThinkingConfig:
    if _named_effort(request.reasoning_effort) is not None:
        message = "reasoning_effort and thinking_config cannot be used together."
        raise invalid("reasoning_effort", message)
    if wish.thinking_level is not None and wish.thinking_budget is not None:
        message = "thinking_level and thinking_budget cannot be used together."
        raise invalid(f"{param}.thinking_budget", message)
    level = (wish.thinking_level or "").upper().removeprefix("THINKING_LEVEL_")
    if wish.thinking_level is not None and level not in _NATIVE_LEVELS:
        raise unknown_value(f"{param}.thinking_level", wish.thinking_level, _NATIVE_LEVELS)
    config = ThinkingConfig()
    if traits.thinking == "none":
        ignored.add_or_reject(param)
    elif level:
        config = _for_effort(level.lower(), traits, ignored, param)
    elif wish.thinking_budget is not None and traits.thinking == "level":
        # Deprecated there but accepted: recordings show 6400 with 3-pro, and 512 with 3.5-flash.
        config = ThinkingConfig(thinking_budget=wish.thinking_budget)
    elif wish.thinking_budget is not None:
        config = _for_budget(wish.thinking_budget, traits, ignored, param)
    config.include_thoughts = wish.include_thoughts
    return config


def _named_effort(value: str | None) -> str | None:
    """Return an effort in OpenAI's terms; None if *value* has the meaning of no value."""
    return value if value is None else _SYNONYMS.get(value, value)


def _effort(request: ChatRequest) -> str | None:
    """Return the requested effort level from any vendor's field."""
    named = [("reasoning_effort", _named_effort(request.reasoning_effort))]
    if request.reasoning is not None:
        named.append(("reasoning.effort", _named_effort(request.reasoning.effort)))
    for param, value in named:
        if value is None:
            continue
        if value not in _EFFORTS:
            raise unknown_value(param, value, _EFFORTS)
        return value
    off = (request.thinking is not None and request.thinking.type == "disabled") or (
        request.reasoning is not None and request.reasoning.enabled is False
    )
    return "none" if off else None


def _budget(request: ChatRequest) -> int | None:
    if request.reasoning is not None and request.reasoning.max_tokens is not None:
        return request.reasoning.max_tokens
    return request.thinking.budget_tokens if request.thinking is not None else None


def _enabled(request: ChatRequest) -> bool:
    return (request.thinking is not None and request.thinking.type in ("enabled", "adaptive")) or (
        request.reasoning is not None and request.reasoning.enabled is True
    )


def _for_effort(
    effort: str, traits: ModelTraits, ignored: IgnoredParams, param: str
) -> ThinkingConfig:
    """Return the configuration for one of OpenAI's efforts, by Google's table."""
    show = effort != "none"
    if traits.thinking == "budget":
        return ThinkingConfig(show, thinking_budget=_effort_budget(effort, traits, ignored, param))
    if traits.thinking == "none":
        return ThinkingConfig()
    if effort == "none" and not traits.minimal_level:
        # Thinking cannot be disabled, so use the minimum.
        ignored.add_or_reject(param)
    least = "MINIMAL" if traits.minimal_level else "LOW"
    return ThinkingConfig(show, thinking_level=_LEVELS.get(effort, least))


def _effort_budget(effort: str, traits: ModelTraits, ignored: IgnoredParams, param: str) -> int:
    if effort == "none":
        if traits.thinking_can_stop:
            return 0
        ignored.add_or_reject(param)
        return traits.budget[0]
    return _BUDGETS.get(effort, traits.budget[1])


def _for_budget(
    budget: int, traits: ModelTraits, ignored: IgnoredParams, param: str
) -> ThinkingConfig:
    """Return the configuration nearest to a budget in tokens; 0 is none, -1 the model's choice."""
    if budget == 0:
        return _for_effort("none", traits, ignored, param)
    if traits.thinking == "budget":
        low, high = traits.budget
        clamped = -1 if budget < 0 else min(max(budget, low), high)
        return ThinkingConfig(True, thinking_budget=clamped)
    if budget < 0:
        return ThinkingConfig(True)
    effort = "low" if budget <= _LOW_BUDGET else "medium" if budget <= _MEDIUM_BUDGET else "high"
    return _for_effort(effort, traits, ignored, param)
