"""Transcripts, whole and as events; the formats are tried with the SDK."""

import json

from jarvis_proxy.canonical.answer import DiscardingSink, Finish
from jarvis_proxy.dialects.transcription.answer import TranscriptAnswer
from jarvis_proxy.dialects.transcription.options import TranscriptOptions
from jarvis_proxy.wire.chat_types import ChatUsage, PromptTokensDetails

USAGE = ChatUsage(10, 2, 12, PromptTokensDetails(audio_tokens=11))


def test_a_stream_ends_as_openais_does() -> None:
    answer = TranscriptAnswer(TranscriptOptions(), stream=True)
    sink = answer.choice(0)
    sink.text(" Hi")
    assert answer.take() == b'data: {"type":"transcript.text.delta","delta":" Hi"}\n\n'
    assert (sink.emitted, answer.kept) == (True, 3)
    sink.finish(Finish(reason="stop"))
    answer.end(USAGE)
    done, end = answer.take().decode().split("\n\n")[:2]

    assert end == "data: [DONE]"
    assert json.loads(done[6:]) == {
        "type": "transcript.text.done",
        "text": "Hi",
        "usage": {
            "type": "tokens",
            "total_tokens": 12,
            "input_tokens": 10,
            "input_token_details": {"text_tokens": 0, "audio_tokens": 11},
            "output_tokens": 2,
        },
    }


def test_a_stream_of_segments_says_nothing_before_the_end() -> None:
    answer = TranscriptAnswer(TranscriptOptions(format="diarized_json"), stream=True)
    sink = answer.choice(0)
    sink.text('{"segments":[{"start":0,"end":1,"text":"Hi"}]}')

    assert (answer.take(), sink.emitted) == (b"", False)
    answer.end(None)
    assert b'"speaker":"A"' in answer.take()


def test_only_words_may_be_asked_for() -> None:
    options = TranscriptOptions(format="verbose_json", words=True, segments=False)
    answer = TranscriptAnswer(options, stream=False)
    answer.choice(0).text('{"segments":[],"words":[{"start":0,"end":1,"word":"Hi"}]}')
    answer.end(None)
    body = json.loads(answer.body())

    assert body["words"] == [{"word": "Hi", "start": 0, "end": 1}]
    assert "segments" not in body


def test_without_being_asked_for_there_are_no_words() -> None:
    answer = TranscriptAnswer(TranscriptOptions(format="verbose_json"), stream=False)
    answer.choice(0).text('{"segments":[{"start":0,"end":1,"text":"Hi"}],"language":"English"}')
    answer.end(None)
    body = json.loads(answer.body())

    assert "words" not in body
    assert (body["language"], body["duration"], len(body["segments"])) == ("english", 1, 1)


def test_further_choices_go_nowhere() -> None:
    assert type(TranscriptAnswer(TranscriptOptions(), stream=False).choice(1)) is DiscardingSink
