"""Speech in chat answers, and functions that all audio answers share. Pure.

Google sends raw samples, ``audio/L16``: mono, 16 bits, and little-endian, contrary to that type's
definition. A file needs a header before them.

From Gemini 3.8 on, a request without a stream gets a whole WAV file.

Source: https://ai.google.dev/gemini-api/docs/speech-generation and
https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/text-to-speech/
migration-guide (read 2026-11). WAV files from Gemini's own address are not verified.
"""

import base64
import binascii
import struct
from typing import Final

from jarvis_proxy.canonical.exchange import bad_frame, bad_response

_STANDARD: Final = str.maketrans("-_", "+/")
_RATE: Final = 24000
_UNKNOWN_SIZE: Final = 0xFFFFFFFF
_PCM_TYPES: Final = ("audio/l16", "audio/pcm")
_WAV_TYPES: Final = ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave")
_RIFF_HEAD: Final = 12
_CHUNK_HEAD: Final = 8
_RATE_AT: Final = 4
_MAX_CHUNKS: Final = 64


class SpeechEncoder:
    """Converts an answer's audio, in pieces, to one base64 text in the requested format.

    *audio_format* is ``wav``, ``pcm16``, or None for wav, which describes itself. Audio that is
    neither raw samples nor WAV is passed on unchanged.
    """

    __slots__ = ("_rest", "_started", "_wav")

    def __init__(self, audio_format: str | None) -> None:
        self._wav = audio_format in (None, "wav")
        self._started = False
        self._rest = b""

    def feed(self, mime_type: str, data: str) -> str:
        """Return the base64 text that *data*, also base64, adds; up to two bytes are held back.

        So each text consists of whole groups of four letters, and joined they are valid base64.

        Raises:
            ProxyError: 502 `upstream_bad_frame`, the data is not base64.
        """
        sound = _sound(mime_type, data, wav=self._wav)
        if not self._started:
            self._started = True
            if self._wav and is_pcm(mime_type):
                # A stream's length is not known when its header is sent. As in recordings to a
                # pipe, the greatest possible length means "until the end".
                sound = wav_header(rate_of(mime_type), None) + sound
        sound = self._rest + sound
        whole = len(sound) - len(sound) % 3
        self._rest = sound[whole:]
        return base64.b64encode(sound[:whole]).decode()

    def close(self) -> str:
        """Return the base64 text of the bytes held back."""
        rest, self._rest = self._rest, b""
        return base64.b64encode(rest).decode()


def encode_speech(pieces: list[tuple[str, str]], audio_format: str | None) -> str:
    """Return all of an answer's audio as base64, with a header that has its length.

    *pieces* are pairs of a MIME type and base64; there is at least one.

    Raises:
        ProxyError: 502 `upstream_bad_frame`, the data is not base64.
    """
    wav = audio_format in (None, "wav")
    sound = b"".join(_sound(mime_type, data, wav=wav) for mime_type, data in pieces)
    mime_type = pieces[0][0]
    if wav and is_pcm(mime_type):
        sound = wav_header(rate_of(mime_type), len(sound)) + sound
    return base64.b64encode(sound).decode()


def _sound(mime_type: str, data: str, *, wav: bool) -> bytes:
    """Return a piece of audio; without *wav*, a WAV file is reduced to its samples."""
    sound = decode_sound(data)
    return read_wav(sound)[1] if _is_wav(mime_type) and not wav else sound


class SampleReader:
    """Reads the pieces of one answer; *rate* is in samples per second, known from the first."""

    __slots__ = ("rate",)

    def __init__(self) -> None:
        self.rate: int | None = None

    def feed(self, mime_type: str, data: str) -> bytes:
        """Return the samples in *data*, base64.

        Raises:
            ProxyError: 502 `upstream_bad_frame`, the data is not base64; 502
                `upstream_bad_response`, it is neither raw samples nor WAV.
        """
        sound = decode_sound(data)
        if is_pcm(mime_type):
            self.rate = self.rate or rate_of(mime_type)
            return sound
        if not _is_wav(mime_type):
            raise bad_response()
        rate, samples = read_wav(sound)
        self.rate = self.rate or rate
        return samples


def wav_header(rate: int, size: int | None) -> bytes:
    """Return the 44-byte header for *size* bytes of mono 16-bit samples at *rate* per second.

    *size* is None if it is not known yet.
    """
    body = _UNKNOWN_SIZE if size is None else min(size, _UNKNOWN_SIZE)
    riff = min(body + 36, _UNKNOWN_SIZE)
    fields = (b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16, b"data", body)
    return struct.pack("<4sI4s4sIHHIIHH4sI", *fields)


def decode_sound(data: str) -> bytes:
    """Return the decoded bytes of *data*, base64 in either alphabet.

    Raises:
        ProxyError: 502 `upstream_bad_frame`.
    """
    text = data.translate(_STANDARD)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise bad_frame() from None


def is_pcm(mime_type: str) -> bool:
    """Return whether audio of this type is raw samples."""
    return mime_type.lower().startswith(_PCM_TYPES)


def rate_of(mime_type: str) -> int:
    """Return the sample rate in a type such as ``audio/L16;codec=pcm;rate=24000``."""
    for parameter in mime_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        digits = value.strip()[:7]
        if name.strip().lower() == "rate" and digits.isdecimal():
            return min(int(digits), 768000)
    return _RATE


def read_wav(data: bytes) -> tuple[int, bytes]:
    """Return the sample rate and the samples of a WAV file.

    A length beyond the data, as recordings to a pipe have it, means "until the end".

    Raises:
        ProxyError: 502 `upstream_bad_response`.
    """
    if data[:4] != b"RIFF" or data[8:_RIFF_HEAD] != b"WAVE":
        raise bad_response()
    at, rate = _RIFF_HEAD, 0
    for _ in range(_MAX_CHUNKS):
        name, head = data[at : at + 4], data[at + 4 : at + _CHUNK_HEAD]
        if len(head) < 4:
            break
        (size,) = struct.unpack("<I", head)
        at += _CHUNK_HEAD
        if name == b"fmt ":
            rate = int.from_bytes(data[at + _RATE_AT : at + _RATE_AT + 4], "little")
        elif name == b"data":
            return rate, data[at : at + size]
        at += size + size % 2
    raise bad_response()


def _is_wav(mime_type: str) -> bool:
    return mime_type.lower().startswith(_WAV_TYPES)
