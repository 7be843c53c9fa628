"""Converts tools of a chat request to function declarations and Google's own tools. Pure.

Source: https://ai.google.dev/gemini-api/docs/function-calling, /google-search, /code-execution and
/url-context (read 2026-11).
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from jarvis_proxy.canonical.chat_request import ChatRequest, CustomSpec, FunctionSpec
from jarvis_proxy.canonical.function_names import FunctionNames, Member, NameRule
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.namespaces import NAMESPACE, TOOL_SEARCH, members
from jarvis_proxy.canonical.tools import (
    DeclaredTool,
    function_names,
    search_function,
    specification,
    text_parameters,
)
from jarvis_proxy.canonical.validation_errors import (
    convert,
    invalid,
    missing,
    unknown_value,
    wrong_type,
)
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import ModelTraits
from jarvis_proxy.upstreams.gemini.request.schema.clean import clean_as
from jarvis_proxy.upstreams.gemini.request.schema.form import FULL, SchemaForm
from jarvis_proxy.upstreams.gemini.request.schema.keywords import Schema
from jarvis_proxy.upstreams.gemini.request.types import FunctionDeclaration, Tool
from jarvis_proxy.wire.work_budget import WorkBudget

ServerTool = Literal["google_search", "code_execution", "url_context"]

MAX_FUNCTIONS: Final = 512

_SERVER_TOOLS: Final[dict[str, ServerTool]] = {
    "web_search": "google_search",
    "web_search_preview": "google_search",
    "googleSearch": "google_search",
    "google_search": "google_search",
    "code_execution": "code_execution",
    "codeExecution": "code_execution",
    "code_interpreter": "code_execution",
    "url_context": "url_context",
    "urlContext": "url_context",
}
"""OpenAI's tool for loading functions later, which the client or OpenAI's servers run."""

_OPENAIS_OWN: Final = frozenset(
    (
        "apply_patch",
        "computer",
        "computer_use",
        "computer_use_preview",
        "file_search",
        "image_generation",
        "local_shell",
        "mcp",
        "programmatic_tool_calling",
        "shell",
    )
)
"""Tools that only OpenAI's servers run, or that only OpenAI's models can call."""
_INSTEAD: Final = {"image_generation": ", or one that draws, such as gemini-2.5-flash-image"}

_SEARCH_OPTIONS: Final = "web_search_options"

GEMINI_NAMES: Final = NameRule("A-Za-z0-9_.:-", 128, letter_first=True)
"""The function names that Gemini accepts.

Source: https://ai.google.dev/api/caching#FunctionDeclaration (read 2026-11).
"""


@dataclass(slots=True)
class ToolPlan:
    """The tools of one request. *functions* are in the client's order."""

    functions: list[FunctionDeclaration] = field(default_factory=list)
    server_tools: list[ServerTool] = field(default_factory=list)
    names: FunctionNames = field(default_factory=lambda: FunctionNames((), rule=GEMINI_NAMES))
    custom: frozenset[str | Member] = frozenset()
    tool_search: bool = False
    """Whether the client runs a tool search."""
    strict: bool = False
    """Whether a function requires arguments that match its schema."""
    legacy: bool = False
    """Whether ``functions`` or ``function_call`` were used."""

    def tools(self) -> list[Tool] | None:
        """Return the ``tools`` of the upstream request, None if there are none."""
        tools = [Tool(function_declarations=self.functions)] if self.functions else []
        for name in self.server_tools:
            match name:
                case "google_search":
                    tools.append(Tool(google_search={}))
                case "code_execution":
                    tools.append(Tool(code_execution={}))
                case _:
                    tools.append(Tool(url_context={}))
        return tools or None


def read_tools(
    request: ChatRequest,
    traits: ModelTraits,
    ignored: IgnoredParams,
    *,
    form: SchemaForm = FULL,
    work: WorkBudget | None = None,
) -> ToolPlan:
    """Return the declared tools that the model supports.

    *form* is how far schemas are relaxed; *work* is the request's budget.

    Raises:
        ProxyError: 400, an unknown type, a duplicate name, more than 512 functions, an invalid
            schema, or more work than one request may cause.
    """
    work = work or WorkBudget()
    reader = _Reader(ignored)
    reader.read(request)
    declared, server_tools = reader.found(), reader.server_tools
    legacy = not declared and (request.functions is not None or request.function_call is not None)
    if not declared:
        declared = [
            DeclaredTool(spec, f"functions[{index}]")
            for index, spec in enumerate(request.functions or ())
        ]
    elif request.functions:
        # This is the older form of `tools`, which takes precedence.
        ignored.add_or_reject("functions")
    _check(declared)
    if declared and not traits.functions:
        ignored.add_or_reject("functions" if legacy else "tools")
        declared = []
    server_tools = _usable(server_tools, traits, ignored, with_functions=bool(declared))
    names = function_names(declared, GEMINI_NAMES)
    return ToolPlan(
        functions=[_declaration(item, names, ignored, form=form, work=work) for item in declared],
        server_tools=list(dict.fromkeys(server_tools.values())),
        names=names,
        custom=frozenset(item.key for item in declared if item.custom is not None),
        tool_search=reader.tool_search and bool(declared),
        strict=any(item.spec.strict for item in declared),
        legacy=legacy,
    )


class _Reader:
    """Reads the tools of a request: functions, and Google's own tools by param."""

    __slots__ = ("_declared", "_ignored", "server_tools", "tool_search")

    def __init__(self, ignored: IgnoredParams) -> None:
        self._ignored = ignored
        self._declared: list[DeclaredTool] = []
        self.server_tools: dict[str, ServerTool] = {}
        self.tool_search = False

    def read(self, request: ChatRequest) -> None:
        """Read the tools in *request*."""
        for index, tool in enumerate(request.tools or ()):
            self._take(tool, f"tools[{index}]")
        if request.web_search_options is not None:
            self.server_tools[_SEARCH_OPTIONS] = "google_search"
            for key in sorted(request.web_search_options):
                self._ignored.add_or_reject(f"{_SEARCH_OPTIONS}.{key}")

    def found(self) -> list[DeclaredTool]:
        """Return the functions that the model may call, without those that a search loads."""
        if not self.tool_search:
            return self._declared
        return [item for item in self._declared if not item.spec.defer_loading]

    def _take(self, tool: dict[str, object], param: str) -> None:
        kind = _kind(tool, param)
        if kind == "function":
            self._declared.append(_function(tool, param))
        elif kind == "custom":
            self._declared.append(_custom(tool, param, self._ignored))
        elif kind == NAMESPACE:
            for member, where in members(tool, param, self._ignored):
                self._take(member, where)
        elif kind in _SERVER_TOOLS:
            self.server_tools[param] = _SERVER_TOOLS[kind]
            for key in sorted(tool.keys() - {"type", kind}):
                self._ignored.add_or_reject(f"{param}.{key}")
        elif kind == TOOL_SEARCH:
            self._take_search(tool, param)
        else:
            raise _unknown(kind, param)

    def _take_search(self, tool: dict[str, object], param: str) -> None:
        """Add a search that the client runs as a function; OpenAI's own search is left out.

        Without a search the model gets all functions.
        """
        if tool.get("execution") != "client":
            self._ignored.add_or_reject(param)
            return
        self.tool_search = True
        self._declared.append(DeclaredTool(search_function(tool, param), param))


def _function(tool: dict[str, object], param: str) -> DeclaredTool:
    inner, where = specification(tool, "function", param)
    return DeclaredTool(convert(inner, FunctionSpec, where), where)


def _unknown(kind: str, param: str) -> ProxyError:
    if kind not in _OPENAIS_OWN:
        return unknown_value(f"{param}.type", kind, ("function", "custom", *_SERVER_TOOLS))
    message = (
        f"This model cannot run tools of type '{kind}': they are part of OpenAI's own service. "
        "Leave this tool out, declare a function in its place, or choose one of OpenAI's models"
        f"{_INSTEAD.get(kind, '')}."
    )
    return invalid(f"{param}.type", message)


def _kind(tool: dict[str, object], param: str) -> str:
    kind = tool.get("type")
    if isinstance(kind, str):
        return kind
    if kind is not None:
        raise wrong_type(f"{param}.type", "a string", kind)
    if "function" in tool or "name" in tool:
        return "function"
    for key in tool:
        if key in _SERVER_TOOLS:
            # This is Google's own spelling: {"googleSearch": {}}.
            return key
    raise missing(f"{param}.type")


def _custom(tool: dict[str, object], param: str, ignored: IgnoredParams) -> DeclaredTool:
    """Return a custom tool as a function with one text; its grammar moves to the description."""
    inner, where = specification(tool, "custom", param)
    spec = convert(inner, CustomSpec, where)
    if (spec.format or {}).get("type") not in (None, "text"):
        ignored.add_or_reject(f"{where}.format")
    function = FunctionSpec(
        spec.name,
        spec.description,
        text_parameters(spec),
        namespace=spec.namespace,
        defer_loading=spec.defer_loading,
    )
    return DeclaredTool(function, where, spec)


def _check(declared: list[DeclaredTool]) -> None:
    if len(declared) > MAX_FUNCTIONS:
        message = f"Too many functions: at most {MAX_FUNCTIONS}, got {len(declared)}."
        raise invalid("tools", message, "array_above_max_length")
    seen: set[str | Member] = set()
    for item in declared:
        name = item.spec.name
        if not name:
            raise missing(f"{item.param}.name")
        if item.key in seen:
            raise invalid(f"{item.param}.name", f"Function '{name[:64]}' is declared twice.")
        seen.add(item.key)


def _usable(
    server_tools: dict[str, ServerTool],
    traits: ModelTraits,
    ignored: IgnoredParams,
    *,
    with_functions: bool,
) -> dict[str, ServerTool]:
    if traits.server_tools and (traits.mixes_tools or not with_functions):
        return server_tools
    for param in server_tools:
        ignored.add_or_reject(param)
    return {}


def _declaration(
    item: DeclaredTool,
    names: FunctionNames,
    ignored: IgnoredParams,
    *,
    form: SchemaForm,
    work: WorkBudget,
) -> FunctionDeclaration:
    return FunctionDeclaration(
        names.upstream(item.spec.name, item.spec.namespace),
        item.spec.description or None,
        _parameters(item, ignored, form=form, work=work),
    )


def _parameters(
    item: DeclaredTool, ignored: IgnoredParams, *, form: SchemaForm, work: WorkBudget
) -> Schema | None:
    """Return cleaned parameters, None for a function without any."""
    given, param = item.spec.parameters, f"{item.param}.parameters"
    if not isinstance(given, dict):
        return None
    cleaned = clean_as(_without_null(given), form, param=param, work=work)
    schema = _as_object(cleaned.schema, param, item)
    if cleaned.relaxed:
        ignored.add(param)
    said = schema.keys() - {"type", "properties", "title", "description", "required", "$defs"}
    said -= {"additionalProperties"} if schema.get("additionalProperties") is False else set()
    # "should be non-empty for OBJECT type": omit the parameters if there are no properties.
    return schema if said or schema.get("properties") else None


def _without_null(schema: Schema) -> Schema:
    """Return root parameters without null: they are an object or absent."""
    named = schema.get("type")
    if isinstance(named, list) and "object" in named:
        schema = {**schema, "type": "object"}
    return {key: value for key, value in schema.items() if key != "nullable"}


def _as_object(schema: Schema, param: str, item: DeclaredTool) -> Schema:
    definitions = schema.get("$defs")
    reference = schema.get("$ref")
    if isinstance(reference, str) and isinstance(definitions, dict):
        # The root must be visibly an object, which a reference is not.
        schema = {**definitions[reference.rpartition("/")[2]], "$defs": definitions}
    kind = schema.get("type", "object")
    if kind != "object":
        raise invalid(
            param,
            f"Invalid schema for function '{item.spec.name[:64]}': schema must be a JSON Schema "
            f"of 'type: \"object\"', got 'type: \"{kind}\"'.",
            "invalid_function_parameters",
        )
    return {"type": "object", **schema}
