"""Tools of the canonical request → tools of chat completions, and the way back. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools (read 2026-11).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from jarvis_proxy.canonical.chat_request import ChatRequest, CustomSpec, FunctionSpec
from jarvis_proxy.canonical.function_names import FunctionNames, Member
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.namespaces import NAMESPACE, members
from jarvis_proxy.canonical.validation_errors import convert, invalid, missing, required
from jarvis_proxy.upstreams.chat.call_gatherer import CalledTool

JsonObject = dict[str, Any]

TOOL_SEARCH: Final = "tool_search"
"""OpenAI's way to load functions later, where the client runs it."""
_SEARCH_PARAMETERS: Final[JsonObject] = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
}


@dataclass(slots=True)
class DeclaredTool:
    """One tool as the client declared it; a *custom* one takes free text."""

    spec: FunctionSpec
    custom: CustomSpec | None = None

    @property
    def key(self) -> str | Member:
        """What tells it from others."""
        namespace = self.spec.namespace
        return Member(namespace, self.spec.name) if namespace else self.spec.name


class ChatTools:
    """The tools of one request, by both sides' names. *native_custom*: custom tools go as such."""

    __slots__ = ("_declared", "_names", "_native_custom", "_wrapped")

    def __init__(self, declared: list[DeclaredTool], *, native_custom: bool) -> None:
        self._declared = declared
        self._native_custom = native_custom
        keys = [tool.key for tool in declared]
        self._names = FunctionNames(
            (key for key in keys if isinstance(key, str)),
            (key for key in keys if isinstance(key, Member)),
        )
        wraps = not native_custom
        self._wrapped = {tool.key for tool in declared if wraps and tool.custom is not None}

    def __bool__(self) -> bool:
        return bool(self._declared)

    def upstream(self, name: str, namespace: str | None = None) -> str:
        """Return the upstream's name of a tool in the history."""
        return self._names.upstream(name, namespace)

    def find(self, name: str, namespace: str | None) -> str | None:
        """Return the upstream's name of a declared tool; None: it is not declared."""
        return self._names.find(name, namespace)

    def inside(self, namespace: str) -> list[str]:
        """Return the upstream's names of all tools inside *namespace*."""
        return self._names.inside(namespace)

    def called(self, name: str) -> CalledTool:
        """Return the client's tool that the upstream called by *name*."""
        found = self._names.client(name)
        wraps = found in self._wrapped
        if isinstance(found, Member):
            return CalledTool(found.name, found.namespace, wraps)
        return CalledTool(found, None, wraps)

    def written(
        self, *, only: Iterable[str] | None = None, strict: bool = True
    ) -> list[JsonObject]:
        """Return the tools for the request: those named in *only*, or all.

        *strict*: the upstream takes ``strict``.
        """
        kept = None if only is None else set(only)
        named = ((self._names.upstream(t.spec.name, t.spec.namespace), t) for t in self._declared)
        return [
            self._written(name, tool, strict=strict)
            for name, tool in named
            if kept is None or name in kept
        ]

    def is_custom(self, name: str) -> bool:
        """Return whether the tool of that name goes to the upstream as a custom one."""
        found = self._names.client(name)
        tools = (tool for tool in self._declared if tool.key == found)
        return self._native_custom and any(tool.custom is not None for tool in tools)

    def _written(self, name: str, tool: DeclaredTool, *, strict: bool) -> JsonObject:
        spec, custom = tool.spec, tool.custom
        described = {"description": spec.description} if spec.description else {}
        if custom is not None and self._native_custom:
            formed = {} if custom.format is None else {"format": custom.format}
            return {"type": "custom", "custom": {"name": name, **described, **formed}}
        parameters = _text_parameters(custom) if custom else _parameters(spec.parameters)
        function: JsonObject = {"name": name, **described, "parameters": parameters}
        if strict and spec.strict is not None:
            function["strict"] = spec.strict
        return {"type": "function", "function": function}


def read_tools(request: ChatRequest, notes: IgnoredParams, *, native_custom: bool) -> ChatTools:
    """Return the tools that *request* declares. Those that only others' servers run are noted.

    Raises:
        ProxyError: 400, a tool without a name, or one declared twice.
    """
    reader = _Reader(notes)
    for index, tool in enumerate(request.tools or ()):
        reader.take(tool, f"tools[{index}]")
    declared = reader.declared
    if reader.searches:
        declared = [tool for tool in declared if not tool.spec.defer_loading]
    return ChatTools(declared, native_custom=native_custom)


class _Reader:
    __slots__ = ("_keys", "_notes", "declared", "searches")

    def __init__(self, notes: IgnoredParams) -> None:
        self._notes = notes
        self._keys: set[str | Member] = set()
        self.declared: list[DeclaredTool] = []
        self.searches = False

    def take(self, tool: JsonObject, param: str) -> None:
        kind = tool.get("type") or ("function" if "function" in tool else None)
        if kind in ("function", "custom"):
            self._declare(_declared(tool, kind, param), param)
        elif kind == NAMESPACE:
            for member, where in members(tool, param, self._notes):
                self.take(member, where)
        elif kind == TOOL_SEARCH and tool.get("execution") == "client":
            self.searches = True
            given = {key: value for key, value in tool.items() if value is not None}
            search = {"name": TOOL_SEARCH, "parameters": _SEARCH_PARAMETERS, **given}
            self._declare(DeclaredTool(convert(search, FunctionSpec, param)), param)
        else:
            self._notes.add_or_reject(param)

    def _declare(self, tool: DeclaredTool, param: str) -> None:
        name = tool.spec.name
        if not name:
            raise missing(f"{param}.name")
        if tool.key in self._keys:
            raise invalid(f"{param}.name", f"Function '{name[:64]}' is declared twice.")
        self._keys.add(tool.key)
        self.declared.append(tool)


def _declared(tool: JsonObject, kind: str, param: str) -> DeclaredTool:
    flat = tool.get(kind) is None and "name" in tool
    where = param if flat else f"{param}.{kind}"
    inner = tool if flat else required(tool.get(kind), where)
    if kind == "function":
        return DeclaredTool(convert(inner, FunctionSpec, where))
    custom = convert(inner, CustomSpec, where)
    spec = FunctionSpec(
        custom.name,
        custom.description,
        namespace=custom.namespace,
        defer_loading=custom.defer_loading,
    )
    return DeclaredTool(spec, custom)


def _parameters(given: JsonObject | bool | None) -> JsonObject:
    """Return parameters that show that they are an object, as services demand."""
    schema: JsonObject = dict(given) if isinstance(given, dict) else {}
    schema.setdefault("type", "object")
    if schema["type"] == "object":
        schema.setdefault("properties", {})
    return schema


def _text_parameters(custom: CustomSpec) -> JsonObject:
    """Return the parameters of a function of one text; a grammar can only be described."""
    words: JsonObject = {"type": "string"}
    form = custom.format or {}
    grammar = form.get("grammar", form)
    definition = grammar.get("definition") if isinstance(grammar, dict) else None
    if isinstance(definition, str):
        words["description"] = f"Must match this grammar:\n{definition}"
    return {"type": "object", "properties": {"input": words}, "required": ["input"]}
