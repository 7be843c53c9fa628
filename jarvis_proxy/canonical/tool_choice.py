"""``tool_choice`` of the canonical request: a mode, and the declared tools it allows. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-tool_choice (read
2026-11).
"""

from typing import Any, Final, Literal, NamedTuple

from jarvis_proxy.canonical.namespaces import NAMESPACE, TOOL_SEARCH
from jarvis_proxy.canonical.tools import DeclaredTools
from jarvis_proxy.canonical.validation_errors import invalid, missing, unknown_value, wrong_type

JsonObject = dict[str, Any]
Mode = Literal["auto", "none", "required"]

_MODES: Final[dict[str, Mode]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
    "validated": "auto",
}
_NAMED: Final = (None, "function", "custom", TOOL_SEARCH)


class ChosenTools(NamedTuple):
    """How the model may use tools. *names* are the upstream's names of the allowed tools.

    *is_one*: the choice names one tool, which the model must call.
    """

    mode: Mode
    names: list[str] | None = None
    is_one: bool = False


def read_tool_choice(
    given: str | JsonObject, tools: DeclaredTools, param: str
) -> ChosenTools | None:
    """Return what *given* allows of *tools*; None if it names a tool that an upstream runs.

    Raises:
        ProxyError: 400, an unknown choice, or a tool that is not declared.
    """
    kind = given if isinstance(given, str) else given.get("type")
    if isinstance(kind, str) and kind.lower() in _MODES:
        return ChosenTools(_MODES[kind.lower()])
    if isinstance(given, str):
        raise unknown_value(param, given, ("none", "auto", "validated", "required"))
    if kind == "allowed_tools":
        return _allowed(given, tools, param)
    if kind == NAMESPACE:
        return ChosenTools("required", _names(given, tools, param))
    if kind in _NAMED:
        return ChosenTools("required", _names(given, tools, param), is_one=True)
    return None


def _allowed(given: JsonObject, tools: DeclaredTools, param: str) -> ChosenTools:
    inner, where = given.get("allowed_tools", given), f"{param}.allowed_tools"
    listed = inner.get("tools") if isinstance(inner, dict) else None
    if not isinstance(listed, list) or not all(isinstance(tool, dict) for tool in listed):
        raise wrong_type(f"{where}.tools", "an array of objects", listed)
    names: dict[str, None] = {}
    for index, tool in enumerate(listed):
        if tool.get("type") in (*_NAMED, NAMESPACE):
            names |= dict.fromkeys(_names(tool, tools, f"{where}.tools[{index}]"))
    if not names:
        return ChosenTools("none")
    return ChosenTools(_MODES.get(str(inner.get("mode", "auto")), "auto"), list(names))


def _names(choice: JsonObject, tools: DeclaredTools, param: str) -> list[str]:
    """Return the upstream's names of the chosen tools: one tool, or all of a namespace."""
    kind = choice.get("type")
    for key in ("function", "custom"):
        if isinstance(inner := choice.get(key), dict):
            choice = {NAMESPACE: choice.get(NAMESPACE), **inner}
    name = TOOL_SEARCH if kind == TOOL_SEARCH else choice.get("name")
    if name is None:
        raise missing(f"{param}.name")
    if not isinstance(name, str):
        raise wrong_type(f"{param}.name", "a string", name)
    namespace = choice.get(NAMESPACE)
    if kind == NAMESPACE:
        found = tools.inside(name)
    else:
        one = tools.find(name, namespace if isinstance(namespace, str) else None)
        found = [] if one is None else [one]
    if not found:
        raise invalid(param, f"Tool choice '{name[:64]}' not found in 'tools' parameter.")
    return found
