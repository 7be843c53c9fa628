"""Marks for Anthropic's cache: the client's own, or one for the whole request."""

import json

import pytest

from tests.upstreams.anthropic.chat import (
    MARK,
    Json,
    asking,
    assistant,
    body_for,
    call,
    function,
    result,
    text,
    turns_for,
    user,
)


def test_a_request_with_tools_is_marked_as_a_whole() -> None:
    assert body_for(asking(tools=[function()]))["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in body_for(asking())


def test_the_clients_marks_stay_as_they_are() -> None:
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    body = body_for(
        asking(
            {"role": "system", "content": [text("s") | hour]},
            user([text("a") | MARK]),
            tools=[function() | hour],
        )
    )

    assert body["tools"][0]["cache_control"] == hour["cache_control"]
    assert body["system"][0]["cache_control"] == hour["cache_control"]
    assert body["messages"][0]["content"][0]["cache_control"] == MARK["cache_control"]
    assert "cache_control" not in body


def test_a_mark_on_the_whole_request_passes() -> None:
    body = body_for(asking(user([text("a") | MARK]), **MARK))

    assert body["cache_control"] == MARK["cache_control"]
    assert "cache_control" in body["messages"][0]["content"][0]


def test_marks_on_calls_and_results_stand_on_their_blocks() -> None:
    turns = turns_for(user(), assistant(None, call() | MARK), result("call_1", [text("x")], **MARK))

    assert "cache_control" in turns[1][1][0]
    assert "cache_control" in turns[2][1][0]


def test_the_last_mark_within_a_result_stands_on_the_result() -> None:
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    said = [text("a") | MARK, text("b") | hour, text("c")]
    several, one = (
        turns_for(user(), assistant(None, call()), result("call_1", content))[2][1][0]
        for content in (said, said[:1])
    )

    assert several["content"] == [text("a"), text("b"), text("c")]
    assert several["cache_control"] == hour["cache_control"]
    assert one["content"] == "a"
    assert one["cache_control"] == MARK["cache_control"]


@pytest.mark.parametrize("mark", [None, "ephemeral", {"type": "other"}, {}, 1])
def test_what_is_no_mark_is_dropped(mark: object) -> None:
    body = body_for(asking(user([text("a") | {"cache_control": mark}])))

    assert body["messages"][0]["content"] == [text("a")]


def test_only_the_last_four_marks_are_sent() -> None:
    parts = [text(str(number)) | MARK for number in range(4)]
    system: Json = {"role": "system", "content": [text("s") | MARK]}
    body = body_for(asking(system, user(parts), tools=[function() | MARK]))

    assert "cache_control" not in body["tools"][0]
    assert "cache_control" not in body["system"][0]
    assert all("cache_control" in block for block in body["messages"][0]["content"])


def test_a_mark_on_the_whole_request_is_one_of_the_four() -> None:
    parts = [text(str(number)) | MARK for number in range(4)]
    blocks = body_for(asking(user(parts), **MARK))["messages"][0]["content"]

    assert ["cache_control" in block for block in blocks] == [False, True, True, True]


def test_a_mark_on_a_tool_message_is_kept() -> None:
    turns = turns_for(user(), assistant(None, call()), result("call_1", "ok", **MARK))

    assert turns[2][1][0]["cache_control"] == MARK["cache_control"]


def test_no_block_gets_a_mark_that_its_client_did_not_set() -> None:
    body = body_for(asking(user(), assistant(None, call()), result(), tools=[function()]))

    assert "cache_control" not in json.dumps(body["messages"])
