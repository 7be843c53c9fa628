"""Converts tools of a Messages request to tools of the canonical request. Pure.

Source: https://docs.claude.com/en/docs/agents-and-tools/tool-use (read 2026-11).
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from msgspec import Raw

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.dialects.messages.types import Tool, ToolChoice, is_given
from jarvis_proxy.dialects.messages.validation import missing, required, unknown_type

JsonObject: TypeAlias = dict[str, Any]

_SERVERS: Final = {
    "web_search": "web_search",
    "web_fetch": "url_context",
    "code_execution": "code_execution",
}
"""Tools that Anthropic runs, by type without its date, with their names elsewhere."""
_DATE: Final = re.compile(r"_\d{8}\Z")
_PLACEHOLDER: Final = "DeferredToolPlaceholder"
_EXTRAS: Final = ("strict", "input_examples", "eager_input_streaming", "allowed_callers")
_SCOPES: Final = ("allowed_domains", "blocked_domains")


@dataclass(slots=True)
class CanonicalTools:
    """Tools in chat's form, and the path of each in the Messages request."""

    tools: list[JsonObject] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    """The names of the functions."""


def chat_tools(tools: list[Tool] | None, ignored: IgnoredParams) -> CanonicalTools:
    """Return the tools that the model may call. Tools only for Anthropic's models are *ignored*.

    Raises:
        ProxyError: 400, a function lacks its name or its schema.
    """
    found = CanonicalTools()
    for index, tool in enumerate(tools or ()):
        path = f"tools.{index}"
        if tool.type in (None, "custom"):
            chat = None if _is_deferred(tool) else _function(tool, path)
        else:
            chat = _server_tool(tool, path, ignored)
        if chat is not None:
            found.tools.append(chat)
            found.paths.append(path)
            if chat["type"] == "function":
                found.names.add(chat["function"]["name"])
    return found


def set_tools(
    chat: JsonObject, found: CanonicalTools, choice: ToolChoice | None, ignored: IgnoredParams
) -> None:
    """Set the tools of *chat*, and which of them the model may or must call.

    Raises:
        ProxyError: 400, *choice* is of an unknown type, or names no tool.
    """
    wanted = None if choice is None else _choice(choice, found, ignored)
    if not found.tools:
        # Many services reject a choice without tools.
        return
    chat["tools"] = found.tools
    if wanted is not None:
        chat["tool_choice"] = wanted
    if choice is not None and choice.disable_parallel_tool_use:
        chat["parallel_tool_calls"] = False


def _choice(choice: ToolChoice, found: CanonicalTools, ignored: IgnoredParams) -> str | JsonObject:
    match choice.type:
        case "auto" | "none":
            return choice.type
        case "any":
            return "required"
        case "tool":
            name = required(choice.name, "tool_choice.name")
            if name in found.names:
                return {"type": "function", "function": {"name": name}}
            # The tool is left out, or the upstream runs it.
            ignored.add_or_reject("tool_choice")
            return "auto"
        case _:
            raise unknown_type("tool_choice", choice.type, ("any", "auto", "none", "tool"))


def _is_deferred(tool: Tool) -> bool:
    """Return whether *tool* is a mere placeholder for others that a search would load."""
    if not tool.defer_loading:
        return False
    return tool.name == _PLACEHOLDER or "properties" not in (tool.input_schema or {})


def _function(tool: Tool, path: str) -> JsonObject:
    if tool.input_schema is None:
        raise missing(f"{path}.input_schema")
    schema = {key: value for key, value in tool.input_schema.items() if key != "$schema"}
    function: JsonObject = {"name": required(tool.name, f"{path}.name"), "parameters": schema}
    if tool.description:
        function["description"] = tool.description
    if tool.defer_loading is not None:
        function["defer_loading"] = tool.defer_loading
    for name in _EXTRAS:
        value: Raw = getattr(tool, name)
        if is_given(value):
            function[name] = value
    chat: JsonObject = {"type": "function", "function": function}
    if is_given(tool.cache_control):
        chat["cache_control"] = tool.cache_control
    return chat


def _server_tool(tool: Tool, path: str, ignored: IgnoredParams) -> JsonObject | None:
    kind = _SERVERS.get(_DATE.sub("", tool.type or ""))
    if kind is None:
        ignored.add_or_reject(path)
        return None
    for name in _SCOPES:
        if is_given(getattr(tool, name)):
            ignored.add_or_reject(f"{path}.{name}")
    return {"type": kind}
