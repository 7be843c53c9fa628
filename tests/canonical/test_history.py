"""history: every tool result next to its call."""

import json
from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.chat_request import ChatMessage
from jarvis_proxy.canonical.history import (
    ID_MARK,
    ModelTurn,
    UnmatchedToolResult,
    UserTurn,
    alnum_id,
    arguments,
    read_history,
    strip_signature_suffix,
)
from jarvis_proxy.errors import ProxyError
from tests.upstreams.gemini.chat import called, result, user


def turns(*messages: dict[str, Any]) -> list[str]:
    """Return the turns in short: what each is, and for calls which message answers them."""
    found, _ = read_history(msgspec.convert(messages, list[ChatMessage]))
    short: list[str] = []
    for turn in found:
        match turn:
            case UserTurn(index=index):
                short.append(f"user {index}")
            case UnmatchedToolResult(index=index):
                short.append(f"orphan {index}")
            case ModelTurn(index=index, calls=calls):
                answers = [call.result[0] if call.result else None for call in calls]
                short.append(f"model {index} {answers}")
    return short


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([user(), called("a"), result("a")], ["user 0", "model 1 [2]"]),
        ([called("a", "b"), result("b"), result("a")], ["model 0 [2, 1]"]),
        ([called("a"), user(), result("a")], ["model 0 [2]", "user 1"]),
        ([called("a")], ["model 0 [None]"]),
        ([result("a")], ["orphan 0"]),
        ([result("a"), called("a")], ["orphan 0", "model 1 [None]"]),
        ([called("a"), result("a"), result("a")], ["model 0 [1]", "orphan 2"]),
        ([called("a"), result("zz")], ["model 0 [1]"]),
        (
            [called("c"), result("c"), called("c"), result("c")],
            ["model 0 [1]", "model 2 [3]"],
        ),
        ([called("c"), called("c"), result("c"), result("c")], ["model 0 [3]", "model 1 [2]"]),
        ([called("a"), called("b"), result("a"), result("b")], ["model 0 [2]", "model 1 [3]"]),
        ([called("", ""), result(""), result("")], ["model 0 [1, 2]"]),
        ([called("call_a-1"), result("calla1")], ["model 0 [1]"]),
        ([called("call_1__thought__QUJD"), result("call_1")], ["model 0 [1]"]),
        ([called("a"), result("other", name="f")], ["model 0 [1]"]),
        ([called("a"), result("other", name="g")], ["model 0 [None]", "orphan 1"]),
        ([called("a", "b"), {"role": "tool", "content": "x"}], ["model 0 [1, None]"]),
        (
            [called("a"), called("b", name="g"), {"role": "tool", "name": "f"}],
            ["model 0 [2]", "model 1 [None]"],
        ),
        (
            [
                {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
                {"role": "function", "name": "f", "content": "x"},
            ],
            ["model 0 [1]"],
        ),
        ([called("a"), {"role": "function", "name": "g"}], ["model 0 [None]", "orphan 1"]),
        ([called("a"), {"role": "function"}], ["model 0 [None]", "orphan 1"]),
    ],
    ids=[
        "call and result",
        "results out of order",
        "user between",
        "no result",
        "no call",
        "result before its call",
        "two results",
        "unknown id",
        "ids used again each turn",
        "same id open twice",
        "two turns then their results",
        "empty ids by place",
        "id without punctuation",
        "id without appendix",
        "by name",
        "wrong name",
        "no id and no name",
        "no id but a name",
        "legacy",
        "legacy wrong name",
        "legacy without name",
    ],
)
def test_results_find_their_calls(messages: list[dict[str, Any]], expected: list[str]) -> None:
    assert expected == turns(*messages)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([called("a"), result("zz"), user()], ["model 0 [1]", "user 2"]),
        ([called("a", "b"), result("a"), result("zz")], ["model 0 [1, 2]"]),
        ([called("a", "b"), result("zz"), result("a")], ["model 0 [2, 1]"]),
        ([called("a"), result("zz"), result("a")], ["model 0 [2]", "orphan 1"]),
        ([called("a"), result("yy"), result("zz")], ["model 0 [1]", "orphan 2"]),
        ([called("a", "b"), result("zz")], ["model 0 [None, None]", "orphan 1"]),
        ([called("a"), called("b"), result("zz")], ["model 0 [None]", "model 1 [2]"]),
        ([result("zz"), called("a")], ["orphan 0", "model 1 [None]"]),
        ([called("a"), user(), result("zz")], ["model 0 [2]", "user 1"]),
    ],
    ids=[
        "user behind",
        "last one open",
        "last one open, out of order",
        "known id counts",
        "two unknown ids",
        "two open",
        "latest turn",
        "before the call",
        "user between",
    ],
)
def test_result_under_an_unknown_id_answers_the_one_open_call(
    messages: list[dict[str, Any]], expected: list[str]
) -> None:
    assert expected == turns(*messages)


def test_system_messages_stand_apart_wherever_they_come() -> None:
    sent = [{"role": "system"}, user(), {"role": "developer", "content": "x"}]
    found, system = read_history(msgspec.convert(sent, list[ChatMessage]))

    assert [index for index, _ in system] == [0, 2]
    assert len(found) == 1


def test_an_unknown_role_is_a_400() -> None:
    with pytest.raises(ProxyError) as caught:
        turns(user(), {"role": "narrator"})

    assert (caught.value.param, caught.value.code) == ("messages[1].role", "invalid_value")


@pytest.mark.parametrize(
    ("call", "param"),
    [
        ({"id": "a"}, "messages[0].tool_calls[0].function"),
        ({"function": {"arguments": "{}"}}, "messages[0].tool_calls[0].function.name"),
        ({"function": {"name": ""}}, "messages[0].tool_calls[0].function.name"),
        ({"custom": {"input": "x"}}, "messages[0].tool_calls[0].custom.name"),
    ],
)
def test_a_call_without_a_name_is_a_400(call: dict[str, Any], param: str) -> None:
    with pytest.raises(ProxyError, match="Missing required") as caught:
        turns({"role": "assistant", "tool_calls": [call]})

    assert param == caught.value.param


def test_a_legacy_call_without_a_name_is_a_400() -> None:
    with pytest.raises(ProxyError) as caught:
        turns({"role": "assistant", "function_call": {"arguments": "{}"}})

    assert caught.value.param == "messages[0].function_call.name"


def test_a_custom_call_is_a_call_with_one_input() -> None:
    sent = {
        "role": "assistant",
        "tool_calls": [
            {"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
            {"id": "b", "type": "custom", "custom": {"name": "sh"}},
        ],
    }
    found, _ = read_history(msgspec.convert([sent], list[ChatMessage]))

    assert isinstance(found[0], ModelTurn)
    assert [call.args for call in found[0].calls] == [{"input": "ls"}, {"input": ""}]


@pytest.mark.parametrize(
    ("given", "args"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        (" \n", {}),
        (None, {}),
        ("[1]", {"value": [1]}),
        ("3", {"value": 3}),
        ("null", {}),
        ('{"a": ', {"_raw_arguments": '{"a": '}),
        pytest.param(json.dumps('{"a": 1}'), {"a": 1}, id="encoded twice"),
        pytest.param(json.dumps(""), {"value": ""}, id="empty text"),
        pytest.param(json.dumps("[1]"), {"value": "[1]"}, id="no object"),
        pytest.param(json.dumps("Rome"), {"value": "Rome"}, id="text"),
        pytest.param(
            json.dumps(json.dumps('{"a": 1}')),
            {"value": json.dumps('{"a": 1}')},
            id="encoded three times",
        ),
        ("[" * 150 + "]" * 150, {"_raw_arguments": "[" * 150 + "]" * 150}),
        ({"a": 1}, {"a": 1}),
        ([1], {"value": [1]}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_arguments_become_an_object(given: object, args: dict[str, object]) -> None:
    assert args == arguments(given, "p")


def test_arguments_that_are_no_text_and_too_deep_are_a_400() -> None:
    deep: object = 1
    for _ in range(101):
        deep = [deep]
    with pytest.raises(ProxyError, match="deeper than 100 levels") as caught:
        arguments(deep, "messages[0].tool_calls[0].function.arguments")

    assert caught.value.param == "messages[0].tool_calls[0].function.arguments"


@pytest.mark.slow
def test_thousands_of_open_calls_are_matched_quickly() -> None:
    """Every result looks at its own call only, so this is linear; quadratic would take minutes."""
    ids = [f"c{number}" for number in range(20_000)]
    expected = [f"model 0 {list(range(1, len(ids) + 1))}"]

    assert expected == turns(called(*ids), *(result(call_id) for call_id in ids))


@pytest.mark.parametrize(
    ("call_id", "bare"),
    [
        ("call_1", "call_1"),
        (f"call_1{ID_MARK}QUJD", "call_1"),
        (f"call_1{ID_MARK}a{ID_MARK}b", "call_1"),
        (ID_MARK, ""),
        ("", ""),
    ],
)
def test_a_signature_behind_an_id_is_cut_off(call_id: str, bare: str) -> None:
    assert strip_signature_suffix(call_id) == bare


@pytest.mark.parametrize(
    ("call_id", "plain"), [("call_1", "call1"), ("a-B.9:ü", "aB9"), ("", ""), ("abc", "abc")]
)
def test_an_id_is_cleaned_as_clients_do(call_id: str, plain: str) -> None:
    assert alnum_id(call_id) == plain
