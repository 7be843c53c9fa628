"""Tool calls whose pieces interleave come out one after the other."""

from typing import Any

import pytest

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.canonical.tools import CalledTool
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.call_gatherer import CallGatherer
from tests.support.recorded_answer import RecordedChoice, ids_in_order
from tests.upstreams.chat.streams import call, chunk, context, only_choice, only_choice_of, whole

END = chunk(finish="tool_calls")


def started(*entries: dict[str, Any]) -> tuple[RecordedChoice, CallGatherer]:
    """Return what has been sent after *entries*, and the gatherer that goes on."""
    sink = RecordedChoice()
    gatherer = CallGatherer(sink, CalledTool, ids_in_order())
    for one in entries:
        gatherer.take(one["choices"][0]["delta"]["tool_calls"][0])
    return sink, gatherer


def test_first_call_is_passed_piece_by_piece() -> None:
    sink, gatherer = started(call(0, "call_a", "f", '{"a"'), call(0, None, None, ":1}"))

    assert sink.pieces == 2
    assert sink.calls() == [(CallStart("call_a", "f"), '{"a":1}')]
    assert gatherer.held < 500


def test_other_calls_wait_for_the_end_and_come_in_order_of_index() -> None:
    choice = only_choice(
        call(0, "call_a", "f", '{"a"'),
        call(2, "call_c", "h", '{"c"'),
        call(1, "call_b", "g", '{"b":'),
        call(0, None, None, ":1}"),
        call(2, None, None, ":3}"),
        call(1, None, None, "2}"),
        END,
    )

    assert choice.calls() == [
        (CallStart("call_a", "f"), '{"a":1}'),
        (CallStart("call_b", "g"), '{"b":2}'),
        (CallStart("call_c", "h"), '{"c":3}'),
    ]


def test_pieces_without_an_index_are_gathered_by_id() -> None:
    choice = only_choice(
        call(None, "call_a", "f", '{"a"'),
        call(None, "call_b", "g", '{"b"'),
        call(None, "call_a", None, ":1}"),
        call(None, "call_b", None, ":2}"),
        END,
    )

    assert [arguments for _, arguments in choice.calls()] == ['{"a":1}', '{"b":2}']


def test_piece_with_neither_belongs_to_the_last_call() -> None:
    choice = only_choice(
        call(None, "call_a", "f", '{"a":1}'),
        call(None, "call_b", "g", '{"b"'),
        call(None, None, None, ":2}"),
        END,
    )

    assert [arguments for _, arguments in choice.calls()] == ['{"a":1}', '{"b":2}']


def test_entry_with_a_name_and_nothing_else_is_a_new_call() -> None:
    choice = only_choice(call(None, None, "f", "{}"), call(None, None, "f", "{}"), END)

    assert [start.name for start, _ in choice.calls()] == ["f", "f"]
    assert len({start.id for start, _ in choice.calls()}) == 2


def test_calls_that_share_one_index_are_told_apart_by_id_and_name() -> None:
    choice = only_choice(
        call(0, "call_a", "f", '{"a":1}'),
        call(0, "call_b", "f", '{"b"'),
        call(0, None, None, ":2}"),
        END,
    )

    assert [arguments for _, arguments in choice.calls()] == ['{"a":1}', '{"b":2}']


def test_new_id_in_each_piece_of_one_call_changes_nothing() -> None:
    choice = only_choice(
        call(0, "call_a", "f", '{"a"'), call(0, "call_b", None, ":1}"), call(0, "x", "", ""), END
    )

    assert choice.calls() == [(CallStart("call_a", "f"), '{"a":1}')]


def test_entries_of_a_whole_message_are_calls_of_their_own() -> None:
    entry = {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    choice = only_choice_of(whole({"tool_calls": [entry, entry, entry]}, "tool_calls"))

    ids = [start.id for start, _ in choice.calls()]
    assert ids[0] == "call_a"
    assert len(set(ids)) == 3


def test_call_waits_for_its_name() -> None:
    sink, gatherer = started(call(0, "call_a", None, '{"a"'), call(0, None, "", ":1"))
    assert sink.events == []

    gatherer.take({"index": 0, "function": {"name": "f", "arguments": "}"}})
    gatherer.end(whole=True)

    assert sink.calls() == [(CallStart("call_a", "f"), '{"a":1}')]


def test_missing_id_is_made_up() -> None:
    choice = only_choice(call(0, None, "f", "{}"), END)

    assert [start.id for start, _ in choice.calls()] == ["call_" + "1".zfill(24)]


def test_repeated_name_is_ignored() -> None:
    choice = only_choice(call(0, "call_a", "f", '{"a"'), call(0, "call_a", "f", ":1}"), END)

    assert choice.calls() == [(CallStart("call_a", "f"), '{"a":1}')]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({"a": [1, "é"]}, '{"a":[1,"\\u00e9"]}'), (None, ""), ("", ""), ("{}", "{}")],
)
def test_arguments_of_any_type_become_text(arguments: object, expected: str) -> None:
    choice = only_choice(call(0, "call_a", "f", arguments), END)

    assert [text for _, text in choice.calls()] == [expected]


def test_call_without_a_name_is_an_error() -> None:
    with pytest.raises(ProxyError) as caught:
        only_choice(call(0, "call_a", None, "{}"), END)

    assert caught.value.code == "upstream_bad_response"


@pytest.mark.parametrize("arguments", ["[1]", '"a"', "city=Paris", " \n<tool>"])
def test_arguments_that_begin_no_object_are_held(arguments: str) -> None:
    sink, gatherer = started(call(0, "call_a", "f", arguments))
    assert sink.events == []

    gatherer.end(whole=True)

    assert sink.calls() == [(CallStart("call_a", "f"), arguments)]


def test_object_may_begin_behind_blanks() -> None:
    sink, _ = started(call(0, "call_a", "f", " \n"), call(0, None, None, '{"a"'))

    assert sink.calls() == [(CallStart("call_a", "f"), ' \n{"a"')]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("city=Paris", '{"_raw_arguments":"city=Paris"}'),
        ("[1]", '{"_raw_arguments":"[1]"}'),
        ("", ""),
        ('{"a":1}', '{"a":1}'),
    ],
)
def test_clients_that_take_objects_only_get_one(arguments: str, expected: str) -> None:
    given = context(objects_only=True)
    choice = only_choice(call(0, "call_a", "f", arguments), END, given=given)

    assert [text for _, text in choice.calls()] == [expected]


def test_held_call_of_broken_json_is_wrapped_too() -> None:
    chunks = call(0, "call_a", "f", "{}"), call(1, "call_b", "g", '{"b":'), END
    as_it_is = only_choice(*chunks)
    wrapped = only_choice(*chunks, given=context(objects_only=True))

    assert as_it_is.calls()[1][1] == '{"b":'
    assert wrapped.calls()[1][1] == '{"_raw_arguments":"{\\"b\\":"}'


def test_streamed_call_that_breaks_off_stays_as_it_is() -> None:
    choice = only_choice(
        call(0, "call_a", "f", '{"a'), chunk(finish="length"), given=context(objects_only=True)
    )

    assert choice.calls() == [(CallStart("call_a", "f"), '{"a')]


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_held_call_that_was_cut_is_left_out_and_whole_ones_are_passed(finish: str) -> None:
    choice = only_choice(
        call(0, "call_a", "f", "{}"),
        call(1, "call_b", "g", '{"b":2}'),
        call(2, "call_c", "h", '{"c":'),
        chunk(finish=finish),
    )

    assert [start.name for start, _ in choice.calls()] == ["f", "g"]
    assert choice.events[-1] == ("finish", finish)


def test_custom_tool_that_went_as_a_function_comes_back_as_text() -> None:
    given = context(tool=lambda name: CalledTool("exec", "shell", wraps_text=True))
    choice = only_choice(
        call(0, "call_a", "shell__exec", '{"inp'),
        call(0, None, None, 'ut":"ls\\n"}'),
        END,
        given=given,
    )

    assert choice.calls() == [(CallStart("call_a", "exec", "custom", "shell"), "ls\n")]


@pytest.mark.parametrize("arguments", ["ls -l", '{"input":5}', '{"cmd":"ls"}', "[1]"])
def test_text_for_a_custom_tool_that_is_no_such_json_stays(arguments: str) -> None:
    given = context(tool=lambda name: CalledTool(name, wraps_text=True), objects_only=True)
    choice = only_choice(call(0, "call_a", "exec", arguments), END, given=given)

    assert choice.calls() == [(CallStart("call_a", "exec", "custom"), arguments)]


def test_openais_custom_call_is_passed_as_it_comes() -> None:
    sink, _ = started(
        chunk(
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "call_a",
                        "type": "custom",
                        "custom": {"name": "exec", "input": "l"},
                    }
                ]
            }
        ),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": "s"}}]}),
    )

    assert sink.calls() == [(CallStart("call_a", "exec", "custom"), "ls")]
    assert sink.pieces == 2


def test_only_the_first_call_counts_where_one_was_asked_for() -> None:
    chunks = call(0, "call_a", "f", "{}"), call(1, "call_b", "g", "{}"), END
    choice = only_choice(*chunks, given=context(one_call=True))

    assert [start.name for start, _ in choice.calls()] == ["f"]


def test_held_bytes_are_counted_and_freed() -> None:
    _, gatherer = started(call(0, "call_a", "f", "{"), call(1, "call_b", "g", "{" + " " * 5000))
    held = gatherer.held
    assert held > 5000

    for _ in range(50):
        gatherer.take({"index": 0, "function": {"arguments": " " * 5000}})

    assert gatherer.held == held
