"""Reads a model's segments leniently, and writes them as subtitle files. Pure.

Source: https://platform.openai.com/docs/api-reference/audio/verbose-json-object; W3C WebVTT, and
SubRip as players read it (read 2026-11).
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from jarvis_proxy.canonical.exchange import bad_response

_TIME: Final = re.compile(r"(?:(?:(\d{1,3}):)?(\d{1,4}):)?(\d{1,6}(?:[.,]\d{1,9})?)s?")


class Segment(msgspec.Struct):
    """A piece of a transcript; times are in seconds."""

    start: float
    end: float
    text: str
    speaker: str = ""


class Word(msgspec.Struct):
    """One word; times are in seconds."""

    word: str
    start: float
    end: float


class Transcript(msgspec.Struct):
    """The model's transcript, with times in order."""

    segments: list[Segment]
    words: list[Word]
    language: str

    @property
    def text(self) -> str:
        """The whole text."""
        return " ".join(segment.text for segment in self.segments)

    @property
    def duration(self) -> float:
        """The end of the last segment in seconds; the audio may continue in silence."""
        return max((segment.end for segment in self.segments), default=0.0)


class _Piece(msgspec.Struct):
    start: str | float = 0.0
    end: str | float = 0.0
    text: str = ""
    word: str = ""
    speaker: str = ""


class _Answer(msgspec.Struct):
    segments: list[_Piece]
    words: list[_Piece] = []
    language: str = ""


_DECODER: Final = msgspec.json.Decoder(_Answer)


def read_transcript(text: str) -> Transcript:
    """Return the transcript in *text*, the model's JSON.

    Raises:
        ProxyError: 502 `upstream_bad_response`, the JSON has another form.
    """
    try:
        answer = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise bad_response() from None
    segments = [
        Segment(*_span(piece), _one_line(piece.text), piece.speaker) for piece in answer.segments
    ]
    words = [Word(piece.word.strip(), *_span(piece)) for piece in answer.words]
    kept = [segment for segment in segments if segment.text]
    return Transcript(kept, [word for word in words if word.word], answer.language.lower())


def seconds(time: str | float) -> float:
    """Return *time* in seconds: ``01:02:03.5``, ``02:03``, ``3.5`` or a number.

    Raises:
        ProxyError: 502 `upstream_bad_response`.
    """
    if isinstance(time, int | float):
        return round(max(0.0, float(time)), 3)
    found = _TIME.fullmatch(time.strip())
    if found is None:
        raise bad_response()
    hours, minutes = int(found[1] or 0), int(found[2] or 0)
    return round(hours * 3600 + minutes * 60 + float(found[3].replace(",", ".")), 3)


def to_srt(segments: Sequence[Segment]) -> str:
    """Return a SubRip file."""
    entries = [
        f"{number}\n{_clock(one.start, ',')} --> {_clock(one.end, ',')}\n{_cue(one.text)}\n"
        for number, one in enumerate(segments, 1)
    ]
    return "\n".join(entries)


def to_vtt(segments: Sequence[Segment]) -> str:
    """Return a WebVTT file."""
    entries = ["WEBVTT\n"]
    for one in segments:
        text = _cue(one.text.replace("&", "&amp;").replace("<", "&lt;"))
        entries.append(f"{_clock(one.start, '.')} --> {_clock(one.end, '.')}\n{text}\n")
    return "\n".join(entries)


def _span(piece: _Piece) -> tuple[float, float]:
    start = seconds(piece.start)
    return start, max(start, seconds(piece.end))


def _one_line(text: str) -> str:
    # A blank line would end the entry in the file.
    return " ".join(text.split())


def _cue(text: str) -> str:
    # Players would parse it as times.
    return text.replace("-->", "→")


def _clock(time: float, point: str) -> str:
    whole = round(time * 1000)
    minutes, rest = divmod(whole, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
