"""Converts tool_choice and function_call to functionCallingConfig. Pure.

Source: https://ai.google.dev/api/caching#FunctionCallingConfig (read 2026-11).
"""

from dataclasses import dataclass
from typing import Final, Literal

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.function_names import Member
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.namespaces import NAMESPACE, TOOL_SEARCH
from jarvis_proxy.canonical.validation_errors import invalid, missing, unknown_value, wrong_type
from jarvis_proxy.upstreams.gemini.model_traits import ModelTraits
from jarvis_proxy.upstreams.gemini.request.tools import ToolPlan
from jarvis_proxy.upstreams.gemini.request.types import FunctionCallingConfig, ToolConfig

_Mode = Literal["AUTO", "ANY", "NONE", "VALIDATED"]
_WORDS: Final[dict[str, _Mode]] = {
    "auto": "AUTO",
    "none": "NONE",
    "required": "ANY",
    "any": "ANY",
    # Gemini's own mode: like "auto", but arguments must match the schema.
    "validated": "VALIDATED",
}
_NAMED: Final = (None, "function", "custom", NAMESPACE)


def tool_config(
    request: ChatRequest,
    plan: ToolPlan,
    traits: ModelTraits,
    ignored: IgnoredParams,
    *,
    soft: bool = False,
    free: bool = False,
) -> ToolConfig | None:
    """Return how the model may use *plan*'s tools; None leaves it to the model.

    For "none", and without functions, Google's own tools are removed from *plan*, because they have
    no mode. *soft* drops what enforces calls or schemas; *free* also drops a choice of functions.


    Raises:
        ProxyError: 400, the choice is unknown, or its function is not declared.
    """
    param, choice = _asked(request)
    config: FunctionCallingConfig | None = None
    if choice is not None:
        config = _read(choice, param, request, plan, ignored)
    if not plan.functions:
        if config is not None and config.mode == "NONE":
            plan.server_tools.clear()
        return None
    if config is None or (
        config.mode in ("AUTO", "VALIDATED") and not config.allowed_function_names
    ):
        asked = config is not None and config.mode == "VALIDATED"
        param = param if asked else "tools.strict"
        validated = (asked or plan.strict) and traits.validated_mode
        config = FunctionCallingConfig("VALIDATED") if validated else None
    if (soft or free) and config is not None:
        config = _softened(config, param, traits, ignored, free=free)
    if not plan.server_tools:
        return ToolConfig(config) if config is not None else None
    # Results of server-side tools arrive in parts that clients of this API cannot keep.
    ignored.add("tools.server_side_history")
    return ToolConfig(config, include_server_side_tool_invocations=True)


def _softened(
    config: FunctionCallingConfig,
    param: str,
    traits: ModelTraits,
    ignored: IgnoredParams,
    *,
    free: bool,
) -> FunctionCallingConfig:
    """Return the less strict mode; a choice of functions stays unless *free*."""
    if config.mode in ("AUTO", "NONE"):
        return config
    names = config.allowed_function_names
    softer = FunctionCallingConfig("AUTO")
    if names and traits.validated_mode and not free:
        softer = FunctionCallingConfig("VALIDATED", names)
    if softer.mode != config.mode:
        ignored.add(param)
    return softer


def _asked(request: ChatRequest) -> tuple[str, str | dict[str, object] | None]:
    if request.tool_choice is not None:
        return "tool_choice", request.tool_choice
    return "function_call", request.function_call


@dataclass(slots=True)
class _Wish:
    """A mode, and the functions that it is limited to; None is no limit."""

    mode: _Mode
    only: list[Member] | None = None
    """A plain function has no namespace; an entry for a whole namespace has no name."""

    @property
    def leaves_it_open(self) -> bool:
        """Whether the model may answer without a call."""
        return self.mode in ("AUTO", "VALIDATED") and self.only is None


def _read(
    choice: str | dict[str, object],
    param: str,
    request: ChatRequest,
    plan: ToolPlan,
    ignored: IgnoredParams,
) -> FunctionCallingConfig | None:
    word = choice if isinstance(choice, str) else choice.get("type")
    if isinstance(word, str) and word.lower() in _WORDS:
        wish = _Wish(_WORDS[word.lower()])
    elif isinstance(choice, str):
        raise unknown_value(param, choice, ("none", "auto", "validated", "required"))
    elif word == "allowed_tools":
        wish = _allowed(choice, param, plan)
    elif word in _NAMED or (word == TOOL_SEARCH and plan.tool_search):
        wish = _Wish("ANY", [_named(choice, param)])
    else:
        # The choice is one of the server's own tools, which Google does not support.
        ignored.add_or_reject(param)
        return None
    if plan.functions:
        names = None if wish.only is None else _declared(wish.only, plan, param)
        return FunctionCallingConfig(wish.mode, names)
    return _without_functions(wish, param, request, plan, ignored)


def _without_functions(
    wish: _Wish,
    param: str,
    request: ChatRequest,
    plan: ToolPlan,
    ignored: IgnoredParams,
) -> FunctionCallingConfig | None:
    """Handle a choice if no function is left to choose."""
    if wish.mode == "NONE" or wish.leaves_it_open:
        return FunctionCallingConfig(wish.mode)
    if plan.server_tools:
        ignored.add_or_reject(param)
    elif request.tools is None and request.functions is None:
        message = f"'{param}' is only allowed when tools are specified."
        raise invalid(param, message)
    # The list of tools is empty, or the model does not support the tools.
    return None


def _allowed(choice: dict[str, object], param: str, plan: ToolPlan) -> _Wish:
    inner = choice.get("allowed_tools", choice)
    where = f"{param}.allowed_tools"
    if not isinstance(inner, dict):
        raise wrong_type(where, "an object", inner)
    tools = inner.get("tools")
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise wrong_type(f"{where}.tools", "an array of objects", tools)
    mode = inner.get("mode")
    if mode not in ("auto", "validated", "required"):
        message = "Supported values are: 'auto', 'validated', and 'required'."
        raise invalid(f"{where}.mode", message)
    names = [
        _named(tool, f"{where}.tools[{index}]")
        for index, tool in enumerate(tools)
        if tool.get("type") in _NAMED or (tool.get("type") == TOOL_SEARCH and plan.tool_search)
    ]
    if not names:
        return _Wish("NONE" if plan.functions else "AUTO")
    # Google allows names only with ANY and VALIDATED.
    return _Wish("ANY" if mode == "required" else "VALIDATED", names)


def _named(choice: dict[str, object], param: str) -> Member:
    """Return the tool in ``{"type":"function","function":{"name":…}}`` or its flat forms."""
    kind, where = choice.get("type"), param
    for key in ("function", "custom"):
        if isinstance(inner := choice.get(key), dict):
            choice, where = {NAMESPACE: choice.get(NAMESPACE), **inner}, f"{param}.{key}"
    name = TOOL_SEARCH if kind == TOOL_SEARCH else choice.get("name")
    if name is None:
        raise missing(f"{where}.name")
    if not isinstance(name, str):
        raise wrong_type(f"{where}.name", "a string", name)
    if kind == NAMESPACE:
        return Member(name, "")
    namespace = choice.get(NAMESPACE)
    return Member(namespace if isinstance(namespace, str) else "", name)


def _declared(wanted: list[Member], plan: ToolPlan, param: str) -> list[str]:
    """Return the upstream's names without duplicates."""
    names: dict[str, None] = {}
    for namespace, name in wanted:
        if name:
            found = plan.names.find(name, namespace)
            names |= {} if found is None else {found: None}
        else:
            inside = plan.names.inside(namespace)
            found = inside[0] if inside else None
            names |= dict.fromkeys(inside)
        if found is None:
            message = f"Tool choice '{(name or namespace)[:64]}' not found in 'tools' parameter."
            raise invalid(param, message)
    return list(names)
