"""The form that requests a transcript, as typed values. Pure.

Source: https://platform.openai.com/docs/api-reference/audio/createTranscription and
/createTranslation (read 2026-11).
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.mime import SNIFF_BYTES, from_name, normalise, sniff
from jarvis_proxy.canonical.validation_errors import check_range, invalid, missing, unknown_value
from jarvis_proxy.dialects.transcription.json_body import json_form
from jarvis_proxy.wire.multipart_form import Form, FormPart, is_form, read_form

TRANSCRIPTIONS: Final = "audio/transcriptions"
TRANSLATIONS: Final = "audio/translations"

PLAIN: Final = ("json", "text")
"""Formats of plain text; the others need segments with times."""
_FORMATS: Final = (*PLAIN, "srt", "verbose_json", "vtt")
_DIARIZED: Final = "diarized_json"
_GRANULARITIES: Final = ("word", "segment")
_YES: Final = frozenset(("true", "1"))
_IGNORED: Final = ("include", "chunking_strategy", "known_speaker_references")


class TranscriptOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The request's options, without the audio."""

    format: str = "json"
    translates: bool = False
    languages: tuple[str, ...] = ()
    prompt: str = ""
    keywords: tuple[str, ...] = ()
    temperature: float | None = None
    words: bool = False
    segments: bool = True
    speakers: tuple[str, ...] = ()
    stream: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the transcript is text without times."""
        return self.format in PLAIN

    @property
    def is_diarized(self) -> bool:
        """Whether each segment has a speaker."""
        return self.format == _DIARIZED


def form_of(body: bytes, headers: Mapping[str, str]) -> Form:
    """Return the form that a call's *body* is, or that asks the same as its JSON.

    Raises:
        ProxyError: 400 `invalid_multipart`, `invalid_json`, or the sound is not base64.
    """
    content_type = headers.get("content-type", "")
    return read_form(body, content_type) if is_form(content_type) else json_form(body)


def wants_events(form: Form) -> bool:
    """Return whether *form* asks for events."""
    return (form.text("stream") or "").strip().lower() in _YES


def wants_stream(form: Form) -> bool:
    """Return whether *form* asks for events in a format that can be streamed."""
    format_ = form.text("response_format") or "json"
    return wants_events(form) and format_ in (*PLAIN, _DIARIZED)


def read_options(form: Form, endpoint: str, ignored: IgnoredParams) -> TranscriptOptions:
    """Return the options in *form*; unsupported ones are noted in *ignored*.

    Raises:
        ProxyError: 400, a field has an unknown value.
    """
    translates = endpoint == TRANSLATIONS
    formats = _FORMATS if translates else (*_FORMATS, _DIARIZED)
    chosen = _choice("response_format", form.text("response_format") or "json", formats)
    kinds = [_choice("timestamp_granularities", kind, _GRANULARITIES)
             for kind in form.texts("timestamp_granularities")]  # fmt: skip
    for name in _IGNORED:
        if form.files(name, f"{name}[]"):
            ignored.add_or_reject(name)
    streams = wants_stream(form)
    if not streams and wants_events(form):
        ignored.add_or_reject("stream")
    return TranscriptOptions(
        format=chosen,
        translates=translates,
        languages=tuple(filter(None, (*form.texts("language"), *form.texts("languages")))),
        prompt=form.text("prompt") or "",
        keywords=tuple(form.texts("keywords")),
        temperature=_temperature(form.text("temperature")),
        words="word" in kinds,
        segments="segment" in kinds or not kinds,
        speakers=tuple(form.texts("known_speaker_names")),
        stream=streams,
    )


def the_file(form: Form) -> FormPart:
    """Return the audio file.

    Raises:
        ProxyError: 400 `missing_required_parameter`, or the file is empty.
    """
    files = form.files("file")
    if not files:
        raise missing("file")
    if files[-1].start == files[-1].end:
        raise invalid("file", "Invalid 'file': it is empty.", "invalid_audio")
    return files[-1]


def mime_of(form: Form, part: FormPart) -> str:
    """Return the MIME type of the audio: by its first bytes, its name, or the client's type.

    Containers of both audio and video hold audio here.
    """
    start = form.data(part._replace(end=min(part.end, part.start + SNIFF_BYTES)))
    found = sniff(start) or from_name(part.filename or "") or normalise(part.content_type)
    kind, _, name = found.partition("/")
    return f"audio/{name}" if kind in ("audio", "video") else "audio/mpeg"


def _choice(param: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise unknown_value(param, value, known)
    return value


def _temperature(text: str | None) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        message = "Invalid type for 'temperature': expected a number."
        raise invalid("temperature", message, "invalid_type") from None
    check_range("temperature", value, 0, 1)
    return value


def asks_for_stream(endpoint: str, body: bytes, content_type: str) -> bool:
    """Return whether the form in *body* asks for a stream that *endpoint* supports.

    Raises:
        ProxyError: 400 `invalid_multipart`.
    """
    form = read_form(body, content_type)
    is_transcript = endpoint in (TRANSCRIPTIONS, TRANSLATIONS)
    return wants_stream(form) if is_transcript else wants_events(form)
