"""Speech as base64, in the format that was asked for."""

import base64
import io
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.dialects.chat.speech import SpeechEncoder, encode_speech, wav_header
from jarvis_proxy.errors import ProxyError

PCM = "audio/L16;codec=pcm;rate=24000"


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
