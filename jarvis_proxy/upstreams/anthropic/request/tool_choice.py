"""Converts ``tool_choice`` of the canonical request to Anthropic's. Pure.

Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use (read
2026-11).
"""

from dataclasses import dataclass
from typing import Any, Final

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.tool_choice import read_tool_choice
from jarvis_proxy.upstreams.anthropic.request.tools import AnthropicTools

JsonObject = dict[str, Any]

_TYPES: Final = {"auto": "auto", "none": "none", "required": "any"}
_FORCED: Final = ("any", "tool")


@dataclass(slots=True)
class ToolChoice:
    """The choice to send as *value*, None for no choice.

    *only* are the upstream's names of the allowed tools, if only the list of tools can express
    that.
    """

    value: JsonObject | None = None
    only: list[str] | None = None

    @property
    def forces(self) -> bool:
        """Whether the model must call a tool."""
        return self.value is not None and self.value["type"] in _FORCED


def write_tool_choice(
    request: ChatRequest, tools: AnthropicTools, notes: IgnoredParams
) -> ToolChoice:
    """Return how the model may use *tools*.

    Raises:
        ProxyError: 400, an unknown choice, or a tool that is not declared.
    """
    param, given = "tool_choice", request.tool_choice
    if given is None:
        param, given = "function_call", request.function_call
    choice = ToolChoice() if given is None else _written(given, param, tools, notes)
    if not tools:
        return ToolChoice(choice.value if choice.value == {"type": "none"} else None)
    if request.parallel_tool_calls is False:
        value = choice.value or {"type": "auto"}
        if value["type"] != "none":
            choice.value = value | {"disable_parallel_tool_use": True}
    return choice


def _written(
    given: str | JsonObject, param: str, tools: AnthropicTools, notes: IgnoredParams
) -> ToolChoice:
    chosen = read_tool_choice(given, tools, param)
    if chosen is None:
        notes.add_or_reject(param)
        return ToolChoice()
    mode, names, is_one = chosen
    if mode == "required" and not tools:
        # Its tool was left out, or was never declared.
        notes.add_or_reject(param)
    if names is not None and is_one:
        return ToolChoice({"type": "tool", "name": names[0]})
    return ToolChoice({"type": _TYPES[mode]}, names)
