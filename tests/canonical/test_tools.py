"""Tools of a canonical request that the client runs, by both sides' names."""

from typing import Any

import pytest

from jarvis_proxy.canonical.function_names import Member
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.tools import CalledTool, DeclaredTools, ToolCollector, text_parameters
from jarvis_proxy.errors import ProxyError

Json = dict[str, Any]

FUNCTION: Json = {"type": "function", "function": {"name": "f", "parameters": {}}}
CUSTOM: Json = {"type": "custom", "custom": {"name": "exec", "namespace": "shell"}}
SEARCH: Json = {"type": "tool_search", "execution": "client", "description": "Finds tools."}


def collected(*tools: Json) -> ToolCollector:
    collector = ToolCollector(IgnoredParams())
    for index, tool in enumerate(tools):
        collector.take(tool, tool.get("type"), f"tools[{index}]")
    return collector


def declared(*tools: Json, wraps_text: bool = True) -> DeclaredTools:
    return DeclaredTools(collected(*tools).found(), wraps_text=wraps_text)


def test_the_key_holds_the_namespace() -> None:
    keys = [tool.key for tool in collected(FUNCTION, CUSTOM).found()]

    assert keys == ["f", Member("shell", "exec")]


@pytest.mark.parametrize("kind", [None, [], {"a": 1}, "web_search", "tool_search"])
def test_a_tool_that_others_run_is_not_taken(kind: object) -> None:
    collector = ToolCollector(IgnoredParams())

    assert not collector.take({"type": kind, "name": "x"}, kind, "tools[0]")
    assert not collector.has_any


def test_the_flat_form_is_a_function_too() -> None:
    (found,) = collected({"type": "function", "name": "f", "cache_control": {"a": 1}}).found()

    assert (found.spec.name, found.mark) == ("f", {"a": 1})


def test_a_namespace_gives_all_its_tools() -> None:
    inner = [{"type": "function", "name": name} for name in ("a", "b")]
    tools = declared({"type": "namespace", "name": "mail", "tools": inner})

    assert tools.inside("mail") == ["mail__a", "mail__b"]
    assert tools.called("mail__b") == CalledTool("b", "mail")


def test_with_a_search_deferred_tools_wait() -> None:
    later: Json = {"type": "function", "function": {"name": "later", "defer_loading": True}}

    assert [tool.spec.name for tool in collected(later, FUNCTION).found()] == ["later", "f"]
    (plain, search) = collected(later, FUNCTION, SEARCH).found()
    assert (plain.spec.name, search.spec.name) == ("f", "tool_search")
    assert search.spec.description == "Finds tools."


@pytest.mark.parametrize("wraps_text", [True, False])
def test_a_custom_tool_is_wrapped_where_the_upstream_has_none(wraps_text: bool) -> None:
    tools = declared(CUSTOM, wraps_text=wraps_text)

    assert tools.called("shell__exec") == CalledTool("exec", "shell", wraps_text)
    assert tools.find("exec", "shell") == tools.upstream("exec", "shell") == "shell__exec"
    assert tools.find("g") is None


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ((FUNCTION, FUNCTION), "tools[1].name"),
        (({"type": "function", "function": {"name": ""}},), "tools[0].name"),
        (({"type": "function"},), "tools[0].function"),
        (({"type": "custom", "custom": {"name": 5}},), "tools[0].custom.name"),
    ],
)
def test_a_broken_tool_is_refused_with_its_param(tools: tuple[Json, ...], param: str) -> None:
    with pytest.raises(ProxyError) as caught:
        collected(*tools)

    assert (caught.value.status, caught.value.param) == (400, param)


def test_a_grammar_is_described() -> None:
    form = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}}
    (tool,) = collected({"type": "custom", "custom": {"name": "c", "format": form}}).found()
    assert tool.custom is not None

    words = {"type": "string", "description": "Must match this grammar:\nstart: A"}
    assert text_parameters(tool.custom)["properties"] == {"input": words}
