"""Models' segments, and files made of them."""

import json

import pytest

from jarvis_proxy.dialects.transcription.segments import (
    Segment,
    read_transcript,
    seconds,
    to_srt,
    to_vtt,
)
from jarvis_proxy.errors import ProxyError


@pytest.mark.parametrize(
    ("time", "value"),
    [
        ("01:02:03.500", 3723.5),
        ("02:03", 123),
        ("00:02,250", 2.25),
        ("90:00", 5400),
        (" 3.5s ", 3.5),
        (7, 7),
        (1.23456, 1.235),
        (-1, 0),
    ],
)
def test_times(time: str | float, value: float) -> None:
    assert seconds(time) == value


@pytest.mark.parametrize("time", ["", "soon", "1:2:3:4", "-1", "1e9"])
def test_what_is_no_time_is_an_error(time: str) -> None:
    with pytest.raises(ProxyError, match="not a valid answer"):
        seconds(time)


def test_a_transcript_is_put_in_order() -> None:
    found = read_transcript(
        json.dumps(
            {
                "segments": [
                    {"start": "0:02", "end": "0:01", "text": " a\n\nb "},
                    {"start": 3, "end": 4, "text": " "},
                    {"start": 4, "end": 5, "text": "c", "speaker": "B"},
                ],
                "words": [{"start": 4, "end": 5, "word": " c "}, {"word": ""}],
                "language": "German",
            }
        )
    )

    assert found.segments == [Segment(2, 2, "a b"), Segment(4, 5, "c", "B")]
    assert (found.text, found.duration, found.language) == ("a b c", 5, "german")
    assert [word.word for word in found.words] == ["c"]


def test_nothing_said() -> None:
    found = read_transcript('{"segments":[]}')

    assert (found.text, found.duration, to_srt(found.segments)) == ("", 0, "")
    assert to_vtt(found.segments) == "WEBVTT\n"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"segments":[1]}', "[" * 5000])
def test_what_is_no_transcript_is_an_error(text: str) -> None:
    with pytest.raises(ProxyError) as error:
        read_transcript(text)

    assert (error.value.status, error.value.code) == (502, "upstream_bad_response")


def test_text_cannot_look_like_times_or_marks() -> None:
    segments = [Segment(3723.4567, 3724, "a --> b <i>&")]

    assert to_srt(segments) == "1\n01:02:03,457 --> 01:02:04,000\na → b <i>&\n"
    assert to_vtt(segments) == ("WEBVTT\n\n01:02:03.457 --> 01:02:04.000\na → b &lt;i>&amp;\n")
