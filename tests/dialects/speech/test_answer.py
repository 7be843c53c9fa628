"""Sound as a file, as raw sound, and as events."""

import base64
import json

import pytest

from jarvis_proxy.canonical.answer import DiscardingSink, Finish
from jarvis_proxy.dialects.speech.answer import SpeechAnswer, delta_events, moderation_blocked
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.chat_types import ChatUsage

L16 = "audio/L16;rate=8000"
SOUND = bytes(range(200)) * 1000


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_whole_file_knows_rate_and_length() -> None:
    answer = SpeechAnswer("wav", stream=False)
    sink = answer.choice(0)
    sink.speech(L16, coded(SOUND))
    sink.finish(Finish(reason="stop"))
    answer.end(None)
    body = answer.body()

    assert body[44:] == SOUND
    assert int.from_bytes(body[24:28], "little") == 8000
    assert int.from_bytes(body[40:44], "little") == len(SOUND)
    assert not sink.emitted


def test_a_stream_gives_what_came_and_no_more() -> None:
    answer = SpeechAnswer("pcm", stream=True)
    sink = answer.choice(0)
    sink.speech(L16, "")
    assert (answer.take(), sink.emitted) == (b"", False)
    sink.speech(L16, coded(SOUND))

    assert (answer.take(), sink.emitted) == (SOUND, True)
    assert answer.take() == b""


def test_events_are_of_bounded_size_and_end_with_the_tokens() -> None:
    answer = SpeechAnswer("pcm", events=True, stream=True)
    answer.choice(0).speech(L16, coded(SOUND))
    answer.end(ChatUsage(3, 5, 8))
    *deltas, done = [json.loads(e[6:]) for e in answer.take().decode().split("\n\n") if e]

    assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == SOUND
    assert len(deltas) == len(list(delta_events(SOUND))) > 1
    assert done["usage"] == {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}


def test_further_choices_go_nowhere() -> None:
    sink = SpeechAnswer("pcm", stream=True).choice(1)

    assert type(sink) is DiscardingSink


@pytest.mark.parametrize(
    ("reason", "code"), [("stop", "empty_response"), ("content_filter", "moderation_blocked")]
)
def test_an_answer_without_sound_is_an_error(reason: str, code: str) -> None:
    with pytest.raises(ProxyError) as error:
        SpeechAnswer("pcm", stream=False).choice(0).finish(Finish(reason=reason))  # type: ignore[arg-type]

    assert error.value.code == code


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish(reason="content_filter", native="IMAGE_SAFETY"), "IMAGE_SAFETY"),
        (Finish(reason="content_filter", native="PROMPT_BLOCKED:SAFETY"), "SAFETY"),
        (Finish(reason="content_filter", native="SAFETY", message="No weapons."), "No weapons."),
        (Finish(reason="content_filter"), "no reason given"),
    ],
)
def test_a_blocked_answer_is_an_error_with_the_reason(finish: Finish, reason: str) -> None:
    error = moderation_blocked(finish)

    assert (error.status, error.code) == (400, "moderation_blocked")
    assert error.message.endswith(f": {reason}")
    assert error.should_retry is False
