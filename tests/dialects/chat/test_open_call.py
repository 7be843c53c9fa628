"""Tool calls in chunks: whole at once, or in pieces."""

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.canonical.sealed_state import GEMINI, SealedState
from tests.dialects.chat.heads import a_sink, tell, written


def test_a_call_that_comes_at_once_is_one_chunk() -> None:
    out: list[bytes] = []
    sink = a_sink(out)
    sink.seal(SealedState(GEMINI, "s"))
    tell(sink, CallStart("call_1", "f"), '{"a":1}')
    tell(sink, CallStart("call_2", "g", namespace="wx"))

    first, second = (choice["delta"]["tool_calls"] for choice in written(out))
    assert first == [
        {
            "index": 0,
            "id": "call_1",
            "type": "function",
            "function": {"name": "f", "arguments": '{"a":1}'},
            "extra_content": {"google": {"thought_signature": "s"}},
        }
    ]
    assert second == [
        {
            "index": 1,
            "id": "call_2",
            "type": "function",
            "function": {"name": "g", "arguments": "{}", "namespace": "wx"},
        }
    ]


def test_a_call_in_pieces_is_sent_as_they_come() -> None:
    out: list[bytes] = []
    sink = a_sink(out)
    sink.call_begin(CallStart("call_1", "f"))
    sink.call_piece('{"a"')
    assert out == [], "nothing to run yet, and it may be whole"

    sink.call_piece(":1")
    assert len(written(out)) == 2
    sink.call_piece("}")
    sink.call_end()

    first, *rest = (choice["delta"]["tool_calls"] for choice in written(out))
    assert first[0]["function"] == {"name": "f", "arguments": '{"a"'}
    assert rest == [
        [{"index": 0, "function": {"arguments": ":1"}}],
        [{"index": 0, "function": {"arguments": "}"}}],
    ]


def test_a_custom_tools_input_comes_in_pieces_too() -> None:
    out: list[bytes] = []
    sink = a_sink(out)
    tell(sink, CallStart("call_1", "sql", "custom"), "SELECT", " 1")
    tell(sink, CallStart("call_2", "sql", "custom"))

    first, piece, empty = (choice["delta"]["tool_calls"] for choice in written(out))
    assert (first[0]["type"], first[0]["custom"]) == ("custom", {"name": "sql", "input": "SELECT"})
    assert piece == [{"index": 0, "custom": {"input": " 1"}}]
    assert empty[0]["custom"] == {"name": "sql", "input": ""}
