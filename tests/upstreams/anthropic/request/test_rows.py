"""Canonical requests become Messages requests: each rule of the writer by its name."""

import base64
import json
from typing import Any

import pytest

from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.canonical.request import CanonicalRequest, SameParams
from jarvis_proxy.canonical.sealed_state import ANTHROPIC, SealedState, chat_owner, seal
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.request.build import needs
from tests.upstreams.anthropic.chat import (
    NEWEST,
    PDF,
    PNG,
    THOUGHT,
    V35,
    V40,
    V45,
    V46,
    Json,
    asking,
    assistant,
    body_for,
    call,
    function,
    plan_for,
    result,
    text,
    turns_for,
    user,
)

SECOND = {"type": "thinking", "thinking": "", "signature": "Sig2=="}
REDACTED = {"type": "redacted_thinking", "data": "Eo8B"}
OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
MARK: Json = {"cache_control": {"type": "ephemeral"}}


def ignored(body: object, model: str = NEWEST, **options: Any) -> tuple[str, ...]:
    """Return what was left out."""
    return plan_for(body, model, **options).ignored


def refusal(body: object, model: str = NEWEST, **options: Any) -> ProxyError:
    """Return the error for a request that cannot be written."""
    with pytest.raises(ProxyError) as caught:
        plan_for(body, model, **options)
    assert caught.value.status == 400
    return caught.value


# -- X1: the system ------------------------------------------------------------------------------


def test_x1_leading_system_messages_are_the_system() -> None:
    system: Json = {"role": "system", "content": "Be brief."}
    developer: Json = {"role": "developer", "content": [text("Use metres."), text(" ")]}
    body = body_for(asking(system, developer, user()))

    assert body["system"] == [text("Be brief."), text("Use metres.")]
    assert body["messages"] == [{"role": "user", "content": [text("hi")]}]


def test_x1_a_later_system_message_is_the_users_text_in_its_place() -> None:
    later: Json = {"role": "system", "content": "Now in French."}
    turns = turns_for(user("a"), assistant("b"), later, user("c"))

    said = "<system>\nNow in French.\n</system>"
    assert turns[2] == ("user", [text(said), text("c")])


def test_x1_a_system_message_between_a_call_and_its_result_stands_behind_the_result() -> None:
    later: Json = {"role": "system", "content": "Hurry."}
    body = asking(user(), assistant(None, call()), later, result(), tools=[function()])
    turn = body_for(body)["messages"][2]

    assert [block["type"] for block in turn["content"]] == ["tool_result", "text"]


# -- X2: roles -----------------------------------------------------------------------------------


def test_x2_neighbours_of_one_role_are_joined() -> None:
    turns = turns_for(user("a"), user("b"), assistant("c"), assistant("d"), user("e"))

    assert [role for role, _ in turns] == ["user", "assistant", "user"]
    assert turns[0][1] == [text("a"), text("b")]
    assert turns[1][1] == [text("c"), text("d")]


@pytest.mark.parametrize(
    "messages", [[assistant("hello"), user()], [{"role": "system", "content": "Be brief."}]]
)
def test_x2_the_user_speaks_first(messages: list[Json]) -> None:
    assert turns_for(*messages)[0] == ("user", [text(".")])


# -- X3: empty content ---------------------------------------------------------------------------


def test_x3_texts_of_white_space_are_dropped() -> None:
    turns = turns_for(user([text(""), text("a"), text(" \n")]), assistant("  "), user("b"))

    assert turns == [("user", [text("a"), text("b")])]


def test_x3_a_message_without_content_is_dropped() -> None:
    assert turns_for(user("a"), assistant(None), user("b")) == [("user", [text("a"), text("b")])]


def test_x3_white_space_at_the_end_of_a_prefill_is_cut() -> None:
    assert turns_for(user(), assistant("The answer: \n"), model=V45)[1][1] == [text("The answer:")]


# -- X4: thinking --------------------------------------------------------------------------------


def test_x4_thinking_stands_before_text_and_calls_unchanged_and_in_order() -> None:
    blocks = [THOUGHT, REDACTED, SECOND]
    said = assistant("Let me see.", call(), thinking_blocks=blocks)
    turns = turns_for(user(), said, result(), issued=blocks)

    assert turns[1][1][:4] == [*blocks, text("Let me see.")]
    assert turns[1][1][4]["type"] == "tool_use"


def test_x4_fields_that_clients_add_to_blocks_are_dropped() -> None:
    block = THOUGHT | {"cache_control": None, "index": 0}

    assert turns_for(user(), assistant("a", thinking_blocks=[block]), user())[1][1][0] == THOUGHT


def test_x4_sealed_blocks_are_unsealed() -> None:
    sealed = seal(SealedState(ANTHROPIC, json.dumps([THOUGHT, REDACTED])))
    block = {"type": "thinking", "thinking": "Hm.", "signature": sealed}
    turns = turns_for(
        user(), assistant("a", thinking_blocks=[block]), user(), issued=[THOUGHT, REDACTED]
    )

    assert turns[1][1] == [THOUGHT, REDACTED, text("a")]


@pytest.mark.parametrize(
    "signature",
    ["", None, "gemini:AbC", seal(SealedState(chat_owner("deepseek"), "Hm.")), "anthropic:broken"],
)
def test_x4_thinking_of_others_is_left_out(signature: str | None) -> None:
    block = {"type": "thinking", "thinking": "Hm.", "signature": signature}

    assert turns_for(user(), assistant("a", thinking_blocks=[block]), user())[1][1] == [text("a")]


@pytest.mark.parametrize("blocks", ["x", [1, None, {}], {"type": "thinking"}, [{"type": "text"}]])
def test_x4_what_is_no_thinking_block_is_left_out(blocks: object) -> None:
    assert turns_for(user(), assistant("a", thinking_blocks=blocks), user())[1][1] == [text("a")]


def test_x4_a_message_of_nothing_but_thinking_is_dropped() -> None:
    assert len(turns_for(user(), assistant(None, thinking_blocks=[THOUGHT]), user())) == 1


# -- X5: results ---------------------------------------------------------------------------------


def test_x5_results_stand_first_in_one_message_in_the_order_of_the_calls() -> None:
    calls = assistant(None, call("a"), call("b"))
    turns = turns_for(user(), calls, result("b", "two"), user("go on"), result("a", "one"))

    assert turns[2:] == [
        (
            "user",
            [
                {"type": "tool_result", "tool_use_id": "a", "content": "one"},
                {"type": "tool_result", "tool_use_id": "b", "content": "two"},
                text("go on"),
            ],
        )
    ]


def test_x5_a_missing_result_is_an_error() -> None:
    body = asking(user(), assistant(None, call()), user("go on"), tools=[function()])
    missing = body_for(body)["messages"][2]["content"][0]

    assert missing["is_error"] is True
    assert "no result was provided" in missing["content"]
    assert ignored(body) == ("messages[1].tool_calls[0]",)


def test_x5_a_result_without_its_call_is_the_users_text() -> None:
    body = asking(user(), result("call_9", "42"))

    assert body_for(body)["messages"][0]["content"][1] == text("Tool result (call_9): 42")
    assert ignored(body) == ("messages[1]",)


def test_x5_a_failed_tool_is_marked() -> None:
    turns = turns_for(user(), assistant(None, call()), result(content="no", is_error=True))

    assert turns[2][1][0]["is_error"] is True


def test_x5_results_hold_pictures_documents_and_references() -> None:
    parts = [
        text("see"),
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}"}},
        {"type": "search_result", "source": "s", "title": "t", "content": [text("x")]},
        {"type": "tool_reference", "tool_name": "Bash"},
    ]
    inner = turns_for(user(), assistant(None, call()), result(content=parts))[2][1][0]["content"]

    kinds = ["text", "image", "document", "search_result", "tool_reference"]
    assert [block["type"] for block in inner] == kinds


@pytest.mark.parametrize("content", ["", " ", None, []])
def test_x5_an_empty_result_has_no_content(content: object) -> None:
    turns = turns_for(user(), assistant(None, call()), result(content=content))

    assert turns[2][1] == [{"type": "tool_result", "tool_use_id": "call_1"}]


# -- X6: calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"a":1}', {"a": 1}),
        ("", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ("[1]", {"value": [1]}),
        ('"{\\"a\\":1}"', {"a": 1}),
        ('{"a":', {"_raw_arguments": '{"a":'}),
    ],
)
def test_x6_the_input_of_a_call_is_an_object(arguments: object, given: Json) -> None:
    turns = turns_for(user(), assistant(None, call(arguments=arguments)), result())

    assert turns[1][1][0]["input"] == given


@pytest.mark.parametrize(
    ("call_id", "sent"),
    [
        ("call_1", "call_1"),
        ("toolu_01", "toolu_01"),
        ("a.b:c d", "a_b_c_d"),
        ("", "toolu_1"),
        ("call_1__thought__QUJD", "call_1"),
    ],
)
def test_x6_ids_are_made_legal_on_call_and_result(call_id: str, sent: str) -> None:
    turns = turns_for(user(), assistant(None, call(call_id)), result(call_id))

    assert turns[1][1][0]["id"] == sent
    assert turns[2][1][0]["tool_use_id"] == sent


def test_x6_equal_ids_are_numbered_on_call_and_result() -> None:
    step = [assistant(None, call("c")), result("c", "x")]
    turns = turns_for(user(), *step, *step, assistant(None, call("c_2")), result("c_2", "y"))

    assert [turns[i][1][0]["id"] for i in (1, 3, 5)] == ["c", "c_2", "c_2_2"]
    assert [turns[i][1][0]["tool_use_id"] for i in (2, 4, 6)] == ["c", "c_2", "c_2_2"]


# -- X7, X8: tools -------------------------------------------------------------------------------


def test_x7_tools_are_named_described_and_have_a_schema() -> None:
    body = body_for(asking(tools=[function("f", OBJECT, description="Adds.")]))

    assert body["tools"] == [{"name": "f", "description": "Adds.", "input_schema": OBJECT}]


@pytest.mark.parametrize(
    ("parameters", "schema"),
    [
        ({}, {"type": "object", "properties": {}}),
        ({"properties": {}}, {"type": "object", "properties": {}}),
        ({"type": ["object", "null"], "properties": {}}, {"type": "object", "properties": {}}),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", **OBJECT},
            OBJECT,
        ),
        (
            {"anyOf": [OBJECT, {"properties": {"b": {}}, "required": ["a", "b"]}]},
            {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {}},
                "required": ["a"],
            },
        ),
        (
            {"allOf": [OBJECT, {"properties": {"b": {}}, "required": ["b"]}]},
            {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {}},
                "required": ["a", "b"],
            },
        ),
        (
            {"$ref": "#/$defs/In", "$defs": {"In": OBJECT}},
            {**OBJECT, "$defs": {"In": OBJECT}},
        ),
        ({"$ref": "#"}, {"type": "object"}),
    ],
    ids=["none", "no type", "null", "draft", "anyOf", "allOf", "reference", "loop"],
)
def test_x7_the_schema_is_an_object_without_combinations_at_the_top(
    parameters: Json, schema: Json
) -> None:
    assert body_for(asking(tools=[function("f", parameters)]))["tools"][0]["input_schema"] == schema


def test_x7_names_are_made_legal() -> None:
    plan = plan_for(asking(tools=[function("a.b c")]))

    (tool,) = json.loads(plan.body)["tools"]
    assert tool["name"] == "a_b_c"
    assert plan.tools.called("a_b_c").name == "a.b c"


def test_x7_a_custom_tool_is_a_function_of_one_text() -> None:
    form = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}}
    custom: Json = {"type": "custom", "custom": {"name": "patch", "format": form}}
    plan = plan_for(asking(tools=[custom]))

    schema = json.loads(plan.body)["tools"][0]["input_schema"]
    assert schema["required"] == ["input"]
    assert "start: A" in schema["properties"]["input"]["description"]
    assert plan.tools.called("patch").kind == "custom"


def test_x7_a_namespace_is_flattened() -> None:
    inner = [{"type": "function", "name": "send", "parameters": OBJECT}]
    plan = plan_for(asking(tools=[{"type": "namespace", "name": "mail", "tools": inner}]))

    (tool,) = json.loads(plan.body)["tools"]
    called = plan.tools.called(tool["name"])
    assert (called.namespace, called.name) == ("mail", "send")


def test_x7_anthropics_own_fields_of_a_tool_pass() -> None:
    extras = {"input_examples": [{"a": 1}], "defer_loading": True}
    tool = body_for(asking(tools=[function("f", OBJECT, **extras)]))["tools"][0]

    assert {name: tool[name] for name in extras} == extras


def test_x7_a_strict_tool_is_closed_and_its_limits_become_words() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "minLength": 2, "description": "A."}},
    }
    tool = body_for(asking(tools=[function("f", schema, strict=True)]))["tools"][0]

    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False
    described = {"type": "string", "description": "A. (minLength: 2)"}
    assert tool["input_schema"]["properties"]["a"] == described


@pytest.mark.parametrize(
    ("model", "schema"),
    [
        (V40, OBJECT),
        (NEWEST, {"type": "object", "additionalProperties": {"type": "string"}}),
        (NEWEST, {"type": "object", "properties": {"a": {"$ref": "#"}}}),
    ],
    ids=["older model", "any key", "loop"],
)
def test_x7_a_tool_that_cannot_be_held_to_its_schema_is_not_strict(
    model: str, schema: Json
) -> None:
    tool = body_for(asking(tools=[function("f", schema, strict=True)]), model)["tools"][0]

    assert "strict" not in tool


def test_x7_only_twenty_tools_are_strict() -> None:
    tools = [function(f"f{number}", OBJECT, strict=True) for number in range(25)]
    sent = body_for(asking(tools=tools))["tools"]

    assert sum("strict" in tool for tool in sent) == 20


@pytest.mark.parametrize(
    ("kind", "name"),
    [("web_search", "web_search"), ("url_context", "web_fetch"), ("googleSearch", "web_search")],
)
def test_x7_tools_that_anthropic_runs_are_declared(kind: str, name: str) -> None:
    plan = plan_for(asking(tools=[{"type": kind}]))

    assert json.loads(plan.body)["tools"][0]["name"] == name
    assert plan.tools.runs_at_upstream


def test_x7_tools_of_other_services_are_left_out_and_named() -> None:
    body = asking(tools=[{"type": "image_generation"}, function()])

    assert len(body_for(body)["tools"]) == 1
    assert ignored(body) == ("tools[0]",)


def test_x8_names_in_the_history_are_declared_where_no_tools_are() -> None:
    body = body_for(asking(user(), assistant(None, call(name="f")), result()))

    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}


# -- X9: tool_choice -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ("validated", {"type": "auto"}),
        ({"type": "function", "function": {"name": "g"}}, {"type": "tool", "name": "g"}),
    ],
)
def test_x9_tool_choice(choice: object, sent: Json) -> None:
    body = asking(tools=[function("f"), function("g")], tool_choice=choice)

    assert body_for(body)["tool_choice"] == sent


@pytest.mark.parametrize(("mode", "sent"), [("auto", "auto"), ("required", "any")])
def test_x9_allowed_tools_are_the_only_ones_declared(mode: str, sent: str) -> None:
    allowed = {"mode": mode, "tools": [{"type": "function", "name": "g"}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    body = body_for(asking(tools=[function("f"), function("g")], tool_choice=choice))

    assert [tool["name"] for tool in body["tools"]] == ["g"]
    assert body["tool_choice"] == {"type": sent}


@pytest.mark.parametrize(
    ("choice", "sent"), [(None, "auto"), ("required", "any"), ("none", "none")]
)
def test_x9_one_call_at_a_time(choice: object, sent: str) -> None:
    body = asking(tools=[function()], tool_choice=choice, parallel_tool_calls=False)
    found = body_for(body)["tool_choice"]

    assert found["type"] == sent
    assert found.get("disable_parallel_tool_use") is (None if sent == "none" else True)


def test_x9_a_forced_call_turns_a_budget_off() -> None:
    body = asking(tools=[function()], tool_choice="required", reasoning_effort="high")

    assert "thinking" not in body_for(body, V45)
    assert ignored(body, V45) == ("reasoning_effort",)


def test_x9_a_forced_call_leaves_adaptive_thinking() -> None:
    body = asking(tools=[function()], tool_choice="required", reasoning_effort="high")

    assert body_for(body)["thinking"]["type"] == "adaptive"


def test_x9_a_choice_without_tools() -> None:
    assert "tool_choice" not in body_for(asking(tool_choice="auto"))
    assert ignored(asking(tool_choice="required")) == ("tool_choice",)


def test_x9_an_undeclared_tool_is_refused() -> None:
    choice = {"type": "function", "function": {"name": "g"}}
    error = refusal(asking(tools=[function()], tool_choice=choice))

    assert error.param == "tool_choice"


# -- X10: the limit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "fields", "sent"),
    [
        (NEWEST, {}, 32_000),
        (V35, {}, 8_192),
        (NEWEST, {"max_tokens": 100}, 100),
        (NEWEST, {"max_tokens": 5, "max_completion_tokens": 100}, 100),
        (NEWEST, {"max_tokens": 10**6}, 128_000),
        (V45, {"max_completion_tokens": 128_000}, 64_000),
    ],
)
def test_x10_max_tokens(model: str, fields: Json, sent: int) -> None:
    assert body_for(asking(**fields), model)["max_tokens"] == sent


def test_x10_a_limit_below_one_is_refused() -> None:
    assert refusal(asking(max_tokens=0)).code == "integer_below_min_value"


# -- X11: thinking -------------------------------------------------------------------------------

ADAPTIVE = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("fields", "thinking", "effort"),
    [
        ({}, None, None),
        ({"reasoning_effort": "none"}, {"type": "disabled"}, None),
        ({"thinking": {"type": "disabled"}}, {"type": "disabled"}, None),
        ({"reasoning": {"enabled": False}}, {"type": "disabled"}, None),
        ({"reasoning_effort": "minimal"}, ADAPTIVE, "low"),
        ({"reasoning_effort": "low"}, ADAPTIVE, "low"),
        ({"reasoning_effort": "medium"}, ADAPTIVE, "medium"),
        ({"reasoning": {"effort": "high"}}, ADAPTIVE, "high"),
        ({"reasoning_effort": "xhigh"}, ADAPTIVE, "xhigh"),
        ({"reasoning_effort": "max"}, ADAPTIVE, "max"),
        ({"reasoning_effort": "default"}, None, None),
        ({"thinking": {"type": "adaptive"}}, ADAPTIVE, None),
        ({"thinking": {"type": "something"}}, ADAPTIVE, None),
        ({"thinking": {"type": "adaptive"}, "reasoning_effort": "max"}, ADAPTIVE, "max"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, ADAPTIVE, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, ADAPTIVE, "medium"),
        ({"reasoning": {"max_tokens": 8193}}, ADAPTIVE, "high"),
        ({"include_thoughts": True}, ADAPTIVE, None),
    ],
)
def test_x11_adaptive_models_get_an_effort(
    fields: Json, thinking: Json | None, effort: str | None
) -> None:
    body = body_for(asking(**fields))

    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort


@pytest.mark.parametrize(
    ("fields", "budget"),
    [
        ({}, None),
        ({"reasoning_effort": "none"}, None),
        ({"reasoning_effort": "minimal"}, 2048),
        ({"reasoning_effort": "low"}, 2048),
        ({"reasoning_effort": "medium"}, 8192),
        ({"reasoning_effort": "high"}, 16_384),
        ({"reasoning_effort": "xhigh"}, 32_000),
        ({"reasoning_effort": "max"}, 32_000),
        ({"thinking": {"type": "adaptive"}}, 8192),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}}, 5000),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, 1024),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}, "max_tokens": 4000}, 3999),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}, "max_tokens": 1024}, None),
        ({"reasoning_effort": "high", "max_tokens": 8000}, 4000),
        ({"reasoning_effort": "high", "max_tokens": 1500}, 1024),
        ({"reasoning_effort": "high", "max_tokens": 1000}, None),
    ],
)
def test_x11_older_models_get_a_budget_below_max_tokens(fields: Json, budget: int | None) -> None:
    body = body_for(asking(**fields), V45)

    assert body.get("thinking", {}).get("budget_tokens") == budget
    assert "effort" not in body.get("output_config", {})


def test_x11_a_budget_comes_on_top_of_the_default_limit() -> None:
    assert body_for(asking(reasoning_effort="xhigh"), V45)["max_tokens"] == 64_000
    assert body_for(asking(reasoning_effort="low"), V45)["max_tokens"] == 34_048


def test_x11_a_model_that_cannot_think_is_not_asked_to() -> None:
    body = asking(reasoning_effort="high")

    assert "thinking" not in body_for(body, V35)
    assert ignored(body, V35) == ("reasoning_effort",)


def test_x11_a_budget_needs_the_thinking_of_the_call_before() -> None:
    said = [user(), assistant(None, call(), thinking_blocks=[THOUGHT]), result()]
    without = [user(), assistant(None, call()), result()]
    options: Json = {"tools": [function()], "reasoning_effort": "high"}

    assert "thinking" in body_for(asking(*said, **options), V45)
    assert "thinking" not in body_for(asking(*without, **options), V45)
    assert "thinking" in body_for(asking(*without, user("and now?"), **options), NEWEST)
    assert "thinking" in body_for(asking(*without, **options), NEWEST)


@pytest.mark.parametrize(
    ("fields", "shows", "display"),
    [
        ({"reasoning_effort": "high"}, False, "summarized"),
        ({"reasoning_effort": "high", "include_thoughts": False}, True, "omitted"),
        ({"reasoning": {"effort": "high", "exclude": True}}, True, "omitted"),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, True, "omitted"),
        ({"thinking": {"type": "adaptive", "display": "updates"}}, False, "summarized"),
    ],
)
def test_x11_thoughts_are_shown_where_they_are_wanted(
    fields: Json, shows: bool, display: str
) -> None:
    assert body_for(asking(**fields), show_thoughts=shows)["thinking"]["display"] == display


def test_x11_an_unknown_effort_is_refused() -> None:
    assert refusal(asking(reasoning_effort="huge")).param == "reasoning_effort"


# -- X12: sampling -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "fields", "sent", "left_out"),
    [
        (V46, {"temperature": 0.5}, {"temperature": 0.5}, ()),
        (V46, {"temperature": 1.7}, {"temperature": 1}, ()),
        (V46, {"top_p": 0.5, "top_k": 40}, {"top_p": 0.5, "top_k": 40}, ()),
        (V46, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, ("top_p",)),
        (V40, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "top_p": 0.5}, ()),
        (NEWEST, {"temperature": 0.5, "top_k": 4}, {}, ("temperature", "top_k")),
        (NEWEST, {"temperature": 1, "top_p": 1}, {}, ()),
        (V46, {"temperature": 0.5, "reasoning_effort": "low"}, {}, ("temperature",)),
        (V46, {"temperature": 1, "reasoning_effort": "low"}, {"temperature": 1}, ()),
        (V46, {"temperature": 0.5, "reasoning_effort": "none"}, {"temperature": 0.5}, ()),
        (V45, {"top_p": 0.5, "reasoning_effort": "low"}, {}, ("top_p",)),
        (V46, {"top_k": -1}, {}, ()),
    ],
)
def test_x12_sampling(model: str, fields: Json, sent: Json, left_out: tuple[str, ...]) -> None:
    body = body_for(asking(**fields), model)

    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == sent
    assert ignored(asking(**fields), model) == left_out


# -- X13: the form of the answer -----------------------------------------------------------------


def _format(schema: Json) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}


def test_x13_a_schema_is_closed_everywhere() -> None:
    schema = {
        "type": "object",
        "properties": {"l": {"type": "array", "items": OBJECT, "maxItems": 3}},
        "$defs": {"In": OBJECT},
    }
    form = body_for(asking(response_format=_format(schema)))["output_config"]["format"]

    assert form["type"] == "json_schema"
    closed = {**OBJECT, "additionalProperties": False}
    assert form["schema"] == {
        "type": "object",
        "properties": {"l": {"type": "array", "items": closed, "description": "maxItems: 3"}},
        "$defs": {"In": closed},
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("model", "form"),
    [
        (V40, _format(OBJECT)),
        (NEWEST, _format({"type": "object", "additionalProperties": True})),
        (NEWEST, _format({"type": "object", "properties": {"x": {}}})),
        (NEWEST, _format({"type": "array", "items": OBJECT})),
        (NEWEST, {"type": "json_object"}),
    ],
    ids=["older model", "any key", "anything", "no object", "json_object"],
)
def test_x13_what_no_field_can_say_stands_in_words(model: str, form: Json) -> None:
    body = body_for(asking(response_format=form), model)

    assert "output_config" not in body
    assert "JSON only" in body["system"][-1]["text"]


def test_x13_words_hold_the_schema() -> None:
    body = body_for(asking(response_format=_format(OBJECT)), V40)

    assert json.dumps(OBJECT, separators=(",", ":")) in body["system"][-1]["text"]


def test_x13_a_form_and_an_effort_stand_together() -> None:
    body = body_for(asking(response_format=_format(OBJECT), reasoning_effort="high"))

    assert body["output_config"].keys() == {"effort", "format"}


def test_x13_text_is_no_form() -> None:
    assert "system" not in body_for(asking(response_format={"type": "text"}))


def test_x13_an_unknown_form_is_refused() -> None:
    assert refusal(asking(response_format={"type": "xml"})).param == "response_format.type"


# -- X14: pictures and documents -----------------------------------------------------------------


def _image(url: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url}}


def _file(**fields: object) -> Json:
    return {"type": "file", "file": fields}


def _only_block(part: Json, **options: Any) -> Json:
    (block,) = turns_for(user([part]), **options)[0][1]
    assert isinstance(block, dict)
    return block


@pytest.mark.parametrize("url", [f"data:image/png;base64,{PNG}", PNG, f"data:;base64,{PNG}"])
def test_x14_a_picture_is_sent_as_base64(url: str) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}

    assert _only_block(_image(url)) == {"type": "image", "source": source}


def test_x14_a_picture_of_another_kind_is_refused() -> None:
    data = base64.b64encode(b"BM0123456789").decode()
    error = refusal(asking(user([_image(f"data:image/bmp;base64,{data}")])))

    assert (error.code, error.param) == ("invalid_image_format", "messages[0].content[0]")


LINK = "https://example.com/a.png"


def test_x14_a_link_is_downloaded() -> None:
    request = CanonicalRequest(
        body=json.dumps(asking(user([_image(LINK), _file(file_url=f"{LINK}?x")]))).encode(),
        params=SameParams(),
    )
    assert needs(request).urls == (LINK, f"{LINK}?x")
    assert needs(request, "pass").urls == ()

    block = _only_block(_image(LINK), media={LINK: Media("image/png", base64.b64decode(PNG))})
    assert block["source"] == {"type": "base64", "media_type": "image/png", "data": PNG}


def test_x14_a_link_is_passed_on() -> None:
    block = _only_block(_image(LINK), image_urls="pass")
    assert block["source"] == {"type": "url", "url": LINK}

    pdf = "https://example.com/a.pdf"
    block = _only_block(_file(file_url=pdf), image_urls="pass")
    assert block == {"type": "document", "source": {"type": "url", "url": pdf}}


@pytest.mark.parametrize(
    "options",
    [
        {"image_urls": "refuse"},
        {},
        {"media": {LINK: ProxyError(400, "gone", code="invalid_image_url")}},
        {"media": {LINK: Media("image/png", b"")}},
    ],
    ids=["refused", "not there", "failed", "empty"],
)
def test_x14_a_link_that_cannot_be_had_is_refused(options: Json) -> None:
    error = refusal(asking(user([_image(LINK)])), **options)

    assert (error.code, error.param) == ("invalid_image_url", "messages[0].content[0]")


def test_x14_a_pdf_is_a_document() -> None:
    part = _file(file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf", context="c")
    block = _only_block(part)

    source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    assert block == {"type": "document", "source": source, "title": "a.pdf", "context": "c"}


def test_x14_a_text_file_is_a_document_of_text() -> None:
    data = base64.b64encode(b"a,b\n1,2").decode()
    block = _only_block(_file(file_data=data, filename="t.csv", title="T"))

    source = {"type": "text", "media_type": "text/plain", "data": "a,b\n1,2"}
    assert block == {"type": "document", "source": source, "title": "T"}


def test_x14_a_picture_among_files_is_a_picture() -> None:
    assert _only_block(_file(file_data=f"data:image/png;base64,{PNG}"))["type"] == "image"


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (_file(file_id="file-1"), "invalid_file_id"),
        (_file(file_data=f"data:application/zip;base64,{PNG}"), "invalid_file"),
        (_file(), "missing_required_parameter"),
        (
            {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
            "unsupported_value",
        ),
        ({"type": "video_url", "video_url": {"url": LINK}}, "unsupported_value"),
        ({"type": "hologram"}, "invalid_value"),
        ({"type": "image_url"}, "missing_required_parameter"),
    ],
)
def test_x14_what_claude_cannot_take_is_refused(part: Json, code: str) -> None:
    assert refusal(asking(user([part]))).code == code


def test_x14_words_stand_for_sound_that_is_past() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}}
    body = asking(user([text("what?"), sound]), assistant("A bell."), user("thanks"))

    said = body_for(body)["messages"][0]["content"][1]["text"]
    assert said == "[audio left out: the model cannot take it]"
    assert ignored(body) == ("messages[0].content[1]",)


# -- X15: the cache ------------------------------------------------------------------------------


def test_x15_a_request_with_tools_is_marked_as_a_whole() -> None:
    assert body_for(asking(tools=[function()]))["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in body_for(asking())


def test_x15_the_clients_marks_stay_as_they_are() -> None:
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    body = body_for(
        asking(
            {"role": "system", "content": [text("s") | hour]},
            user([text("a") | MARK]),
            tools=[function() | hour],
        )
    )

    assert body["tools"][0]["cache_control"] == hour["cache_control"]
    assert body["system"][0]["cache_control"] == hour["cache_control"]
    assert body["messages"][0]["content"][0]["cache_control"] == MARK["cache_control"]
    assert "cache_control" not in body


def test_x15_a_mark_on_the_whole_request_passes() -> None:
    body = body_for(asking(user([text("a") | MARK]), **MARK))

    assert body["cache_control"] == MARK["cache_control"]
    assert "cache_control" in body["messages"][0]["content"][0]


def test_x15_marks_on_calls_and_results_stand_on_their_blocks() -> None:
    turns = turns_for(user(), assistant(None, call() | MARK), result("call_1", [text("x")], **MARK))

    assert "cache_control" in turns[1][1][0]
    assert "cache_control" in turns[2][1][0]


@pytest.mark.parametrize("mark", [None, "ephemeral", {"type": "other"}, {}, 1])
def test_x15_what_is_no_mark_is_dropped(mark: object) -> None:
    body = body_for(asking(user([text("a") | {"cache_control": mark}])))

    assert body["messages"][0]["content"] == [text("a")]


# -- X16, X17, X18 -------------------------------------------------------------------------------


def test_x16_nothing_of_the_user_is_told() -> None:
    fields = {"user": "u", "metadata": {"user_id": "u"}, "safety_identifier": "u", "store": True}
    body = body_for(asking(**fields, unknown=1))

    assert body.keys() == {"model", "max_tokens", "messages"}
    assert ignored(asking(**fields)) == ()


@pytest.mark.parametrize(
    ("model", "fields", "continues"),
    [
        (V45, {}, True),
        (V45, {"reasoning_effort": "high"}, False),
        (V45, {"response_format": _format(OBJECT)}, False),
        (V46, {}, False),
        (NEWEST, {}, False),
    ],
)
def test_x17_a_prefill_is_continued_only_by_models_that_can(
    model: str, fields: Json, continues: bool
) -> None:
    body = asking(user(), assistant("The answer:"), **fields)
    last = body_for(body, model)["messages"][-1]

    if continues:
        assert last == {"role": "assistant", "content": [text("The answer:")]}
    else:
        assert last == {"role": "user", "content": [text("Continue.")]}
        assert "messages[1].prefill" in ignored(body, model)


def test_x18_a_stream_is_asked_for_as_the_client_does() -> None:
    assert body_for(asking(), stream=True)["stream"] is True
    assert "stream" not in body_for(asking())


# -- what has no equivalent ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"verbosity": "low"}, "verbosity"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"format": "wav"}}, "audio"),
    ],
)
def test_what_has_no_equivalent_is_named_or_refused(fields: Json, named: str) -> None:
    assert ignored(asking(**fields)) == (named,)
    assert refusal(asking(**fields), strict=True).code == "unsupported_parameter"


def test_more_than_one_choice_is_refused() -> None:
    assert refusal(asking(n=2)).param == "n"
    assert ignored(asking(n=1)) == ()


@pytest.mark.parametrize(
    ("tier", "sent"), [("auto", "auto"), ("default", "standard_only"), ("flex", None)]
)
def test_the_service_tier(tier: str, sent: str | None) -> None:
    assert body_for(asking(service_tier=tier)).get("service_tier") == sent


@pytest.mark.parametrize(
    ("stop", "sent"), [("END", ["END"]), (["a", " ", "", "b"], ["a", "b"]), ([" "], None)]
)
def test_stop_sequences(stop: object, sent: list[str] | None) -> None:
    assert body_for(asking(stop=stop)).get("stop_sequences") == sent


def test_the_older_form_of_tools_is_read() -> None:
    body = body_for(
        asking(functions=[{"name": "f", "parameters": OBJECT}], function_call={"name": "f"})
    )

    assert [tool["name"] for tool in body["tools"]] == ["f"]
    assert body["tool_choice"] == {"type": "tool", "name": "f"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"messages": []}, "empty_array"),
        ({"messages": "x"}, "invalid_type"),
        ({}, "missing_required_parameter"),
        ({"messages": [{"role": "wizard"}]}, "invalid_value"),
    ],
)
def test_a_request_that_is_none_is_refused(body: object, code: str) -> None:
    assert refusal(body).code == code


# -- known faults of other translators ----------------------------------------------------------


def test_bug_26_pictures_are_kept_and_no_tool_role_is_sent() -> None:
    picture = _image(f"data:image/png;base64,{PNG}")
    turns = turns_for(user([picture]), assistant(None, call()), result())

    assert turns[0][1][0]["type"] == "image"
    assert {role for role, _ in turns} == {"user", "assistant"}


def test_bug_30_a_signature_of_gemini_never_reaches_claude() -> None:
    past = call() | {"extra_content": {"google": {"thought_signature": "AbC"}}}
    body = body_for(asking(user(), assistant(None, past), result(), tools=[function()]))

    assert "AbC" not in json.dumps(body)


def test_bug_36_thinking_without_a_signature_is_not_sent_back() -> None:
    block = {"type": "thinking", "thinking": "Hm."}

    assert turns_for(user(), assistant("a", thinking_blocks=[block]), user())[1][1] == [text("a")]


def test_bug_38_a_budget_is_left_out_where_thinking_is_missing() -> None:
    body = asking(
        user(), assistant(None, call()), result(), tools=[function()], reasoning_effort="high"
    )

    assert "thinking" not in body_for(body, V45)


def test_bug_39_a_history_of_openai_is_taken() -> None:
    turns = turns_for(user(), assistant(None, call("call_1")), result("call_1"), user("next"))

    assert [role for role, _ in turns] == ["user", "assistant", "user"]


def test_bug_40_input_is_never_a_string() -> None:
    assert turns_for(user(), assistant(None, call(arguments='"x"')), result())[1][1][0][
        "input"
    ] == {"value": "x"}


def test_bug_41_every_call_has_a_result() -> None:
    turns = turns_for(user(), assistant(None, call("a"), call("b")), result("b"))

    assert [block["tool_use_id"] for block in turns[2][1]] == ["a", "b"]


def test_bug_42_only_the_last_four_marks_are_sent() -> None:
    parts = [text(str(number)) | MARK for number in range(4)]
    system: Json = {"role": "system", "content": [text("s") | MARK]}
    body = body_for(asking(system, user(parts), tools=[function() | MARK]))

    assert "cache_control" not in body["tools"][0]
    assert "cache_control" not in body["system"][0]
    assert all("cache_control" in block for block in body["messages"][0]["content"])


def test_bug_42_a_mark_on_the_whole_request_is_one_of_the_four() -> None:
    parts = [text(str(number)) | MARK for number in range(4)]
    blocks = body_for(asking(user(parts), **MARK))["messages"][0]["content"]

    assert ["cache_control" in block for block in blocks] == [False, True, True, True]


def test_bug_43_a_mark_on_a_tool_message_is_kept() -> None:
    turns = turns_for(user(), assistant(None, call()), result("call_1", "ok", **MARK))

    assert turns[2][1][0]["cache_control"] == MARK["cache_control"]


def test_bug_44_no_block_gets_a_mark_that_its_client_did_not_set() -> None:
    body = body_for(asking(user(), assistant(None, call()), result(), tools=[function()]))

    assert "cache_control" not in json.dumps(body["messages"])


def test_bug_45_a_budget_is_always_below_max_tokens() -> None:
    for limit in (1, 1024, 1025, 2000, 64_000):
        body = body_for(asking(reasoning_effort="max", max_tokens=limit), V45)
        budget = body.get("thinking", {}).get("budget_tokens", 0)
        assert budget < body["max_tokens"] == limit


def test_bug_46_enabled_is_never_sent_to_models_that_refuse_it() -> None:
    wish = {"type": "enabled", "budget_tokens": 4000}

    assert body_for(asking(thinking=wish), "claude-opus-4-7")["thinking"]["type"] == "adaptive"


def test_bug_64_clients_that_ask_for_thoughts_get_them() -> None:
    assert body_for(asking(reasoning_effort="high"))["thinking"]["display"] == "summarized"
