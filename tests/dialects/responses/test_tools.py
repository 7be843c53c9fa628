"""Tools of a Responses request, and those that come in its input, as tools of a chat."""

from typing import Any

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.dialects.responses.tools import CanonicalTools, chat_tools, listed

Json = dict[str, Any]


def named(name: str, **more: Any) -> Json:
    return {"type": "function", "name": name, **more}


def space(name: str, *tools: Json) -> Json:
    return {"type": "namespace", "name": name, "tools": list(tools)}


def chat(
    tools: list[Json] | None, *loaded: Json, ignored: IgnoredParams | None = None
) -> CanonicalTools:
    came = [(tool, f"input[1].tools[{index}]") for index, tool in enumerate(loaded)]
    found = chat_tools(tools, came, ignored or IgnoredParams(), draws=False)
    assert found is not None
    return found


def names(found: CanonicalTools) -> list[tuple[str | None, str]]:
    functions = [tool[tool["type"]] for tool in found.tools]
    return [(function.get("namespace"), function["name"]) for function in functions]


def test_no_tools_are_none() -> None:
    assert chat_tools(None, [], IgnoredParams(), draws=False) is None
    assert chat([]).tools == []


def test_members_stand_where_their_namespace_stood() -> None:
    found = chat([named("a"), space("wx", named("b"), named("c")), named("d")])

    assert names(found) == [(None, "a"), ("wx", "b"), ("wx", "c"), (None, "d")]
    assert found.params == ["tools[0]", "tools[1].tools[0]", "tools[1].tools[1]", "tools[2]"]


def test_tools_that_came_in_the_input_are_tools() -> None:
    found = chat([named("a")], named("b"), space("wx", named("c", defer_loading=True)))

    assert names(found) == [(None, "a"), (None, "b"), ("wx", "c")]
    assert found.params[1:] == ["input[1].tools[0]", "input[1].tools[1].tools[0]"]
    assert "defer_loading" not in found.tools[2]["function"]


def test_they_are_tools_without_any_other() -> None:
    assert names(chat(None, named("b"))) == [(None, "b")]


def test_of_two_with_one_name_the_newer_counts() -> None:
    found = chat(
        [named("a", description="now")],
        named("a", description="then"),
        named("b", description="first"),
        named("b", description="last"),
        space("wx", named("b", description="another")),
    )

    assert names(found) == [(None, "a"), (None, "b"), ("wx", "b")]
    assert [tool["function"]["description"] for tool in found.tools] == ["now", "last", "another"]


def test_a_search_that_found_a_declared_tool_makes_it_callable() -> None:
    found = chat(
        [named("a", defer_loading=True, description="kept"), named("b", defer_loading=True)],
        named("a"),
    )

    assert [tool["function"].get("defer_loading") for tool in found.tools] == [None, True]
    assert found.tools[0]["function"]["description"] == "kept"


def test_what_openai_would_run_is_not_loaded_but_noted() -> None:
    ignored = IgnoredParams()

    assert chat(None, {"type": "mcp", "server_label": "x"}, ignored=ignored).tools == []
    assert ignored.names == ("input[1].tools[0]",)


def test_two_tools_of_one_name_in_one_list_stay_two() -> None:
    assert names(chat([named("a"), named("a")])) == [(None, "a"), (None, "a")]


def test_the_model_gets_the_names_that_it_knows() -> None:
    assert listed([named("a"), space("mcp__wx", named("b"))]) == (
        "Tools that are available now: a, mcp__wx__b"
    )
    assert listed([]) == listed([{"type": "mcp"}]) == "No tool was found."
