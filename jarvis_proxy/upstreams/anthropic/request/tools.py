"""Tools of the canonical request → Anthropic's, and the way back. Pure.

Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview (read 2026-11).
"""

from dataclasses import dataclass
from typing import Any, Final

from jarvis_proxy.canonical.chat_request import ChatRequest, CustomSpec, FunctionSpec
from jarvis_proxy.canonical.function_names import FunctionNames, Member
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.namespaces import NAMESPACE, members
from jarvis_proxy.canonical.validation_errors import convert, invalid, missing, required
from jarvis_proxy.upstreams.anthropic.blocks import CalledTool
from jarvis_proxy.upstreams.anthropic.request.content import marked
from jarvis_proxy.upstreams.anthropic.request.schema import NotStructured, input_schema, structured
from jarvis_proxy.wire.work_budget import WorkBudget

JsonObject = dict[str, Any]

TOOL_SEARCH: Final = "tool_search"
"""OpenAI's way to load functions later, where the client runs it."""
_SEARCH_PARAMETERS: Final[JsonObject] = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
}
_SERVERS: Final[dict[str, JsonObject]] = {
    "web_search": {"type": "web_search_20250305", "name": "web_search"},
    "url_context": {"type": "web_fetch_20250910", "name": "web_fetch"},
    "code_execution": {"type": "code_execution_20250825", "name": "code_execution"},
}
"""Tools that Anthropic runs, by the canonical name, in the oldest form that all models take."""
_SYNONYMS: Final = {
    "web_search_preview": "web_search",
    "google_search": "web_search",
    "googleSearch": "web_search",
    "urlContext": "url_context",
    "code_interpreter": "code_execution",
    "codeExecution": "code_execution",
}
_EXTRAS: Final = ("input_examples", "defer_loading", "eager_input_streaming", "allowed_callers")
_MOST_STRICT: Final = 20
"""Tools that Anthropic holds to their schemas."""


@dataclass(slots=True)
class _Declared:
    """One tool as the client declared it. *fields* are those of its specification."""

    spec: FunctionSpec
    fields: JsonObject
    mark: object = None
    custom: CustomSpec | None = None

    @property
    def key(self) -> str | Member:
        """What tells it from others."""
        namespace = self.spec.namespace
        return Member(namespace, self.spec.name) if namespace else self.spec.name


class ToolSet:
    """The tools of one request, by both sides' names."""

    __slots__ = ("_custom", "_declared", "_names", "_servers")

    def __init__(self, declared: list[_Declared], servers: list[str]) -> None:
        self._declared = declared
        keys = [tool.key for tool in declared]
        self._names = FunctionNames(
            (key for key in keys if isinstance(key, str)),
            (key for key in keys if isinstance(key, Member)),
        )
        self._custom = {tool.key for tool in declared if tool.custom is not None}
        taken = {self._name(tool) for tool in declared}
        self._servers = [name for name in servers if _SERVERS[name]["name"] not in taken]

    def __bool__(self) -> bool:
        return bool(self._declared)

    @property
    def runs_at_upstream(self) -> bool:
        """Anthropic runs some of them: an answer may pause."""
        return bool(self._servers)

    def upstream(self, name: str, namespace: str | None = None) -> str:
        """Return the upstream's name of a tool in the history."""
        return self._names.upstream(name, namespace)

    def find(self, name: str, namespace: str | None = None) -> str | None:
        """Return the upstream's name of a declared tool; None: it is not declared."""
        return self._names.find(name, namespace)

    def inside(self, namespace: str) -> list[str]:
        """Return the upstream's names of all tools inside *namespace*."""
        return self._names.inside(namespace)

    def called(self, name: str) -> CalledTool:
        """Return the client's tool that the upstream called by *name*."""
        found = self._names.client(name)
        kind: Any = "custom" if found in self._custom else "function"
        if isinstance(found, Member):
            return CalledTool(found.name, kind, found.namespace)
        return CalledTool(found, kind)

    def written(
        self, work: WorkBudget, *, only: list[str] | None = None, strict: bool = True
    ) -> list[JsonObject]:
        """Return the tools for the request: those named in *only*, or all.

        *strict*: the model can be held to schemas. *work* is the request's budget.
        """
        room = _MOST_STRICT if strict else 0
        found = [tool for tool in self._declared if only is None or self._name(tool) in only]
        tools = []
        for tool in found:
            tools.append(self._written(tool, work, strict=room > 0))
            room -= "strict" in tools[-1]
        return tools + [dict(_SERVERS[name]) for name in self._servers if only is None]

    def _name(self, tool: _Declared) -> str:
        return self._names.upstream(tool.spec.name, tool.spec.namespace)

    def _written(self, tool: _Declared, work: WorkBudget, *, strict: bool) -> JsonObject:
        spec = tool.spec
        written: JsonObject = {"name": self._name(tool)}
        if spec.description:
            written["description"] = spec.description
        parameters = _text_parameters(tool.custom) if tool.custom else spec.parameters
        written["input_schema"] = input_schema(parameters, work)
        if strict and spec.strict:
            _hold(written, work)
        written |= {name: tool.fields[name] for name in _EXTRAS if tool.fields.get(name)}
        return marked(written, tool.mark)


def _hold(written: JsonObject, work: WorkBudget) -> None:
    """Hold the model to the schema of a tool, if Anthropic can."""
    try:
        written["input_schema"] = structured(written["input_schema"], work)
    except NotStructured:
        return
    written["strict"] = True


def placeholder(name: str) -> JsonObject:
    """Return a tool for a name that only the history has: Anthropic demands that it is declared."""
    return {"name": name, "input_schema": {"type": "object"}}


def read_tools(request: ChatRequest, notes: IgnoredParams) -> ToolSet:
    """Return the tools that *request* declares. Those that only others' servers run are noted.

    Raises:
        ProxyError: 400, a tool without a name, or one declared twice.
    """
    reader = _Reader(notes)
    for index, tool in enumerate(request.tools or ()):
        reader.take(tool, f"tools[{index}]")
    if request.web_search_options is not None:
        reader.servers["web_search"] = None
        for key in sorted(request.web_search_options):
            notes.add_or_reject(f"web_search_options.{key}")
    if not reader.declared:
        for index, spec in enumerate(request.functions or ()):
            reader.declare(_Declared(spec, {}), f"functions[{index}]")
    declared = reader.declared
    if reader.searches:
        declared = [tool for tool in declared if not tool.spec.defer_loading]
    return ToolSet(declared, list(reader.servers))


class _Reader:
    __slots__ = ("_keys", "_notes", "declared", "searches", "servers")

    def __init__(self, notes: IgnoredParams) -> None:
        self._notes = notes
        self._keys: set[str | Member] = set()
        self.declared: list[_Declared] = []
        self.servers: dict[str, None] = {}
        self.searches = False

    def take(self, tool: JsonObject, param: str) -> None:
        kind = tool.get("type") or ("function" if "function" in tool or "name" in tool else None)
        kind = _SYNONYMS.get(kind, kind) if isinstance(kind, str) else kind
        if kind in ("function", "custom"):
            self.declare(_declared(tool, kind, param), param)
        elif kind == NAMESPACE:
            for member, where in members(tool, param, self._notes):
                self.take(member, where)
        elif kind == TOOL_SEARCH and tool.get("execution") == "client":
            self.searches = True
            given = {key: value for key, value in tool.items() if value is not None}
            search = {"name": TOOL_SEARCH, "parameters": _SEARCH_PARAMETERS, **given}
            self.declare(_Declared(convert(search, FunctionSpec, param), {}), param)
        elif kind in _SERVERS:
            self.servers[str(kind)] = None
            for key in sorted(tool.keys() - {"type", "cache_control"}):
                self._notes.add_or_reject(f"{param}.{key}")
        else:
            self._notes.add_or_reject(param)

    def declare(self, tool: _Declared, param: str) -> None:
        name = tool.spec.name
        if not name:
            raise missing(f"{param}.name")
        if tool.key in self._keys:
            raise invalid(f"{param}.name", f"Function '{name[:64]}' is declared twice.")
        self._keys.add(tool.key)
        self.declared.append(tool)


def _declared(tool: JsonObject, kind: str, param: str) -> _Declared:
    flat = tool.get(kind) is None and "name" in tool
    where = param if flat else f"{param}.{kind}"
    inner = tool if flat else required(tool.get(kind), where)
    fields = inner if isinstance(inner, dict) else {}
    mark = tool.get("cache_control") or fields.get("cache_control")
    if kind == "function":
        return _Declared(convert(inner, FunctionSpec, where), fields, mark)
    custom = convert(inner, CustomSpec, where)
    spec = FunctionSpec(
        custom.name,
        custom.description,
        namespace=custom.namespace,
        defer_loading=custom.defer_loading,
    )
    return _Declared(spec, {}, mark, custom)


def _text_parameters(custom: CustomSpec) -> JsonObject:
    """Return the parameters of a function of one text; a grammar can only be described."""
    words: JsonObject = {"type": "string"}
    form = custom.format or {}
    grammar = form.get("grammar", form)
    definition = grammar.get("definition") if isinstance(grammar, dict) else None
    if isinstance(definition, str):
        words["description"] = f"Must match this grammar:\n{definition}"
    return {"type": "object", "properties": {"input": words}, "required": ["input"]}
