"""Whole chat answers: what stands where in the message."""

import msgspec

from jarvis_proxy.canonical.answer import AnswerSink, CallStart, Finish
from jarvis_proxy.canonical.sealed_state import ANTHROPIC, GEMINI, SealedState
from tests.dialects.chat.answers import STOP, an_answer, ended, message
from tests.upstreams.gemini.replies import CREATED


def call(sink: AnswerSink, start: CallStart, *pieces: str) -> None:
    sink.call_begin(start)
    for piece in pieces:
        sink.call_piece(piece)
    sink.call_end()


def test_the_answer_has_the_upstreams_id_and_version_and_the_clients_model() -> None:
    answer = an_answer()
    sink = answer.choice(0)
    sink.begin("r1", None)
    sink.text("Hi")
    sink.finish(msgspec.structs.replace(STOP, model_version="gemini-x", native="STOP"))

    body = ended(answer)
    assert (body["id"], body["model"], body["created"]) == ("chatcmpl-r1", "my-model", CREATED)
    assert body["model_version"] == "gemini-x"
    assert body["usage"]["total_tokens"] == 3
    assert body["choices"][0]["native_finish_reason"] == "STOP"


def test_pieces_of_a_call_are_its_arguments() -> None:
    answer = an_answer()
    sink = answer.choice(0)
    sink.seal(SealedState(GEMINI, "s"))
    call(sink, CallStart("call_1", "f"), '{"a"', ":1}")
    call(sink, CallStart("call_2", "g"))
    call(sink, CallStart("call_3", "sql", "custom", "db"), "SELECT 1")
    sink.finish(Finish(reason="tool_calls"))

    written = message(answer)
    assert written["content"] is None
    assert written["tool_calls"] == [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "f", "arguments": '{"a":1}'},
            "extra_content": {"google": {"thought_signature": "s"}},
        },
        {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        {
            "id": "call_3",
            "type": "custom",
            "custom": {"name": "sql", "input": "SELECT 1", "namespace": "db"},
        },
    ]
    assert "extra_content" not in written


def test_a_client_of_functions_gets_the_first_call() -> None:
    answer = an_answer(legacy_functions=True)
    sink = answer.choice(0)
    call(sink, CallStart("call_1", "f"), "{}")
    call(sink, CallStart("call_2", "g"), "{}")
    sink.finish(Finish(reason="tool_calls"))

    (choice,) = ended(answer)["choices"]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "function_call"


def test_anthropics_blocks_stand_on_the_message() -> None:
    answer = an_answer()
    sink = answer.choice(0)
    sink.thought("hm")
    sink.seal(SealedState(ANTHROPIC, '[{"type":"thinking","thinking":"hm","signature":"s"}]'))
    sink.text("Hi")
    sink.server_tool("web_search", 1)
    sink.finish(STOP)

    written = message(answer)
    assert written["reasoning_content"] == "hm"
    assert written["thinking_blocks"] == [{"type": "thinking", "thinking": "hm", "signature": "s"}]


def test_a_client_of_functions_gets_a_call_of_any_kind_as_a_function_call() -> None:
    answer = an_answer(legacy_functions=True)
    sink = answer.choice(0)
    call(sink, CallStart("call_1", "sql", "custom"), "SELECT 1")
    sink.finish(Finish(reason="tool_calls"))

    assert message(answer)["function_call"] == {"name": "sql", "arguments": "SELECT 1"}
