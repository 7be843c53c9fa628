"""The tools that a canonical request declares and its client runs, by both sides' names. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools (read 2026-11).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from jarvis_proxy.canonical.chat_request import CustomSpec, FunctionSpec
from jarvis_proxy.canonical.function_names import CHAT_NAMES, FunctionNames, Member, NameRule
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.namespaces import NAMESPACE, TOOL_SEARCH, members
from jarvis_proxy.canonical.validation_errors import convert, invalid, missing, required

JsonObject = dict[str, Any]

_SEARCH_PARAMETERS: Final[JsonObject] = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
}
"""The parameters of a tool search whose client declares none."""


class CalledTool(NamedTuple):
    """A tool by the client's own name.

    *wraps_text*: a custom tool that the upstream sees as a function with one string, ``input``.
    """

    name: str
    namespace: str | None = None
    wraps_text: bool = False


@dataclass(slots=True)
class DeclaredTool:
    """One tool as the client declared it, at *param*. A *custom* one takes free text.

    *fields* are the raw fields of a function's specification; *mark* is the client's cache mark.
    """

    spec: FunctionSpec
    param: str
    custom: CustomSpec | None = None
    fields: JsonObject = field(default_factory=dict)
    mark: object = None

    @property
    def key(self) -> str | Member:
        """The client's name, which is unique in a request."""
        namespace = self.spec.namespace
        return Member(namespace, self.spec.name) if namespace else self.spec.name


class DeclaredTools:
    """The tools of one request. *wraps_text*: custom tools must be sent as functions."""

    __slots__ = ("_names", "_wrapped", "declared")

    def __init__(self, declared: list[DeclaredTool], *, wraps_text: bool = True) -> None:
        self.declared = declared
        self._names = function_names(declared)
        self._wrapped = {tool.key for tool in declared if wraps_text and tool.custom is not None}

    def __bool__(self) -> bool:
        return bool(self.declared)

    def upstream(self, name: str, namespace: str | None = None) -> str:
        """Return the upstream's name of a tool in the history."""
        return self._names.upstream(name, namespace)

    def find(self, name: str, namespace: str | None = None) -> str | None:
        """Return the upstream's name of a declared tool, None if it is not declared."""
        return self._names.find(name, namespace)

    def inside(self, namespace: str) -> list[str]:
        """Return the upstream's names of all tools inside *namespace*."""
        return self._names.inside(namespace)

    def client(self, name: str) -> str | Member:
        """Return the client's name of the tool that the upstream calls *name*."""
        return self._names.client(name)

    def called(self, name: str) -> CalledTool:
        """Return the client's tool for the upstream's *name*."""
        found = self.client(name)
        wraps = found in self._wrapped
        if isinstance(found, Member):
            return CalledTool(found.name, found.namespace, wraps)
        return CalledTool(found, None, wraps)


class ToolCollector:
    """Collects the tools of one request that the client runs."""

    __slots__ = ("_declared", "_has_search", "_keys", "_notes")

    def __init__(self, notes: IgnoredParams) -> None:
        self._notes = notes
        self._keys: set[str | Member] = set()
        self._declared: list[DeclaredTool] = []
        self._has_search = False

    def take(self, tool: JsonObject, kind: object, param: str) -> bool:
        """Add *tool* if the client runs it; return whether it was added.

        *kind* is its type. A namespace adds all of its tools.

        Raises:
            ProxyError: 400, a tool has no name, or is declared twice.
        """
        if kind in ("function", "custom"):
            self.add(_declared(tool, str(kind), param))
        elif kind == NAMESPACE:
            for member, where in members(tool, param, self._notes):
                self.take(member, member["type"], where)
        elif kind == TOOL_SEARCH and tool.get("execution") == "client":
            self._has_search = True
            self.add(DeclaredTool(search_function(tool, param), param))
        else:
            return False
        return True

    def add(self, tool: DeclaredTool) -> None:
        """Add one tool.

        Raises:
            ProxyError: 400, it has no name, or its name is taken.
        """
        name = tool.spec.name
        if not name:
            raise missing(f"{tool.param}.name")
        if tool.key in self._keys:
            raise invalid(f"{tool.param}.name", f"Function '{name[:64]}' is declared twice.")
        self._keys.add(tool.key)
        self._declared.append(tool)

    @property
    def has_any(self) -> bool:
        """Whether a tool was added."""
        return bool(self._declared)

    def found(self) -> list[DeclaredTool]:
        """Return the tools that the model may call at once, without those that a search loads."""
        return [t for t in self._declared if not (self._has_search and t.spec.defer_loading)]


def function_names(declared: Sequence[DeclaredTool], rule: NameRule = CHAT_NAMES) -> FunctionNames:
    """Return the names of *declared* under the upstream's *rule*."""
    keys = [tool.key for tool in declared]
    return FunctionNames(
        (key for key in keys if isinstance(key, str)),
        (key for key in keys if isinstance(key, Member)),
        rule,
    )


def specification(tool: JsonObject, kind: str, param: str) -> tuple[object, str]:
    """Return the specification of *tool* and its param.

    Some clients send the Responses API's flat form.


    Raises:
        ProxyError: 400 `missing_required_parameter`.
    """
    if tool.get(kind) is None and "name" in tool:
        return tool, param
    where = f"{param}.{kind}"
    return required(tool.get(kind), where), where


def search_function(tool: JsonObject, param: str) -> FunctionSpec:
    """Return the function for a tool search that the client runs.

    Raises:
        ProxyError: 400, a field has the wrong type.
    """
    given = {key: value for key, value in tool.items() if value is not None}
    search = {"name": TOOL_SEARCH, "parameters": _SEARCH_PARAMETERS, **given}
    return convert(search, FunctionSpec, param)


def text_parameters(custom: CustomSpec) -> JsonObject:
    """Return the parameters for a function with one text; they can only describe a grammar."""
    words: JsonObject = {"type": "string"}
    form = custom.format or {}
    grammar = form.get("grammar", form)
    definition = grammar.get("definition") if isinstance(grammar, dict) else None
    if isinstance(definition, str):
        words["description"] = f"Must match this grammar:\n{definition}"
    return {"type": "object", "properties": {"input": words}, "required": ["input"]}


def _declared(tool: JsonObject, kind: str, param: str) -> DeclaredTool:
    inner, where = specification(tool, kind, param)
    fields = inner if isinstance(inner, dict) else {}
    mark = tool.get("cache_control") or fields.get("cache_control")
    if kind == "function":
        return DeclaredTool(convert(inner, FunctionSpec, where), param, None, fields, mark)
    custom = convert(inner, CustomSpec, where)
    spec = FunctionSpec(
        custom.name,
        custom.description,
        namespace=custom.namespace,
        defer_loading=custom.defer_loading,
    )
    return DeclaredTool(spec, param, custom, mark=mark)
