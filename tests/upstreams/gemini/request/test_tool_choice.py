"""tool_choice: whether functions may, must or must not be called."""

from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from jarvis_proxy.upstreams.gemini.request.tool_choice import tool_config
from jarvis_proxy.upstreams.gemini.request.tools import read_tools
from tests.upstreams.gemini.chat import NEWEST, OLD, asking, function

TOOLS = [function("f"), function("9g"), {"type": "custom", "custom": {"name": "c"}}]
STRICT = [function("f", {"type": "object", "properties": {"a": {}}}, strict=True)]
SEARCH = {"type": "web_search"}


def chosen(
    choice: Any = None, *, tools: Any = TOOLS, model: str = NEWEST, **fields: Any
) -> tuple[Any, tuple[str, ...], list[str]]:
    notes, traits = IgnoredParams(), traits_of(model)
    given = {"tools": tools, "tool_choice": choice, **fields}
    request = msgspec.convert(asking(**given), ChatRequest)
    plan = read_tools(request, traits, notes)
    config = tool_config(request, plan, traits, notes)
    return msgspec.to_builtins(config), notes.names, list(plan.server_tools)


def mode(word: str, *names: str) -> dict[str, Any]:
    inner: dict[str, Any] = {"mode": word}
    if names:
        inner["allowedFunctionNames"] = list(names)
    return {"functionCallingConfig": inner}


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def allowed(word: str, *tools: Any) -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": word, "tools": list(tools)}}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", None),
        ({"type": "auto"}, None),
        ("none", mode("NONE")),
        ("required", mode("ANY")),
        ("any", mode("ANY")),
        ("validated", mode("VALIDATED")),
        ({"type": "validated"}, mode("VALIDATED")),
        ("VALIDATED", mode("VALIDATED")),
        (allowed("validated", named("f")), mode("VALIDATED", "f")),
        (named("f"), mode("ANY", "f")),
        (named("9g"), mode("ANY", "_9g")),
        ({"type": "function", "name": "f"}, mode("ANY", "f")),
        ({"name": "f"}, mode("ANY", "f")),
        ({"type": "custom", "custom": {"name": "c"}}, mode("ANY", "c")),
        (allowed("auto", named("f"), named("9g"), SEARCH), mode("VALIDATED", "f", "_9g")),
        (allowed("required", named("f"), named("f")), mode("ANY", "f")),
        (allowed("auto", SEARCH), mode("NONE")),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [named("f")]},
            mode("ANY", "f"),
        ),
    ],
    ids=str,
)
def test_choices(choice: Any, expected: Any) -> None:
    assert (expected, (), []) == chosen(choice)


@pytest.mark.parametrize(
    ("model", "choice", "expected"),
    [
        (NEWEST, None, mode("VALIDATED")),
        (OLD, "auto", mode("VALIDATED")),
        (NEWEST, "required", mode("ANY")),
        (NEWEST, "none", mode("NONE")),
        ("gemini-2.0-flash", None, None),
    ],
)
def test_strict_functions_are_validated(model: str, choice: Any, expected: Any) -> None:
    assert expected == chosen(choice, tools=STRICT, model=model)[0]


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("choice", "param", "code"),
    [
        (named("nope"), "tool_choice", "invalid_value"),
        ("sometimes", "tool_choice", "invalid_value"),
        ({"type": "function"}, "tool_choice.name", "missing_required_parameter"),
        (
            {"type": "function", "function": {}},
            "tool_choice.function.name",
            "missing_required_parameter",
        ),
        (named(3), "tool_choice.function.name", "invalid_type"),  # type: ignore[arg-type]  # on purpose
        (
            {"type": "allowed_tools", "allowed_tools": 3},
            "tool_choice.allowed_tools",
            "invalid_type",
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}},
            "tool_choice.allowed_tools.tools",
            "invalid_type",
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [3]}},
            "tool_choice.allowed_tools.tools",
            "invalid_type",
        ),
        (allowed("maybe", named("f")), "tool_choice.allowed_tools.mode", "invalid_value"),
        (
            allowed("auto", {"type": "function"}),
            "tool_choice.allowed_tools.tools[0].name",
            "missing_required_parameter",
        ),
    ],
    ids=str,
)
def test_choices_that_cannot_be_are_a_400(choice: Any, param: str, code: str) -> None:
    with pytest.raises(ProxyError) as caught:
        chosen(choice)

    assert (param, code) == (caught.value.param, caught.value.code)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (None, None),
        ("auto", None),
        ("none", mode("NONE")),
        ({"name": "f"}, mode("ANY", "f")),
    ],
    ids=str,
)
def test_legacy_function_calls(call: Any, expected: Any) -> None:
    config, _, _ = chosen(tools=None, functions=[{"name": "f"}], function_call=call)

    assert expected == config


def test_a_legacy_call_of_an_undeclared_function_is_a_400() -> None:
    with pytest.raises(ProxyError) as caught:
        chosen(tools=None, functions=[{"name": "f"}], function_call={"name": "g"})

    assert caught.value.param == "function_call"


@pytest.mark.parametrize("choice", ["auto", "none", None])
def test_a_choice_without_tools_says_nothing(choice: Any) -> None:
    assert chosen(choice, tools=None) == (None, (), [])


@pytest.mark.parametrize("choice", ["required", named("f"), allowed("auto", named("f"))], ids=str)
def test_a_call_that_must_be_without_tools_is_a_400(choice: Any) -> None:
    with pytest.raises(ProxyError, match="only allowed when tools are specified"):
        chosen(choice, tools=None)


@pytest.mark.parametrize("choice", ["auto", "none", "required", named("f")], ids=str)
def test_an_empty_list_of_tools_goes_with_its_choice(choice: Any) -> None:
    assert chosen(choice, tools=[]) == (None, (), [])


def test_a_choice_goes_with_tools_that_the_model_does_not_take() -> None:
    assert chosen("required", model="gemini-3-pro-image") == (None, ("tools",), [])


def test_none_takes_googles_own_tools_out() -> None:
    assert chosen("none", tools=[SEARCH]) == (None, (), [])


@pytest.mark.parametrize("choice", ["required", {"type": "web_search"}], ids=str)
def test_googles_own_tools_cannot_be_forced(choice: Any) -> None:
    assert chosen(choice, tools=[SEARCH]) == (None, ("tool_choice",), ["google_search"])


def test_allowed_tools_of_googles_own_leave_it_to_the_model() -> None:
    assert chosen(allowed("auto", SEARCH), tools=[SEARCH])[0] is None


@pytest.mark.parametrize(
    ("choice", "expected"), [(None, {}), ("required", mode("ANY")), (named("f"), mode("ANY", "f"))]
)
def test_functions_with_googles_tools_need_the_flag(choice: Any, expected: Any) -> None:
    config, ignored, _ = chosen(choice, tools=[function("f"), SEARCH])

    assert config == {**expected, "includeServerSideToolInvocations": True}
    assert ignored == ("tools.server_side_history",)


def test_older_models_get_neither_the_flag_nor_googles_tools() -> None:
    assert chosen(tools=[function("f"), SEARCH], model=OLD) == (None, ("tools[1]",), [])


@pytest.mark.parametrize("model", [OLD, NEWEST])
def test_validated_is_geminis_own_mode(model: str) -> None:
    assert chosen("validated", model=model)[0] == mode("VALIDATED")


def test_a_model_without_the_mode_is_left_free() -> None:
    assert chosen("validated", model="gemini-2.0-flash") == (None, (), [])


@pytest.mark.parametrize("tools", [None, []])
def test_validated_without_tools_says_nothing(tools: Any) -> None:
    assert chosen("validated", tools=tools) == (None, (), [])


def test_validated_with_googles_own_tools() -> None:
    config, ignored, kept = chosen("validated", tools=[function("f"), SEARCH])

    assert config == {**mode("VALIDATED"), "includeServerSideToolInvocations": True}
    assert (ignored, kept) == (("tools.server_side_history",), ["google_search"])
    assert chosen("validated", tools=[SEARCH]) == (None, (), ["google_search"])


SPACE = {
    "type": "namespace",
    "name": "wx",
    "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "only"}],
}


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"type": "function", "name": "f"}, ["f"]),
        ({"type": "function", "name": "f", "namespace": "wx"}, ["wx__f"]),
        ({"type": "function", "function": {"name": "f", "namespace": "wx"}}, ["wx__f"]),
        ({"type": "function", "namespace": "wx", "function": {"name": "f"}}, ["wx__f"]),
        ({"type": "function", "name": "only"}, ["wx__only"]),
        ({"type": "function", "name": "wx__f"}, ["wx__f"]),
        ({"type": "namespace", "name": "wx"}, ["wx__f", "wx__only"]),
        (allowed("required", {"type": "namespace", "name": "wx"}), ["wx__f", "wx__only"]),
        (
            allowed("required", named("f"), {"type": "function", "name": "f", "namespace": "wx"}),
            ["f", "wx__f"],
        ),
        ({"type": "tool_search"}, ["tool_search"]),
        (allowed("required", {"type": "tool_search"}), ["tool_search"]),
    ],
    ids=str,
)
def test_functions_inside_namespaces_are_chosen(choice: Any, names: list[str]) -> None:
    search = {"type": "tool_search", "execution": "client"}

    assert chosen(choice, tools=[function("f"), SPACE, search])[0] == mode("ANY", *names)


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "name": "nope", "namespace": "wx"},
        {"type": "function", "name": "f", "namespace": "other"},
        {"type": "namespace", "name": "other"},
    ],
    ids=str,
)
def test_a_choice_outside_of_the_namespace_is_a_400(choice: Any) -> None:
    with pytest.raises(ProxyError, match="not found in 'tools'"):
        chosen(choice, tools=[function("f"), SPACE])


@pytest.mark.parametrize(
    ("choice", "soft", "free", "ignored"),
    [
        ("auto", None, None, ()),
        ("none", mode("NONE"), mode("NONE"), ()),
        ("required", mode("AUTO"), mode("AUTO"), ("tool_choice",)),
        ("validated", mode("AUTO"), mode("AUTO"), ("tool_choice",)),
        (named("f"), mode("VALIDATED", "f"), mode("AUTO"), ("tool_choice",)),
        (allowed("required", named("f")), mode("VALIDATED", "f"), mode("AUTO"), ("tool_choice",)),
        (allowed("auto", named("f")), mode("VALIDATED", "f"), mode("AUTO"), ("tool_choice",)),
    ],
)
def test_choice_may_be_softened(
    choice: Any, soft: Any, free: Any, ignored: tuple[str, ...]
) -> None:
    softened, freed = softer(choice), softer(choice, free=True)

    assert (softened[0], freed[0]) == (soft, free)
    assert softened[1] == (() if choice == allowed("auto", named("f")) else ignored)
    assert freed[1] == ignored


def test_strict_functions_may_be_left_unvalidated() -> None:
    assert softer(None, tools=STRICT) == (mode("AUTO"), ("tools.strict",))
    assert softer(named("f"), model="gemini-2.0-flash") == (mode("AUTO"), ("tool_choice",))


def softer(
    choice: Any, *, free: bool = False, tools: Any = TOOLS, model: str = NEWEST
) -> tuple[Any, tuple[str, ...]]:
    notes, traits = IgnoredParams(), traits_of(model)
    request = msgspec.convert(asking(tools=tools, tool_choice=choice), ChatRequest)
    plan = read_tools(request, traits, notes)
    config = tool_config(request, plan, traits, notes, soft=True, free=free)
    return msgspec.to_builtins(config), notes.names
