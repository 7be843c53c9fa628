"""Converts tools of the canonical request to those of chat completions, and back. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools (read 2026-11).
"""

from collections.abc import Iterable
from typing import Any

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.tools import (
    DeclaredTool,
    DeclaredTools,
    ToolCollector,
    text_parameters,
)

JsonObject = dict[str, Any]


class ChatTools(DeclaredTools):
    """The tools of one request, by both sides' names; *native_custom*: custom tools stay custom."""

    __slots__ = ("_native_custom",)

    def __init__(self, declared: list[DeclaredTool], *, native_custom: bool) -> None:
        super().__init__(declared, wraps_text=not native_custom)
        self._native_custom = native_custom

    def written(
        self, *, only: Iterable[str] | None = None, strict: bool = True
    ) -> list[JsonObject]:
        """Return the tools for the request: those named in *only*, or all.

        *strict*: the upstream accepts ``strict``.
        """
        kept = None if only is None else set(only)
        named = ((self.upstream(t.spec.name, t.spec.namespace), t) for t in self.declared)
        return [
            self._written(name, tool, strict=strict)
            for name, tool in named
            if kept is None or name in kept
        ]

    def is_custom(self, name: str) -> bool:
        """Return whether the tool *name* is sent to the upstream as a custom one."""
        found = self.client(name)
        tools = (tool for tool in self.declared if tool.key == found)
        return self._native_custom and any(tool.custom is not None for tool in tools)

    def _written(self, name: str, tool: DeclaredTool, *, strict: bool) -> JsonObject:
        spec, custom = tool.spec, tool.custom
        described = {"description": spec.description} if spec.description else {}
        if custom is not None and self._native_custom:
            formed = {} if custom.format is None else {"format": custom.format}
            return {"type": "custom", "custom": {"name": name, **described, **formed}}
        parameters = text_parameters(custom) if custom else _parameters(spec.parameters)
        function: JsonObject = {"name": name, **described, "parameters": parameters}
        if strict and spec.strict is not None:
            function["strict"] = spec.strict
        return {"type": "function", "function": function}


def read_tools(request: ChatRequest, notes: IgnoredParams, *, native_custom: bool) -> ChatTools:
    """Return the tools in *request*. Tools that only other servers run are noted as ignored.

    Raises:
        ProxyError: 400, a tool has no name, or is declared twice.
    """
    collector = ToolCollector(notes)
    for index, tool in enumerate(request.tools or ()):
        param = f"tools[{index}]"
        kind = tool.get("type") or ("function" if "function" in tool else None)
        if not collector.take(tool, kind, param):
            notes.add_or_reject(param)
    return ChatTools(collector.found(), native_custom=native_custom)


def _parameters(given: JsonObject | bool | None) -> JsonObject:
    """Return parameters with an explicit object type and properties, as services require."""
    schema: JsonObject = dict(given) if isinstance(given, dict) else {}
    schema.setdefault("type", "object")
    if schema["type"] == "object":
        schema.setdefault("properties", {})
    return schema
