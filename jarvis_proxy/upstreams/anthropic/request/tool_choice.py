"""``tool_choice`` of the canonical request → Anthropic's. Pure.

Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use (read
2026-11).
"""

from dataclasses import dataclass
from typing import Any, Final

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.namespaces import NAMESPACE
from jarvis_proxy.canonical.validation_errors import invalid, missing, wrong_type
from jarvis_proxy.upstreams.anthropic.request.tools import TOOL_SEARCH, ToolSet

JsonObject = dict[str, Any]

_WORDS: Final = {
    "auto": "auto",
    "none": "none",
    "required": "any",
    "any": "any",
    "validated": "auto",
}
_NAMED: Final = (None, "function", "custom", TOOL_SEARCH)
_FORCED: Final = ("any", "tool")


@dataclass(slots=True)
class Choice:
    """*value* is what is sent, None for nothing. *only*: the upstream's names of the tools that
    may be called, where Anthropic cannot be told so but by the list of tools.
    """

    value: JsonObject | None = None
    only: list[str] | None = None

    @property
    def forces(self) -> bool:
        """The model must call a tool."""
        return self.value is not None and self.value["type"] in _FORCED


def read_choice(request: ChatRequest, tools: ToolSet, notes: IgnoredParams) -> Choice:
    """Return how *tools* are to be used.

    Raises:
        ProxyError: 400, an unknown choice, or one of a tool that is not declared.
    """
    param, given = "tool_choice", request.tool_choice
    if given is None:
        param, given = "function_call", request.function_call
    choice = Choice() if given is None else _read(given, param, tools, notes)
    if not tools:
        return Choice(choice.value if choice.value == {"type": "none"} else None)
    if request.parallel_tool_calls is False:
        value = choice.value or {"type": "auto"}
        if value["type"] != "none":
            choice.value = value | {"disable_parallel_tool_use": True}
    return choice


def _read(given: str | JsonObject, param: str, tools: ToolSet, notes: IgnoredParams) -> Choice:
    word = given if isinstance(given, str) else given.get("type")
    if isinstance(word, str) and word.lower() in _WORDS:
        kind = _WORDS[word.lower()]
        if kind == "any" and not tools:
            notes.add_or_reject(param)  # what it means was left out, or never declared
        return Choice({"type": kind})
    if isinstance(given, str):
        supported = "'none', 'auto', 'validated', and 'required'"
        message = f"Invalid value: '{given[:64]}'. Supported values are: {supported}."
        raise invalid(param, message)
    if word == "allowed_tools":
        return _allowed(given, param, tools)
    if word == NAMESPACE:
        return Choice({"type": "any"}, _names(given, tools, param))
    if word in _NAMED:
        return Choice({"type": "tool", "name": _names(given, tools, param)[0]})
    notes.add_or_reject(param)  # a tool that the upstream runs
    return Choice()


def _allowed(given: JsonObject, param: str, tools: ToolSet) -> Choice:
    inner, where = given.get("allowed_tools", given), f"{param}.allowed_tools"
    listed = inner.get("tools") if isinstance(inner, dict) else None
    if not isinstance(listed, list) or not all(isinstance(tool, dict) for tool in listed):
        raise wrong_type(f"{where}.tools", "an array of objects", listed)
    names: dict[str, None] = {}
    for index, tool in enumerate(listed):
        if tool.get("type") in (*_NAMED, NAMESPACE):
            names |= dict.fromkeys(_names(tool, tools, f"{where}.tools[{index}]"))
    if not names:
        return Choice({"type": "none"})
    kind = _WORDS.get(str(inner.get("mode", "auto")), "auto")
    return Choice({"type": kind}, list(names))


def _names(choice: JsonObject, tools: ToolSet, param: str) -> list[str]:
    """Return the upstream's names of what a choice names: one tool, or all of a namespace."""
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
