"""One choice: thoughts, text, calls and its end, in an order that every client takes."""

import pytest

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.canonical.sealed_state import SealedState
from tests.upstreams.chat.streams import (
    OWNER,
    Json,
    call,
    chunk,
    context,
    only_choice,
    only_choice_of,
    whole,
)

STOP = chunk(finish="stop")


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm."},
        {"reasoning_details": [{"type": "reasoning.text", "text": "H"}, {"text": "m."}]},
    ],
)
def test_reasoning_of_any_name_is_thought(delta: Json) -> None:
    choice = only_choice(chunk(delta), chunk({"content": "Hi"}), STOP, given=context(owner=None))

    assert choice.events == [("thought", "Hm."), ("text", "Hi"), ("finish", "stop")]


def test_first_field_seen_wins_for_the_whole_answer() -> None:
    both = {"reasoning": "Hm.", "reasoning_details": [{"text": "Hm."}]}
    other = {"reasoning_details": [{"text": "again"}]}
    choice = only_choice(chunk(both), chunk(other), chunk({"reasoning": " So."}), STOP)

    assert choice.joined("thought") == "Hm. So."


@pytest.mark.parametrize("value", [None, "", [], [{"type": "reasoning.encrypted"}], 5, {}])
def test_field_without_text_is_not_the_first(value: object) -> None:
    choice = only_choice(chunk({"reasoning_content": value, "reasoning": "Hm."}), STOP)

    assert choice.joined("thought") == "Hm."


def test_list_of_parts_may_hold_thoughts() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Hi"},
    ]
    choice = only_choice_of(whole({"content": parts}), context(owner=None))

    assert choice.events == [("thought", "Hm."), ("text", "Hi"), ("finish", "stop")]


@pytest.mark.parametrize(
    "content", ["Hello", [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]]
)
def test_content_is_a_string_or_parts(content: object) -> None:
    assert only_choice(chunk({"content": content}), STOP).joined("text") == "Hello"
    assert only_choice_of(whole({"content": content})).joined("text") == "Hello"


@pytest.mark.parametrize("content", [None, "", [], [{"type": "text", "text": ""}], [5], 5])
def test_empty_content_is_nothing(content: object) -> None:
    choice = only_choice(chunk({"role": "assistant", "content": content}), STOP)

    assert choice.events == [("finish", "stop")]


@pytest.mark.parametrize("finish", ["stop", "content_filter"])
def test_refusal_is_text_and_ends_with_content_filter(finish: str) -> None:
    choice = only_choice(
        chunk({"refusal": "I can"}), chunk({"refusal": "not."}), chunk(finish=finish)
    )

    assert choice.events == [("text", "I cannot."), ("finish", "content_filter")]
    assert choice.finished is not None
    assert choice.finished.message == "I cannot."


def test_text_and_thoughts_behind_a_call_wait_for_all_calls() -> None:
    choice = only_choice(
        chunk({"content": "Before"}),
        call(0, "call_a", "f", '{"a"'),
        chunk({"content": "After"}),
        chunk({"reasoning_content": "Hm."}),
        call(0, None, None, ":1}"),
        call(1, "call_b", "g", "{}"),
        chunk(finish="tool_calls"),
    )

    assert choice.events == [
        ("text", "Before"),
        ("call", CallStart("call_a", "f")),
        ("arguments", '{"a":1}'),
        ("call", CallStart("call_b", "g")),
        ("arguments", "{}"),
        ("text", "After"),
        ("thought", "Hm."),
        ("seal", SealedState(OWNER, "Hm.")),
        ("finish", "tool_calls"),
    ]


def test_blanks_behind_a_call_are_no_text() -> None:
    choice = only_choice(
        call(0, "call_a", "f", "{}"), chunk({"content": "\n\n"}), chunk(finish="tool_calls")
    )

    assert choice.joined("text") == ""


@pytest.mark.parametrize(
    ("finish", "expected", "native"),
    [
        ("stop", "tool_calls", ""),
        ("function_call", "tool_calls", ""),
        ("tool_calls", "tool_calls", ""),
        ("eos", "tool_calls", "eos"),
        ("length", "length", ""),
        ("content_filter", "content_filter", ""),
    ],
)
def test_reason_of_an_answer_with_calls(finish: str, expected: str, native: str) -> None:
    choice = only_choice(call(0, "call_a", "f", "{}"), chunk(finish=finish))

    assert choice.finished is not None
    assert (choice.finished.reason, choice.finished.native) == (expected, native)


@pytest.mark.parametrize("finish", ["stop", "eos", "tool_calls", "function_call"])
def test_reason_of_an_answer_without_calls(finish: str) -> None:
    choice = only_choice(chunk({"content": "Hi"}), chunk(finish=finish))

    assert choice.events[-1] == ("finish", "stop")


def test_old_function_call_is_a_call() -> None:
    choice = only_choice(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"a":1}'}}),
        chunk(finish="function_call"),
    )

    assert [(start.name, text) for start, text in choice.calls()] == [("f", '{"a":1}')]


def test_seal_comes_once_behind_the_last_thought() -> None:
    choice = only_choice(
        chunk({"reasoning_content": "H"}),
        chunk({"reasoning_content": "m."}),
        chunk({"content": "Hi"}),
        call(0, "call_a", "f", "{}"),
        chunk(finish="tool_calls"),
    )

    assert [name for name, _ in choice.events[:3]] == ["thought", "seal", "text"]
    assert choice.events[1] == ("seal", SealedState(OWNER, "Hm."))
    assert [name for name, _ in choice.events].count("seal") == 1


def test_thoughts_that_resume_are_sealed_by_themselves() -> None:
    choice = only_choice(
        chunk({"reasoning_content": "One."}),
        chunk({"content": "Hi"}),
        chunk({"reasoning_content": "Two."}),
        call(0, "call_a", "f", "{}"),
        chunk(finish="tool_calls"),
    )

    assert [said for name, said in choice.events if name == "seal"] == [
        SealedState(OWNER, "One."),
        SealedState(OWNER, "Two."),
    ]
    assert [name for name, _ in choice.events].index("call") == 5


@pytest.mark.parametrize(
    ("stop_reason", "expected"), [("END", "END"), ("other", None), (2, None), (None, None)]
)
def test_stop_of_the_request_is_passed_on(stop_reason: object, expected: str | None) -> None:
    choice = only_choice(
        chunk({"content": "Hi"}),
        chunk(finish="stop", stop_reason=stop_reason),
        given=context(stops=("END",)),
    )

    assert choice.finished is not None
    assert choice.finished.matched_stop == expected


def test_picture_is_passed_and_other_links_are_not() -> None:
    images = [
        {"type": "image_url", "image_url": {"url": url}}
        for url in ("data:image/png;base64,AA==", "https://example.com/a.png", 5)
    ]
    choice = only_choice(chunk({"images": images}), STOP)

    assert [name for name, _ in choice.events] == ["image", "finish"]


def test_annotations_come_with_the_end() -> None:
    citation = {"start_index": 0, "end_index": 2, "title": "T", "url": "https://example.com"}
    given = [
        {"type": "url_citation", "url_citation": citation},
        {"type": "other"},
        {"type": "url_citation", "url_citation": {}},
    ]
    choice = only_choice(chunk({"content": "Hi", "annotations": given}), STOP)

    assert choice.finished is not None
    assert [one.url_citation.url for one in choice.finished.annotations] == ["https://example.com"]


def test_log_probabilities_are_passed() -> None:
    token = {
        "token": "é",
        "logprob": -0.5,
        "bytes": None,
        "top_logprobs": [{"token": "e", "logprob": -1, "bytes": [101]}],
    }
    choice = only_choice(chunk({"content": "é"}, logprobs={"content": [token]}), STOP)

    (tokens,) = [said for name, said in choice.events if name == "logprobs"]
    assert isinstance(tokens, list)
    assert (tokens[0].bytes, tokens[0].top_logprobs[0].bytes) == ([195, 169], [101])


@pytest.mark.parametrize("content", [[5], [{"token": "a"}], [{"logprob": "x"}], "abc", None])
def test_odd_log_probabilities_are_left_out(content: object) -> None:
    choice = only_choice(chunk({"content": "a"}, logprobs={"content": content}), STOP)

    assert choice.events == [("text", "a"), ("finish", "stop")]


def test_log_probabilities_and_pictures_behind_a_call_are_left_out() -> None:
    token = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    picture = {"image_url": {"url": "data:image/png;base64,AA=="}}
    choice = only_choice(
        call(0, "call_a", "f", "{}"),
        chunk({"images": [picture]}, logprobs={"content": [token]}),
        chunk(finish="tool_calls"),
    )

    assert [name for name, _ in choice.events] == ["call", "arguments", "finish"]


def test_unrequested_thoughts_are_sealed_and_not_shown() -> None:
    choice = only_choice(
        chunk({"reasoning_content": "Hm."}),
        chunk({"content": "Hi"}),
        STOP,
        given=context(shows=False),
    )

    assert choice.events == [
        ("seal", SealedState(OWNER, "Hm.")),
        ("text", "Hi"),
        ("finish", "stop"),
    ]


@pytest.mark.parametrize("content", ["", None, [], 5])
def test_a_whole_answer_without_content_has_no_text(content: object) -> None:
    assert only_choice_of(whole({"content": content})).events == [("finish", "stop")]
