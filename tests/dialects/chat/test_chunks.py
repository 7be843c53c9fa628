"""Chunks: their bytes, their order, and the one fast way to write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from jarvis_proxy.canonical.answer import CallStart, Finish
from jarvis_proxy.canonical.sealed_state import ANTHROPIC, GEMINI, SealedState, chat_owner
from jarvis_proxy.dialects.chat.chunks import event, usage_event
from jarvis_proxy.wire.chat_types import (
    Annotation,
    ChatUsage,
    Chunk,
    ChunkChoice,
    Delta,
    Image,
    ImageURL,
    TokenLogprob,
    URLCitation,
)
from tests.dialects.chat.heads import a_head, a_sink, tell, written
from tests.upstreams.gemini.replies import CREATED, events_of

STOP = Finish(reason="stop", native="STOP")


HEAD = (
    '{"id":"chatcmpl-r1","object":"chat.completion.chunk","created":1800000000,"model":"my-model"'
)


def test_the_bytes_of_a_piece_of_text() -> None:
    out: list[bytes] = []

    a_sink(out).text('Grüß "Gott"\n')

    role, text = out
    choices = '"choices":[{"index":0,"delta":%s,"logprobs":null,"finish_reason":null}]}'
    start = f'data: {HEAD},"system_fingerprint":null,'
    assert role.decode() == start + choices % '{"role":"assistant","content":""}' + "\n\n"
    assert text.decode() == start + choices % '{"content":"Grüß \\"Gott\\"\\n"}' + "\n\n"


@given(model=st.text(), text=st.text(), include_usage=st.booleans(), index=st.integers(0, 7))
def test_the_fast_way_writes_what_the_slow_way_would(
    *, model: str, text: str, include_usage: bool, index: int
) -> None:
    out: list[bytes] = []
    sink = a_sink(out, index, model=model, include_usage=include_usage)
    sink.text(text)
    sink.thought(text)

    usage = None if include_usage else UNSET
    expected = [
        event(
            Chunk(
                id="chatcmpl-r1",
                created=CREATED,
                model=model,
                choices=[ChunkChoice(index, delta)],
                usage=usage,
            )
        )
        for delta in (Delta(content=text), Delta(reasoning_content=text))
    ]
    assert expected == out[1:]


def test_the_role_comes_once_and_with_the_first_thing_to_show() -> None:
    out: list[bytes] = []
    sink = a_sink(out)
    assert (out, sink.emitted) == ([], False)

    sink.thought("hm")
    sink.text("so")

    assert sink.emitted
    assert [c["delta"] for c in written(out)] == [{"reasoning_content": "hm"}, {"content": "so"}]


def test_each_kind_has_a_chunk_of_its_own() -> None:
    out: list[bytes] = []
    sink = a_sink(out)

    tell(sink, CallStart("call_1", "f"))
    sink.image(Image(image_url=ImageURL("data:image/png;base64,AAAA"), index=0))
    sink.logprobs([TokenLogprob("a", -0.5, [97], [])])

    call = {"index": 0, "id": "call_1", "type": "function"}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}, "index": 0}
    choices = written(out)
    assert [choice["delta"] for choice in choices] == [
        {"tool_calls": [{**call, "function": {"name": "f", "arguments": "{}"}}]},
        {"images": [image]},
        {},
    ]
    token = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    assert choices[2]["logprobs"] == {"content": [token], "refusal": None}


def test_log_probabilities_may_come_first() -> None:
    out: list[bytes] = []

    a_sink(out).logprobs([])

    assert len(written(out)) == 1


def test_the_last_chunk_has_a_delta_and_the_finish_reason() -> None:
    out: list[bytes] = []

    a_sink(out).finish(STOP)

    (last,) = written(out)
    assert last == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
        "native_finish_reason": "STOP",
    }


def test_what_is_known_only_at_the_end_comes_with_the_end() -> None:
    out: list[bytes] = []
    annotation = Annotation(url_citation=URLCitation(2, 1, "t", "u"))
    signed = {"google": {"thought_signature": "s"}}
    sink = a_sink(out)

    sink.text("abc")
    sink.seal(SealedState(GEMINI, "s"))
    sink.finish(
        Finish(
            reason="length",
            native="MAX_TOKENS",
            message="m",
            annotations=(annotation,),
            grounding={"a": 1},
            citations=({"uri": "u"},),
        )
    )

    _, annotations, last = written(out)
    citation = {"end_index": 2, "start_index": 1, "title": "t", "url": "u"}
    assert annotations["delta"] == {
        "annotations": [{"type": "url_citation", "url_citation": citation}]
    }
    assert annotations["finish_reason"] is None
    assert last["delta"] == {"extra_content": signed}
    assert (last["finish_reason"], last["finish_message"]) == ("length", "m")
    assert (last["grounding_metadata"], last["citations"]) == ({"a": 1}, [{"uri": "u"}])


def test_an_absent_native_reason_is_left_out() -> None:
    out: list[bytes] = []

    a_sink(out).finish(Finish(reason="stop"))

    assert "native_finish_reason" not in written(out)[0]


def test_speech_comes_in_pieces_that_make_one_base64_text() -> None:
    out: list[bytes] = []
    sink = a_sink(out)

    sink.speech("audio/ogg", "YWJjZA==")
    sink.speech("audio/ogg", "ZQ==")
    sink.finish(STOP)

    audio = [choice["delta"]["audio"] for choice in written(out)[:3]]
    assert audio == [
        {"id": "audio_" + "0" * 24, "data": "YWJj", "transcript": ""},
        {"data": ""},
        {"data": "ZGU=", "expires_at": CREATED},
    ]


def test_speech_that_came_out_even_ends_without_data() -> None:
    out: list[bytes] = []
    sink = a_sink(out)

    sink.speech("audio/ogg", "YWJj")
    sink.finish(STOP)

    assert written(out)[1]["delta"]["audio"] == {"expires_at": CREATED}


def test_usage_is_null_in_every_chunk_but_the_last_and_only_when_asked_for() -> None:
    asked: list[bytes] = []
    not_asked: list[bytes] = []
    for out, include_usage in ((asked, True), (not_asked, False)):
        sink = a_sink(out, include_usage=include_usage)
        sink.text("a")
        sink.finish(STOP)

    assert [chunk["usage"] for chunk in events_of(b"".join(asked))] == [None, None, None]
    assert not any("usage" in chunk for chunk in events_of(b"".join(not_asked)))


def test_the_usage_chunk_has_no_choices() -> None:
    (chunk,) = events_of(usage_event(a_head(), ChatUsage(1, 2, 3)))

    assert chunk["choices"] == []
    assert chunk["usage"]["total_tokens"] == 3
    assert chunk["id"] == "chatcmpl-req-1"


@pytest.mark.parametrize(
    ("asked", "served", "named"),
    [(True, "flex", "flex"), (False, "flex", None), (True, None, None)],
)
def test_the_tier_is_sent_to_those_who_asked_for_one(
    asked: bool, served: str | None, named: str | None
) -> None:
    head = a_head(service_tier=asked)
    head.serve(served)

    (chunk,) = events_of(usage_event(head, ChatUsage()))

    assert chunk.get("service_tier") == named


def test_a_client_of_functions_gets_the_first_call_without_an_id() -> None:
    out: list[bytes] = []
    sink = a_sink(out, legacy_functions=True)
    sink.seal(SealedState(GEMINI, "s"))
    tell(sink, CallStart("call_1", "f"), "{", "}")
    tell(sink, CallStart("call_2", "g"), "{}")
    sink.finish(Finish(reason="tool_calls"))

    first, piece, last = written(out)
    assert first["delta"] == {"function_call": {"name": "f", "arguments": "{"}}
    assert piece["delta"] == {"function_call": {"arguments": "}"}}
    assert (last["delta"], last["finish_reason"]) == ({}, "function_call")


def test_a_client_of_functions_has_other_ends_like_everyone() -> None:
    out: list[bytes] = []
    a_sink(out, legacy_functions=True).finish(STOP)

    assert written(out)[0]["finish_reason"] == "stop"


def test_anthropics_blocks_come_as_they_are() -> None:
    out: list[bytes] = []
    blocks = '[{"type":"thinking","thinking":"hm","signature":"s"}]'
    sink = a_sink(out)
    sink.seal(SealedState(ANTHROPIC, blocks))
    sink.seal(SealedState(ANTHROPIC, "damaged"))
    sink.seal(SealedState(chat_owner("deepseek"), "hm"))
    sink.finish(STOP)

    ended, last = written(out)
    assert ended["delta"] == {
        "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]
    }
    assert last["delta"] == {}


def test_a_search_of_the_upstreams_is_not_reported() -> None:
    out: list[bytes] = []
    a_sink(out).server_tool("web_search", 1)

    assert out == []
