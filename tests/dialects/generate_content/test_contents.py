"""Contents become messages, with every result next to its call."""

from typing import Any

import pytest

from jarvis_proxy.canonical.sealed_state import SealedState, seal, to_google_signature
from tests.dialects.generate_content.requests import (
    called,
    chat,
    messages,
    model,
    read,
    refusal,
    returned,
    user,
)


@pytest.mark.parametrize(
    "system",
    [
        "Be brief.",
        {"parts": [{"text": "Be brief."}]},
        {"role": "user", "parts": {"text": "Be brief."}},
        [{"text": "Be brief."}],
        ["Be brief."],
    ],
)
def test_system_words_in_every_form(system: Any) -> None:
    first, second = messages(user({"text": "Hi"}), systemInstruction=system)

    assert first == {"role": "system", "content": "Be brief."}
    assert second == {"role": "user", "content": "Hi"}
    assert messages(user({"text": "Hi"}), system_instruction=system)[0] == first


def test_system_words_in_parts_stay_parts() -> None:
    (first, _) = messages(user({"text": "Hi"}), systemInstruction=["a", "", "b"])

    assert [part["text"] for part in first["content"]] == ["a", "b"]


def test_a_system_message_takes_texts_only() -> None:
    error = refusal(systemInstruction={"parts": [{"text": "a"}, called("f")]})

    assert (error.status, error.param) == (400, "systemInstruction.parts[1]")


@pytest.mark.parametrize(
    "contents",
    ["Hi", {"parts": [{"text": "Hi"}]}, [{"parts": [{"text": "Hi"}]}], ["Hi"], {"parts": ["Hi"]}],
)
def test_contents_in_every_form(contents: Any) -> None:
    assert chat(contents=contents)["messages"] == [{"role": "user", "content": "Hi"}]


def test_roles() -> None:
    found = messages(
        user({"text": "a"}),
        {"role": "MODEL", "parts": [{"text": "b"}, called("f", id="1")]},
        {"role": "function", "parts": [returned("f")]},
    )

    assert [message["role"] for message in found] == ["user", "assistant", "tool"]
    assert refusal(contents=[{"role": "assistant", "parts": []}]).param == "contents[0].role"


def test_texts_of_one_side_are_parts_of_one_message() -> None:
    (only,) = messages(user({"text": "a"}, {"text": ""}), user({"text": "b"}))

    assert [part["text"] for part in only["content"]] == ["a", "b"]


def test_thoughts_are_dropped_with_their_signatures() -> None:
    found = messages(
        user({"text": "a"}),
        model({"text": "hm", "thought": True, "thoughtSignature": "CpcB"}, {"text": "b"}),
    )

    assert found[1] == {"role": "assistant", "content": "b"}


def test_a_seal_of_a_chat_service_goes_back_to_it() -> None:
    state = SealedState("chat.deepseek", "hm")
    part = {**called("f", id="1"), "thoughtSignature": to_google_signature(state)}
    found = messages(user({"text": "a"}), model(part))

    sealed = {"type": "thinking", "thinking": "", "signature": seal(state)}
    assert found[1]["thinking_blocks"] == [sealed]


def test_a_seal_of_anthropics_opens() -> None:
    state = SealedState("anthropic", '[{"type":"thinking","thinking":"hm","signature":"Eq"}]')
    part = {"text": "", "thoughtSignature": to_google_signature(state)}
    found = messages(user({"text": "a"}), model({"text": "b"}, part))

    assert found[1]["thinking_blocks"] == [
        {"type": "thinking", "thinking": "hm", "signature": "Eq"}
    ]


def test_a_seal_of_geminis_is_its_signature() -> None:
    part = {"text": "b", "thoughtSignature": to_google_signature(SealedState("gemini", "CpcB"))}
    found = messages(user({"text": "a"}), model(part))

    assert found[1]["extra_content"] == {"google": {"thought_signature": "CpcB"}}


def test_googles_own_signatures_are_dropped() -> None:
    found = messages(user({"text": "a"}), model({**called("f"), "thought_signature": "CpcB"}))

    assert "extra_content" not in found[1]
    assert "thinking_blocks" not in found[1]
    assert found[1]["tool_calls"][0].keys() == {"id", "type", "function"}


def test_a_call_keeps_its_id() -> None:
    (_, turn) = messages(user({"text": "a"}), model(called("f", {"x": 1.5}, id="abc")))

    assert turn["tool_calls"] == [
        {"id": "abc", "type": "function", "function": {"name": "f", "arguments": '{"x":1.5}'}}
    ]


def test_a_call_without_an_id_has_the_same_one_in_every_request() -> None:
    history = [user({"text": "a"}), model(called("f"), called("f"))]
    first = messages(*history)[1]["tool_calls"]
    again = messages(*history, user(returned("f"), returned("f")))

    ids = [call["id"] for call in first]
    assert len(set(ids)) == 2
    assert all(found.startswith("call_") and len(found) == 29 for found in ids)
    assert [call["id"] for call in again[1]["tool_calls"]] == ids
    assert [message["tool_call_id"] for message in again[2:]] == ids


def test_a_call_needs_a_name() -> None:
    error = refusal(contents=[user({"text": "a"}), model({"functionCall": {"args": {}}})])

    assert error.param == "contents[1].parts[0].functionCall.name"


def results(*contents: Any) -> list[tuple[str, str]]:
    found = messages(user({"text": "go"}), *contents)
    return [(one["tool_call_id"], one["content"]) for one in found if one["role"] == "tool"]


def test_ids_pair_in_any_order() -> None:
    assert results(
        model(called("f", id="1"), called("f", id="2")),
        user(returned("f", {"output": "two"}, id="2"), returned("f", {"output": "one"}, id="1")),
    ) == [("1", "one"), ("2", "two")]


def test_without_ids_the_nth_result_of_a_name_is_the_nth_calls() -> None:
    (first, a), (second, b), (third, c) = results(
        model(called("f", {"n": 1}), called("g"), called("f", {"n": 2})),
        user(
            returned("f", {"output": "one"}),
            returned("f", {"output": "two"}),
            returned("g", {"output": "g"}),
        ),
    )

    assert (a, b, c) == ("one", "g", "two")
    assert len({first, second, third}) == 3


def test_a_result_without_an_id_finds_a_call_that_has_one() -> None:
    assert results(model(called("f", id="1")), user(returned("f", {"output": "one"}))) == [
        ("1", "one")
    ]


def test_a_result_with_an_id_finds_a_call_that_has_none() -> None:
    ((_, content),) = results(
        model(called("f")), user(returned("f", {"output": "one"}, id="made by the client"))
    )

    assert content == "one"


def test_a_name_alone_never_pairs_over_turns() -> None:
    found = messages(
        user({"text": "go"}),
        model(called("f", id="1")),
        user({"text": "wait"}),
        model({"text": "ok"}),
        user(returned("f", {"output": "late"})),
    )

    assert [one["role"] for one in found] == [
        "user",
        "assistant",
        "tool",
        "user",
        "assistant",
        "user",
    ]
    assert "no result was provided" in found[2]["content"]
    assert found[2]["is_error"] is True
    assert [part["text"] for part in found[5]["content"]] == ["Tool result (f):", "late"]


def test_another_id_is_another_call() -> None:
    found = messages(user({"text": "go"}), model(called("f", id="1")), user(returned("f", id="9")))

    assert "no result was provided" in found[2]["content"]
    assert found[3]["role"] == "user"


def test_results_of_a_step_may_stand_in_several_contents() -> None:
    assert results(
        model(called("f", id="1")),
        model(called("g", id="2")),
        user(returned("g", {"output": "two"}, id="2")),
        user(returned("f", {"output": "one"}, id="1")),
    ) == [("1", "one"), ("2", "two")]


def test_text_among_results_is_sent_after_them() -> None:
    found = messages(
        user({"text": "go"}),
        model({"text": "I look."}, called("f", id="1")),
        user({"text": "and now?"}, returned("f", {"output": "one"}, id="1")),
    )

    assert [one["role"] for one in found] == ["user", "assistant", "tool", "user"]
    assert found[1]["content"] == "I look."
    assert found[3]["content"] == "and now?"


def test_a_result_given_twice_is_a_text() -> None:
    found = messages(
        user({"text": "go"}),
        model(called("f", id="1")),
        user(returned("f", {"output": "one"}, id="1"), returned("f", {"output": "two"}, id="1")),
    )

    assert (found[2]["content"], found[3]["role"]) == ("one", "user")


def test_what_googles_own_tools_did_is_dropped_and_named() -> None:
    part = {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB"}}
    request = read(contents=[user({"text": "a"}), model({"text": "b"}, part), user({"text": "c"})])

    assert request.ignored == ("contents[1].parts[1]",)


def test_pictures_that_the_model_made_are_dropped_and_named() -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}
    request = read(contents=[user({"text": "a"}), model({"text": "b"}, part), user({"text": "c"})])

    assert request.ignored == ("contents[1].parts[1]",)
    assert refusal(contents=[user("a"), model(part)], strict=True).code == "unsupported_parameter"


def test_a_turn_of_thoughts_alone_is_dropped() -> None:
    found = messages(
        user({"text": "a"}), model({"text": "hm", "thought": True}), user({"text": "b"})
    )

    assert [message["role"] for message in found] == ["user", "user"]


def test_the_last_word_may_be_the_models() -> None:
    assert messages(user({"text": "a"}), model({"text": "{"}))[-1] == {
        "role": "assistant",
        "content": "{",
    }
