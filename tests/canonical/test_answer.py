"""Events of an answer, and the sink that drops them."""

import msgspec
import pytest

from jarvis_proxy.canonical.answer import CallStart, DiscardingSink, Finish
from jarvis_proxy.canonical.sealed_state import GEMINI, SealedState
from jarvis_proxy.wire.chat_types import ChatUsage, Image, ImageURL, TokenLogprob


def test_a_discarding_sink_takes_every_event_and_sends_nothing() -> None:
    sink = DiscardingSink()
    sink.begin("r1", ChatUsage(1, 0, 1))
    sink.text("a")
    sink.thought("b")
    sink.seal(SealedState(GEMINI, "s"))
    sink.call_begin(CallStart("call_1", "f"))
    sink.call_piece("{}")
    sink.call_end()
    sink.image(Image(image_url=ImageURL("data:image/png;base64,AAAA"), index=0))
    sink.speech("audio/L16", "AAAA")
    sink.logprobs([TokenLogprob("a", -0.5, [97], [])])
    sink.server_tool("web_search", 1)
    sink.finish(Finish(reason="stop"))

    assert not sink.emitted


def test_a_call_is_of_a_function_outside_any_namespace_unless_it_says_so() -> None:
    assert CallStart("call_1", "f") == CallStart("call_1", "f", "function", None)


def test_an_end_cannot_be_changed() -> None:
    end = Finish(reason="stop")
    with pytest.raises(AttributeError):
        end.reason = "length"  # type: ignore[misc]

    assert msgspec.structs.replace(end, reason="length").reason == "length"
