"""An answer, piece by piece, as a response's items and events.

What an answer's events become is in ``test_answer``; here is what the writer promises.
"""

import itertools
from typing import Any

import pytest

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.dialects.responses.writer import ResponseWriter, to_response_usage
from jarvis_proxy.wire.chat_types import ChatUsage, CompletionTokensDetails, PromptTokensDetails
from jarvis_proxy.wire.chat_types import TokenLogprob as Token
from jarvis_proxy.wire.responses_types import IncompleteDetails, ResponseObject, ResponseURLCitation
from tests.dialects.responses.events import read, rebuild

Json = dict[str, Any]


def writing(*, streamed: bool = True) -> tuple[ResponseWriter, list[bytes]]:
    """Return a writer and where its events go."""
    counter, out = itertools.count(), list[bytes]()
    response = ResponseObject(id="resp_1", created_at=5, status="in_progress", model="m", output=[])
    writer = ResponseWriter(response, lambda: str(next(counter)), out if streamed else None)
    return writer, out


def call(writer: ResponseWriter, start: CallStart, *pieces: str) -> None:
    writer.call_begin(start)
    for piece in pieces:
        writer.call_piece(piece)
    writer.call_end()


def ended(writer: ResponseWriter, out: list[bytes], *citations: ResponseURLCitation) -> list[Json]:
    writer.finish(None, list(citations))
    writer.end(ChatUsage(1, 2, 3), None)
    events = read(b"".join(out))
    assert rebuild(events) == events[-1]["response"]["output"]
    return events


def test_nothing_is_written_before_there_is_something_to_show() -> None:
    writer, out = writing()
    assert (out, writer.emitted) == ([], False)

    writer.text("a")

    assert writer.emitted
    kinds = [event["type"] for event in read(b"".join(out))]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
    ]


def test_a_whole_response_has_no_events() -> None:
    writer, out = writing(streamed=False)

    writer.thought("hm")
    writer.text("a")
    call(writer, CallStart("call_1", "f"), "{}")
    writer.finish(None, [])
    writer.end(ChatUsage(), "flex")

    assert (out, writer.emitted) == ([], False)
    assert [item.id for item in writer.response.output] == ["rs_0", "msg_1", "fc_2"]
    assert (writer.response.status, writer.response.service_tier) == ("completed", "flex")


@pytest.mark.parametrize("text", ['"\\\n\u2028', "äö€😀", '","delta":"x', ""])
def test_any_text_comes_through(text: str) -> None:
    writer, out = writing()
    writer.thought(text)
    writer.text(text)
    writer.text(text)

    thought, said = ended(writer, out)[-1]["response"]["output"]

    assert thought["summary"][0]["text"] == text
    assert said["content"][0]["text"] == text * 2


def test_every_event_has_the_next_number() -> None:
    writer, out = writing()
    writer.thought("hm")
    writer.sealed("secret")
    writer.text("a")
    call(writer, CallStart("call_1", "sql", "custom"), "SELECT 1")
    writer.image("iVBORw0KGgo=", "png")

    events = ended(writer, out)

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["usage"]["total_tokens"] == 3


def test_the_last_message_s_id_is_returned() -> None:
    writer, _ = writing()
    writer.text("a")
    call(writer, CallStart("call_1", "f"), "{}")
    writer.text("b")

    assert writer.finish(None, []) == "msg_2"


def test_without_a_message_there_is_no_id() -> None:
    writer, _ = writing()
    call(writer, CallStart("call_1", "f"), "{}")

    assert writer.finish(None, []) is None


def test_a_call_is_sent_piece_by_piece() -> None:
    writer, out = writing()
    call(writer, CallStart("call_1", "f", namespace="wx"), '{"a"', ":1}")
    call(writer, CallStart("call_2", "f"))
    call(writer, CallStart("call_3", "sql", "custom"))

    first, second, third = ended(writer, out)[-1]["response"]["output"]

    assert (first["arguments"], first["namespace"]) == ('{"a":1}', "wx")
    assert second["arguments"] == "{}"
    assert third["input"] == ""
    assert {item["status"] for item in (first, second, third)} == {"completed"}


@pytest.mark.parametrize(
    "start", [CallStart("call_1", "f"), CallStart("call_1", "sql", "custom")], ids=["f", "sql"]
)
def test_a_call_that_was_cut_off_is_incomplete_and_never_whole(start: CallStart) -> None:
    writer, out = writing()
    call(writer, start, '{"query":"DELETE FROM a ')
    writer.finish(IncompleteDetails("max_output_tokens"), [])
    writer.end(ChatUsage(), None)

    events = read(b"".join(out))
    (item,) = events[-1]["response"]["output"]
    assert item["status"] == "incomplete"
    assert item.get("arguments", item.get("input")) == '{"query":"DELETE FROM a '
    kinds = [event["type"] for event in events]
    assert not any(kind.endswith(("arguments.done", "input.done")) for kind in kinds)
    assert kinds[-2:] == ["response.output_item.done", "response.incomplete"]


def test_a_whole_call_stays_whole_in_an_answer_that_ran_out_of_tokens() -> None:
    writer, out = writing()
    call(writer, CallStart("call_1", "f"), '{"a":1}')
    writer.finish(IncompleteDetails("max_output_tokens"), [])
    writer.end(ChatUsage(), None)

    (item,) = read(b"".join(out))[-1]["response"]["output"]
    assert (item["status"], item["arguments"]) == ("completed", '{"a":1}')


def test_arguments_that_are_no_json_are_passed_on_where_the_answer_is_whole() -> None:
    writer, out = writing()
    call(writer, CallStart("call_1", "f"), "{'a': 1}")
    call(writer, CallStart("call_2", "g"), "{}")

    first, _ = ended(writer, out)[-1]["response"]["output"]

    assert (first["status"], first["arguments"]) == ("completed", "{'a': 1}")


@pytest.mark.parametrize(
    ("pieces", "arguments"),
    [
        (["{", '"query":"a"}'], {"query": "a"}),
        ([], {}),
        (["[1]"], {"_raw_arguments": "[1]"}),
        (["{'a"], {"_raw_arguments": "{'a"}),
    ],
)
def test_a_search_for_tools_has_an_object(pieces: list[str], arguments: Json) -> None:
    writer, out = writing()
    writer.call_begin(CallStart("call_1", "tool_search"), "tool_search")
    for piece in pieces:
        writer.call_piece(piece)
    writer.call_end()

    (item,) = ended(writer, out)[-1]["response"]["output"]

    assert (item["type"], item["arguments"]) == ("tool_search_call", arguments)


def test_a_cut_answer_says_so_in_its_message_too() -> None:
    writer, out = writing()
    writer.text("a")

    writer.finish(IncompleteDetails("max_output_tokens"), [])
    writer.end(ChatUsage(), None)

    last = read(b"".join(out))[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["output"][0]["status"] == "incomplete"


def test_an_answer_of_nothing_begins_in_progress() -> None:
    writer, out = writing()

    writer.finish(IncompleteDetails("content_filter"), [])
    writer.end(ChatUsage(), None)

    events = read(b"".join(out))
    seen = [(e["type"], e["response"]["status"], e["response"]["usage"]) for e in events]
    assert [one[:2] for one in seen] == [
        ("response.created", "in_progress"),
        ("response.in_progress", "in_progress"),
        ("response.incomplete", "incomplete"),
    ]
    assert [usage is None for *_, usage in seen] == [True, True, False]


def test_citations_are_sent_before_the_text_is_done() -> None:
    writer, out = writing()
    writer.text("abc")

    events = ended(
        writer,
        out,
        ResponseURLCitation(2, 1, "A", "https://a"),
        ResponseURLCitation(9, 8, "B", "b"),
    )

    notes = [event for event in events if event["type"].endswith("annotation.added")]
    assert [note["annotation"]["url"] for note in notes] == ["https://a"]


def test_probabilities_stand_with_their_text() -> None:
    writer, out = writing()
    writer.text("a")
    writer.logprobs([Token("a", -0.5, [97], [])])

    (item,) = ended(writer, out)[-1]["response"]["output"]

    assert item["content"][0]["logprobs"][0]["logprob"] == -0.5


def test_tokens_have_the_names_of_this_api() -> None:
    usage = to_response_usage(
        ChatUsage(10, 5, 15, PromptTokensDetails(4), CompletionTokensDetails(reasoning_tokens=3))
    )

    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (10, 5, 15)
    assert usage.input_tokens_details.cached_tokens == 4
    assert usage.output_tokens_details.reasoning_tokens == 3
