"""Rows R1 to R33: what each part of a Messages request becomes."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.request import relabel
from jarvis_proxy.canonical.sealed_state import SealedState, seal
from jarvis_proxy.dialects.messages.request import read_request
from jarvis_proxy.errors import ProxyError
from tests.dialects.messages.requests import (
    Json,
    base64_source,
    body,
    call,
    chat,
    fault,
    messages,
    model,
    reading,
    result,
    text,
    thinking,
    user,
)

CACHED = {"type": "ephemeral"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
PIXEL = {"type": "image", "source": base64_source("image/png", "iVBORw0K")}
PIXEL_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}}


def test_r01_max_tokens_is_the_limit_of_the_output() -> None:
    assert chat(max_tokens=128_000)["max_completion_tokens"] == 128_000
    assert not reading(max_tokens=1).warms_cache
    assert reading(max_tokens=0).warms_cache


def test_r01_max_tokens_must_be_there() -> None:
    error = fault(max_tokens=None)
    assert (error.message, error.param) == ("max_tokens: Field required", "max_tokens")
    assert error.code == "missing_required_parameter"
    assert fault(max_tokens=-1).message == (
        "max_tokens: Input should be greater than or equal to 0"
    )


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("Be brief.", "Be brief."),
        ([text("Be brief.")], "Be brief."),
        ([text("a"), text(""), text("b")], [text("a"), text("b")]),
        ([text("a", cache_control=CACHED)], [text("a", cache_control=CACHED)]),
    ],
)
def test_r02_system_is_one_leading_message(system: Any, expected: Any) -> None:
    first, second = messages(user("Hi"), system=system)
    assert first == {"role": "system", "content": expected}
    assert second == {"role": "user", "content": "Hi"}


@pytest.mark.parametrize("system", ["", [], [text("")]])
def test_r02_an_empty_system_is_none(system: Any) -> None:
    assert [m["role"] for m in messages(user("Hi"), system=system)] == ["user"]


BILLING = "x-anthropic-billing-header: cc_version=2.1; cch=00000;"


@pytest.mark.parametrize(
    "system",
    [
        [text(BILLING, cache_control=CACHED), text("Be brief.")],
        f"{BILLING}\nBe brief.",
    ],
)
def test_r03_the_billing_line_is_dropped(system: Any) -> None:
    assert messages(user("Hi"), system=system)[0]["content"] == "Be brief."


def test_r03_only_the_first_line_of_a_text_is_looked_at() -> None:
    system = f"Be brief.\n{BILLING}"
    assert messages(user("Hi"), system=system)[0]["content"] == system
    assert [m["role"] for m in messages(user("Hi"), system=BILLING)] == ["user"]


def test_r04_system_messages_may_stand_anywhere() -> None:
    found = messages(user("a"), {"role": "system", "content": "s"}, user("b"))
    assert found == [
        {"role": "user", "content": "a"},
        {"role": "system", "content": "s"},
        {"role": "user", "content": "b"},
    ]


def test_r04_other_roles_do_not_exist() -> None:
    message = "messages.0.role: Input should be 'user', 'assistant' or 'system'"
    assert fault(messages=[{"role": "tool", "content": "a"}]).message == message


def test_r05_messages_of_one_role_in_a_row_are_joined() -> None:
    found = messages(user("a"), user("b"), model("c"), model(call("1")), user(result("1", "r")))
    assert found[0] == {"role": "user", "content": [text("a"), text("b")]}
    assert [m["role"] for m in found] == ["user", "assistant", "tool"]
    assert (found[1]["content"], len(found[1]["tool_calls"])) == ("c", 1)


def test_r06_an_unknown_block_is_named() -> None:
    error = fault(messages=[user("a"), model("b"), user({"type": "hologram"})])
    assert error.param == "messages.2.content.0"
    assert error.message == (
        "messages.2.content.0: Input tag 'hologram' found using 'type' does not match any of the "
        "expected tags: 'text', 'image', 'document', 'search_result', 'tool_result'"
    )
    assert fault(messages=[user("a"), model(PIXEL)]).param == "messages.1.content.0"
    assert fault(system=[PIXEL]).param == "system.0"


@pytest.mark.parametrize(
    "kind",
    [
        "server_tool_use",
        "web_search_tool_result",
        "mcp_tool_use",
        "mcp_tool_result",
        "container_upload",
        "compaction",
        "fallback",
        "tool_addition",
    ],
)
def test_r06_what_anthropics_servers_did_is_left_out_and_named(kind: str) -> None:
    block = {"type": kind, "id": "x", "tool_use_id": "x", "content": [{"type": "y", "z": [1]}]}
    request = reading(messages=[user("a", block), model(block, text("b")), user("c")])
    assert request.ignored == ("messages.0.content.1", "messages.1.content.0")
    contents = [m["content"] for m in json.loads(request.body)["messages"]]
    assert contents == ["a", "b", "c"]


def test_r07_text_without_citations_and_no_empty_text() -> None:
    found = messages(user(text("a", citations=[{"type": "char_location"}]), text("")))
    assert found == [{"role": "user", "content": "a"}]
    assert fault(messages=[user({"type": "text"})]).message == (
        "messages.0.content.0.text: Field required"
    )


@pytest.mark.parametrize("place", ["user", "tool_result"])
def test_r08_images(place: str) -> None:
    link = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}
    given = [PIXEL, link | {"cache_control": CACHED}]
    expected = [
        PIXEL_PART,
        {
            "type": "image_url",
            "image_url": {"url": "https://a.example/b.png"},
            "cache_control": CACHED,
        },
    ]
    if place == "user":
        (found,) = messages(user(*given))
    else:
        *_, found = messages(user("a"), model(call("1")), user(result("1", given)))
    assert found["content"] == expected


@pytest.mark.parametrize("kind", ["image", "document"])
def test_r08_r09_stored_files_are_refused(kind: str) -> None:
    block = {"type": kind, "source": {"type": "file", "file_id": "file_1"}}
    error = fault(messages=[user(block)])
    assert (error.code, error.param) == ("invalid_file_id", "messages.0.content.0.source")


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ({"type": "image"}, "source"),
        ({"type": "image", "source": {"type": "base64", "data": "a"}}, "source.media_type"),
        ({"type": "image", "source": {"type": "url"}}, "source.url"),
        ({"type": "image", "source": {"type": "smoke"}}, "source"),
        ({"type": "document", "source": {"type": "smoke"}}, "source"),
        ({"type": "document", "source": {"type": "content"}}, "source.content"),
        ({"type": "document", "source": {"type": 1}}, "source.type"),
        (
            {"type": "document", "source": {"type": "content", "content": [{"type": "tool_use"}]}},
            "source.content.0",
        ),
        ({"type": "image", "source": None}, "source"),
    ],
)
def test_r08_r09_a_source_lacks_something(block: Json, param: str) -> None:
    assert fault(messages=[user(block)]).param == f"messages.0.content.0.{param}"


PDF = base64_source("application/pdf", "JVBERi0x")
PDF_URL = "data:application/pdf;base64,JVBERi0x"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            {"source": PDF},
            [{"type": "file", "file": {"file_data": PDF_URL, "filename": "document.pdf"}}],
        ),
        (
            {"source": PDF, "title": "Q3", "context": "Draft"},
            [
                text("Q3\nDraft"),
                {"type": "file", "file": {"file_data": PDF_URL, "filename": "Q3.pdf"}},
            ],
        ),
        (
            {"source": {"type": "url", "url": "https://a.example/b.pdf"}, "title": "b.pdf"},
            [
                text("b.pdf"),
                {
                    "type": "file",
                    "file": {"file_url": "https://a.example/b.pdf", "filename": "b.pdf"},
                },
            ],
        ),
        (
            {"source": {"type": "text", "media_type": "text/plain", "data": "abc"}, "title": "T"},
            [text("T"), text("abc")],
        ),
        (
            {
                "source": {"type": "content", "content": [text("a"), PIXEL]},
                "cache_control": CACHED,
            },
            [text("a"), PIXEL_PART | {"cache_control": CACHED}],
        ),
        ({"source": {"type": "content", "content": "abc"}, "title": "T"}, [text("T"), text("abc")]),
    ],
)
def test_r09_documents(block: Json, expected: list[Json]) -> None:
    (found,) = messages(user({"type": "document", "citations": {"enabled": True}, **block}))
    assert found["content"] == expected


def test_r10_search_results() -> None:
    block = {
        "type": "search_result",
        "source": "https://a.example",
        "title": "A",
        "content": [text("x"), text("y")],
        "citations": {"enabled": True},
        "cache_control": CACHED,
    }
    (found,) = messages(user(block))
    del block["citations"]
    assert found["content"] == [block]
    broken = block | {"source": {"type": "url"}}
    assert fault(messages=[user(broken)]).message == (
        "messages.0.content.0.source: Input should be a valid string"
    )


GEMINI = seal(SealedState("gemini", "U2ln"))
DEEPSEEK = seal(SealedState("chat.deepseek", "so I think"))
BARE = thinking("EqQBCkYIBRgC")
REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgB"}


def test_r11_thinking_is_sorted_by_its_owner() -> None:
    blocks = [BARE, REDACTED, thinking(DEEPSEEK, ""), thinking(GEMINI), text("b"), call("1"),
              call("2")]  # fmt: skip
    _, found, *_ = messages(user("a"), model(*blocks), user(result("1", "r"), result("2", "r")))
    assert found["thinking_blocks"] == [BARE, REDACTED, thinking(DEEPSEEK, "")]
    first, second = found["tool_calls"]
    assert first["extra_content"] == {"google": {"thought_signature": "U2ln"}}
    assert "extra_content" not in second
    assert "extra_content" not in found
    assert found["content"] == "b"


def test_r11_a_signature_without_a_call_belongs_to_the_message() -> None:
    _, found = messages(user("a"), model(text("b"), thinking(GEMINI)))
    assert found["extra_content"] == {"google": {"thought_signature": "U2ln"}}
    assert "thinking_blocks" not in found


def test_r11_a_seal_of_anthropics_blocks_is_opened() -> None:
    sealed = seal(SealedState("anthropic", json.dumps([BARE, REDACTED])))
    _, found = messages(user("a"), model(thinking(sealed), text("b")))
    assert found["thinking_blocks"] == [BARE, REDACTED]


@pytest.mark.parametrize(
    "block",
    [thinking(""), {"type": "thinking", "thinking": "a"}, thinking("chat.kimi:damaged!")],
)
def test_r11_what_nobody_can_use_is_dropped(block: Json) -> None:
    assert messages(user("a"), model(block, text("b")))[1] == {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"a": 1.50, "b": [9007199254740993]}, '{"a": 1.5, "b": [9007199254740993]}'),
        ({}, "{}"),
        ('{"a":1}', '{"a":1}'),
        ("[1]", '{"value":[1]}'),
        ("plain", '{"value":"plain"}'),
        ([1], '{"value":[1]}'),
        (5, '{"value":5}'),
    ],
)
def test_r12_calls(given: Any, expected: str) -> None:
    block = call("toolu_1", given, caller={"type": "direct"}, cache_control=CACHED)
    _, found = messages(user("a"), model(block))
    assert found == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "toolu_1",
                "type": "function",
                "function": {"name": "f", "arguments": expected},
                "cache_control": CACHED,
            }
        ],
    }


def test_r12_a_call_without_input_id_or_name() -> None:
    bare = {"type": "tool_use", "id": "1", "name": "f"}
    _, found = messages(user("a"), model(bare))
    assert found["tool_calls"][0]["function"]["arguments"] == "{}"
    for name in ("id", "name"):
        block = {key: value for key, value in bare.items() if key != name}
        assert fault(messages=[user("a"), model(block)]).param == f"messages.1.content.0.{name}"


def test_r13_text_after_a_call_stands_before_it() -> None:
    _, found, _ = messages(
        user("a"), model(text("b"), call("1"), text("c")), user(result("1", "r"))
    )
    assert found["content"] == [text("b"), text("c")]
    assert len(found["tool_calls"]) == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, ""),
        ("", ""),
        ([], ""),
        ("x", "x"),
        ([text("x")], "x"),
        ([text("x"), text("y")], [text("x"), text("y")]),
        ([text("x", cache_control=CACHED)], [text("x", cache_control=CACHED)]),
        ([text("x"), PIXEL], [text("x"), PIXEL_PART]),
        (
            [{"type": "tool_reference", "tool_name": "WebFetch"}],
            [{"type": "tool_reference", "tool_name": "WebFetch"}],
        ),
        ([{"type": "browser_state", "tabs": []}], '{"type": "browser_state", "tabs": []}'),
    ],
)
def test_r14_results(content: Any, expected: Any) -> None:
    *_, found = messages(user("a"), model(call("1")), user(result("1", content)))
    assert found == {"role": "tool", "tool_call_id": "1", "content": expected}


def test_r15_a_failed_call_is_marked() -> None:
    block = result("1", "no such file", is_error=True, cache_control=CACHED)
    *_, found = messages(user("a"), model(call("1")), user(block))
    assert found == {
        "role": "tool",
        "tool_call_id": "1",
        "content": "no such file",
        "is_error": True,
        "cache_control": CACHED,
    }
    *_, found = messages(user("a"), model(call("1")), user(result("1", "x", is_error=False)))
    assert "is_error" not in found


def test_r16_results_come_first_in_the_order_of_the_calls() -> None:
    found = messages(
        user("a"),
        model(call("1"), call("2")),
        {"role": "system", "content": "s"},
        user(text("b"), result("2", "two"), result("1", "one"), text("c")),
        user("d"),
    )
    assert [m["role"] for m in found[2:]] == ["tool", "tool", "system", "user"]
    assert [m["content"] for m in found[2:]] == [
        "one",
        "two",
        "s",
        [text("b"), text("c"), text("d")],
    ]


def test_r17_a_result_without_a_call_is_what_the_user_said() -> None:
    about = text("Tool result (9):")
    assert messages(user(result("9", "x")))[0]["content"] == [about, text("x")]
    assert messages(user(result("9", [PIXEL])))[0]["content"] == [about, PIXEL_PART]
    assert messages(user(result("9")))[0]["content"] == "Tool result (9):"
    *_, last = messages(
        user("a"), model(call("1")), user(result("1", "x")), model("b"), user(result("1", "y"))
    )
    assert last == {"role": "user", "content": [text("Tool result (1):"), text("y")]}


def test_r17_a_call_without_a_result_gets_an_error() -> None:
    found = messages(user("a"), model(call("1"), call("2")), user(result("2", "two"), text("b")))
    assert found[2] == {
        "role": "tool",
        "tool_call_id": "1",
        "content": '{"error":"no result was provided for this tool call"}',
        "is_error": True,
    }
    assert [m["role"] for m in found[3:]] == ["tool", "user"]


def test_r17_of_two_results_the_last_counts() -> None:
    *_, found = messages(user("a"), model(call("1")), user(result("1", "x"), result("1", "y")))
    assert found["content"] == "y"


def test_r18_the_last_message_may_be_the_models() -> None:
    assert messages(user("a"), model("{"))[-1] == {"role": "assistant", "content": "{"}
    *_, last = messages(user("a"), model(call("1")))
    assert last["role"] == "assistant"  # no result is made up where none was due


def test_r18_an_empty_message_of_the_models_is_dropped() -> None:
    found = messages(user("a"), model(thinking("")), user("b"))
    assert [m["content"] for m in found] == ["a", "b"]


def test_r19_tools_are_functions() -> None:
    tool = {
        "type": "custom",
        "name": "f",
        "description": "does it",
        "input_schema": {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMA},
        "strict": True,
        "input_examples": [{"a": "b"}],
        "eager_input_streaming": None,
        "cache_control": CACHED,
    }
    found = chat(tools=[tool, {"name": "g", "input_schema": SCHEMA}])["tools"]
    assert found == [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "does it",
                "parameters": SCHEMA,
                "strict": True,
                "input_examples": [{"a": "b"}],
            },
            "cache_control": CACHED,
        },
        {"type": "function", "function": {"name": "g", "parameters": SCHEMA}},
    ]


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        ({"name": "f"}, "tools.0.input_schema: Field required"),
        ({"input_schema": SCHEMA}, "tools.0.name: Field required"),
        (
            {"name": "f", "input_schema": True},
            "tools.0.input_schema: Input should be a valid dictionary",
        ),
    ],
)
def test_r19_a_tool_lacks_something(tool: Json, message: str) -> None:
    assert fault(tools=[tool]).message == message


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("web_search_20250305", "web_search"),
        ("web_fetch_20260318", "url_context"),
        ("code_execution_20250825", "code_execution"),
    ],
)
def test_r20_tools_that_the_upstream_may_run(kind: str, expected: str) -> None:
    request = reading(tools=[{"type": kind, "name": "x", "max_uses": 8}])
    assert json.loads(request.body)["tools"] == [{"type": expected}]
    assert request.ignored == ()


def test_r20_domains_cannot_be_asked_for_elsewhere() -> None:
    tool = {"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.example"]}
    assert reading(tools=[tool]).ignored == ("tools.0.allowed_domains",)


@pytest.mark.parametrize(
    "kind", ["bash_20250124", "text_editor_20250728", "memory_20250818", "computer_20251124",
             "tool_search_tool_bm25_20251119", "mcp_toolset", "web_search"]
)  # fmt: skip
def test_r21_r22_other_tools_of_anthropics_are_dropped_and_named(kind: str) -> None:
    known = kind == "web_search"
    request = reading(tools=[{"type": kind, "name": "x"}, {"name": "f", "input_schema": SCHEMA}])
    assert request.ignored == (() if known else ("tools.0",))
    assert len(json.loads(request.body)["tools"]) == (2 if known else 1)
    assert request.params.param("tools[0].function.name") == (
        "tools.0.name" if known else "tools.1.name"
    )


def test_r22_without_any_tool_left_there_is_no_choice() -> None:
    request = chat(tools=[{"type": "mcp_toolset"}], tool_choice={"type": "any"})
    assert not request.keys() & {"tools", "tool_choice"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_r23_tool_choice(choice: Json, expected: Any) -> None:
    for asked in (None, {"type": "enabled", "budget_tokens": 1024}):
        request = chat(
            tools=[{"name": "f", "input_schema": SCHEMA}], tool_choice=choice, thinking=asked
        )
        assert request["tool_choice"] == expected


def test_r23_a_choice_that_cannot_be() -> None:
    tools = [{"name": "f", "input_schema": SCHEMA}, {"type": "bash_20250124", "name": "bash"}]
    request = reading(tools=tools, tool_choice={"type": "tool", "name": "bash"})
    assert request.ignored == ("tools.1", "tool_choice")
    assert json.loads(request.body)["tool_choice"] == "auto"
    assert fault(tool_choice={"type": "maybe"}).param == "tool_choice"
    assert fault(tool_choice={"type": "tool"}).message == "tool_choice.name: Field required"


def test_r24_a_placeholder_is_left_out_and_other_deferred_tools_are_declared() -> None:
    tools = [
        {"name": "DeferredToolPlaceholder", "input_schema": SCHEMA, "defer_loading": True},
        {"name": "a", "input_schema": {"type": "object"}, "defer_loading": True},
        {"name": "b", "input_schema": SCHEMA, "defer_loading": True},
        {"name": "c", "input_schema": {"type": "object"}},
    ]
    request = reading(tools=tools)
    found = [tool["function"] for tool in json.loads(request.body)["tools"]]
    assert [function["name"] for function in found] == ["b", "c"]
    assert found[0]["defer_loading"] is True
    assert request.ignored == ()


def test_r25_one_call_at_a_time() -> None:
    tools = [{"name": "f", "input_schema": SCHEMA}]
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    assert chat(tools=tools, tool_choice=choice)["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in chat(tools=tools, tool_choice={"type": "auto"})


@pytest.mark.parametrize(
    ("asked", "expected", "shown", "sealed"),
    [
        (None, None, False, False),
        ({"type": "disabled"}, {"type": "disabled"}, False, False),
        ({"type": "adaptive"}, {"type": "adaptive"}, False, True),
        (
            {"type": "adaptive", "display": "omitted"},
            {"type": "adaptive", "display": "omitted"},
            False,
            True,
        ),
        (
            {"type": "adaptive", "display": "updates"},
            {"type": "adaptive", "display": "updates"},
            True,
            True,
        ),
        (
            {"type": "enabled", "budget_tokens": 2048},
            {"type": "enabled", "budget_tokens": 2048},
            True,
            True,
        ),
        ({"type": "tomorrow"}, {"type": "adaptive"}, False, True),
    ],
)
def test_r26_thinking(asked: Json | None, expected: Any, shown: bool, sealed: bool) -> None:
    request = reading(thinking=asked)
    body = json.loads(request.body)
    assert body.get("thinking") == expected
    assert (body["include_thoughts"], request.show_thoughts) == (shown, shown)
    assert request.sealed == sealed


def test_r26_effort() -> None:
    effort = {"effort": "xhigh"}
    assert chat(output_config=effort)["reasoning_effort"] == "xhigh"
    off = chat(output_config=effort, thinking={"type": "disabled"})
    assert "reasoning_effort" not in off


CLOSED = {
    "type": "object",
    "properties": {"title": {"type": "string"}},
    "required": ["title"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "additionalProperties": True}, False),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "required": {}}, False),
        ({**CLOSED, "properties": {"title": SCHEMA}}, False),
        ({**CLOSED, "properties": {"title": {"anyOf": [CLOSED, {"type": "null"}]}}}, True),
        ({"type": "object", "additionalProperties": False}, True),
    ],
)
def test_r27_the_form_of_the_answer(schema: Json, strict: bool) -> None:
    wanted = {"type": "json_schema", "schema": schema}
    for fields in ({"output_config": {"format": wanted}}, {"output_format": wanted}):
        assert chat(**fields)["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": strict},
        }


def test_r27_a_form_that_cannot_be() -> None:
    missing = fault(output_config={"format": {"type": "json_schema"}})
    assert missing.message == "output_config.format.schema: Field required"
    assert fault(output_config={"format": {"type": "xml"}}).param == "output_config.format"
    assert "response_format" not in chat(output_config={"effort": "low"})


def test_r28_stop_sequences() -> None:
    assert chat(stop_sequences=["a", "", " \n", "b "])["stop"] == ["a", "b "]
    assert "stop" not in chat(stop_sequences=["\n"])


def test_r29_sampling() -> None:
    found = chat(temperature=0.5, top_p=0.9, top_k=40)
    assert (found["temperature"], found["top_p"], found["top_k"]) == (0.5, 0.9, 40)
    assert fault(temperature="warm").message == "temperature: Input should be a valid number"


def test_r30_what_no_upstream_could_mean_is_dropped_silently() -> None:
    request = reading(
        metadata={"user_id": "u"},
        context_management={"edits": []},
        service_tier="auto",
        speed="fast",
        inference_geo="eu",
        diagnostics={},
        user_profile_id="p",
        workspace_id="w",
        betas=["x"],
        mcp_servers=[],
        whatever=1,
    )
    assert request.ignored == ()
    assert json.loads(request.body).keys() == {
        "messages",
        "max_completion_tokens",
        "include_thoughts",
    }


def test_r30_containers_and_servers_are_named() -> None:
    fields: Json = {"container": "c", "mcp_servers": [{"url": "https://a.example"}]}
    assert reading(**fields).ignored == ("container", "mcp_servers")
    with pytest.raises(ProxyError) as caught:
        read_request(body(**fields), strict=True)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "container")


def test_r30_a_header_has_room_for_forty_names() -> None:
    tools = [{"type": "mcp_toolset"}] * 50
    assert len(reading(tools=tools).ignored) == 40


@pytest.mark.parametrize(
    ("chat_param", "expected"),
    [
        ("messages[0].content", "system.content"),
        ("messages[1].content[1]", "messages.0.content.1"),
        ("messages[1].content[1].image_url.url", "messages.0.content.1.source.url"),
        ("messages[1].content[1].image_url", "messages.0.content.1.source"),
        ("messages[2].tool_calls[0].function.arguments", "messages.1.content.1.input"),
        ("messages[2].tool_calls[0].function.name", "messages.1.content.1.name"),
        ("messages[2].tool_calls[7].id", "messages.1.id"),
        ("messages[2].prefill", "messages.1.prefill"),
        ("messages[3].tool_call_id", "messages.2.content.0.tool_use_id"),
        ("messages[3].content[0].file.file_data", "messages.2.content.0.content.0.source.data"),
        ("messages[3].content[9]", "messages.2.content.0"),
        ("messages[9].content", "messages.9.content"),
        ("tools[0].function.parameters.properties.a", "tools.1.input_schema.properties.a"),
        ("tools[0].function", "tools.1"),
        ("tools[5]", "tools"),
        ("tools", "tools"),
        ("stop", "stop_sequences"),
        ("stop[2]", "stop_sequences.2"),
        ("max_completion_tokens", "max_tokens"),
        ("reasoning_effort", "output_config.effort"),
        ("response_format.json_schema.schema", "output_config.format.schema"),
        ("tool_choice.function.name", "tool_choice.name"),
        ("temperature", "temperature"),
    ],
)
def test_r31_faults_are_told_at_the_clients_own_path(chat_param: str, expected: str) -> None:
    document = {"type": "document", "source": PDF}
    request = reading(
        system="s",
        messages=[
            user("a", PIXEL),
            model("b", call("1")),
            user(result("1", [document])),
        ],
        tools=[{"type": "mcp_toolset"}, {"name": "f", "input_schema": SCHEMA}],
    )
    error = ProxyError(400, f"Invalid '{chat_param}'.", param=chat_param)
    relabel(error, request.params)
    assert (error.param, error.message) == (expected, f"Invalid '{expected}'.")


def test_r32_whether_it_is_a_stream_is_not_in_the_canonical_request() -> None:
    for stream in (True, False):
        assert not chat(stream=stream).keys() & {"stream", "model"}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"model": "m", "max_tokens": 1, "messages": [', "The body is not valid JSON"),
        (b"[]", "The request body must be a JSON object."),
        (b'{"model": "m", "max_tokens": 1}', "messages: Field required"),
        (b'{"max_tokens": 1, "messages": []}', "model: Field required"),
        (b'{"model":"m","max_tokens":1,"messages":[]}', "messages: at least one message is"),
        (b'{"model":"m","max_tokens":1,"messages":[{"role":"user"}]}', "messages.0.content: Field"),
        (
            b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{}]}]}',
            "messages.0.content.0.type: Field required",
        ),
        (
            b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":7}]}',
            "messages.0.content: Input should be a valid string",
        ),
        (b'{"model":"m","max_tokens":1,"x":' + b"[" * 5000, "The body is nested too deeply"),
        (b'{"model":"m","x":[' + b"0," * 500_001 + b"0]}", "There are too many JSON values"),
        (
            b'{"model":"m","max_tokens":1,"messages":['
            + b",".join([b'{"role":"user","content":""}'] * 20_001)
            + b"]}",
            "Invalid 'messages': array too long",
        ),
    ],
)
def test_r33_a_body_that_cannot_be_read(raw: bytes, message: str) -> None:
    with pytest.raises(ProxyError, match=message.replace(".", r"\.")) as caught:
        read_request(raw)
    assert caught.value.status == 400


@pytest.mark.parametrize("where", ["source", "input", "content"])
def test_r33_what_is_read_late_is_judged_too(where: str) -> None:
    inner = b'{"type":"base64","media_type":"image/png","data":"\xff"}'
    block = {
        "source": b'{"type":"image","source":%b}' % inner,
        "input": b'{"type":"tool_use","id":"1","name":"f","input":%b}' % inner,
        "content": b'{"type":"tool_result","tool_use_id":"1","content":[%b]}' % inner,
    }[where]
    role = b"assistant" if where == "input" else b"user"
    raw = b'{"model":"m","max_tokens":1,"messages":[{"role":"%b","content":[%b]}]}' % (role, block)
    with pytest.raises(ProxyError, match="not valid JSON"):
        read_request(raw)


def test_r33_half_of_an_emoji_is_replaced() -> None:
    raw = rb'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a\ud83d"}]}'
    found = json.loads(read_request(raw).body)
    assert found["messages"][0]["content"] == "a\ufffd"


def test_caching_of_the_whole_request_is_asked_for() -> None:
    assert chat(cache_control=CACHED)["cache_control"] == CACHED
