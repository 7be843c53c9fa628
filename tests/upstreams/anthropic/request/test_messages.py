"""The conversation of a canonical request becomes turns of a Messages request."""

import json

import pytest

from jarvis_proxy.canonical.sealed_state import ANTHROPIC, SealedState, chat_owner, seal
from tests.upstreams.anthropic.chat import (
    PDF,
    PNG,
    THOUGHT,
    V45,
    Json,
    asking,
    assistant,
    body_for,
    call,
    function,
    ignored,
    image,
    result,
    text,
    turns_for,
    user,
)

SECOND = {"type": "thinking", "thinking": "", "signature": "Sig2=="}


REDACTED = {"type": "redacted_thinking", "data": "Eo8B"}


def test_leading_system_messages_are_the_system() -> None:
    system: Json = {"role": "system", "content": "Be brief."}
    developer: Json = {"role": "developer", "content": [text("Use metres."), text(" ")]}
    body = body_for(asking(system, developer, user()))

    assert body["system"] == [text("Be brief."), text("Use metres.")]
    assert body["messages"] == [{"role": "user", "content": [text("hi")]}]


def test_a_later_system_message_is_the_users_text_in_its_place() -> None:
    later: Json = {"role": "system", "content": "Now in French."}
    turns = turns_for(user("a"), assistant("b"), later, user("c"))

    said = "<system>\nNow in French.\n</system>"
    assert turns[2] == ("user", [text(said), text("c")])


def test_a_system_message_between_a_call_and_its_result_stands_behind_the_result() -> None:
    later: Json = {"role": "system", "content": "Hurry."}
    body = asking(user(), assistant(None, call()), later, result(), tools=[function()])
    turn = body_for(body)["messages"][2]

    assert [block["type"] for block in turn["content"]] == ["tool_result", "text"]


def test_neighbours_of_one_role_are_joined() -> None:
    turns = turns_for(user("a"), user("b"), assistant("c"), assistant("d"), user("e"))

    assert [role for role, _ in turns] == ["user", "assistant", "user"]
    assert turns[0][1] == [text("a"), text("b")]
    assert turns[1][1] == [text("c"), text("d")]


@pytest.mark.parametrize(
    "messages", [[assistant("hello"), user()], [{"role": "system", "content": "Be brief."}]]
)
def test_the_user_speaks_first(messages: list[Json]) -> None:
    assert turns_for(*messages)[0] == ("user", [text(".")])


def test_texts_of_white_space_are_dropped() -> None:
    turns = turns_for(user([text(""), text("a"), text(" \n")]), assistant("  "), user("b"))

    assert turns == [("user", [text("a"), text("b")])]


def test_a_message_without_content_is_dropped() -> None:
    assert turns_for(user("a"), assistant(None), user("b")) == [("user", [text("a"), text("b")])]


def test_white_space_at_the_end_of_a_prefill_is_cut() -> None:
    assert turns_for(user(), assistant("The answer: \n"), model=V45)[1][1] == [text("The answer:")]


def test_thinking_stands_before_text_and_calls_unchanged_and_in_order() -> None:
    blocks = [THOUGHT, REDACTED, SECOND]
    said = assistant("Let me see.", call(), thinking_blocks=blocks)
    turns = turns_for(user(), said, result(), issued=blocks)

    assert turns[1][1][:4] == [*blocks, text("Let me see.")]
    assert turns[1][1][4]["type"] == "tool_use"


def test_fields_that_clients_add_to_blocks_are_dropped() -> None:
    block = THOUGHT | {"cache_control": None, "index": 0}

    assert turns_for(user(), assistant("a", thinking_blocks=[block]), user())[1][1][0] == THOUGHT


def test_sealed_blocks_are_unsealed() -> None:
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
def test_thinking_of_others_is_left_out(signature: str | None) -> None:
    block = {"type": "thinking", "thinking": "Hm.", "signature": signature}

    assert turns_for(user(), assistant("a", thinking_blocks=[block]), user())[1][1] == [text("a")]


@pytest.mark.parametrize("blocks", ["x", [1, None, {}], {"type": "thinking"}, [{"type": "text"}]])
def test_what_is_no_thinking_block_is_left_out(blocks: object) -> None:
    assert turns_for(user(), assistant("a", thinking_blocks=blocks), user())[1][1] == [text("a")]


def test_a_message_of_nothing_but_thinking_is_dropped() -> None:
    assert len(turns_for(user(), assistant(None, thinking_blocks=[THOUGHT]), user())) == 1


def test_results_stand_first_in_one_message_in_the_order_of_the_calls() -> None:
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


def test_a_missing_result_is_an_error() -> None:
    body = asking(user(), assistant(None, call()), user("go on"), tools=[function()])
    missing = body_for(body)["messages"][2]["content"][0]

    assert missing["is_error"] is True
    assert "no result was provided" in missing["content"]
    assert ignored(body) == ("messages[1].tool_calls[0]",)


def test_a_result_without_its_call_is_the_users_text() -> None:
    body = asking(user(), result("call_9", "42"))

    assert body_for(body)["messages"][0]["content"][1] == text("Tool result (call_9): 42")
    assert ignored(body) == ("messages[1]",)


def test_a_failed_tool_is_marked() -> None:
    turns = turns_for(user(), assistant(None, call()), result(content="no", is_error=True))

    assert turns[2][1][0]["is_error"] is True


def test_results_hold_pictures_documents_and_references() -> None:
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
def test_an_empty_result_has_no_content(content: object) -> None:
    turns = turns_for(user(), assistant(None, call()), result(content=content))

    assert turns[2][1] == [{"type": "tool_result", "tool_use_id": "call_1"}]


def test_pictures_are_kept_and_no_tool_role_is_sent() -> None:
    picture = image(f"data:image/png;base64,{PNG}")
    turns = turns_for(user([picture]), assistant(None, call()), result())

    assert turns[0][1][0]["type"] == "image"
    assert {role for role, _ in turns} == {"user", "assistant"}


def test_a_signature_of_gemini_never_reaches_claude() -> None:
    past = call() | {"extra_content": {"google": {"thought_signature": "AbC"}}}
    body = body_for(asking(user(), assistant(None, past), result(), tools=[function()]))

    assert "AbC" not in json.dumps(body)


def test_thinking_without_a_signature_is_not_sent_back() -> None:
    block = {"type": "thinking", "thinking": "Hm."}

    assert turns_for(user(), assistant("a", thinking_blocks=[block]), user())[1][1] == [text("a")]


def test_a_history_of_openai_is_taken() -> None:
    turns = turns_for(user(), assistant(None, call("call_1")), result("call_1"), user("next"))

    assert [role for role, _ in turns] == ["user", "assistant", "user"]


def test_every_call_has_a_result() -> None:
    turns = turns_for(user(), assistant(None, call("a"), call("b")), result("b"))

    assert [block["tool_use_id"] for block in turns[2][1]] == ["a", "b"]


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
def test_ids_are_made_legal_on_call_and_result(call_id: str, sent: str) -> None:
    turns = turns_for(user(), assistant(None, call(call_id)), result(call_id))

    assert turns[1][1][0]["id"] == sent
    assert turns[2][1][0]["tool_use_id"] == sent


def test_equal_ids_are_numbered_on_call_and_result() -> None:
    step = [assistant(None, call("c")), result("c", "x")]
    turns = turns_for(user(), *step, *step, assistant(None, call("c_2")), result("c_2", "y"))

    assert [turns[i][1][0]["id"] for i in (1, 3, 5)] == ["c", "c_2", "c_2_2"]
    assert [turns[i][1][0]["tool_use_id"] for i in (2, 4, 6)] == ["c", "c_2", "c_2_2"]


def test_what_the_assistant_cannot_send_is_left_out_and_named() -> None:
    said = assistant([{"type": "text", "text": "a"}, image("https://example.com/a.png")])

    assert turns_for(user(), said, user())[1][1] == [text("a")]
    assert ignored(asking(user(), said, user())) == ("messages[1].content[1]",)


@pytest.mark.parametrize("field", [{"refusal": "no"}, {"audio": {"id": "1", "transcript": "no"}}])
def test_a_refusal_and_a_transcript_are_the_assistants_text(field: Json) -> None:
    assert turns_for(user(), assistant(None, **field), user())[1][1] == [text("no")]


def test_thinking_among_the_parts_is_left_out() -> None:
    said = assistant([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "a"}])

    assert turns_for(user(), said, user())[1][1] == [text("a")]
    assert ignored(asking(user(), said, user())) == ()


def test_a_reference_to_a_tool_among_the_users_words_is_text() -> None:
    said = user([{"type": "tool_reference", "tool_name": "f"}])

    assert turns_for(said) == [("user", [text("Tool f is available now.")])]
