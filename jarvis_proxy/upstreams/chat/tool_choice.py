"""Converts ``tool_choice`` of the canonical request to that of chat completions. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-tool_choice (read
2026-11).
"""

from dataclasses import dataclass
from typing import Any, Final

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.tool_choice import read_tool_choice
from jarvis_proxy.upstreams.chat.tools import ChatTools

JsonObject = dict[str, Any]

_PARAM: Final = "tool_choice"
_DEMANDS_NO_TOOL: Final = ("auto", "none", "validated")


@dataclass(slots=True)
class ToolChoice:
    """The choice to send as *value*, None for no choice.

    *only* are the upstream's names of the allowed tools, if only the list of tools can express
    that.
    """

    value: str | JsonObject | None = None
    only: list[str] | None = None


def write_tool_choice(
    given: str | JsonObject | None, tools: ChatTools, notes: IgnoredParams, *, lists_tools: bool
) -> ToolChoice:
    """Return how the model may use *tools*; *lists_tools*: the upstream has ``allowed_tools``.

    Raises:
        ProxyError: 400, an unknown choice, or a tool that is not declared.
    """
    if given is None:
        return ToolChoice()
    if not tools:
        if given not in _DEMANDS_NO_TOOL:
            # Its tool was left out, or was never declared.
            notes.add_or_reject(_PARAM)
        return ToolChoice()
    chosen = read_tool_choice(given, tools, _PARAM)
    if chosen is None:
        notes.add_or_reject(_PARAM)
        return ToolChoice("auto")
    mode, names, is_one = chosen
    if names is None:
        return ToolChoice(mode)
    if is_one:
        return ToolChoice(_function(names[0], tools))
    if not lists_tools:
        return ToolChoice(mode, names)
    listed = [{"type": "function", "function": {"name": name}} for name in names]
    return ToolChoice({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": listed}})


def _function(name: str, tools: ChatTools) -> JsonObject:
    kind = "custom" if tools.is_custom(name) else "function"
    return {"type": kind, kind: {"name": name}}
