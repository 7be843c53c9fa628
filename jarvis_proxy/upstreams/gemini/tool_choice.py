"""tool_choice and function_call → functionCallingConfig. Pure.

Source: https://ai.google.dev/api/caching#FunctionCallingConfig (read 2026-11).
"""

from typing import Final, Literal

from jarvis_proxy.upstreams.gemini.faults import invalid, missing, wrong_type
from jarvis_proxy.upstreams.gemini.models import ModelTraits
from jarvis_proxy.upstreams.gemini.notes import Notes
from jarvis_proxy.upstreams.gemini.request_types import (
    ChatRequest,
    FunctionCallingConfig,
    ToolConfig,
)
from jarvis_proxy.upstreams.gemini.tools import ToolPlan

_WORDS: Final[dict[str, Literal["AUTO", "ANY", "NONE"]]] = {
    "auto": "AUTO",
    "none": "NONE",
    "required": "ANY",
    "any": "ANY",
}


def tool_config(
    request: ChatRequest, plan: ToolPlan, traits: ModelTraits, notes: Notes
) -> ToolConfig | None:
    """Return how the tools of *plan* are to be used; None leaves it to the model.

    With "none" and without functions, Google's own tools are taken out of *plan*: they know no
    mode.

    Raises:
        ProxyError: 400, an unknown choice, or one of a function that is not declared.
    """
    param, choice = _asked(request)
    config: FunctionCallingConfig | None = None
    if choice is not None:
        config = _read(choice, param, request, plan, notes)
    if not plan.functions:
        if config is not None and config.mode == "NONE":
            plan.server_tools.clear()
        return None
    if config is None or config.mode == "AUTO":
        strict = plan.strict and traits.validated_mode
        config = FunctionCallingConfig("VALIDATED") if strict else None
    if not plan.server_tools:
        return ToolConfig(config) if config is not None else None
    # What the server's tools did comes back in parts that a client of this API cannot keep.
    notes.mention("tools.server_side_history")
    return ToolConfig(config, include_server_side_tool_invocations=True)


def _asked(request: ChatRequest) -> tuple[str, str | dict[str, object] | None]:
    if request.tool_choice is not None:
        return "tool_choice", request.tool_choice
    return "function_call", request.function_call


def _read(
    choice: str | dict[str, object],
    param: str,
    request: ChatRequest,
    plan: ToolPlan,
    notes: Notes,
) -> FunctionCallingConfig | None:
    word = choice if isinstance(choice, str) else choice.get("type")
    if isinstance(word, str) and word in _WORDS:
        config = FunctionCallingConfig(_WORDS[word])
    elif isinstance(choice, str):
        supported = "'none', 'auto', and 'required'"
        message = f"Invalid value: '{choice[:64]}'. Supported values are: {supported}."
        raise invalid(param, message)
    elif word == "allowed_tools":
        config = _allowed(choice, param, plan)
    elif word in (None, "function", "custom"):
        config = FunctionCallingConfig("ANY", [_named(choice, param)])
    else:
        notes.ignore(param)  # one of the server's own tools: Google knows no such choice
        return None
    if plan.functions:
        names = config.allowed_function_names
        config.allowed_function_names = names and _declared(names, plan, param)
        return config
    return _without_functions(config, param, request, plan, notes)


def _without_functions(
    config: FunctionCallingConfig,
    param: str,
    request: ChatRequest,
    plan: ToolPlan,
    notes: Notes,
) -> FunctionCallingConfig | None:
    """Judge a choice where no function is left to choose."""
    if config.mode in ("AUTO", "NONE"):
        return config
    if plan.server_tools:
        notes.ignore(param)
    elif request.tools is None and request.functions is None:
        message = f"'{param}' is only allowed when tools are specified."
        raise invalid(param, message)
    return None  # an empty list of tools, or tools that the model does not take


def _allowed(choice: dict[str, object], param: str, plan: ToolPlan) -> FunctionCallingConfig:
    inner = choice.get("allowed_tools", choice)
    where = f"{param}.allowed_tools"
    if not isinstance(inner, dict):
        raise wrong_type(where, "an object", inner)
    tools = inner.get("tools")
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise wrong_type(f"{where}.tools", "an array of objects", tools)
    mode = inner.get("mode")
    if mode not in ("auto", "required"):
        message = "Supported values are: 'auto' and 'required'."
        raise invalid(f"{where}.mode", message)
    names = [
        _named(tool, f"{where}.tools[{index}]")
        for index, tool in enumerate(tools)
        if tool.get("type") in (None, "function", "custom")
    ]
    if not names:
        return FunctionCallingConfig("NONE" if plan.functions else "AUTO")
    # Names are legal with ANY and VALIDATED only.
    return FunctionCallingConfig("ANY" if mode == "required" else "VALIDATED", names)


def _named(choice: dict[str, object], param: str) -> str:
    """Return the name in ``{"type":"function","function":{"name":…}}`` and its flat relatives."""
    where = param
    for key in ("function", "custom"):
        if isinstance(inner := choice.get(key), dict):
            choice, where = inner, f"{param}.{key}"
    name = choice.get("name")
    if name is None:
        raise missing(f"{where}.name")
    if not isinstance(name, str):
        raise wrong_type(f"{where}.name", "a string", name)
    return name


def _declared(names: list[str], plan: ToolPlan, param: str) -> list[str]:
    for name in names:
        if name not in plan.names.declared:
            message = f"Tool choice '{name[:64]}' not found in 'tools' parameter."
            raise invalid(param, message)
    return [plan.names.upstream(name) for name in dict.fromkeys(names)]
