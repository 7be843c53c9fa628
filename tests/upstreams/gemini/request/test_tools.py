"""tools: function declarations and Google's own tools."""

from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.function_names import Member
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from jarvis_proxy.upstreams.gemini.request.schema.form import FULL, SchemaForm
from jarvis_proxy.upstreams.gemini.request.tools import MAX_FUNCTIONS, ToolPlan, read_tools
from tests.upstreams.gemini.chat import NEWEST, OLD, asking, function

PAINTER = "gemini-3-pro-image"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def read(
    model: str = NEWEST, *, form: SchemaForm = FULL, **fields: Any
) -> tuple[ToolPlan, tuple[str, ...]]:
    notes = IgnoredParams()
    request = msgspec.convert(asking(**fields), ChatRequest)
    return read_tools(request, traits_of(model), notes, form=form), notes.names


def tools(model: str = NEWEST, **fields: Any) -> Any:
    return msgspec.to_builtins(read(model, **fields)[0].tools())


def declared(*given: Any) -> Any:
    return tools(tools=list(given))[0]["functionDeclarations"]


def test_functions_are_declared_in_one_tool_in_order() -> None:
    assert tools(tools=[function("b", CITY, description="B"), function("a", CITY)]) == [
        {
            "functionDeclarations": [
                {"name": "b", "description": "B", "parametersJsonSchema": CITY},
                {"name": "a", "parametersJsonSchema": CITY},
            ]
        }
    ]


@pytest.mark.parametrize("given", [None, []])
def test_no_tools_are_no_tools(given: Any) -> None:
    plan, ignored = read(tools=given)

    assert (plan.tools(), plan.legacy, ignored) == (None, False, ())


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {},
        True,
        {"type": "object"},
        {"type": "object", "properties": {}},
        {
            "type": "object",
            "properties": {},
            "required": [],
            "additionalProperties": False,
            "title": "T",
            "$schema": "x",
        },
        {"type": ["object", "null"], "properties": {}},
    ],
    ids=str,
)
def test_a_function_without_parameters_declares_none(parameters: object) -> None:
    assert declared(function("f", parameters)) == [{"name": "f"}]


@pytest.mark.parametrize(
    ("parameters", "sent"),
    [
        (CITY, CITY),
        ({"properties": CITY["properties"]}, {**CITY, "required": None}),
        ({**CITY, "type": ["object", "null"]}, CITY),
        ({**CITY, "type": ["object"], "nullable": True}, CITY),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
        ({"type": "object", "additionalProperties": True},) * 2,
        (
            {"anyOf": [CITY, {"type": "object", "properties": {"zip": {"type": "string"}}}]},
            {
                "type": "object",
                "anyOf": [CITY, {"type": "object", "properties": {"zip": {"type": "string"}}}],
            },
        ),
        (
            {"$ref": "#/$defs/City", "$defs": {"City": CITY}},
            {**CITY, "$defs": {"City": CITY}},
        ),
        ({"$ref": "#/definitions/City", "definitions": {"City": CITY}, "title": "T"},
         {"type": "object", "title": "T", "anyOf": [{"$ref": "#/$defs/City"}],
          "$defs": {"City": CITY}}),
    ],
    ids=str,
)  # fmt: skip
def test_parameters_are_an_object(parameters: Any, sent: Any) -> None:
    expected = {key: value for key, value in sent.items() if value is not None}

    assert declared(function("f", parameters)) == [{"name": "f", "parametersJsonSchema": expected}]


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("tool", "param", "code"),
    [
        (function("f", {"type": "array", "items": {}}), "tools[0].function.parameters",
         "invalid_function_parameters"),
        (function("f", {"type": "string"}), "tools[0].function.parameters",
         "invalid_function_parameters"),
        (function("f", {"$ref": "#/no"}), "tools[0].function.parameters", "invalid_schema"),
        (function("f", 3), "tools[0].function.parameters", "invalid_type"),
        (function(""), "tools[0].function.name", "missing_required_parameter"),
        ({"type": "function"}, "tools[0].function", "missing_required_parameter"),
        ({"type": "function", "function": 3}, "tools[0].function", "invalid_type"),
        ({"type": "function", "function": {"name": 3}}, "tools[0].function.name", "invalid_type"),
        ({"type": "custom"}, "tools[0].custom", "missing_required_parameter"),
        ({"type": "custom", "custom": {}}, "tools[0].custom.name", "missing_required_parameter"),
        ({"type": "file_search"}, "tools[0].type", "invalid_value"),
        ({"type": "hologram"}, "tools[0].type", "invalid_value"),
        ({"type": 3}, "tools[0].type", "invalid_type"),
        ({}, "tools[0].type", "missing_required_parameter"),
        ({"other": {}}, "tools[0].type", "missing_required_parameter"),
    ],
    ids=str,
)  # fmt: skip
def test_tools_that_cannot_be_are_a_400(tool: Any, param: str, code: str) -> None:
    with pytest.raises(ProxyError) as caught:
        read(tools=[tool])

    assert (param, code) == (caught.value.param, caught.value.code)


def test_a_name_twice_is_a_400() -> None:
    with pytest.raises(ProxyError, match="declared twice") as caught:
        read(tools=[function("f"), {"type": "custom", "custom": {"name": "f"}}])

    assert caught.value.param == "tools[1].custom.name"


def test_more_functions_than_google_takes_are_a_400() -> None:
    most = [function(f"f{number}") for number in range(MAX_FUNCTIONS)]

    assert len(declared(*most)) == MAX_FUNCTIONS
    with pytest.raises(ProxyError, match="at most 512"):
        read(tools=[*most, function("one_more")])


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "name": "f", "parameters": CITY},
        {"name": "f", "parameters": CITY},
        {"function": {"name": "f", "parameters": CITY}},
    ],
    ids=["flat", "flat without type", "without type"],
)
def test_functions_in_other_addresses_forms_are_understood(tool: Any) -> None:
    assert declared(tool) == [{"name": "f", "parametersJsonSchema": CITY}]


def test_names_that_gemini_refuses_are_renamed() -> None:
    plan, _ = read(tools=[function("3d"), function("ok")])

    assert [item.name for item in plan.functions] == ["_3d", "ok"]
    assert plan.names.declared == frozenset({"3d", "ok"})
    assert plan.names.renamed == {"_3d": "3d"}


def test_a_custom_tool_is_a_function_of_one_text() -> None:
    plan, ignored = read(
        tools=[{"type": "custom", "custom": {"name": "sh", "description": "Run.", "format": None}}]
    )

    assert (plan.custom, ignored) == (frozenset({"sh"}), ())
    assert msgspec.to_builtins(plan.functions) == [
        {
            "name": "sh",
            "description": "Run.",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {"input": {"type": "string"}},
                "required": ["input"],
            },
        }
    ]


@pytest.mark.parametrize(
    ("form", "words", "ignored"),
    [
        ({"type": "text"}, None, ()),
        (
            {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}},
            "Must match this grammar:\nstart: A",
            ("tools[0].custom.format",),
        ),
        (
            {"type": "grammar", "definition": "start: A"},
            "Must match this grammar:\nstart: A",
            ("tools[0].custom.format",),
        ),
        ({"type": "grammar", "grammar": 3}, None, ("tools[0].custom.format",)),
    ],
    ids=str,
)
def test_a_grammar_can_only_be_described(
    form: Any, words: str | None, ignored: tuple[str, ...]
) -> None:
    plan, noted = read(tools=[{"type": "custom", "custom": {"name": "sh", "format": form}}])
    schema: Any = plan.functions[0].parameters_json_schema

    assert (words, ignored) == (schema["properties"]["input"].get("description"), noted)


@pytest.mark.parametrize(
    ("tool", "sent"),
    [
        ({"type": "web_search"}, {"googleSearch": {}}),
        ({"type": "web_search_preview"}, {"googleSearch": {}}),
        ({"type": "google_search"}, {"googleSearch": {}}),
        ({"googleSearch": {}}, {"googleSearch": {}}),
        ({"type": "code_execution"}, {"codeExecution": {}}),
        ({"type": "code_interpreter"}, {"codeExecution": {}}),
        ({"codeExecution": {}}, {"codeExecution": {}}),
        ({"type": "url_context"}, {"urlContext": {}}),
    ],
    ids=str,
)
def test_googles_own_tools(tool: Any, sent: Any) -> None:
    plan, ignored = read(tools=[tool, tool])

    assert msgspec.to_builtins(plan.tools()) == [sent]
    assert ignored == ()


def test_options_of_googles_tools_have_no_target() -> None:
    _, ignored = read(
        tools=[{"type": "web_search", "filters": {}}],
        web_search_options={"user_location": {}, "search_context_size": "low"},
    )

    assert ignored == (
        "tools[0].filters",
        "web_search_options.search_context_size",
        "web_search_options.user_location",
    )


def test_web_search_options_switch_the_search_on() -> None:
    assert tools(web_search_options={}) == [{"googleSearch": {}}]


@pytest.mark.parametrize(
    ("model", "sent", "ignored"),
    [
        (NEWEST, ["functionDeclarations", "googleSearch"], ()),
        (OLD, ["functionDeclarations"], ("tools[0]", "web_search_options")),
        (PAINTER, ["googleSearch"], ("tools",)),
        ("gemini-3.8-flash-tts", [], ("tools", "tools[0]", "web_search_options")),
    ],
)
def test_functions_and_googles_tools_together_where_the_model_takes_them(
    model: str, sent: list[str], ignored: tuple[str, ...]
) -> None:
    plan, noted = read(model, tools=[{"type": "web_search"}, function("f")], web_search_options={})

    assert sent == [next(iter(tool)) for tool in msgspec.to_builtins(plan.tools()) or ()]
    assert ignored == noted


@pytest.mark.parametrize(
    ("fields", "legacy", "names"),
    [
        ({"functions": [{"name": "f", "parameters": CITY}]}, True, ["f"]),
        ({"functions": []}, True, []),
        ({"function_call": "none"}, True, []),
        ({"tools": [function("f")], "functions": [{"name": "g"}]}, False, ["f"]),
    ],
    ids=str,
)
def test_legacy_functions(fields: dict[str, Any], legacy: bool, names: list[str]) -> None:
    plan, ignored = read(**fields)

    assert (legacy, names) == (plan.legacy, [item.name for item in plan.functions])
    assert ignored == (("functions",) if "tools" in fields else ())


def test_legacy_functions_for_a_painter_are_noted_by_their_name() -> None:
    assert read(PAINTER, functions=[{"name": "f"}])[1] == ("functions",)


@pytest.mark.parametrize(("strict", "expected"), [(True, True), (False, False), (None, False)])
def test_strict_functions_are_seen(strict: bool | None, expected: bool) -> None:
    plan, _ = read(tools=[function("g"), function("f", CITY, strict=strict)])

    assert expected is plan.strict


def test_loose_parameters_are_noted_where_they_differ() -> None:
    bounded = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
    plan, ignored = read(
        form=SchemaForm(limits=False), tools=[function("f", bounded), function("g", CITY)]
    )

    assert "minimum" not in str(plan.functions[0].parameters_json_schema).split("description")[0]
    assert ignored == ("tools[0].function.parameters",)


def test_functions_that_would_be_loaded_later_are_there_at_once() -> None:
    plan, ignored = read(tools=[{"type": "tool_search"}, function("f", defer_loading=True)])

    assert [declaration.name for declaration in plan.functions] == ["f"]
    assert ignored == ("tools[0]",)


SPACE = {
    "type": "namespace",
    "name": "mcp__wx",
    "description": "Weather.",
    "tools": [
        {"type": "function", "name": "get_weather", "parameters": CITY, "strict": True},
        {"type": "custom", "name": "sql", "description": "Ask."},
    ],
}
SEARCH_TOOL = {"type": "tool_search", "execution": "client", "description": "Find tools."}


def test_functions_inside_a_namespace_are_declared_under_flat_names() -> None:
    plan, ignored = read(tools=[function("get_weather"), SPACE])

    names = [declaration.name for declaration in plan.functions]
    assert names == ["get_weather", "mcp__wx__get_weather", "mcp__wx__sql"]
    assert plan.functions[1].description == "Weather."
    assert plan.functions[1].parameters_json_schema == CITY
    assert plan.custom == frozenset({Member("mcp__wx", "sql")})
    assert (plan.strict, ignored) == (True, ())


def test_they_count_among_the_functions_and_may_not_come_twice() -> None:
    many = {
        "type": "namespace",
        "name": "n",
        "tools": [{"type": "function", "name": f"f{i}"} for i in range(MAX_FUNCTIONS)],
    }
    assert len(read(tools=[many])[0].functions) == MAX_FUNCTIONS
    with pytest.raises(ProxyError, match="Too many functions"):
        read(tools=[many, function("one_more")])
    with pytest.raises(ProxyError, match="declared twice") as caught:
        read(tools=[SPACE, SPACE])
    assert caught.value.param == "tools[1].tools[0].name"


def test_a_schema_that_cannot_be_names_its_place() -> None:
    broken = {"type": "function", "name": "f", "parameters": {"type": "string"}}
    with pytest.raises(ProxyError) as caught:
        read(tools=[{"type": "namespace", "name": "n", "tools": [broken]}])

    assert caught.value.param == "tools[0].tools[0].parameters"


def test_a_search_that_the_client_runs_is_a_function() -> None:
    parameters = {"type": "object", "properties": {"query": {"type": "string"}}}
    plan, ignored = read(tools=[{**SEARCH_TOOL, "parameters": parameters}])

    assert declared({**SEARCH_TOOL, "parameters": parameters}) == [
        {"name": "tool_search", "description": "Find tools.", "parametersJsonSchema": parameters}
    ]
    assert (plan.tool_search, ignored) == (True, ())


@pytest.mark.parametrize("parameters", [{}, {"parameters": None}])
def test_a_search_without_parameters_takes_a_query(parameters: Any) -> None:
    (search,) = declared({**SEARCH_TOOL, **parameters})

    assert search["parametersJsonSchema"]["properties"] == {"query": {"type": "string"}}


def test_what_the_search_loads_later_is_not_there_yet() -> None:
    member = {"type": "function", "name": "f", "defer_loading": True}
    space = {"type": "namespace", "name": "n", "tools": [member, {**member, "name": "g"}]}
    later = [function("h", defer_loading=True), {"type": "custom", "name": "c", **LATER}]
    plan, _ = read(tools=[SEARCH_TOOL, space, function("i"), *later])

    assert [declaration.name for declaration in plan.functions] == ["tool_search", "i"]


LATER: dict[str, Any] = {"defer_loading": True}


def test_a_search_of_openais_leaves_everything_there_at_once() -> None:
    plan, ignored = read(tools=[{**SEARCH_TOOL, "execution": "server"}, function("f", **LATER)])

    assert [declaration.name for declaration in plan.functions] == ["f"]
    assert (plan.tool_search, ignored) == (False, ("tools[0]",))


@pytest.mark.parametrize(
    "kind",
    ["mcp", "file_search", "computer_use", "computer_use_preview", "computer", "image_generation"],
)
def test_the_message_says_that_this_model_cannot_run_it(kind: str) -> None:
    with pytest.raises(ProxyError) as caught:
        read(tools=[function("f"), {"type": kind}])

    error = caught.value
    assert (error.status, error.param, error.code) == (400, "tools[1].type", "invalid_value")
    assert error.message.startswith(f"This model cannot run tools of type '{kind}'")
    assert "Invalid value" not in error.message
    assert ("gemini-2.5-flash-image" in error.message) is (kind == "image_generation")
