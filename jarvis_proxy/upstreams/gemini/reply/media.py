"""Pictures and speech in answers. Pure.

Google speaks raw samples, ``audio/L16``: mono, 16 bits, and little-endian against that type's
definition. A file needs a header in front of them.

Source: https://ai.google.dev/gemini-api/docs/speech-generation (read 2026-11).
"""

import base64
import binascii
import struct
from typing import Final

from jarvis_proxy.upstreams.gemini.reply.errors import bad_frame
from jarvis_proxy.upstreams.gemini.reply.frames import Blob
from jarvis_proxy.wire.chat_types import Image, ImageURL

_STANDARD: Final = str.maketrans("-_", "+/")
_RATE: Final = 24000
_UNKNOWN_SIZE: Final = 0xFFFFFFFF
_PCM_TYPES: Final = ("audio/l16", "audio/pcm")


def is_image(blob: Blob) -> bool:
    """Tell whether *blob* is a picture with something in it."""
    return bool(blob.data) and (blob.mime_type or "").lower().startswith("image/")


def is_audio(blob: Blob) -> bool:
    """Tell whether *blob* is sound with something in it."""
    return bool(blob.data) and (blob.mime_type or "").lower().startswith("audio/")


def to_image(blob: Blob, index: int) -> Image:
    """Return a picture as a ``data:`` URL; *index* counts an answer's pictures."""
    data = (blob.data or "").translate(_STANDARD)
    return Image(image_url=ImageURL(f"data:{blob.mime_type};base64,{data}"), index=index)


class Speech:
    """An answer's sound, piece by piece, as one base64 text in the format that was asked for.

    *audio_format* is ``wav``, ``pcm16`` or None, which stands for wav: it says what it is. Sound
    that is no raw samples is passed on as it came.
    """

    __slots__ = ("_rest", "_started", "_wav")

    def __init__(self, audio_format: str | None) -> None:
        self._wav = audio_format in (None, "wav")
        self._started = False
        self._rest = b""

    def feed(self, blob: Blob) -> str:
        """Return the base64 that *blob* adds; up to two bytes wait for the next piece.

        So each text is whole groups of four letters, and all of them joined are valid base64.

        Raises:
            ProxyError: 502 `upstream_bad_frame`, the data is not base64.
        """
        data = _decode(blob.data or "")
        if not self._started:
            self._started = True
            if self._wav and _is_pcm(blob):
                # A stream's length is not known when its header goes out: the greatest possible
                # stands for "until the end", as recorders write it that pipe their output.
                data = wav_header(_rate(blob), None) + data
        data = self._rest + data
        whole = len(data) - len(data) % 3
        self._rest = data[whole:]
        return base64.b64encode(data[:whole]).decode()

    def close(self) -> str:
        """Return the base64 of what still waits."""
        rest, self._rest = self._rest, b""
        return base64.b64encode(rest).decode()


def whole_speech(blobs: list[Blob], audio_format: str | None) -> str:
    """Return all of an answer's sound as base64, with a header that knows its length.

    Raises:
        ProxyError: 502 `upstream_bad_frame`, the data is not base64.
    """
    data = b"".join(_decode(blob.data or "") for blob in blobs)
    if audio_format in (None, "wav") and _is_pcm(blobs[0]):
        data = wav_header(_rate(blobs[0]), len(data)) + data
    return base64.b64encode(data).decode()


def wav_header(rate: int, size: int | None) -> bytes:
    """Return the 44 bytes before *size* bytes of mono 16-bit samples, *rate* a second.

    None for a size that is not known yet.
    """
    body = _UNKNOWN_SIZE if size is None else min(size, _UNKNOWN_SIZE)
    riff = min(body + 36, _UNKNOWN_SIZE)
    fields = (b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16, b"data", body)
    return struct.pack("<4sI4s4sIHHIIHH4sI", *fields)


def _decode(data: str) -> bytes:
    text = data.translate(_STANDARD)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise bad_frame() from None


def _is_pcm(blob: Blob) -> bool:
    return (blob.mime_type or "").lower().startswith(_PCM_TYPES)


def _rate(blob: Blob) -> int:
    """Return the samples a second that ``audio/L16;codec=pcm;rate=24000`` names."""
    for parameter in (blob.mime_type or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        digits = value.strip()[:7]
        if name.strip().lower() == "rate" and digits.isdecimal():
            return min(int(digits), 768000)
    return _RATE
