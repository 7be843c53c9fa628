"""Rows A1 to A8 and S1 to S13, usage and finish reasons: what canonical events become."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.sealed_state import SealedState, seal
from jarvis_proxy.dialects.messages.answer import warmed_cache
from jarvis_proxy.wire.chat_types import (
    ChatUsage,
    CompletionTokensDetails,
    Image,
    ImageURL,
    PromptTokensDetails,
)
from tests.dialects.messages.answers import (
    CALL_ID,
    REPORTED_USAGE,
    USAGE,
    Event,
    Json,
    answer,
    begin,
    both,
    call,
    context,
    finish,
    read,
    replay,
    sealed,
    stream,
    text,
    thought,
    whole,
    without_tier,
)

GEMINI = sealed("gemini", "U2ln")
DEEPSEEK = sealed("chat.deepseek", "so I think")
DEEPSEEK_SEAL = seal(SealedState("chat.deepseek", "so I think"))
NATIVE = {"type": "thinking", "thinking": "hm", "signature": "EqQBCkYIBRgC"}
REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgB"}
CALLED = {"type": "tool_use", "id": "call_1", "name": "get_weather"}


def said(words: str) -> Json:
    return {"type": "text", "text": words}


def thinking(words: str, signature: str) -> Json:
    return {"type": "thinking", "thinking": words, "signature": signature}


# -- whole ---------------------------------------------------------------------------------------


def test_the_message_has_its_keys_in_anthropics_order() -> None:
    message = both(text("Hi"), finish())
    assert list(message) == [
        "id",
        "type",
        "role",
        "model",
        "content",
        "stop_reason",
        "stop_sequence",
        "usage",
    ]
    assert message == {
        "id": f"msg_{CALL_ID}",
        "type": "message",
        "role": "assistant",
        "model": "my-model",
        "content": [said("Hi")],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {**REPORTED_USAGE, "service_tier": "standard"},
    }


def test_blocks_stand_in_the_order_of_the_events() -> None:
    events = (
        thought("h"), thought("m"), text("a"), text("b"), call(), call('{"a":1}', call_id="call_2"),
        text("c"), finish("tool_calls"),
    )  # fmt: skip
    assert both(*events)["content"] == [
        thinking("hm", ""),
        said("ab"),
        {**CALLED, "input": {}},
        {**CALLED, "id": "call_2", "input": {"a": 1}},
        said("c"),
    ]


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((), {}),
        (("",), {}),
        (("  ", "\n"), {}),
        (("null",), {}),
        (("{}",), {}),
        ((" {", '"a"', ": [1, 2]}"), {"a": [1, 2]}),
        (("[1,", "2]"), {"value": [1, 2]}),
        (('"x"',), {"value": "x"}),
        (("7",), {"value": 7}),
        (("no", " JSON"), {"_raw_arguments": "no JSON"}),
        (("no", " ", '{"a":1}'), {"_raw_arguments": 'no {"a":1}'}),
        (('{"a":', "1"), {"_raw_arguments": '{"a":1'}),
    ],
)
def test_the_input_of_a_call_is_an_object(pieces: tuple[str, ...], expected: Json) -> None:
    (block,) = both(call(*pieces), finish("tool_calls"))["content"]
    assert block == {**CALLED, "input": expected}


def test_an_answer_of_nothing_has_one_empty_text() -> None:
    assert both(finish())["content"] == [said("")]
    assert both(thought("hm"), finish(), shows=False)["content"] == [said("")]
    assert both(call(), finish("tool_calls"))["content"] == [{**CALLED, "input": {}}]


@pytest.mark.parametrize(
    ("events", "shown", "hidden"),
    [
        ([thought("hm"), GEMINI, call()], [thinking("hm", "gemini:U2ln")],
         [thinking("", "gemini:U2ln")]),
        ([GEMINI, call()], [thinking("", "gemini:U2ln")], [thinking("", "gemini:U2ln")]),
        ([thought("hm"), DEEPSEEK, call()], [thinking("hm", DEEPSEEK_SEAL)],
         [thinking("", DEEPSEEK_SEAL)]),
        ([thought("hm"), call()], [thinking("hm", "")], []),
        ([thought("hm"), sealed("anthropic", json.dumps([NATIVE])), call()], [NATIVE],
         [thinking("", "EqQBCkYIBRgC")]),
        ([sealed("anthropic", json.dumps([REDACTED])), call()], [REDACTED], [REDACTED]),
        ([thought("hm"), sealed("anthropic", json.dumps([NATIVE, REDACTED])), call()],
         [NATIVE, REDACTED], [thinking("", "EqQBCkYIBRgC"), REDACTED]),
        ([sealed("anthropic", "damaged"), call()], [], []),
        ([sealed("anthropic", '[{"type":"thinking","thinking":"a"}]'), call()], [], []),
    ],
)  # fmt: skip
def test_thinking_with_its_seal(events: list[Event], shown: list[Json], hidden: list[Json]) -> None:
    called = [{**CALLED, "input": {}}]
    assert both(*events, finish("tool_calls"))["content"] == shown + called
    assert both(*events, finish("tool_calls"), shows=False)["content"] == hidden + called


def test_without_being_asked_for_thinking_geminis_seal_stays_away() -> None:
    flags = {"shows": False, "asked": False}
    events = (thought("hm"), GEMINI, call(), finish("tool_calls"))
    assert both(*events, **flags)["content"] == [{**CALLED, "input": {}}]
    # A chat service needs its reasoning back, and nobody else remembers it.
    events = (thought("hm"), DEEPSEEK, call(), finish("tool_calls"))
    assert both(*events, **flags)["content"][0] == thinking("", DEEPSEEK_SEAL)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (USAGE, REPORTED_USAGE),
        (
            None,
            {
                "input_tokens": 0,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 0,
                "output_tokens_details": {"thinking_tokens": 0},
            },
        ),
        (
            ChatUsage(10, 0, 10, PromptTokensDetails(cached_tokens=30)),
            {
                "input_tokens": 0,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 30,
                "output_tokens": 0,
                "output_tokens_details": {"thinking_tokens": 0},
            },
        ),
    ],
)
def test_usage(usage: ChatUsage | None, expected: Json) -> None:
    reported = both(text("Hi"), finish(), usage=usage)["usage"]
    assert reported == {**expected, "service_tier": "standard"}


def test_searches_of_the_upstream_are_counted() -> None:
    message = both(
        lambda sink: sink.server_tool("web_search", 2),
        lambda sink: sink.server_tool("web_search", 1),
        text("Hi"),
        finish(),
    )
    assert message["usage"]["server_tool_use"] == {
        "web_search_requests": 3,
        "web_fetch_requests": 0,
    }


@pytest.mark.parametrize(
    ("reason", "fields", "expected"),
    [
        ("stop", {}, ("end_turn", None)),
        ("stop", {"matched_stop": "###"}, ("stop_sequence", "###")),
        ("length", {"matched_stop": "###"}, ("max_tokens", None)),
        ("tool_calls", {}, ("tool_use", None)),
        ("function_call", {}, ("tool_use", None)),
        ("content_filter", {}, ("refusal", None)),
    ],
)
def test_reasons(reason: str, fields: Json, expected: tuple[str, str | None]) -> None:
    message = both(text("Hi"), finish(reason, **fields))
    assert (message["stop_reason"], message["stop_sequence"]) == expected


@pytest.mark.parametrize(
    ("events", "reported", "texts"),
    [
        ([], "Blocked by a filter.", ["Blocked by a filter."]),
        ([], None, ["The answer was refused (SAFETY)."]),
        ([thought("hm")], "Blocked.", ["Blocked."]),
        ([text("So ")], "Blocked.", ["So "]),
    ],
)
def test_a_refusal_says_why(events: list[Event], reported: str | None, texts: list[str]) -> None:
    message = both(*events, finish("content_filter", native="SAFETY", message=reported))
    assert message["stop_details"] == {"type": "refusal", "category": None, "explanation": reported}
    assert [b["text"] for b in message["content"] if b["type"] == "text"] == texts


# -- stream --------------------------------------------------------------------------------------


def test_each_event_is_named_by_its_type_on_one_line() -> None:
    data = stream(thought("a\nb"), text("c\r\nd"), finish())
    assert [event["type"] for event in read(data)] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize("usage", [USAGE, None])
def test_nothing_is_written_before_there_is_something_to_show(usage: ChatUsage | None) -> None:
    made = answer(streamed=True, shows=False)
    sink = made.choice(0)
    sink.begin("id", usage)
    sink.thought("hm")
    assert (made.take(), sink.emitted) == (b"", False)

    sink.text("Hi")

    assert sink.emitted
    first, *_ = read(made.take())
    expected = {
        "input_tokens": 60 if usage else 0,
        "cache_creation_input_tokens": 10 if usage else 0,
        "cache_read_input_tokens": 30 if usage else 0,
        "output_tokens": 20 if usage else 0,
        "service_tier": "standard",
    }
    assert first["message"]["usage"] == expected
    assert (first["message"]["content"], first["message"]["stop_reason"]) == ([], None)


def test_pieces_go_out_as_they_come() -> None:
    made = answer(streamed=True)
    for words in ("a", "b"):
        made.choice(0).text(words)
        assert read(made.take())[-1]["delta"] == {"type": "text_delta", "text": words}
    assert made.take() == b""
    assert made.kept == 0


def test_blocks_are_numbered_without_a_gap() -> None:
    data = stream(thought("a"), text("b"), call(), call(), text("c"), finish())
    indices = [e["index"] for e in read(data) if e["type"] == "content_block_start"]
    assert indices == [0, 1, 2, 3, 4]
    assert len(replay(data)["content"]) == 5


def test_another_kind_of_piece_begins_another_block() -> None:
    data = stream(text("a"), thought("b"), text("c"), call("{}"), thought("d"), finish())
    assert [block["type"] for block in replay(data)["content"]] == [
        "text",
        "thinking",
        "text",
        "tool_use",
        "thinking",
    ]


def test_a_thinking_block_has_one_signature_at_its_end() -> None:
    data = stream(thought("a"), GEMINI, thought("b"), GEMINI, GEMINI, call(), finish())
    deltas = [e["delta"]["type"] for e in read(data) if e["type"] == "content_block_delta"]
    signature = "signature_delta"
    assert deltas == ["thinking_delta", signature, "thinking_delta", signature, signature]
    assert len(replay(data)["content"]) == 4


def test_no_text_block_is_opened_before_there_is_text() -> None:
    kinds = [block["type"] for block in replay(stream(call(), finish("tool_calls")))["content"]]
    assert kinds == ["tool_use"]


def test_arguments_are_streamed_as_they_come() -> None:
    made = answer(streamed=True)
    event = call('{"city"', ":", "", ' "Köln"}')
    event(made.choice(0))
    events = read(made.take())
    assert events[1]["content_block"] == {**CALLED, "input": {}}
    pieces = [e["delta"] for e in events if e["type"] == "content_block_delta"]
    assert [piece["partial_json"] for piece in pieces] == ['{"city"', ":", ' "Köln"}']
    assert [e["type"] for e in events[-2:]] == ["content_block_delta", "content_block_stop"]


def test_a_call_without_arguments_has_no_delta() -> None:
    kinds = [event["type"] for event in read(stream(call(), finish("tool_calls")))]
    assert "content_block_delta" not in kinds


def test_each_block_ends_once() -> None:
    data = stream(thought("a"), GEMINI, text("b"), call("{}"), call(), finish("tool_calls"))
    kinds = [event["type"] for event in read(data)]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 4


def test_the_end_has_the_reason_and_all_of_the_usage() -> None:
    *_, delta, stop = read(stream(begin(ChatUsage(7, 0, 7)), text("a"), finish("length")))
    assert delta == {
        "type": "message_delta",
        "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
        "usage": REPORTED_USAGE,
    }
    assert stop == {"type": "message_stop"}
    assert b"[DONE]" not in stream(text("a"), finish())


def test_without_usage_at_the_end_that_of_the_start_holds() -> None:
    *_, delta, _ = read(stream(begin(ChatUsage(7, 1, 8)), text("a"), finish(), usage=None))
    assert (delta["usage"]["input_tokens"], delta["usage"]["output_tokens"]) == (7, 1)


def test_signed_text_stays_text_and_no_answer_ends_in_a_seal() -> None:
    assert both(text("a"), GEMINI, finish())["content"] == [said("a")]
    assert both(GEMINI, finish())["content"] == [said("")]


def test_seal_stands_before_what_follows_the_signed_text() -> None:
    events = (text("a"), GEMINI, call("{}"), finish("tool_calls"))
    kinds = [block["type"] for block in both(*events)["content"]]
    assert kinds == ["text", "thinking", "tool_use"]
    unasked = both(*events, shows=False, asked=False)["content"]
    assert [block["type"] for block in unasked] == ["text", "tool_use"]


def test_what_was_written_before_an_error_leaves_its_block_open() -> None:
    made = answer(streamed=True)
    made.choice(0).text("a")
    assert [event["type"] for event in read(made.take())] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
    ]


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_text_comes_through(words: str) -> None:
    events = (thought(words), text(words), call(json.dumps({"a": words})), finish("tool_calls"))
    first, second, third = both(*events)["content"]
    assert (first["thinking"], second["text"], third["input"]) == (words, words, {"a": words})


# -- both ----------------------------------------------------------------------------------------


def test_a_small_picture_becomes_text_and_a_large_one_words() -> None:
    def picture(size: int) -> Event:
        url = "data:image/png;base64," + "A" * size
        return lambda sink: sink.image(Image(image_url=ImageURL(url), index=0))

    (small,) = both(picture(8), finish())["content"]
    assert small["text"] == "![image](data:image/png;base64,AAAAAAAA)"
    (large,) = both(picture(64 * 1024), finish())["content"]
    assert large["text"] == "[An image was left out: this API has no place for one.]"


def test_sound_and_log_probabilities_have_no_place() -> None:
    message = both(
        text("a"),
        lambda sink: sink.speech("audio/pcm", "AAAA"),
        lambda sink: sink.logprobs([]),
        text("b"),
        finish(),
    )
    assert message["content"] == [said("ab")]


@pytest.mark.parametrize("streamed", [True, False])
def test_further_choices_go_nowhere(streamed: bool) -> None:
    made = answer(streamed=streamed)
    for index in (3, 0, 3):
        sink = made.choice(index)
        sink.thought(f"{index}?")
        GEMINI(sink)
        sink.text(f"{index}!")
        call("{}")(sink)
    for index in (0, 3):
        finish()(made.choice(index))
    made.end(USAGE)
    message = replay(made.take()) if streamed else json.loads(made.body())
    assert {block.get("text") for block in message["content"]} == {"3!", None}


def test_what_a_whole_answer_keeps_is_counted() -> None:
    made = answer(streamed=False)
    made.choice(0).text("a" * 10_000)
    sealed("gemini", "b" * 5_000)(made.choice(0))
    call("{}")(made.choice(0))
    assert 15_000 < made.kept < 16_000
    assert not made.choice(0).emitted


def test_an_answer_that_only_fills_the_cache() -> None:
    message = json.loads(warmed_cache(context(), streamed=False))
    assert (message["content"], message["stop_reason"]) == ([], "max_tokens")
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (0, 0)
    replayed = replay(warmed_cache(context(), streamed=True))
    assert replayed == {**message, "usage": replayed["usage"]}
    assert without_tier(replayed["usage"]) == without_tier(message["usage"])


_EVENTS = st.one_of(
    st.text("ab{\n", min_size=1).map(text),
    st.text("ab{\n", min_size=1).map(thought),
    st.sampled_from([GEMINI, DEEPSEEK, sealed("anthropic", json.dumps([NATIVE, REDACTED]))]),
    st.lists(st.sampled_from(["{", '"a"', ":", "1", "}", "", " ", "x", "null", "[1]"])).map(
        lambda pieces: call(*pieces)
    ),
    st.just(lambda sink: sink.server_tool("web_search", 1)),
)
_REASONS = st.sampled_from(["stop", "length", "tool_calls", "content_filter"])


@given(st.lists(_EVENTS), _REASONS, st.booleans(), st.booleans())
def test_any_stream_keeps_the_rules_and_is_the_whole_answer(
    events: list[Event], reason: str, shows: bool, asked: bool
) -> None:
    """``replay`` checks rules S1 to S9 and does not depend on how the events were written."""
    message = both(*events, finish(reason), shows=shows, asked=asked)
    assert message["content"]


def test_usage_counts_reasoning_within_the_output() -> None:
    details = CompletionTokensDetails(reasoning_tokens=90)
    reported = whole(
        text("a"), finish(), usage=ChatUsage(1, 100, 101, completion_tokens_details=details)
    )
    assert reported["usage"]["output_tokens"] == 100
    assert reported["usage"]["output_tokens_details"] == {"thinking_tokens": 90}
