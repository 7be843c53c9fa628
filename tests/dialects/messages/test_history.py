"""Rows R2 to R18: the messages of a conversation become chat messages."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.sealed_state import SealedState, seal
from tests.dialects.messages.requests import (
    CACHED,
    PIXEL,
    PIXEL_PART,
    Json,
    call,
    fault,
    messages,
    model,
    reading,
    result,
    text,
    thinking,
    user,
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
def test_system_is_one_leading_message(system: Any, expected: Any) -> None:
    first, second = messages(user("Hi"), system=system)
    assert first == {"role": "system", "content": expected}
    assert second == {"role": "user", "content": "Hi"}


@pytest.mark.parametrize("system", ["", [], [text("")]])
def test_an_empty_system_is_none(system: Any) -> None:
    assert [m["role"] for m in messages(user("Hi"), system=system)] == ["user"]


BILLING = "x-anthropic-billing-header: cc_version=2.1; cch=00000;"


@pytest.mark.parametrize(
    "system",
    [
        [text(BILLING, cache_control=CACHED), text("Be brief.")],
        f"{BILLING}\nBe brief.",
    ],
)
def test_the_billing_line_is_dropped(system: Any) -> None:
    assert messages(user("Hi"), system=system)[0]["content"] == "Be brief."


def test_only_the_first_line_of_a_text_is_looked_at() -> None:
    system = f"Be brief.\n{BILLING}"
    assert messages(user("Hi"), system=system)[0]["content"] == system
    assert [m["role"] for m in messages(user("Hi"), system=BILLING)] == ["user"]


def test_system_messages_may_stand_anywhere() -> None:
    found = messages(user("a"), {"role": "system", "content": "s"}, user("b"))
    assert found == [
        {"role": "user", "content": "a"},
        {"role": "system", "content": "s"},
        {"role": "user", "content": "b"},
    ]


def test_other_roles_do_not_exist() -> None:
    message = "messages.0.role: Input should be 'user', 'assistant' or 'system'"
    assert fault(messages=[{"role": "tool", "content": "a"}]).message == message


def test_messages_of_one_role_in_a_row_are_joined() -> None:
    found = messages(user("a"), user("b"), model("c"), model(call("1")), user(result("1", "r")))
    assert found[0] == {"role": "user", "content": [text("a"), text("b")]}
    assert [m["role"] for m in found] == ["user", "assistant", "tool"]
    assert (found[1]["content"], len(found[1]["tool_calls"])) == ("c", 1)


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
def test_what_anthropics_servers_did_is_left_out_and_named(kind: str) -> None:
    block = {"type": kind, "id": "x", "tool_use_id": "x", "content": [{"type": "y", "z": [1]}]}
    request = reading(messages=[user("a", block), model(block, text("b")), user("c")])
    assert request.ignored == ("messages.0.content.1", "messages.1.content.0")
    contents = [m["content"] for m in json.loads(request.body)["messages"]]
    assert contents == ["a", "b", "c"]


GEMINI = seal(SealedState("gemini", "U2ln"))


DEEPSEEK = seal(SealedState("chat.deepseek", "so I think"))


BARE = thinking("EqQBCkYIBRgC")


REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgB"}


def test_thinking_is_sorted_by_its_owner() -> None:
    blocks = [BARE, REDACTED, thinking(DEEPSEEK, ""), thinking(GEMINI), text("b"), call("1"),
              call("2")]  # fmt: skip
    _, found, *_ = messages(user("a"), model(*blocks), user(result("1", "r"), result("2", "r")))
    assert found["thinking_blocks"] == [BARE, REDACTED, thinking(DEEPSEEK, "")]
    first, second = found["tool_calls"]
    assert first["extra_content"] == {"google": {"thought_signature": "U2ln"}}
    assert "extra_content" not in second
    assert "extra_content" not in found
    assert found["content"] == "b"


def test_a_signature_without_a_call_belongs_to_the_message() -> None:
    _, found = messages(user("a"), model(text("b"), thinking(GEMINI)))
    assert found["extra_content"] == {"google": {"thought_signature": "U2ln"}}
    assert "thinking_blocks" not in found


def test_a_seal_of_anthropics_blocks_is_opened() -> None:
    sealed = seal(SealedState("anthropic", json.dumps([BARE, REDACTED])))
    _, found = messages(user("a"), model(thinking(sealed), text("b")))
    assert found["thinking_blocks"] == [BARE, REDACTED]


@pytest.mark.parametrize(
    "block",
    [thinking(""), {"type": "thinking", "thinking": "a"}, thinking("chat.kimi:damaged!")],
)
def test_unusable_blocks_are_dropped(block: Json) -> None:
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
def test_calls(given: Any, expected: str) -> None:
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


def test_a_call_without_input_id_or_name() -> None:
    bare = {"type": "tool_use", "id": "1", "name": "f"}
    _, found = messages(user("a"), model(bare))
    assert found["tool_calls"][0]["function"]["arguments"] == "{}"
    for name in ("id", "name"):
        block = {key: value for key, value in bare.items() if key != name}
        assert fault(messages=[user("a"), model(block)]).param == f"messages.1.content.0.{name}"


def test_text_after_a_call_stands_before_it() -> None:
    _, found, _ = messages(
        user("a"), model(text("b"), call("1"), text("c")), user(result("1", "r"))
    )
    assert found["content"] == [text("b"), text("c")]
    assert len(found["tool_calls"]) == 1


@pytest.mark.every_case
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
def test_results(content: Any, expected: Any) -> None:
    *_, found = messages(user("a"), model(call("1")), user(result("1", content)))
    assert found == {"role": "tool", "tool_call_id": "1", "content": expected}


def test_a_failed_call_is_marked() -> None:
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


def test_results_come_first_in_the_order_of_the_calls() -> None:
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


def test_a_result_without_a_call_is_what_the_user_said() -> None:
    about = text("Tool result (9):")
    assert messages(user(result("9", "x")))[0]["content"] == [about, text("x")]
    assert messages(user(result("9", [PIXEL])))[0]["content"] == [about, PIXEL_PART]
    assert messages(user(result("9")))[0]["content"] == "Tool result (9):"
    *_, last = messages(
        user("a"), model(call("1")), user(result("1", "x")), model("b"), user(result("1", "y"))
    )
    assert last == {"role": "user", "content": [text("Tool result (1):"), text("y")]}


def test_a_call_without_a_result_gets_an_error() -> None:
    found = messages(user("a"), model(call("1"), call("2")), user(result("2", "two"), text("b")))
    assert found[2] == {
        "role": "tool",
        "tool_call_id": "1",
        "content": '{"error":"no result was provided for this tool call"}',
        "is_error": True,
    }
    assert [m["role"] for m in found[3:]] == ["tool", "user"]


def test_of_two_results_the_last_counts() -> None:
    *_, found = messages(user("a"), model(call("1")), user(result("1", "x"), result("1", "y")))
    assert found["content"] == "y"


def test_the_last_message_may_be_the_models() -> None:
    assert messages(user("a"), model("{"))[-1] == {"role": "assistant", "content": "{"}
    *_, last = messages(user("a"), model(call("1")))
    assert last["role"] == "assistant"  # no result is made up where none was due


def test_an_empty_message_of_the_models_is_dropped() -> None:
    found = messages(user("a"), model(thinking("")), user("b"))
    assert [m["content"] for m in found] == ["a", "b"]
