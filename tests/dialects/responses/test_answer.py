"""A candidate's answer as a response: items, their order, signatures, ends."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.answer import AnswerContext, Finish
from jarvis_proxy.canonical.sealed_state import ANTHROPIC, SealedState, chat_owner, unseal
from jarvis_proxy.dialects.responses.answer import ResponseAnswer, ResponseOptions
from jarvis_proxy.upstreams.gemini.signature_store import MemorySignatureStore, StoredSignature
from tests.dialects.responses.events import JSON, rebuild, streamed, whole
from tests.upstreams.gemini.replies import NOW, a_frame, a_function_call, a_usage, ids, sse

SEALED = {"include": ["reasoning.encrypted_content"]}
END = a_frame({"text": ""}, finish="STOP")
TOOLS: JSON = {
    "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "sql"}],
}


def both(*frames: JSON, body: JSON | None = None) -> JSON:
    """Return the response, which must be the same whole and streamed but for its ids."""
    events = streamed(sse(*frames), body)
    final: JSON = events[-1]["response"]
    assert rebuild(events) == final["output"]
    at_once = whole(*frames, body=body)
    assert without_ids(at_once) == without_ids(final)
    return final


def without_ids(response: JSON) -> Any:
    items = [
        {key: value for key, value in item.items() if key not in ("id", "call_id")}
        for item in response["output"]
    ]
    return {**response, "output": items}


def kinds(response: JSON) -> list[str]:
    return [item["type"] for item in response["output"]]


def test_text_is_one_message() -> None:
    response = both(a_frame({"text": "a"}), a_frame({"text": "b"}), END)

    (item,) = response["output"]
    assert item["content"] == [
        {"type": "output_text", "text": "ab", "annotations": [], "logprobs": []}
    ]
    assert (item["role"], item["status"]) == ("assistant", "completed")
    assert (response["status"], response["native_finish_reason"]) == ("completed", "STOP")


def test_thoughts_text_and_calls_are_items_in_their_order() -> None:
    thought = {"text": "hm", "thought": True}

    response = both(
        a_frame(thought, thought, {"text": "a"}),
        a_frame(thought),
        a_frame(a_function_call("f", {"x": 1})),
        a_frame(a_function_call("f")),
        END,
        body=TOOLS,
    )

    assert kinds(response) == [
        "reasoning",
        "message",
        "reasoning",
        "function_call",
        "function_call",
    ]
    assert response["output"][0]["summary"] == [{"type": "summary_text", "text": "hmhm"}]
    assert [item["arguments"] for item in response["output"][3:]] == ['{"x":1}', "{}"]


def test_a_custom_tool_s_call_has_its_input() -> None:
    response = both(a_frame(a_function_call("sql", {"input": "SELECT 1"})), END, body=TOOLS)

    (item,) = response["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "sql", "SELECT 1")


def test_a_signature_goes_out_sealed_before_its_call() -> None:
    signed = {**a_function_call("f"), "thoughtSignature": "c2ln"}

    response = both(
        a_frame({"text": "hm", "thought": True}),
        a_frame(signed),
        a_frame(a_function_call("f")),
        END,
        body={**TOOLS, **SEALED},
    )

    assert kinds(response) == ["reasoning", "function_call", "function_call"]
    assert response["output"][0]["encrypted_content"] == "gemini:c2ln"


def test_a_signature_without_thoughts_is_sealed_by_itself() -> None:
    signed = {**a_function_call("f"), "thoughtSignature": "c2ln"}

    response = both(a_frame({"text": "a"}, signed), END, body={**TOOLS, **SEALED})

    assert kinds(response) == ["message", "reasoning", "function_call"]
    assert response["output"][1]["summary"] == []


def test_who_does_not_ask_gets_nothing_sealed() -> None:
    signed = {**a_function_call("f"), "thoughtSignature": "c2ln"}

    assert kinds(both(a_frame(signed), END, body=TOOLS)) == ["function_call"]


def test_a_call_s_signature_is_remembered_by_its_call_id() -> None:
    store = MemorySignatureStore()
    signed = {**a_function_call("f", id="n1"), "thoughtSignature": "c2ln"}

    (item,) = whole(a_frame(signed, finish="STOP"), body=TOOLS, store=store)["output"]

    assert store.get(item["call_id"], NOW) == StoredSignature("c2ln", "n1")


def test_a_text_s_signature_is_remembered_by_its_message() -> None:
    store = MemorySignatureStore()
    frames = (a_frame({"text": "a"}), a_frame({"text": "", "thoughtSignature": "c2ln"}))

    (item,) = whole(*frames, END, store=store)["output"]

    assert store.get(item["id"], NOW) == StoredSignature("c2ln", None)


def test_a_picture_is_what_a_picture_tool_returns() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}

    events = streamed(sse(a_frame(picture), END))

    (item,) = events[-1]["response"]["output"]
    assert (item["type"], item["result"]) == ("image_generation_call", "iVBORw0KGgo=")
    assert (item["status"], item["output_format"]) == ("completed", "png")
    assert both(a_frame(picture), END)["output"][0]["result"] == "iVBORw0KGgo="


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("MAX_TOKENS", "max_output_tokens"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
    ],
)
def test_an_answer_cut_short_says_why(native: str, reason: str) -> None:
    response = both(a_frame({"text": "a"}), a_frame(finish=native, finishMessage="Because."))

    assert (response["status"], response["incomplete_details"]) == (
        "incomplete",
        {"reason": reason},
    )
    assert response["output"][0]["status"] == "incomplete"
    assert response["finish_message"] == "Because."


def test_a_blocked_prompt_is_an_incomplete_response_of_nothing() -> None:
    response = both({"promptFeedback": {"blockReason": "SAFETY"}})

    assert response["output"] == []
    assert response["incomplete_details"] == {"reason": "content_filter"}
    assert response["native_finish_reason"] == "PROMPT_BLOCKED:SAFETY"


@pytest.mark.parametrize("frames", [[END], [a_frame({"text": "hm", "thought": True}), END]])
def test_an_answer_of_nothing_is_an_empty_message(frames: list[JSON]) -> None:
    response = both(*frames)

    assert response["output"][-1]["content"][0]["text"] == ""
    assert response["status"] == "completed"


def grounded(*supports: tuple[int, int, str]) -> JSON:
    return {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
        "groundingSupports": [
            {
                "segment": {"startIndex": start, "endIndex": end, "text": text},
                "groundingChunkIndices": [0],
            }
            for start, end, text in supports
        ],
    }


def test_sources_are_annotations_counted_in_characters() -> None:
    response = both(
        a_frame({"text": "äö b"}),
        a_frame(finish="STOP", groundingMetadata=grounded((5, 6, "b"))),
    )

    (note,) = response["output"][0]["content"][0]["annotations"]
    assert note == {
        "type": "url_citation",
        "start_index": 3,
        "end_index": 4,
        "title": "A",
        "url": "https://a",
    }
    assert "groundingChunks" in response["grounding_metadata"]


def test_sources_are_counted_in_the_message_that_they_are_about() -> None:
    frames = [
        a_frame({"text": "one "}),
        a_frame({"text": "hm", "thought": True}),
        a_frame({"text": "two"}),
        a_frame(finish="STOP", groundingMetadata=grounded((0, 3, "one"), (4, 7, "two"))),
    ]

    response = whole(*frames)

    first, _, second = response["output"]
    (one,) = first["content"][0]["annotations"]
    (two,) = second["content"][0]["annotations"]
    assert (one["start_index"], one["end_index"]) == (0, 3)
    assert (two["start_index"], two["end_index"]) == (0, 3)


def test_recited_sources_are_kept() -> None:
    metadata = {"citationSources": [{"endIndex": 3, "uri": "https://a"}]}

    response = both(a_frame({"text": "abc"}, finish="STOP", citationMetadata=metadata))

    assert response["citations"] == [{"start_index": 0, "end_index": 3, "uri": "https://a"}]


def test_probabilities_stand_with_the_text() -> None:
    chosen = [{"token": "a", "logProbability": -0.5}]

    response = both(
        a_frame({"text": "a"}, finish="STOP", logprobsResult={"chosenCandidates": chosen})
    )

    (token,) = response["output"][0]["content"][0]["logprobs"]
    assert token == {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}


def test_tokens_are_sent_at_the_end() -> None:
    usage = a_usage(10, 5, 20, cachedContentTokenCount=8)

    response = both(a_frame({"text": "a"}, finish="STOP", usage=usage))

    assert response["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
        "output_tokens": 25,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 35,
    }


def test_the_tier_that_served_is_named() -> None:
    usage = a_usage(1, 1, serviceTier="flex")

    response = both(a_frame({"text": "a"}, finish="STOP", usage=usage))

    assert response["service_tier"] == "flex"


def test_what_no_response_can_hold_goes_nowhere() -> None:
    context = AnswerContext(call_id="1", created=1, model="m", new_id=ids())
    answer = ResponseAnswer(context, ResponseOptions(echo={}), stream=True)
    sink = answer.choice(0)
    assert answer.choice(0) is sink

    sink.begin("r1", None)
    sink.speech("audio/L16", "AAAA")
    sink.server_tool("web_search", 1)
    answer.choice(1).text("goes nowhere")

    assert answer.take() == b""
    assert not sink.emitted


def an_answer(*, sealed: bool) -> ResponseAnswer:
    context = AnswerContext(call_id="1", created=1, model="m", new_id=ids())
    return ResponseAnswer(context, ResponseOptions(echo={}, sealed=sealed), stream=False)


BLOCKS = SealedState(ANTHROPIC, '[{"type":"thinking","thinking":"hm","signature":"s"}]')


@pytest.mark.parametrize("state", [BLOCKS, SealedState(chat_owner("deepseek"), "hm")])
def test_state_of_other_upstreams_goes_out_with_its_reasoning(state: SealedState) -> None:
    answer = an_answer(sealed=True)
    sink = answer.choice(0)
    sink.thought("hm")
    sink.seal(state)
    sink.text("Hi")
    sink.finish(Finish(reason="stop"))
    answer.end(None)

    reasoning, message = json.loads(answer.body())["output"]
    assert unseal(reasoning["encrypted_content"]) == state
    assert reasoning["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert message["content"][0]["text"] == "Hi"


def test_who_asks_for_no_state_gets_none() -> None:
    answer = an_answer(sealed=False)
    sink = answer.choice(0)
    sink.seal(BLOCKS)
    sink.text("Hi")
    sink.finish(Finish(reason="stop"))
    answer.end(None)

    assert [item["type"] for item in json.loads(answer.body())["output"]] == ["message"]


def test_nothing_is_kept_before_the_answer_begins() -> None:
    answer = an_answer(sealed=False)
    assert answer.kept == 0

    answer.choice(0).text("hi")
    assert answer.kept > 0
