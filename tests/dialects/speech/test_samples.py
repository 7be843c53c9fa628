"""Google's pieces of sound, to raw samples."""

import base64
import struct

import pytest

from jarvis_proxy.dialects.chat.speech import wav_header
from jarvis_proxy.dialects.speech.samples import SampleReader, read_wav
from jarvis_proxy.errors import ProxyError

SOUND = b"\x01\x00\x02\x00"


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_raw_samples_stay_as_they_are() -> None:
    reader = SampleReader()

    assert reader.feed("audio/L16;codec=pcm;rate=16000", coded(SOUND)) == SOUND
    assert reader.feed("audio/L16", coded(b"\x03")) == b"\x03"
    assert reader.rate == 16000


@pytest.mark.parametrize("mime_type", ["audio/wav", "AUDIO/x-wav"])
@pytest.mark.parametrize("size", [len(SOUND), None])
def test_a_wav_file_loses_its_header(mime_type: str, size: int | None) -> None:
    reader = SampleReader()

    assert reader.feed(mime_type, coded(wav_header(22050, size) + SOUND)) == SOUND
    assert reader.rate == 22050


def test_other_chunks_are_passed_over() -> None:
    header = wav_header(24000, len(SOUND))
    extra = struct.pack("<4sI", b"LIST", 3) + b"abc\0"

    assert read_wav(header[:36] + extra + header[36:] + SOUND + b"more") == (24000, SOUND)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"OggS" + bytes(40),
        wav_header(24000, 0)[:36],
        b"RIFF\0\0\0\0WAVE" + bytes(8 * 100),
    ],
)
def test_what_is_no_wav_file_is_an_error(data: bytes) -> None:
    with pytest.raises(ProxyError, match="not a valid answer"):
        read_wav(data)


def test_sound_of_another_type_is_an_error() -> None:
    with pytest.raises(ProxyError) as error:
        SampleReader().feed("audio/mpeg", coded(SOUND))

    assert (error.value.status, error.value.code) == (502, "upstream_bad_response")
