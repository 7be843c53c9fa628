"""Thoughts in the content, between tags."""

from collections.abc import Callable

import pytest

from jarvis_proxy.canonical.answer import AnswerSink, CallStart, Finish
from jarvis_proxy.canonical.sealed_state import GEMINI, SealedState
from jarvis_proxy.dialects.chat.think_tag import ThinkTagSink
from jarvis_proxy.wire.chat_types import Annotation, Image, ImageURL, TokenLogprob, URLCitation
from tests.support.recorded_answer import RecordedChoice

PICTURE = Image(image_url=ImageURL("data:image/png;base64,AAAA"), index=0)


def tagged() -> tuple[ThinkTagSink, RecordedChoice]:
    inner = RecordedChoice()
    return ThinkTagSink(inner, "think"), inner


def test_thoughts_stand_between_tags_as_often_as_there_are_any() -> None:
    sink, inner = tagged()
    for thought in ("a", "b"):
        sink.thought(thought)
    sink.text("C")
    sink.text("D")
    sink.thought("e")
    sink.finish(Finish(reason="stop"))

    assert inner.events == [
        ("text", "<think>ab</think>CD<think>e</think>"),
        ("finish", "stop"),
    ]


def call(sink: AnswerSink) -> None:
    sink.call_begin(CallStart("call_1", "f"))
    sink.call_piece("{}")
    sink.call_end()


@pytest.mark.parametrize(
    "following", [call, lambda sink: sink.image(PICTURE), lambda sink: sink.text("x")]
)
def test_the_tag_closes_before_whatever_follows(following: Callable[[AnswerSink], None]) -> None:
    sink, inner = tagged()
    sink.thought("a")

    following(sink)

    assert inner.joined("text").startswith("<think>a</think>")


def test_everything_else_passes() -> None:
    sink, inner = tagged()
    assert not sink.emitted

    sink.begin("r1", None)
    sink.seal(SealedState(GEMINI, "s"))
    call(sink)
    sink.speech("audio/L16", "AAAA")
    sink.logprobs([TokenLogprob("a", -0.5, [97], [])])
    sink.server_tool("web_search", 2)

    assert inner.begun == ("r1", None)
    assert [name for name, _ in inner.events] == [
        "seal",
        "call",
        "arguments",
        "speech",
        "logprobs",
        "server_tool",
    ]
    assert sink.emitted


def annotation(start: int, end: int) -> Annotation:
    return Annotation(url_citation=URLCitation(end, start, "t", "u"))


def cited(sink: ThinkTagSink, *annotations: Annotation) -> None:
    sink.finish(Finish(reason="stop", annotations=annotations))


@pytest.mark.parametrize(
    ("place", "text"),
    [((0, 3), "one"), ((4, 7), "two"), ((0, 4), "one "), ((0, 7), "one <think>b</think>two")],
)
def test_sources_are_about_the_same_words(place: tuple[int, int], text: str) -> None:
    sink, inner = tagged()
    sink.thought("a")
    sink.text("one ")
    sink.thought("b")
    sink.text("two")
    cited(sink, annotation(*place))

    assert inner.finished is not None
    (moved,) = inner.finished.annotations
    start, end = moved.url_citation.start_index, moved.url_citation.end_index
    assert inner.joined("text")[start:end] == text
