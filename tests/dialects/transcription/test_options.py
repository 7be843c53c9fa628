"""Forms to typed options."""

import pytest

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.dialects.chat.speech import wav_header
from jarvis_proxy.dialects.transcription.options import (
    TRANSCRIPTIONS,
    TRANSLATIONS,
    TranscriptOptions,
    asks_for_stream,
    form_of,
    mime_of,
    read_options,
    the_file,
)
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.multipart_form import read_form
from tests.support.forms import CONTENT_TYPE, form, part


def options(
    *parts: bytes, endpoint: str = TRANSCRIPTIONS, strict: bool = False
) -> TranscriptOptions:
    ignored = IgnoredParams(strict=strict)
    return read_options(read_form(form(*parts), CONTENT_TYPE), endpoint, ignored)


def test_defaults() -> None:
    assert options() == TranscriptOptions()
    assert options(endpoint=TRANSLATIONS) == TranscriptOptions(translates=True)


def test_everything() -> None:
    found = options(
        part("response_format", "verbose_json"),
        part("language", "de"),
        part("languages[]", "en"),
        part("prompt", "p"),
        part("keywords[]", "k"),
        part("temperature", "0.5"),
        part("timestamp_granularities[]", "word"),
        part("known_speaker_names[]", "Ann"),
    )

    assert found == TranscriptOptions(
        format="verbose_json",
        languages=("de", "en"),
        prompt="p",
        keywords=("k",),
        temperature=0.5,
        words=True,
        segments=False,
        speakers=("Ann",),
    )
    assert (found.is_plain, found.is_diarized) == (False, False)


def test_an_empty_temperature_is_none() -> None:
    assert options(part("temperature", "")).temperature is None


def test_speakers_are_not_named_in_translations() -> None:
    with pytest.raises(ProxyError) as refused:
        options(part("response_format", "diarized_json"), endpoint=TRANSLATIONS)

    assert refused.value.param == "response_format"


@pytest.mark.parametrize("name", ["include[]", "chunking_strategy", "known_speaker_references[]"])
def test_what_is_ignored_is_an_error_in_strict_mode(name: str) -> None:
    with pytest.raises(ProxyError) as refused:
        options(part(name, "x"), strict=True)

    assert refused.value.code == "unsupported_parameter"


@pytest.mark.parametrize("parts", [(), (part("file", ""),)])
def test_a_form_needs_a_file(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(ProxyError) as refused:
        the_file(read_form(form(*parts), CONTENT_TYPE))

    assert (refused.value.status, refused.value.param) == (400, "file")


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}])
def test_what_is_no_form_has_no_file(headers: dict[str, str]) -> None:
    with pytest.raises(ProxyError) as refused:
        the_file(form_of(b"{}", headers))

    assert refused.value.param == "file"


def test_a_form_is_read() -> None:
    assert form_of(form(part("a", "1")), {"content-type": CONTENT_TYPE}).text("a") == "1"


@pytest.mark.parametrize(
    ("data", "name", "content_type", "mime"),
    [
        (wav_header(8000, 0), "a.mp3", "", "audio/wav"),
        (b"\x1a\x45\xdf\xa3", "blob", "audio/webm", "audio/webm"),
        (b"\0\0\0\x1cftypisom", "a.m4a", "", "audio/mp4"),
        (b"????", "a.m4a", "application/octet-stream", "audio/mp4"),
        (b"????", "a", "audio/x-flac", "audio/flac"),
        (b"????", "a", "application/octet-stream", "audio/mpeg"),
        (b"????", "a.txt", "", "audio/mpeg"),
    ],
)
def test_types_of_sound(data: bytes, name: str, content_type: str, mime: str) -> None:
    head = f"content-type: {content_type}\r\n" if content_type else ""
    sent = part("file", data, more=f'; filename="{name}"', head=head)
    found = read_form(form(sent), CONTENT_TYPE)

    assert mime_of(found, the_file(found)) == mime


@pytest.mark.parametrize(
    ("parts", "streams"),
    [
        ((), False),
        ((part("stream", "true"),), True),
        ((part("stream", "1"),), True),
        ((part("stream", "false"),), False),
        ((part("stream", "True"), part("response_format", "text")), True),
        ((part("stream", "true"), part("response_format", "diarized_json")), True),
        ((part("stream", "true"), part("response_format", "srt")), False),
    ],
)
def test_streams(parts: tuple[bytes, ...], streams: bool) -> None:
    assert asks_for_stream(TRANSCRIPTIONS, form(*parts), CONTENT_TYPE) == streams


def test_a_damaged_form_is_a_400() -> None:
    with pytest.raises(ProxyError, match="cannot be read"):
        asks_for_stream("images/edits", b"", CONTENT_TYPE)
