"""Events of a choice become blocks; one is open at a time."""

from typing import Any

import pytest

from jarvis_proxy.canonical.answer import CallStart, Finish
from jarvis_proxy.canonical.sealed_state import ANTHROPIC, SealedState
from jarvis_proxy.dialects.messages.sink import BlockSink, as_object


class WrittenSink(BlockSink):
    """Notes what a subclass is to write."""

    def __init__(self) -> None:
        super().__init__(shows=True, sealed=True)
        self.written: list[str] = []

    def _start(self, block: dict[str, Any]) -> None:
        self.written.append(f"start {block['type']}")

    def _piece(self, text: str) -> None:
        self.written.append(text)

    def _signature(self, signature: str) -> None:
        self.written.append(f"signature {signature}")

    def _stop(self) -> None:
        self.written.append("stop")


def test_another_kind_of_piece_ends_the_block_before() -> None:
    sink = WrittenSink()
    sink.thought("hm")
    sink.text("a")
    sink.text("b")
    sink.finish(Finish(reason="stop"))

    assert sink.written == ["start thinking", "hm", "stop", "start text", "a", "b", "stop"]


def test_an_empty_choice_has_one_empty_text() -> None:
    sink = WrittenSink()
    sink.finish(Finish(reason="stop"))

    assert sink.written == ["start text", "stop"]


@pytest.mark.parametrize(
    ("pieces", "written"),
    [
        ([' {"a"', ":1}"], ['{"a"', ":1}"]),
        (["[1", "]"], ['{"value":[1]}']),
        (["cut"], ['{"_raw_arguments":"cut"}']),
        ([], []),
    ],
)
def test_arguments_begin_as_an_object(pieces: list[str], written: list[str]) -> None:
    sink = WrittenSink()
    sink.call_begin(CallStart("call_1", "f"))
    for piece in pieces:
        sink.call_piece(piece)
    sink.call_end()

    assert sink.written == ["start tool_use", *written, "stop"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [("null", "{}"), ("1", '{"value":1}'), ("nul", '{"_raw_arguments":"nul"}')],
)
def test_what_is_no_object_becomes_one(arguments: str, found: str) -> None:
    assert as_object(arguments) == found


def test_unsigned_thinking_leaves_its_block_open() -> None:
    sink = WrittenSink()
    sink.thought("hm")
    sink.seal(SealedState(ANTHROPIC, '[{"type":"thinking","thinking":"hm"}]'))
    sink.thought("so")
    sink.finish(Finish(reason="stop"))

    assert sink.written[:4] == ["start thinking", "hm", "so", "stop"]
