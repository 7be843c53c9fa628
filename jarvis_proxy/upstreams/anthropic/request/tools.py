"""Converts tools of the canonical request to Anthropic's, and back. Pure.

Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview (read 2026-11).
"""

from collections.abc import Iterable
from typing import Any, Final

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.tools import (
    DeclaredTool,
    DeclaredTools,
    ToolCollector,
    text_parameters,
)
from jarvis_proxy.upstreams.anthropic.request.content import marked
from jarvis_proxy.upstreams.anthropic.request.schema import NotStructured, input_schema, structured
from jarvis_proxy.wire.work_budget import WorkBudget

JsonObject = dict[str, Any]

_SERVERS: Final[dict[str, JsonObject]] = {
    "web_search": {"type": "web_search_20250305", "name": "web_search"},
    "url_context": {"type": "web_fetch_20250910", "name": "web_fetch"},
    "code_execution": {"type": "code_execution_20250825", "name": "code_execution"},
}
"""Tools that Anthropic runs, by canonical name, in the oldest form that all models support."""
_SYNONYMS: Final = {
    "web_search_preview": "web_search",
    "google_search": "web_search",
    "googleSearch": "web_search",
    "urlContext": "url_context",
    "code_interpreter": "code_execution",
    "codeExecution": "code_execution",
}
_EXTRAS: Final = ("input_examples", "defer_loading", "eager_input_streaming", "allowed_callers")
_MAX_STRICT: Final = 20
"""Most tools whose schemas Anthropic enforces."""


class AnthropicTools(DeclaredTools):
    """The tools of one request, by both sides' names; *servers* are those that Anthropic runs."""

    __slots__ = ("_servers",)

    def __init__(self, declared: list[DeclaredTool], servers: Iterable[str] = ()) -> None:
        super().__init__(declared)
        taken = {self._name(tool) for tool in declared}
        self._servers = [name for name in servers if _SERVERS[name]["name"] not in taken]

    @property
    def runs_at_upstream(self) -> bool:
        """Whether Anthropic runs any of them, so that an answer may pause."""
        return bool(self._servers)

    def written(
        self, work: WorkBudget, *, only: list[str] | None = None, strict: bool = True
    ) -> list[JsonObject]:
        """Return the tools for the request: those named in *only*, or all.

        *strict*: schemas may be enforced. *work* is the request's budget.
        """
        room = _MAX_STRICT if strict else 0
        found = [tool for tool in self.declared if only is None or self._name(tool) in only]
        tools = []
        for tool in found:
            tools.append(self._written(tool, work, strict=room > 0))
            room -= "strict" in tools[-1]
        return tools + [dict(_SERVERS[name]) for name in self._servers if only is None]

    def _name(self, tool: DeclaredTool) -> str:
        return self.upstream(tool.spec.name, tool.spec.namespace)

    def _written(self, tool: DeclaredTool, work: WorkBudget, *, strict: bool) -> JsonObject:
        spec = tool.spec
        written: JsonObject = {"name": self._name(tool)}
        if spec.description:
            written["description"] = spec.description
        parameters = text_parameters(tool.custom) if tool.custom else spec.parameters
        written["input_schema"] = input_schema(parameters, work)
        if strict and spec.strict:
            _hold(written, work)
        written |= {name: tool.fields[name] for name in _EXTRAS if tool.fields.get(name)}
        return marked(written, tool.mark)


def _hold(written: JsonObject, work: WorkBudget) -> None:
    """Enforce the schema of a tool if Anthropic can."""
    try:
        written["input_schema"] = structured(written["input_schema"], work)
    except NotStructured:
        return
    written["strict"] = True


def placeholder(name: str) -> JsonObject:
    """Return a tool for a name in the history, because Anthropic requires it to be declared."""
    return {"name": name, "input_schema": {"type": "object"}}


def read_tools(request: ChatRequest, notes: IgnoredParams) -> AnthropicTools:
    """Return the tools in *request*. Tools that only other servers run are noted as ignored.

    Raises:
        ProxyError: 400, a tool has no name, or is declared twice.
    """
    collector, servers = ToolCollector(notes), dict[str, None]()
    for index, tool in enumerate(request.tools or ()):
        param = f"tools[{index}]"
        kind = tool.get("type") or ("function" if "function" in tool or "name" in tool else None)
        server = _SYNONYMS.get(kind, kind) if isinstance(kind, str) else None
        if server in _SERVERS:
            servers[str(server)] = None
            for key in sorted(tool.keys() - {"type", "cache_control"}):
                notes.add_or_reject(f"{param}.{key}")
        elif not collector.take(tool, kind, param):
            notes.add_or_reject(param)
    if request.web_search_options is not None:
        servers["web_search"] = None
        for key in sorted(request.web_search_options):
            notes.add_or_reject(f"web_search_options.{key}")
    if not collector.has_any:
        for index, spec in enumerate(request.functions or ()):
            collector.add(DeclaredTool(spec, f"functions[{index}]"))
    return AnthropicTools(collector.found(), servers)
