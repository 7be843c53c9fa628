"""Converts tools of a generateContent request to tools of the canonical request. Pure.

Source: https://ai.google.dev/api/caching#Tool (read 2026-11).
"""

from dataclasses import dataclass, field
from typing import Final

from jarvis_proxy.canonical.bounds import MAX_TOOLS, check_length
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.validation_errors import convert, invalid, required, unknown_value
from jarvis_proxy.dialects.generate_content.schemas import from_google, with_small_types
from jarvis_proxy.dialects.generate_content.types import (
    CallingConfig,
    FunctionDeclaration,
    JsonObject,
    ToolConfig,
)

_FUNCTIONS: Final = "functionDeclarations"
_MODES: Final = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto"}
_UNSPECIFIED: Final = "MODE_UNSPECIFIED"


@dataclass(slots=True)
class CanonicalTools:
    """Tools in chat's form, and the path of each in Google's request."""

    tools: list[JsonObject] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    """Names of Google's own tools, which are left out."""


def read_tools(
    tools: list[JsonObject] | JsonObject | None, ignored: IgnoredParams, *, model: str
) -> CanonicalTools:
    """Return the declared functions. Tools that Google runs are *ignored*.

    Raises:
        ProxyError: 400, a function has no name, or only Google's own tools are declared: without
            them, *model* could not answer as requested.
    """
    found = CanonicalTools()
    for index, tool in enumerate(tools if isinstance(tools, list) else [tools] if tools else []):
        path = f"tools[{index}]"
        for name, value in tool.items():
            if name == _FUNCTIONS:
                _declare(found, value, f"{path}.{name}")
            elif value is not None:
                found.dropped.append(name)
                ignored.add_or_reject(f"{path}.{name}")
    check_length("tools", len(found.tools), MAX_TOOLS)
    if found.dropped and not found.tools:
        name = found.dropped[0]
        raise invalid("tools", f"{name[:64]} is not served for {model[:64]}.", "unsupported_value")
    return found


def _declare(found: CanonicalTools, value: object, path: str) -> None:
    for index, function in enumerate(convert(value or [], list[FunctionDeclaration], path)):
        where = f"{path}[{index}]"
        found.tools.append({"type": "function", "function": _function(function, where)})
        found.paths.append(where)


def _function(function: FunctionDeclaration, path: str) -> JsonObject:
    chat: JsonObject = {"name": required(function.name or None, f"{path}.name")}
    if function.description:
        chat["description"] = function.description
    if function.parameters_json_schema is not None:
        where = f"{path}.parametersJsonSchema"
        chat["parameters"] = with_small_types(function.parameters_json_schema, where)
    elif function.parameters is not None:
        chat["parameters"] = from_google(function.parameters, f"{path}.parameters")
    return chat


def set_tools(
    chat: JsonObject, found: CanonicalTools, config: ToolConfig | None, ignored: IgnoredParams
) -> None:
    """Set the tools of *chat*, and which of them the model may or must call.

    Raises:
        ProxyError: 400, the mode is unknown.
    """
    if config is not None and config.retrieval_config is not None:
        ignored.add_or_reject("toolConfig.retrievalConfig")
    calling = None if config is None else config.function_calling_config
    choice = None if calling is None else _choice(calling)
    if not found.tools:
        # Many services reject a choice without tools.
        return
    chat["tools"] = found.tools
    if choice is not None:
        chat["tool_choice"] = choice


def _choice(config: CallingConfig) -> str | JsonObject | None:
    mode = (config.mode or _UNSPECIFIED).upper()
    if mode == _UNSPECIFIED:
        return None
    if mode not in _MODES:
        path = "toolConfig.functionCallingConfig.mode"
        raise unknown_value(path, mode, _MODES)
    word, names = _MODES[mode], config.allowed_function_names or []
    if not names or word == "none":
        return word
    tools: list[JsonObject] = [{"type": "function", "function": {"name": name}} for name in names]
    if len(tools) == 1 and word == "required":
        return tools[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": word, "tools": tools}}
