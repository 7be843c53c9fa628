"""``tool_choice`` of the canonical request → Anthropic's. Pure.

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
    """*value* is what is sent, None for nothing. *only*: the upstream's names of the tools that
    may be called, where the list of tools alone can say so.
    """

    value: JsonObject | None = None
    only: list[str] | None = None

    @property
    def forces(self) -> bool:
        """The model must call a tool."""
        return self.value is not None and self.value["type"] in _FORCED


def write_tool_choice(
    request: ChatRequest, tools: AnthropicTools, notes: IgnoredParams
) -> ToolChoice:
    """Return how *tools* are to be used.

    Raises:
        ProxyError: 400, an unknown choice, or one of a tool that is not declared.
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
        notes.add_or_reject(param)  # what it means was left out, or never declared
    if names is not None and is_one:
        return ToolChoice({"type": "tool", "name": names[0]})
    return ToolChoice({"type": _TYPES[mode]}, names)
