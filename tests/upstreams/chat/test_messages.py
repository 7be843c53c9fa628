"""Messages as strict chat services want them: systems first, results at once, reasoning back."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.errors import ProxyError
from tests.support.strict_chat import check
from tests.upstreams.chat.requests import (
    DEEPSEEK,
    GPT_4,
    USER,
    VLLM,
    Json,
    called,
    messages,
    plan,
    result,
    sent,
    thought,
)

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
NO_RESULT = '{"error":"no result was provided for this tool call"}'


def roles(found: list[Json]) -> list[str]:
    return [message["role"] for message in found]


def test_system_words_in_front_become_one_system_message() -> None:
    found = messages(
        {"role": "system", "content": "One."},
        {"role": "developer", "content": [{"type": "text", "text": "Two."}]},
        USER,
    )

    assert found == [{"role": "system", "content": "One.\n\nTwo."}, USER]


def test_later_system_words_become_users_text_in_place() -> None:
    later = {"role": "developer", "content": "Be brief."}
    found = messages({"role": "system", "content": "One."}, USER, later, USER)

    assert roles(found) == ["system", "user", "user", "user"]
    assert found[2] == {"role": "user", "content": "Be brief."}


def test_results_follow_their_calls_in_the_order_of_calls() -> None:
    found = messages(USER, called("a", "b"), result("b", "2"), result("a", "1"), USER)

    assert roles(found) == ["user", "assistant", "tool", "tool", "user"]
    assert [(m["tool_call_id"], m["content"]) for m in found[2:4]] == [("a", "1"), ("b", "2")]


def test_text_between_call_and_result_moves_behind() -> None:
    between = {"role": "assistant", "content": "Let me see."}
    found = messages(USER, called("a"), between, USER, result("a"))

    assert roles(found) == ["user", "assistant", "tool", "assistant", "user"]
    assert "tool_calls" in found[1]


def test_missing_result_is_said_to_be_missing() -> None:
    found = messages(USER, called("a", "b"), result("b"), USER)

    assert [m["content"] for m in found[2:4]] == [NO_RESULT, "sunny"]


def test_result_without_a_call_is_users_text() -> None:
    found = messages(USER, result("zz", "42"))

    assert found[1] == {"role": "user", "content": "Tool result (zz): 42"}


def test_second_result_of_a_call_is_users_text() -> None:
    found = messages(USER, called("a"), result("a", "1"), result("a", "2"))

    assert roles(found) == ["user", "assistant", "tool", "user"]
    assert found[3]["content"] == "Tool result (a): 2"


def test_ids_that_repeat_in_each_turn_are_told_apart() -> None:
    found = messages(USER, called("a"), result("a", "1"), called("a"), result("a", "2"))

    assert [m["content"] for m in found if m["role"] == "tool"] == ["1", "2"]


def test_result_that_comes_after_a_later_turn_goes_to_its_call() -> None:
    found = messages(USER, called("a"), called("b"), result("b", "2"), result("a", "1"))

    assert roles(found) == ["user", "assistant", "tool", "assistant", "tool"]
    assert [m["content"] for m in found if m["role"] == "tool"] == ["1", "2"]


def test_result_without_an_id_answers_the_only_open_call() -> None:
    found = messages(USER, called("a"), {"role": "tool", "content": "1"})

    assert found[2] == {"role": "tool", "tool_call_id": "a", "content": "1"}


def test_equal_and_empty_ids_within_a_turn_are_made_different() -> None:
    found = messages(USER, called("a", "a", ""), result("a", "1"))
    ids = [call["id"] for call in found[1]["tool_calls"]]

    assert len(set(ids)) == 3
    assert [m["tool_call_id"] for m in found[2:]] == ids


def test_calls_without_text_have_null_as_content() -> None:
    for content in (None, "", [], [{"type": "text", "text": ""}]):
        found = messages(USER, called("a", content=content), result("a"))
        assert found[1]["content"] is None


def test_message_of_the_model_that_says_nothing_is_dropped() -> None:
    found = messages(USER, {"role": "assistant", "content": ""}, USER)

    assert roles(found) == ["user", "user"]


def test_request_has_a_message_even_if_the_user_says_nothing() -> None:
    sent_instead = [{"role": "user", "content": "."}]

    assert messages({"role": "user", "content": ""}) == sent_instead
    assert messages({"role": "user", "content": []}, {"role": "assistant"}) == sent_instead
    with pytest.raises(ProxyError) as caught:
        messages()
    assert (caught.value.code, caught.value.param) == ("empty_array", "messages")


def test_empty_parts_are_dropped() -> None:
    empty = {"type": "text", "text": ""}
    found = messages({"role": "user", "content": [empty, PICTURE]}, {"role": "user", "content": ""})

    assert found == [{"role": "user", "content": [PICTURE]}]


def test_refusal_and_transcript_of_the_model_are_text() -> None:
    found = messages(
        USER,
        {"role": "assistant", "content": None, "refusal": "I cannot."},
        {"role": "assistant", "content": None, "audio": {"id": "x", "transcript": "Hi."}},
    )

    assert [m["content"] for m in found[1:]] == ["I cannot.", "Hi."]


def test_reasoning_of_this_upstream_goes_back() -> None:
    blocks = [thought("One. "), thought("Two.")]
    found = messages(USER, called("a", thinking_blocks=blocks), result("a"), target=DEEPSEEK)

    assert found[1]["reasoning_content"] == "One. Two."


@pytest.mark.parametrize(
    "blocks",
    [
        [thought("Other.", "chat.zhipu")],
        [{"type": "thinking", "thinking": "Other.", "signature": "EqQBCgIYAhIM"}],
        [{"type": "thinking", "thinking": "Other.", "signature": "chat.deepseek:broken"}],
        [{"type": "thinking", "thinking": "Other.", "signature": ""}],
        [{"type": "redacted_thinking", "data": "xyz"}],
        ["text", 5, None],
        "text",
        None,
    ],
)
def test_reasoning_of_others_is_dropped(blocks: object) -> None:
    found = messages(USER, called("a", thinking_blocks=blocks), result("a"), target=DEEPSEEK)

    assert "reasoning_content" not in found[1]
    assert "thinking_blocks" not in found[1]


def test_bare_reasoning_goes_back_unless_others_sealed_some() -> None:
    foreign = [thought("Other.", "chat.zhipu")]
    bare = called("a", reasoning_content="Hm.")
    mixed = called("a", reasoning_content="Hm.", thinking_blocks=foreign)

    assert messages(USER, bare)[1]["reasoning_content"] == "Hm."
    assert "reasoning_content" not in messages(USER, mixed)[1]


def test_openai_gets_no_reasoning() -> None:
    blocks = [thought("Hm.", "chat.openai")]
    message = called("a", reasoning_content="Hm.", thinking_blocks=blocks)

    assert "reasoning_content" not in messages(USER, message, target=GPT_4)[1]


def test_reasoning_of_a_turn_with_text_only_goes_back() -> None:
    message = {"role": "assistant", "content": "Hi.", "thinking_blocks": [thought("Hm.")]}

    assert messages(USER, message, target=DEEPSEEK)[1]["reasoning_content"] == "Hm."


def test_seal_of_the_same_name_is_used_whatever_its_model() -> None:
    other = DEEPSEEK.__class__("deepseek", "deepseek-next")
    message = called("a", thinking_blocks=[thought("Hm.")])

    assert messages(USER, message, target=other)[1]["reasoning_content"] == "Hm."


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("It broke.", "Error: It broke."),
        ("", "Error: "),
        ("ERROR 5", "ERROR 5"),
        ("x" * 100 + "error", "Error: " + "x" * 100 + "error"),
    ],
)
def test_failure_of_a_tool_is_said_in_front(content: str, expected: str) -> None:
    found = messages(USER, called("a"), result("a", content, is_error=True))

    assert found[2]["content"] == expected


def test_media_of_results_stand_behind_all_results_of_the_step() -> None:
    both = [{"type": "text", "text": "Here."}, PICTURE]
    found = messages(USER, called("a", "b"), result("a", both), result("b", [PICTURE]), USER)

    assert roles(found) == ["user", "assistant", "tool", "tool", "user", "user"]
    assert found[2]["content"] == "Here."
    assert found[3]["content"] == "[content of tool result b]"
    assert found[4]["content"] == [
        {"type": "text", "text": "[content of tool result a]"},
        PICTURE,
        {"type": "text", "text": "[content of tool result b]"},
        PICTURE,
    ]


def test_picture_of_the_models_own_is_named() -> None:
    message = {"role": "assistant", "content": [{"type": "text", "text": "Hi"}, PICTURE]}
    found = plan(messages=[USER, message])

    assert found.ignored == ("messages[1].content",)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('{"a":1}', '{"a":1}'),
        ({"a": 1}, '{"a":1}'),
        (None, "{}"),
        ("", "{}"),
        (" ", "{}"),
        ("ls -l", '{"_raw_arguments":"ls -l"}'),
        ('{"a":', '{"_raw_arguments":"{\\"a\\":"}'),
        ([1], '{"value":[1]}'),
    ],
)
def test_arguments_are_an_objects_json(given: object, expected: str) -> None:
    message = called("a")
    message["tool_calls"][0]["function"] = {"name": "f", "arguments": given}

    found = messages(USER, message)[1]["tool_calls"][0]["function"]["arguments"]
    assert found == expected


def test_custom_call_of_the_history_is_custom_at_openai_only() -> None:
    custom = {"id": "a", "type": "custom", "custom": {"name": "exec", "input": "ls"}}
    history: list[Json] = [USER, {"role": "assistant", "tool_calls": [custom]}, result("a")]

    assert messages(*history, target=GPT_4)[1]["tool_calls"] == [custom]
    function = {"name": "exec", "arguments": '{"input":"ls"}'}
    assert messages(*history)[1]["tool_calls"] == [
        {"id": "a", "type": "function", "function": function}
    ]


def test_only_known_fields_of_messages_are_sent() -> None:
    found = messages(
        {**USER, "name": "x", "cache_control": {}},
        {"role": "assistant", "content": "Hi", "id": "msg_1", "annotations": []},
        called("a", extra_content={"google": {"thought_signature": "x"}}),
        result("a", name="get_weather", cache_control={}),
        target=DEEPSEEK,
    )

    check({"model": "m", "messages": found}, demands_reasoning=False)


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "bot", "content": "x"}, "messages[1].role"),
        ({"role": "assistant", "tool_calls": [{"id": "a"}]}, "messages[1].tool_calls[0].function"),
        (
            {"role": "assistant", "tool_calls": [{"id": "a", "function": {}}]},
            "messages[1].tool_calls[0].function.name",
        ),
        ({"role": "user", "content": 5}, "messages[1].content"),
    ],
)
def test_broken_message_is_refused_with_its_param(message: Json, param: str) -> None:
    with pytest.raises(ProxyError) as caught:
        messages(USER, message)

    assert (caught.value.status, caught.value.param) == (400, param)


# --- property -----------------------------------------------------------------------------------

IDS = st.sampled_from(["", "a", "b", "c", "call_1"])
TEXTS = st.sampled_from(["", "Hi", "error: no", "ünï"])
PARTS = st.lists(
    st.builds(lambda said: {"type": "text", "text": said}, TEXTS) | st.just(PICTURE), max_size=3
)
CONTENT = st.none() | TEXTS | PARTS
CALLS = st.lists(
    st.builds(
        lambda one, name, arguments: {
            "id": one,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        },
        IDS,
        st.sampled_from(["f", "mcp.x/y", "n" * 80, "é"]),
        st.sampled_from(["", "{}", '{"a":1}', "[1]", "{", "x"]),
    ),
    max_size=3,
)
MESSAGES = st.one_of(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["user", "system", "developer"]),
        CONTENT,
    ),
    st.builds(
        lambda content, calls, blocks: {
            "role": "assistant",
            "content": content,
            "tool_calls": calls,
            "thinking_blocks": blocks,
        },
        CONTENT,
        CALLS,
        st.none() | st.lists(st.sampled_from([thought("x"), thought("y", "anthropic")])),
    ),
    st.builds(lambda one, content: result(one, content), IDS, CONTENT),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(st.lists(MESSAGES, min_size=1, max_size=8))
def test_any_history_passes_a_strict_service(history: list[Json]) -> None:
    for target in (DEEPSEEK, VLLM):
        body: dict[str, Any] = sent(target, messages=history)

        check(body, demands_reasoning=False)
        tools = [json.dumps(m) for m in body["messages"] if m["role"] == "tool"]
        assert len(tools) == sum(len(m.get("tool_calls") or ()) for m in history)
