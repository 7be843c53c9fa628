"""Detects the type of media from its bytes, not from its declared type. Pure.

The names are the types that Gemini accepts as inline data.

Sources: https://mimesniff.spec.whatwg.org/ (6, signatures) and
https://ai.google.dev/gemini-api/docs/vision, /audio, /video-understanding (read 2026-11).
"""

from typing import Final

_PREFIXES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"fLaC", "audio/flac"),
    (b"OggS\x00", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"FLV\x01", "video/flv"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/wmv"),
)

_IFF: Final = {
    (b"RIFF", b"WEBP"): "image/webp",
    (b"RIFF", b"WAVE"): "audio/wav",
    (b"RIFF", b"AVI "): "video/avi",
    (b"FORM", b"AIFF"): "audio/aiff",
    (b"FORM", b"AIFC"): "audio/aiff",
}

_HEIC_BRANDS: Final = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
)
_HEIF_BRANDS: Final = frozenset((b"mif1", b"msf1"))
_AVIF_BRANDS: Final = frozenset((b"avif", b"avis"))

_AUDIO_OF: Final = {"video/mp4": "audio/mp4", "video/webm": "audio/webm"}
"""Containers whose first bytes do not tell whether they hold video."""


def sniff_media_type(data: bytes, declared: str = "") -> str | None:
    """Return the MIME type of *data*, or None if it is no media that Gemini accepts.

    *declared* is the Content-Type of the data. It only decides between audio and video where a
    container may hold either.
    """
    sniffed = _sniff(data)
    if sniffed in _AUDIO_OF and declared.lower().startswith("audio/"):
        return _AUDIO_OF[sniffed]
    return sniffed


def _sniff(data: bytes) -> str | None:
    for prefix, mime_type in _PREFIXES:
        if data.startswith(prefix):
            return mime_type
    if (iff := _IFF.get((data[:4], data[8:12]))) is not None:
        return iff
    if data[4:8] == b"ftyp":
        return _iso_base_media(data)
    if data.startswith(b"\x1a\x45\xdf\xa3"):
        # Matroska has the same header and is not accepted; only the document type differs.
        return "video/webm" if b"webm" in data[:64] else None
    # PDF readers tolerate a little data before the header, so some writers put it there.
    if data[:1024].lstrip(b"\xef\xbb\xbf\x00\t\r\n ").startswith(b"%PDF-"):
        return "application/pdf"
    return _mpeg_audio(data)


def _iso_base_media(data: bytes) -> str | None:
    """Return the type of an ISO 14496-12 file by the brands of its first box."""
    size = min(int.from_bytes(data[:4], "big"), 256)
    brand = data[8:12]
    brands = {brand, *(data[at : at + 4] for at in range(16, size, 4))}
    if brands & _AVIF_BRANDS:
        return None
    if brands & _HEIC_BRANDS:
        return "image/heic"
    if brands & _HEIF_BRANDS:
        return "image/heif"
    if brand == b"qt  ":
        return "video/mov"
    if brand[:3] in (b"3gp", b"3g2"):
        return "video/3gpp"
    return "audio/mp4" if brand in (b"M4A ", b"M4B ") else "video/mp4"


def _mpeg_audio(data: bytes) -> str | None:
    """Return the type by an MPEG audio frame header: 11 sync bits, then version and layer."""
    if len(data) < 3 or data[0] != 0xFF:
        return None
    if data[1] & 0xF6 == 0xF0:
        # ADTS has 12 sync bits and layer 0.
        return "audio/aac"
    # Accept only Layer III with a valid bit rate and sample rate: the two sync bytes alone could
    # also start UTF-16 text.
    version = data[1] >> 3 & 3
    if data[1] & 0xE6 == 0xE2 and version != 1 and data[2] >> 4 != 15 and data[2] >> 2 & 3 != 3:
        return "audio/mpeg"
    return None
