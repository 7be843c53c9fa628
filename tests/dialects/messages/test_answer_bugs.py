"""What other gateways got wrong in Messages answers; by the numbers of a list."""

import json

import pytest

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.wire.chat_types import ChatUsage, PromptTokensDetails
from tests.dialects.messages.answers import (
    answer,
    begin,
    both,
    call,
    finish,
    read,
    replay,
    sealed,
    stream,
    text,
    thought,
    whole,
)

CALLS = (call('{"a":1}', call_id="call_1"), call('{"b":2}', call_id="call_2"))


def test_a_call_ends_once_so_that_its_tool_runs_once() -> None:
    kinds = [event["type"] for event in read(stream(call("{}"), finish("tool_calls")))]
    assert kinds.count("content_block_stop") == 1


def test_text_between_two_calls_has_a_block_of_its_own() -> None:
    message = replay(stream(CALLS[0], text("\n"), CALLS[1], finish("tool_calls")))
    assert [block["type"] for block in message["content"]] == ["tool_use", "text", "tool_use"]


def test_the_first_piece_of_a_block_is_not_lost() -> None:
    content = replay(stream(text("a"), thought("b"), text("c"), finish()))["content"]
    assert [block.get("text", block.get("thinking")) for block in content] == ["a", "b", "c"]


@pytest.mark.parametrize("pieces", [('{"a":1}',), ("", '{"a":1}', ""), tuple('{"a":1}')])
def test_arguments_arrive_however_they_are_cut(pieces: tuple[str, ...]) -> None:
    (block,) = both(call(*pieces), finish("tool_calls"))["content"]
    assert block["input"] == {"a": 1}


def test_each_delta_names_a_block_that_is_open() -> None:
    open_block, blocks = None, 0
    for event in read(stream(thought("a"), *CALLS, text("b"), finish("tool_calls"))):
        if event["type"] == "content_block_start":
            assert (open_block, event["index"]) == (None, blocks)
            open_block, blocks = blocks, blocks + 1
        elif event["type"] == "content_block_delta":
            assert event["index"] == open_block
        elif event["type"] == "content_block_stop":
            assert event["index"] == open_block
            open_block = None
    assert (open_block, blocks) == (None, 4)


def test_parallel_calls_keep_their_own_arguments() -> None:
    content = both(*CALLS, finish("tool_calls"))["content"]
    assert [(block["id"], block["input"]) for block in content] == [
        ("call_1", {"a": 1}),
        ("call_2", {"b": 2}),
    ]


def test_the_start_has_tokens_only_where_they_are_known() -> None:
    first, *_ = read(stream(begin(ChatUsage(9, 0, 9)), text("a"), finish()))
    assert first["message"]["usage"]["input_tokens"] == 9
    first, *_, delta, _ = read(stream(text("a"), finish()))
    assert first["message"]["usage"]["input_tokens"] == 0
    assert delta["usage"]["input_tokens"] == 60


def test_input_tokens_leave_out_what_a_cache_read_or_wrote() -> None:
    usage = ChatUsage(100, 1, 101, PromptTokensDetails(cached_tokens=80, cache_write_tokens=15))
    reported = both(text("a"), finish(), usage=usage)["usage"]
    counts = [reported[name] for name in reported if "input" in name]
    assert counts == [5, 15, 80]
    assert sum(counts) == usage.prompt_tokens


def test_a_stream_always_has_its_reason_and_its_output() -> None:
    for reason in ("stop", "length", "tool_calls", "content_filter"):
        *_, delta, _ = read(stream(text("a"), finish(reason), usage=None))
        assert delta["usage"]["output_tokens"] == 0
        assert delta["delta"]["stop_reason"]


def test_thoughts_never_become_text() -> None:
    for shows in (True, False):
        content = both(thought("secret"), text("a"), finish(), shows=shows)["content"]
        assert [block["text"] for block in content if block["type"] == "text"] == ["a"]


def test_signed_text_is_not_moved_into_thinking() -> None:
    content = both(text("a"), sealed("gemini", "U2ln"), finish())["content"]
    assert content == [{"type": "text", "text": "a"}]


@pytest.mark.parametrize("reason", ["content_filter", "length"])
def test_a_call_that_ended_is_passed_whatever_the_reason(reason: str) -> None:
    assert both(text("a"), CALLS[0], finish(reason))["content"][1]["input"] == {"a": 1}


def test_a_refusal_is_neither_stop_nor_end_turn() -> None:
    assert both(text("a"), finish("content_filter"))["stop_reason"] == "refusal"


def test_a_long_input_is_no_silence() -> None:
    made = answer(streamed=True)
    sink = made.choice(0)
    sink.call_begin(CallStart("call_1", "write"))
    for piece in ('{"text":"', *("a" * 100 for _ in range(20)), '"}'):
        sink.call_piece(piece)
        assert read(made.take())[-1]["delta"]["partial_json"] == piece


@pytest.mark.parametrize("arguments", ["oops", "[1]", '"{}"', "\ufeff{}"])
def test_a_stream_never_holds_arguments_that_begin_no_object(arguments: str) -> None:
    events = read(stream(call(arguments), finish("tool_calls")))
    (delta,) = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert delta["partial_json"].startswith("{")
    assert json.loads(delta["partial_json"])
    assert whole(call(arguments), finish("tool_calls"))["content"][0]["input"]
