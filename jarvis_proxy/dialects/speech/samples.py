"""Pieces of sound as Google sends them, to raw samples. Pure.

Raw samples are mono, 16 bits, little-endian. Newer models answer a plain request with a whole WAV
file, and a streamed one with raw samples.

Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/text-to-speech/
migration-guide (read 2026-11). Of Gemini's own address this is not verified.
"""

import struct
from typing import Final

from jarvis_proxy.canonical.exchange import bad_response
from jarvis_proxy.dialects.chat.speech import decode_sound, is_pcm, rate_of

_WAV_TYPES: Final = ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave")
_RIFF_HEAD: Final = 12
_CHUNK_HEAD: Final = 8
_RATE_AT: Final = 4
_MOST_CHUNKS: Final = 64


class SampleReader:
    """Takes the pieces of one answer; *rate* is in samples a second, known with the first."""

    __slots__ = ("rate",)

    def __init__(self) -> None:
        self.rate: int | None = None

    def feed(self, mime_type: str, data: str) -> bytes:
        """Return the samples that *data*, base64, holds.

        Raises:
            ProxyError: 502 `upstream_bad_frame`, it is not base64; 502 `upstream_bad_response`, it
                is neither raw samples nor WAV.
        """
        sound = decode_sound(data)
        if is_pcm(mime_type):
            self.rate = self.rate or rate_of(mime_type)
            return sound
        if not mime_type.lower().startswith(_WAV_TYPES):
            raise bad_response()
        rate, samples = read_wav(sound)
        self.rate = self.rate or rate
        return samples


def read_wav(data: bytes) -> tuple[int, bytes]:
    """Return the samples a second and the samples of a WAV file.

    A length that says more than is there, as writers of pipes leave it, means "to the end".

    Raises:
        ProxyError: 502 `upstream_bad_response`.
    """
    if data[:4] != b"RIFF" or data[8:_RIFF_HEAD] != b"WAVE":
        raise bad_response()
    at, rate = _RIFF_HEAD, 0
    for _ in range(_MOST_CHUNKS):
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
