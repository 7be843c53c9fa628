"""Messages answers become events of a choice: each rule of the reader by its name."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.reader import MAX_CONTINUATIONS
from tests.support.call_count import function_calls
from tests.support.splits import assert_same_for_every_split
from tests.upstreams.anthropic.answers import (
    Json,
    block,
    end,
    kinds,
    new_reader,
    read_events,
    read_message,
    read_stream,
    sent_back,
    sse,
    start,
    text,
    thinking,
    tool,
)

THOUGHT = {"type": "thinking", "thinking": "Hm, two cities.", "signature": "Sig=="}


def test_message_start_begins_with_the_id_and_the_tokens_of_the_prompt() -> None:
    reader, answer = new_reader()
    usage = {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 3}
    reader.feed(sse(start(usage)))

    upstream_id, reported = answer.choice(0).begun
    assert upstream_id == "msg_01"
    assert reported is not None
    assert (reported.prompt_tokens, reported.completion_tokens) == (15, 0)


def _delta(index: int) -> Json:
    delta = {"type": "text_delta", "text": "lost"}
    return {"type": "content_block_delta", "index": index, "delta": delta}


@pytest.mark.parametrize(
    "events",
    [
        [_delta(3)],
        [*text(0, "Hi"), _delta(0)],
        [{"type": "content_block_stop", "index": 3}],
        [*text(0, "Hi"), *text(0, "Hi")],
    ],
    ids=["delta of no block", "delta after the end", "end of no block", "index used again"],
)
def test_an_event_of_no_open_block_breaks_the_protocol(events: list[Json]) -> None:
    with pytest.raises(ProxyError) as caught:
        read_events(start(), *events, *end())

    assert (caught.value.status, caught.value.code) == (502, "upstream_bad_frame")


def test_and_08_interleaved_blocks_are_passed_on_one_after_the_other() -> None:
    """In the order in which they began; each piece in its own call."""
    first, second = (
        tool(index, name, '{"a":', f"{index}}}", call_id=f"toolu_{index}")
        for index, name in ((0, "f"), (1, "g"))
    )
    mixed = [event for pair in zip(first, second, strict=True) for event in pair]
    _, choice = read_events(start(), *mixed, *end("tool_use"))

    assert choice.calls() == [
        (CallStart("toolu_0", "f"), '{"a":0}'),
        (CallStart("toolu_1", "g"), '{"a":1}'),
    ]


def test_a_waiting_block_takes_nothing_after_its_end() -> None:
    first, second = text(0, "one"), text(1, "two")
    with pytest.raises(ProxyError, match="no open content block"):
        read_events(start(), *first[:2], *second, _delta(1), first[2], *end())


def test_thousands_of_waiting_blocks_are_read() -> None:
    first = text(0, "one ")
    waiting = [event for index in range(1, 3000) for event in text(index, "x")]
    _, choice = read_events(start(), *first[:2], *waiting, first[2], *end())

    assert choice.joined("text") == "one " + "x" * 2999


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "length"),
        ("something_new", "stop"),
    ],
)
def test_the_stop_reason_becomes_the_finish_reason(native: str, reason: str) -> None:
    _, choice = read_events(start(), *text(0, "Hi"), *end(native))

    assert choice.finished is not None
    assert (choice.finished.reason, choice.finished.native) == (reason, native)


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("end_turn", "tool_calls"),
        ("something_new", "tool_calls"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
    ],
)
def test_a_call_changes_the_reason_only_of_a_plain_end(native: str, reason: str) -> None:
    _, choice = read_events(start(), *tool(0, "f", "{}"), *end(native))

    assert choice.finished is not None
    assert choice.finished.reason == reason
    assert len(choice.calls()) == 1


def test_the_matched_stop_sequence_is_passed_on() -> None:
    _, choice = read_events(
        start(), *text(0, "Hi"), *end("stop_sequence", stop_sequence="\n\nHuman:")
    )

    assert choice.finished is not None
    assert choice.finished.matched_stop == "\n\nHuman:"


def test_the_explanation_of_a_refusal_is_passed_on() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not this."}
    _, choice = read_events(start(), *end("refusal", stop_details=details))

    assert choice.finished is not None
    assert choice.finished.message == "Not this."


def test_pings_and_unknown_events_say_nothing() -> None:
    ping, unknown = {"type": "ping"}, {"type": "weather", "index": "?", "delta": "sun"}
    _, choice = read_events(ping, start(), ping, unknown, *text(0, "Hi"), unknown, ping, *end())

    assert kinds(choice) == ["text", "finish"]


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("overloaded_error", 503, "overloaded"),
        ("rate_limit_error", 429, "rate_limit_exceeded"),
        ("api_error", 502, "upstream_error"),
        ("timeout_error", 504, "timeout"),
        ("something_new", 502, "upstream_error"),
        ("invalid_request_error", 400, "invalid_argument"),
        ("authentication_error", 502, "upstream_auth_failed"),
        ("permission_error", 502, "upstream_auth_failed"),
        ("billing_error", 502, "upstream_auth_failed"),
    ],
)
def test_an_error_event_is_the_error_of_its_type(kind: str, status: int, code: str) -> None:
    event = {"type": "error", "error": {"type": kind, "message": "No."}, "request_id": "req_1"}
    with pytest.raises(ProxyError) as caught:
        read_events(start(), *text(0, "Hi"), event)

    assert (caught.value.status, caught.value.code) == (status, code)


def test_an_invalid_request_in_a_stream_can_be_recovered() -> None:
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": "No."}}
    with pytest.raises(ProxyError) as caught:
        read_events(body)

    assert json.loads(caught.value.refusal) == body


def test_an_error_in_the_form_of_other_services_is_an_error() -> None:
    data = b'data: {"error":{"message":"Too busy","type":"server_error"}}\n\n'
    with pytest.raises(ProxyError, match="Too busy"):
        read_stream(data)


@pytest.mark.parametrize("cut", ["no message_stop", "no blank line"])
def test_an_answer_with_its_stop_reason_is_complete(cut: str) -> None:
    stream = sse(start(), *text(0, "Hi"), end()[0])
    _, choice = read_stream(stream if cut == "no message_stop" else stream.rstrip(b"\n"))

    assert choice.finished is not None
    assert choice.finished.reason == "stop"


def test_an_answer_cut_before_its_stop_reason_is_truncated() -> None:
    stream = sse(start(), *thinking(0, "Hm.", "S"), *text(1, "Hi"), *tool(2, "f", "{}"))
    for at in range(len(stream)):
        with pytest.raises(ProxyError) as caught:
            read_stream(stream[:at])
        assert (caught.value.status, caught.value.code) == (502, "upstream_truncated"), at


def test_events_after_the_stop_reason_are_ignored() -> None:
    reader, answer = new_reader()
    reader.feed(sse(start(), *text(0, "Hi")))
    assert not reader.is_settled

    reader.feed(sse(end()[0]) + b'event: error\ndata: {"type":"error","error":{}}\n\n')
    assert reader.is_settled
    assert not reader.done
    reader.feed_eof()

    assert answer.choice(0).events[-1] == ("finish", "stop")


def test_an_open_block_is_ended_at_the_end() -> None:
    _, choice = read_events(start(), *tool(0, "f", "{}")[:-1], *end("tool_use"))

    assert len(choice.calls()) == 1


def _search(index: int) -> list[Json]:
    """Return the blocks of a search in the pages of the web."""
    delta = {"type": "input_json_delta", "partial_json": '{"query":"x"}'}
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"a": 1}]}
    return [*block(index, use, delta), *block(index + 1, result)]


def test_a_paused_answer_is_sent_back_as_it_came() -> None:
    citation = {"type": "char_location", "cited_text": "x"}
    cited: list[Json] = [
        {"type": "citations_delta", "citation": citation},
        {"type": "text_delta", "text": "Found."},
    ]
    reader, answer = new_reader(keeps_content=True)
    paused = [
        start({"input_tokens": 10, "output_tokens": 1}),
        *thinking(0, "Hm.", "S=="),
        *_search(1),
        *block(3, {"type": "text", "text": "", "citations": []}, *cited),
        *end("pause_turn", {"output_tokens": 5}),
    ]
    reader.feed(sse(*paused))
    reader.feed_eof()

    assert reader.done is False
    assert sent_back(reader) == [
        {"type": "thinking", "thinking": "Hm.", "signature": "S=="},
        {
            "type": "server_tool_use",
            "id": "srvtoolu_1",
            "name": "web_search",
            "input": {"query": "x"},
        },
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"a": 1}]},
        {"type": "text", "text": "Found.", "citations": [citation]},
    ]

    first = sent_back(reader)
    reader.feed(sse(start({"input_tokens": 20}), *text(0, " More."), *end("end_turn")))
    reader.feed_eof()

    choice = answer.choice(0)
    assert sent_back(reader) is None
    assert reader.done is True
    assert len(first or []) == 4
    assert choice.joined("text") == "Found. More."
    assert kinds(choice).count("finish") == 1
    assert reader.usage is not None
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (30, 10)


def test_a_paused_answer_is_not_settled() -> None:
    reader, _ = new_reader(keeps_content=True)
    reader.feed(sse(start(), *text(0, "Hi"), end("pause_turn")[0]))

    assert not reader.is_settled


def test_an_answer_that_pauses_for_ever_ends_as_one_that_is_too_long() -> None:
    reader, answer = new_reader(keeps_content=True)
    pauses = 0
    for _ in range(MAX_CONTINUATIONS + 1):
        reader.feed(sse(start(), *text(0, "on "), *end("pause_turn")))
        reader.feed_eof()
        pauses += sent_back(reader) is not None
        assert sent_back(reader) is None or len(sent_back(reader)) == pauses

    assert pauses == MAX_CONTINUATIONS == 8
    assert reader.done
    choice = answer.choice(0)
    assert choice.finished is not None
    assert choice.finished.reason == "length"
    assert choice.joined("text") == "on " * 9


def test_a_whole_answer_pauses_too() -> None:
    body = start()["message"] | {"stop_reason": "pause_turn"}
    body["content"] = [{"type": "text", "text": "So far."}]
    reader, answer = new_reader(keeps_content=True)
    reader.read_whole(json.dumps(body).encode())
    assert sent_back(reader) == body["content"]

    reader.read_whole(json.dumps(body | {"stop_reason": "end_turn"}).encode())
    assert reader.done
    assert answer.choice(0).joined("text") == "So far.So far."


def test_a_whole_answer_gives_the_events_of_a_stream() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
    _, whole = read_message(THOUGHT, {"type": "text", "text": "Hi"}, call, reason="tool_use")
    _, streamed = read_events(
        start(),
        *thinking(0, "Hm, two cities.", "Sig=="),
        *text(1, "Hi"),
        *tool(2, "f", '{"a":1}'),
        *end("tool_use"),
    )

    assert whole.events == streamed.events


def test_a_whole_answer_may_stand_in_message_start() -> None:
    """With programmatic tool calling nothing but message_stop follows."""
    content = [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}]
    _, choice = read_events(
        start(content=content, stop_reason="tool_use"), {"type": "message_stop"}
    )

    assert choice.calls() == [(CallStart("toolu_1", "f"), '{"a":1}')]
    assert choice.finished is not None
    assert choice.finished.reason == "tool_calls"


def test_a_stream_that_turns_out_to_be_a_whole_answer_is_read() -> None:
    body = json.dumps(start()["message"] | {"content": [{"type": "text", "text": "Hi"}]})
    body = body.replace('"stop_reason": null', '"stop_reason": "end_turn"')
    _, choice = read_stream(body.encode(), 5)

    assert choice.joined("text") == "Hi"


def test_a_whole_answer_that_turns_out_to_be_a_stream_is_read() -> None:
    reader, answer = new_reader()
    reader.read_whole(sse(start(), *text(0, "Hi"), *end()))

    assert answer.choice(0).joined("text") == "Hi"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>502</html>", "upstream_bad_response"),
        (b"[]", "upstream_bad_response"),
        (b'{"type":"message"}', "upstream_bad_response"),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', "overloaded"),
        (b'{"error":{"message":"x"}}', "upstream_error"),
        (b'{"content":[],"stop_reason":null}', "upstream_truncated"),
    ],
)
def test_a_whole_body_that_is_no_answer_is_an_error(body: bytes, code: str) -> None:
    reader, _ = new_reader()
    with pytest.raises(ProxyError) as caught:
        reader.read_whole(body)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "upstream_truncated"),
        (b"<html>", "upstream_bad_response"),
        (b"data: nonsense\n\n", "upstream_bad_frame"),
        (b"data: [1]\n\n", "upstream_bad_frame"),
        (sse({"type": "message_stop"}), "upstream_truncated"),
        (sse(*text(0, "Hi")), "upstream_bad_frame"),
        (sse({"type": "ping"}), "upstream_truncated"),
    ],
)
def test_a_stream_that_is_no_answer_is_an_error(data: bytes, code: str) -> None:
    with pytest.raises(ProxyError) as caught:
        read_stream(data)

    assert caught.value.code == code


def test_a_block_that_ends_twice_is_one_call() -> None:
    twice = [*tool(0, "f", "{}"), {"type": "content_block_stop", "index": 0}]
    _, choice = read_events(start(), *twice, *end("tool_use"))

    assert len(choice.calls()) == 1


@pytest.mark.parametrize(("caller", "reason"), [("direct", "tool_calls"), ("code", "stop")])
def test_a_call_by_code_that_anthropic_ran_may_have_its_result_already(
    caller: str, reason: str
) -> None:
    head = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    _, choice = read_events(start(), *block(0, head | {"caller": {"type": caller}}), *end())

    assert choice.finished is not None
    assert choice.finished.reason == reason


def test_a_pending_call_survives_a_refusal_and_a_full_context() -> None:
    for native in ("refusal", "model_context_window_exceeded", "something_new"):
        _, choice = read_events(start(), *tool(0, "f", "{}"), *end(native))
        assert len(choice.calls()) == 1


def test_a_refusal_is_no_stop() -> None:
    _, choice = read_events(start(), *text(0, "I cannot"), *end("refusal"))

    assert choice.finished is not None
    assert choice.finished.reason == "content_filter"


def test_an_end_without_a_reason_is_an_end() -> None:
    _, choice = read_events(start(), *text(0, "Hi"), *end(None))

    assert choice.finished is not None
    assert choice.finished.reason == "stop"


def test_every_cut_gives_the_same_events() -> None:
    stream = sse(
        start(), *thinking(0, "Hm é.", "S"), *text(1, "Größe"), *tool(2, "f", '{"a":1}'), *end()
    )

    def read(pieces: Sequence[bytes]) -> Any:
        reader, answer = new_reader()
        for piece in pieces:
            reader.feed(piece)
        reader.feed_eof()
        return answer.choice(0).events, reader.usage

    assert_same_for_every_split(read, stream)


@pytest.mark.parametrize("ending", [b"\r\n", b"\r"])
def test_other_line_ends_give_the_same_events(ending: bytes) -> None:
    stream = sse(start(), *text(0, "Hi"), *end())
    _, expected = read_stream(stream)
    _, choice = read_stream(stream.replace(b"\n", ending), 3)

    assert choice.events == expected.events


def test_nothing_is_read_behind_the_end() -> None:
    reader, answer = new_reader()
    reader.feed(sse(start(), *text(0, "Hi"), *end(), *text(7, "more")))
    reader.feed(b"data: nonsense\n\n")
    reader.feed_eof()

    assert answer.choice(0).joined("text") == "Hi"


def test_what_waits_is_counted() -> None:
    reader, _ = new_reader(keeps_content=True)
    first, second = thinking(0, "x" * 1000, "S"), text(1, "y" * 1000)
    reader.feed(sse(start(), *first[:2]))
    thought = reader.held
    reader.feed(sse(*second))
    waiting = reader.held

    assert 1000 <= thought < waiting
    assert waiting >= 2000


def test_asking_how_much_is_held_takes_no_longer_for_long_answers() -> None:
    """It is asked with every piece: the work must stay linear."""
    reader, _ = new_reader(keeps_content=True)
    reader.feed(sse(start(), *thinking(0, "x")[:1]))
    delta = {"type": "thinking_delta", "thinking": "word "}
    piece = sse({"type": "content_block_delta", "index": 0, "delta": delta})
    steps: list[int] = []

    for _ in range(400):
        reader.feed(piece)
        steps.append(function_calls(lambda: reader.held)[0])
        assert reader.held > 0

    assert max(steps[1:]) == min(steps[1:])


def test_an_error_that_lacks_its_blank_line_is_that_error() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}
    with pytest.raises(ProxyError) as caught:
        read_stream((sse(start(), *text(0, "a")) + sse(error)).rstrip())

    assert caught.value.code != "upstream_truncated"
    assert "m" in caught.value.message


def test_an_end_that_lacks_its_blank_line_is_the_end() -> None:
    reader, choice = read_stream(sse(start(), *text(0, "a"), *end()).rstrip())

    assert reader.done
    assert choice.joined("text") == "a"


def test_an_event_of_very_many_values_is_refused() -> None:
    with pytest.raises(ProxyError) as caught:
        read_stream(b'data: {"type":"ping","x":[' + b"0," * 3_000_000 + b"0]}\n\n")

    assert caught.value.code == "upstream_bad_frame"
