"""Answers in Google's form: frames that Google's SDKs read, and one body."""

import json
from typing import Any

from google.genai import types as genai
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.dialects.generate_content.answer import (
    GenerateContentBody,
    GenerateContentStream,
)
from tests.dialects.generate_content.answers import (
    CALL_ID,
    CONTEXT,
    MODEL,
    Step,
    array,
    call,
    finish,
    frames,
    parts,
    play,
    seal,
    streamed,
    text,
    thought,
    whole,
)


def test_a_frame_byte_for_byte() -> None:
    assert (
        streamed(text("Grüße\n\u2028"), finish())
        == (
            'data: {"candidates":[{"content":{"parts":[{"text":"Grüße\\n\u2028"}],"role":"model"},'
            f'"index":0}}],"modelVersion":"{MODEL}","responseId":"{CALL_ID}"}}\r\n\r\n'
            'data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},'
            '"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":30,'
            '"candidatesTokenCount":15,"totalTokenCount":50,"cachedContentTokenCount":10,'
            f'"thoughtsTokenCount":5}},"modelVersion":"{MODEL}","responseId":"{CALL_ID}"}}\r\n\r\n'
        ).encode()
    )


def test_without_usage_none_is_sent() -> None:
    last = frames(streamed(text("a"), finish(), usage=None))[-1]

    assert "usageMetadata" not in last


def test_thoughts_and_text_have_frames_of_their_own() -> None:
    first, second, last = frames(streamed(thought("hm"), text("a"), finish()))

    assert parts(first) == [{"text": "hm", "thought": True}]
    assert parts(second) == [{"text": "a"}]
    assert parts(last) == [{"text": ""}]


def test_thoughts_are_shown_to_those_who_ask_only() -> None:
    steps = thought("hm"), text("a"), finish()

    assert len(frames(streamed(*steps, shows=False))) == 2
    assert parts(whole(*steps, shows=False)) == [{"text": "a"}]


def test_a_call_is_one_part_in_a_frame_of_its_own() -> None:
    steps = call("get", '{"ci', 'ty":\n', '"Rom", "n": 1.50}'), finish("tool_calls")
    first, last = frames(streamed(*steps))

    called = {"name": "get", "args": {"city": "Rom", "n": 1.5}, "id": "call_1"}
    assert parts(first) == [{"functionCall": called}]
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert parts(whole(*steps)) == [{"functionCall": called}]


def test_every_parallel_call_goes_out() -> None:
    steps = call("a", "{}"), call("b", call_id="call_2"), finish("tool_calls")

    found = [parts(frame)[0]["functionCall"] for frame in frames(streamed(*steps))[:2]]
    assert [(one["name"], one["args"], one["id"]) for one in found] == [
        ("a", {}, "call_1"),
        ("b", {}, "call_2"),
    ]


def test_an_answer_with_calls_ends_with_stop() -> None:
    for reason in ("tool_calls", "function_call", "stop"):
        steps = call("f"), finish(reason)
        assert frames(streamed(*steps))[-1]["candidates"][0]["finishReason"] == "STOP"
        assert whole(*steps)["candidates"][0]["finishReason"] == "STOP"


def test_the_first_call_carries_the_seal() -> None:
    steps = seal("chat.x", "hm"), call("a"), call("b", call_id="2"), finish("tool_calls")
    first, second, last = frames(streamed(*steps))

    assert parts(first)[0]["thoughtSignature"]
    assert "thoughtSignature" not in parts(second)[0]
    assert parts(last) == [{"text": ""}]


def test_without_a_call_the_last_part_carries_the_seal() -> None:
    steps = thought("hm"), seal("chat.x", "hm"), text("a"), finish()
    last = parts(frames(streamed(*steps))[-1])

    assert last == [{"text": "", "thoughtSignature": last[0]["thoughtSignature"]}]
    assert parts(whole(*steps)) == [{"text": "hm", "thought": True}, {"text": "a"}, last[0]]


def test_exactly_the_last_frame_has_a_finish_reason() -> None:
    found = frames(streamed(text("a"), text("b"), finish("length")))

    reasons = [frame["candidates"][0].get("finishReason") for frame in found]
    assert reasons == [None, None, "MAX_TOKENS"]


def test_a_filter_is_a_finish_reason_with_its_message() -> None:
    steps = (finish("content_filter", message="No."),)

    (only,) = frames(streamed(*steps))
    candidate = only["candidates"][0]
    assert (candidate["finishReason"], candidate["finishMessage"]) == ("SAFETY", "No.")
    assert "promptFeedback" not in only
    assert whole(*steps)["candidates"][0]["finishMessage"] == "No."
    plain = frames(streamed(text("a"), finish(message="No.")))[-1]["candidates"][0]
    assert "finishMessage" not in plain


def test_no_mark_and_no_comment() -> None:
    data = streamed(thought("data: [DONE]"), text(": x\n\nevent: y"), call("f"), finish())

    frames(data)
    assert b"\n: " not in data
    assert not data.endswith(b"[DONE]\r\n\r\n")


def test_choices_have_frames_of_their_own() -> None:
    answer = GenerateContentStream(CONTEXT, is_array=False, shows=False)
    for index in (1, 0):
        answer.choice(index).text(f"text {index}")
        finish()(answer.choice(index))
    answer.end(None)
    found = frames(answer.take())

    texts = [(one["candidates"][0]["index"], parts(one)[0]["text"]) for one in found]
    assert texts == [(1, "text 1"), (0, "text 0"), (0, ""), (1, "")]


def test_a_whole_answer_has_all_candidates() -> None:
    answer = GenerateContentBody(CONTEXT, shows=False)
    for index in (1, 0):
        answer.choice(index).text(f"text {index}")
        finish()(answer.choice(index))
    answer.end(None)
    body = json.loads(answer.body())

    assert [one["index"] for one in body["candidates"]] == [0, 1]
    assert parts(body, 1) == [{"text": "text 1"}]


def test_a_whole_answer_joins_what_belongs_together() -> None:
    steps = (
        thought("h"),
        thought("m"),
        text("a"),
        text("b"),
        call("f", call_id="1"),
        text("c"),
        finish(),
    )

    assert parts(whole(*steps)) == [
        {"text": "hm", "thought": True},
        {"text": "ab"},
        {"functionCall": {"name": "f", "args": {}, "id": "1"}},
        {"text": "c"},
    ]


def test_an_array_is_json_at_its_end_and_parses_as_it_comes() -> None:
    data = array(thought("hm"), text("a"), call("f"), finish())

    found = json.loads(data)
    assert len(found) == 4
    assert data.count(b",\r\n") == 3
    for frame in found:
        genai.GenerateContentResponse.model_validate(frame)


def test_an_answer_of_nothing_is_one_last_frame() -> None:
    (only,) = frames(streamed(finish()))

    assert parts(only) == [{"text": ""}]
    assert only["candidates"][0]["finishReason"] == "STOP"
    assert parts(whole(finish())) == [{"text": ""}]


def test_an_answer_without_any_choice_is_one_last_frame() -> None:
    answer = GenerateContentStream(CONTEXT, is_array=True, shows=False)
    answer.end(None)
    body = GenerateContentBody(CONTEXT, shows=False)
    body.end(None)

    assert len(json.loads(answer.take())) == 1
    assert parts(json.loads(body.body())) == [{"text": ""}]


def test_a_piece_is_out_before_the_next_comes() -> None:
    answer = GenerateContentStream(CONTEXT, is_array=False, shows=True)
    sink = answer.choice(0)
    assert sink.emitted is False
    sink.text("a")

    assert sink.emitted is True
    assert parts(frames(answer.take())[0]) == [{"text": "a"}]
    assert answer.take() == b""


def test_what_is_kept_is_counted() -> None:
    stream = GenerateContentStream(CONTEXT, is_array=False, shows=True)
    body = GenerateContentBody(CONTEXT, shows=True)
    for answer in (stream, body):
        play(answer, [text("x" * 1000), seal("chat.x", "y" * 1000)])

    assert 1000 <= stream.kept < 2000
    assert body.kept >= 2000
    assert stream.body() == b""


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1)
STEPS: Any = st.lists(
    st.one_of(
        st.builds(text, TEXTS),
        st.builds(thought, TEXTS),
        st.builds(seal, st.sampled_from(["chat.x", "gemini"]), TEXTS),
        st.builds(call, TEXTS, st.one_of(TEXTS, st.just('{"a":1}'), st.just("[1]"))),
    )
)


@given(STEPS, st.booleans(), st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
def test_any_events_become_frames_that_googles_types_take(
    steps: list[Step], shows: bool, reason: str
) -> None:
    steps = [*steps, finish(reason)]
    found = frames(streamed(*steps, shows=shows))
    body = whole(*steps, shows=shows)

    reasons = [frame["candidates"][0].get("finishReason") for frame in found]
    assert [word for word in reasons if word] == [reasons[-1]]
    assert json.loads(array(*steps, shows=shows)) == found
    pieces = [part for frame in found for part in parts(frame)]
    assert said(pieces) == said(parts(body))


def said(pieces: Any) -> tuple[str, list[Any]]:
    """Return the visible text of parts, and the calls among them."""
    shown = "".join(part.get("text", "") for part in pieces if "thought" not in part)
    return shown, [part["functionCall"] for part in pieces if "functionCall" in part]
