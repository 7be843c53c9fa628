"""Content blocks of a Messages answer become events of a choice."""

import pytest

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.canonical.sealed_state import SealedState, anthropic_blocks
from jarvis_proxy.canonical.tools import CalledTool
from jarvis_proxy.errors import ProxyError
from tests.support.recorded_answer import RecordedChoice
from tests.upstreams.anthropic.answers import (
    Json,
    block,
    end,
    kinds,
    new_reader,
    read_events,
    read_message,
    sse,
    start,
    text,
    thinking,
    tool,
)


def sealed(choice: RecordedChoice) -> list[Json]:
    """Return the blocks of all seals, in order."""
    seals = [value for name, value in choice.events if name == "seal"]
    return [b for seal in seals if isinstance(seal, SealedState) for b in anthropic_blocks(seal)]


def test_text_in_the_start_of_a_block_is_its_first_piece() -> None:
    deltas = {"type": "text_delta", "text": "lo"}
    _, choice = read_events(start(), *block(0, {"type": "text", "text": "Hel"}, deltas), *end())

    assert choice.joined("text") == "Hello"


@pytest.mark.parametrize("given", [{"city": "Rome"}, '{"city":"Rome"}'])
def test_input_in_the_start_of_a_block_is_the_input(given: object) -> None:
    head = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": given}
    _, choice = read_events(start(), *block(0, head), *end("tool_use"))

    assert choice.calls() == [(CallStart("toolu_1", "f"), '{"city":"Rome"}')]


def test_pieces_of_input_take_the_place_of_the_input_in_the_start() -> None:
    head = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
    delta = {"type": "input_json_delta", "partial_json": '{"a":1}'}
    _, choice = read_events(start(), *block(0, head, delta), *end("tool_use"))

    assert choice.calls()[0][1] == '{"a":1}'


def test_each_kind_of_delta_becomes_its_event() -> None:
    _, choice = read_events(
        start(),
        *thinking(0, "Hm.", "Sig=="),
        *text(1, "It ", "is."),
        *tool(2, "f", '{"a"', ":1}"),
        *end("tool_use"),
    )

    assert choice.joined("thought") == "Hm."
    assert choice.joined("text") == "It is."
    assert choice.calls() == [(CallStart("toolu_1", "f"), '{"a":1}')]
    assert kinds(choice) == ["thought", "seal", "text", "call", "arguments", "finish"]


def test_pieces_are_passed_on_one_by_one() -> None:
    reader, answer = new_reader()
    events = [start(), *text(0, "It ", "is.")]
    said = []
    for event in events:
        reader.feed(sse(event))
        said.append(answer.choice(0).joined("text"))

    assert said == ["", "", "It ", "It is.", "It is."]


def test_an_unknown_delta_is_ignored() -> None:
    delta = {"type": "mood_delta", "mood": "good"}
    _, choice = read_events(start(), *block(0, {"type": "text", "text": "Hi"}, delta), *end())

    assert choice.joined("text") == "Hi"


def test_citations_annotate_the_text_of_their_block() -> None:
    citation = {"type": "web_search_result_location", "url": "https://a.example", "title": "A"}
    cited: list[Json] = [
        {"type": "citations_delta", "citation": citation},
        {"type": "text_delta", "text": "So it is."},
    ]
    _, choice = read_events(
        start(), *text(0, "Well. "), *block(1, {"type": "text", "text": ""}, *cited), *end()
    )

    assert choice.finished is not None
    (annotation,) = choice.finished.annotations
    found = annotation.url_citation
    assert (found.url, found.title) == ("https://a.example", "A")
    assert choice.joined("text")[found.start_index : found.end_index] == "So it is."


def test_redacted_thinking_is_sealed_and_not_shown() -> None:
    redacted = {"type": "redacted_thinking", "data": "Eo8B"}
    _, choice = read_events(start(), *block(0, redacted), *text(1, "Hi"), *end())

    assert sealed(choice) == [redacted]
    assert kinds(choice) == ["seal", "text", "finish"]


@pytest.mark.parametrize(
    "kind",
    ["server_tool_use", "web_search_tool_result", "container_upload", "compaction", "advice"],
)
def test_blocks_of_the_servers_tools_are_ignored(kind: str) -> None:
    delta = {"type": "input_json_delta", "partial_json": '{"query":"x"}'}
    _, choice = read_events(
        start(), *block(0, {"type": kind, "content": [{}]}, delta), *text(1, "Hi"), *end()
    )

    assert kinds(choice) == ["text", "finish"]


def test_the_seal_is_the_block_bit_for_bit() -> None:
    said = 'Hm, "zwei" Städte\n\u2028 \N{GRINNING FACE}'
    _, choice = read_events(start(), *thinking(0, said, "Ab+/=="), *text(1, "Hi"), *end())

    assert sealed(choice) == [{"type": "thinking", "thinking": said, "signature": "Ab+/=="}]


def test_a_signed_block_without_text_is_sealed() -> None:
    _, choice = read_events(start(), *thinking(0, "", "Sig=="), *text(1, "Hi"), *end())

    assert sealed(choice) == [{"type": "thinking", "thinking": "", "signature": "Sig=="}]


def test_a_block_without_a_signature_is_shown_and_not_sealed() -> None:
    _, choice = read_events(start(), *thinking(0, "Hm."), *text(1, "Hi"), *end())

    assert choice.joined("thought") == "Hm."
    assert sealed(choice) == []


def test_a_signature_in_a_block_of_its_own_joins_the_thinking_before() -> None:
    _, choice = read_events(
        start(), *thinking(0, "Hm."), *thinking(1, "", "Sig=="), *text(2, "Hi"), *end()
    )

    assert sealed(choice) == [{"type": "thinking", "thinking": "Hm.", "signature": "Sig=="}]


def test_text_between_keeps_blocks_apart() -> None:
    _, choice = read_events(
        start(), *thinking(0, "Hm."), *text(1, "Hi"), *thinking(2, "", "Sig=="), *end()
    )

    assert sealed(choice) == [{"type": "thinking", "thinking": "", "signature": "Sig=="}]


def test_a_call_without_arguments_has_no_pieces() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    _, whole = read_message(call, reason="tool_use")
    _, streamed = read_events(start(), *tool(0, "f", ""), *end("tool_use"))

    assert whole.calls() == streamed.calls() == [(CallStart("toolu_1", "f"), "")]


def test_a_renamed_tool_is_called_by_its_own_name() -> None:
    tools = {"mail__send": CalledTool("send", namespace="mail")}
    _, choice = read_events(start(), *tool(0, "mail__send", "{}"), *end("tool_use"), tools=tools)

    assert choice.calls() == [(CallStart("toolu_1", "send", namespace="mail"), "{}")]


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (['{"input": "*** Be', 'gin\\nPatch"}'], "*** Begin\nPatch"),
        (['{"input": 1}'], '{"input": 1}'),
        (['{"inp'], '{"inp'),
        ([], ""),
    ],
    ids=["text", "no text", "cut", "nothing"],
)
def test_the_free_text_of_a_custom_tool_is_taken_out_of_its_json(
    pieces: list[str], said: str
) -> None:
    tools = {"patch": CalledTool("patch", wraps_text=True)}
    _, choice = read_events(start(), *tool(0, "patch", *pieces), *end("tool_use"), tools=tools)

    assert choice.calls() == [(CallStart("toolu_1", "patch", "custom"), said)]


def test_a_call_without_an_id_gets_one() -> None:
    _, choice = read_events(start(), *tool(0, "f", "{}", call_id=""), *end("tool_use"))

    assert choice.calls()[0][0].id == "call_" + "1".zfill(24)


def test_a_call_without_a_name_breaks_the_protocol() -> None:
    with pytest.raises(ProxyError, match="without a name"):
        read_events(start(), *tool(0, "", "{}"), *end("tool_use"))


def test_arguments_that_come_all_at_once_are_taken() -> None:
    _, choice = read_events(start(), *tool(0, "f", '{"city":"Rome"}'), *end("tool_use"))

    assert choice.calls()[0][1] == '{"city":"Rome"}'


def test_thinking_then_a_tool_without_text() -> None:
    _, choice = read_events(
        start(), *thinking(0, "Hm.", "S"), *tool(1, "f", "{}"), *end("tool_use")
    )

    assert kinds(choice) == ["thought", "seal", "call", "arguments", "finish"]


def test_thoughts_never_become_text() -> None:
    _, choice = read_events(start(), *thinking(0, "Secret.", "S"), *text(1, "Hi"), *end())

    assert choice.joined("text") == "Hi"


def test_citations_in_the_start_of_a_block_are_annotations() -> None:
    cited = {"type": "web_search_result_location", "url": "https://a.example", "title": "A"}
    head = {"type": "text", "text": "Hi", "citations": [cited]}
    _, choice = read_events(start(), *block(0, head), *end())

    assert choice.finished is not None
    (annotation,) = choice.finished.annotations
    assert annotation.url_citation.url == "https://a.example"


def test_redacted_thinking_without_data_is_not_sealed() -> None:
    _, choice = read_events(
        start(), *block(0, {"type": "redacted_thinking"}), *text(1, "a"), *end()
    )

    assert sealed(choice) == []
    assert choice.joined("text") == "a"
