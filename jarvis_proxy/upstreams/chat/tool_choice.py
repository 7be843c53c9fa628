"""``tool_choice`` of the canonical request → that of chat completions. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-tool_choice (read
2026-11).
"""

from dataclasses import dataclass
from typing import Any, Final

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.namespaces import NAMESPACE
from jarvis_proxy.canonical.validation_errors import invalid, missing, wrong_type
from jarvis_proxy.upstreams.chat.tools import TOOL_SEARCH, ChatTools

JsonObject = dict[str, Any]

_PARAM: Final = "tool_choice"
_WORDS: Final = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
    "validated": "auto",
}
_NAMED: Final = (None, "function", "custom", TOOL_SEARCH)


@dataclass(slots=True)
class Choice:
    """*value* is what is sent, None for nothing. *only*: the upstream's names of the tools that
    may be called, where it cannot be told so but by the list of tools.
    """

    value: str | JsonObject | None = None
    only: list[str] | None = None


def read_choice(
    given: str | JsonObject | None, tools: ChatTools, notes: IgnoredParams, *, lists_tools: bool
) -> Choice:
    """Return how *tools* are to be used. *lists_tools*: the upstream knows ``allowed_tools``.

    Raises:
        ProxyError: 400, an unknown choice, or one of a tool that is not declared.
    """
    if given is None:
        return Choice()
    if not tools:
        if given not in ("auto", "none", "validated"):
            notes.add_or_reject(_PARAM)  # what it means was left out, or never declared
        return Choice()
    if isinstance(given, str):
        return Choice(_word(given))
    kind = given.get("type")
    if kind in _WORDS:
        return Choice(_WORDS[str(kind)])
    if kind == "allowed_tools":
        return _allowed(given, tools, lists_tools=lists_tools)
    if kind == NAMESPACE:
        return _listed("required", _names(given, tools, _PARAM), lists_tools=lists_tools)
    if kind in _NAMED:
        return Choice(_function(_names(given, tools, _PARAM)[0], tools))
    notes.add_or_reject(_PARAM)  # a tool that only others' servers run
    return Choice("auto")


def _word(word: str) -> str:
    if word.lower() not in _WORDS:
        supported = "'none', 'auto', 'validated', and 'required'"
        message = f"Invalid value: '{word[:64]}'. Supported values are: {supported}."
        raise invalid(_PARAM, message)
    return _WORDS[word.lower()]


def _allowed(given: JsonObject, tools: ChatTools, *, lists_tools: bool) -> Choice:
    inner, where = given.get("allowed_tools", given), f"{_PARAM}.allowed_tools"
    listed = inner.get("tools") if isinstance(inner, dict) else None
    if not isinstance(listed, list) or not all(isinstance(tool, dict) for tool in listed):
        raise wrong_type(f"{where}.tools", "an array of objects", listed)
    names: dict[str, None] = {}
    for index, tool in enumerate(listed):
        if tool.get("type") in (*_NAMED, NAMESPACE):
            names |= dict.fromkeys(_names(tool, tools, f"{where}.tools[{index}]"))
    mode = _WORDS.get(str(inner.get("mode", "auto")), "auto")
    return _listed(mode, list(names), lists_tools=lists_tools) if names else Choice("none")


def _listed(mode: str, names: list[str], *, lists_tools: bool) -> Choice:
    if not lists_tools:
        return Choice(mode, names)
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return Choice({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}})


def _function(name: str, tools: ChatTools) -> JsonObject:
    kind = "custom" if tools.is_custom(name) else "function"
    return {"type": kind, kind: {"name": name}}


def _names(choice: JsonObject, tools: ChatTools, param: str) -> list[str]:
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
