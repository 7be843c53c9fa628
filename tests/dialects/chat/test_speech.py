"""Speech as base64, in the format that was asked for."""

import base64
import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.dialects.chat.speech import (
    SampleReader,
    SpeechEncoder,
    encode_speech,
    read_wav,
    wav_header,
)
from jarvis_proxy.errors import ProxyError

PCM = "audio/L16;codec=pcm;rate=24000"
SOUND = b"\x01\x00\x02\x00"


def pcm(data: bytes, mime: str = PCM) -> tuple[str, str]:
    return mime, base64.b64encode(data).decode()


def test_whole_speech_as_wav_opens_as_a_wave_file() -> None:
    samples = bytes(range(200))

    data = base64.b64decode(encode_speech([pcm(samples[:50]), pcm(samples[50:])], "wav"))

    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24000, 1, 2)
        assert file.readframes(1000) == samples


def test_without_a_format_speech_is_wav_and_as_pcm16_it_is_bare() -> None:
    blob = pcm(b"abcd")

    assert base64.b64decode(encode_speech([blob], None)).startswith(b"RIFF")
    assert base64.b64decode(encode_speech([blob], "pcm16")) == b"abcd"


def test_sound_that_has_a_format_of_its_own_gets_no_header() -> None:
    ogg = ("audio/ogg", base64.b64encode(b"OggS").decode())

    assert base64.b64decode(encode_speech([ogg], "wav")) == b"OggS"
    assert (
        base64.b64decode(SpeechEncoder("wav").feed(*ogg) + SpeechEncoder("wav").close()) == b"Ogg"
    )


@pytest.mark.parametrize(
    ("mime", "rate"),
    [
        (PCM, 24000),
        ("audio/L16; rate=16000", 16000),
        ("audio/pcm;RATE= 8000 ", 8000),
        ("audio/L16", 24000),
        ("audio/L16;rate=fast", 24000),
        ("audio/L16;rate=", 24000),
        ("audio/L16;rate=99999999", 768000),
    ],
)
def test_the_rate_is_in_the_type(mime: str, rate: int) -> None:
    data = base64.b64decode(encode_speech([pcm(b"ab", mime)], "wav"))

    assert int.from_bytes(data[24:28], "little") == rate
    assert int.from_bytes(data[28:32], "little") == rate * 2


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_pieces_joined_are_the_base64_of_the_whole(parts: list[bytes]) -> None:
    speech = SpeechEncoder("pcm16")

    text = "".join(speech.feed(*pcm(part)) for part in parts) + speech.close()

    assert base64.b64decode(text, validate=True) == b"".join(parts)


def test_a_streamed_wav_differs_from_the_whole_only_in_its_sizes() -> None:
    speech = SpeechEncoder("wav")

    streamed = base64.b64decode(
        speech.feed(*pcm(b"abcd")) + speech.feed(*pcm(b"ef")) + speech.close()
    )
    whole = base64.b64decode(encode_speech([pcm(b"abcdef")], "wav"))

    assert streamed[44:] == whole[44:] == b"abcdef"
    assert streamed[:4] + streamed[8:40] == whole[:4] + whole[8:40]
    assert streamed[4:8] == streamed[40:44] == b"\xff" * 4


def test_a_header_holds_sizes_beyond_its_fields() -> None:
    assert wav_header(24000, 10)[40:44] == (10).to_bytes(4, "little")
    assert wav_header(24000, 10)[4:8] == (46).to_bytes(4, "little")
    assert wav_header(24000, 2**40)[40:44] == b"\xff" * 4


def test_unpadded_and_url_safe_base64_is_understood() -> None:
    assert base64.b64decode(encode_speech([(PCM, "-_8")], "pcm16")) == b"\xfb\xff"


@pytest.mark.parametrize("data", ["A", "é", "AAAAA", "????", "AAAA AAAA"])
def test_what_is_not_base64_is_a_bad_frame(data: str) -> None:
    for use in (lambda *piece: encode_speech([piece], "wav"), SpeechEncoder("wav").feed):
        with pytest.raises(ProxyError) as caught:
            use(PCM, data)
        assert caught.value.code == "upstream_bad_frame"


@pytest.mark.parametrize(("audio_format", "starts"), [("pcm16", SOUND), ("wav", b"RIFF")])
def test_a_wav_file_of_the_upstreams_loses_its_header_where_none_is_asked_for(
    audio_format: str, starts: bytes
) -> None:
    wav = ("audio/wav", as_base64(wav_header(24000, len(SOUND)) + SOUND))
    speech = SpeechEncoder(audio_format)

    assert base64.b64decode(encode_speech([wav], audio_format)).startswith(starts)
    assert base64.b64decode(speech.feed(*wav) + speech.close()).startswith(starts)


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_raw_samples_stay_as_they_are() -> None:
    reader = SampleReader()

    assert reader.feed("audio/L16;codec=pcm;rate=16000", as_base64(SOUND)) == SOUND
    assert reader.feed("audio/L16", as_base64(b"\x03")) == b"\x03"
    assert reader.rate == 16000


@pytest.mark.parametrize("mime_type", ["audio/wav", "AUDIO/x-wav"])
@pytest.mark.parametrize("size", [len(SOUND), None])
def test_a_wav_file_loses_its_header(mime_type: str, size: int | None) -> None:
    reader = SampleReader()

    assert reader.feed(mime_type, as_base64(wav_header(22050, size) + SOUND)) == SOUND
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
        SampleReader().feed("audio/mpeg", as_base64(SOUND))

    assert (error.value.status, error.value.code) == (502, "upstream_bad_response")
