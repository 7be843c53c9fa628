"""The first bytes of real formats, written from their specifications."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.wire.media_types import sniff_media_type


def ftyp(brand: bytes, *compatible: bytes) -> bytes:
    """Return the first box of an ISO base media file, and the start of the next."""
    size = 16 + 4 * len(compatible)
    box = size.to_bytes(4, "big") + b"ftyp" + brand + bytes(4) + b"".join(compatible)
    return box + b"\x00\x00\x00\x08mdat"


def ebml(document_type: bytes) -> bytes:
    """Return the start of an EBML file of that document type."""
    return b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84" + document_type + bytes(32)


ACCEPTED = [
    (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png"),
    (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "image/jpeg"),
    (b"\xff\xd8\xff\xdb\x00\x43", "image/jpeg"),
    (b"GIF87a\x01\x00", "image/gif"),
    (b"GIF89a\x01\x00", "image/gif"),
    (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
    (ftyp(b"heic", b"mif1"), "image/heic"),
    (ftyp(b"mif1", b"mif1", b"heic"), "image/heic"),
    (ftyp(b"mif1", b"mif1"), "image/heif"),
    (b"%PDF-1.7\n", "application/pdf"),
    (b"\xef\xbb\xbf\r\n%PDF-1.4\n", "application/pdf"),
    (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/wav"),
    (b"FORM\x00\x00\x00\x24AIFFCOMM", "audio/aiff"),
    (b"FORM\x00\x00\x00\x24AIFCFVER", "audio/aiff"),
    (b"fLaC\x00\x00\x00\x22", "audio/flac"),
    (b"OggS\x00\x02", "audio/ogg"),
    (b"ID3\x04\x00", "audio/mpeg"),
    (b"\xff\xfb\x90\x64", "audio/mpeg"),
    (b"\xff\xf3\x84\xc4", "audio/mpeg"),
    (b"\xff\xe3\x18\xc4", "audio/mpeg"),
    (b"\xff\xf1\x50\x80", "audio/aac"),
    (b"\xff\xf9\x50\x80", "audio/aac"),
    (ftyp(b"M4A ", b"mp42"), "audio/mp4"),
    (ftyp(b"isom", b"iso2", b"avc1", b"mp41"), "video/mp4"),
    (ftyp(b"mp42"), "video/mp4"),
    (ftyp(b"qt  ", b"qt  "), "video/mov"),
    (ftyp(b"3gp4", b"isom"), "video/3gpp"),
    (ftyp(b"3g2a"), "video/3gpp"),
    (ebml(b"webm"), "video/webm"),
    (b"RIFF\x24\x00\x00\x00AVI LIST", "video/avi"),
    (b"FLV\x01\x05\x00", "video/flv"),
    (b"\x00\x00\x01\xba\x44", "video/mpeg"),
    (b"\x00\x00\x01\xb3\x16", "video/mpeg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "video/wmv"),
]

REFUSED = [
    (b"", "nothing"),
    (b"\xff", "one byte"),
    (b"<!DOCTYPE html><html></html>", "HTML"),
    (b"<html><body>\x89PNG\r\n\x1a\n", "HTML with a signature further in"),
    (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    (b'{"AccessKeyId":"x"}', "JSON"),
    (b"daemon:x:1:1:daemon:/usr/sbin:/bin/sh\n", "text"),
    (b"\xff\xfea\x00b\x00", "UTF-16 text, little-endian"),
    (b"\xfe\xff\x00a\x00b", "UTF-16 text, big-endian"),
    (b"\xff\xfb\xf0\x64", "MP3 header with the forbidden bit rate"),
    (b"\xff\xfb\x9c\x64", "MP3 header with the forbidden sample rate"),
    (b"\xff\xeb\x90\x64", "MP3 header with the forbidden version"),
    (b"\x89PNG\n\x1a\n", "PNG mangled by a text transfer"),
    (b"RIFF\x24\x00\x00\x00ACON", "another RIFF"),
    (ftyp(b"avif", b"mif1"), "AVIF"),
    (ftyp(b"mif1", b"avif"), "AVIF by its compatible brands"),
    (ebml(b"matroska"), "Matroska"),
    (b"PK\x03\x04", "a ZIP file"),
    (b"MZ\x90\x00", "a program"),
    (b"\x7fELF", "a program"),
    (b"BM\x36\x00", "BMP, which Gemini does not take inline"),
]


@pytest.mark.every_case
@pytest.mark.parametrize(("data", "mime_type"), ACCEPTED)
def test_known_media_is_named_by_its_first_bytes(data: bytes, mime_type: str) -> None:
    assert mime_type == sniff_media_type(data)


@pytest.mark.every_case
@pytest.mark.parametrize(("data", "what"), REFUSED)
def test_all_else_is_refused_whatever_it_claims(data: bytes, what: str) -> None:
    assert sniff_media_type(data) is None, what
    assert sniff_media_type(data, "image/png") is None, what


@pytest.mark.parametrize(
    ("data", "declared", "expected"),
    [
        (ftyp(b"isom"), "audio/mp4", "audio/mp4"),
        (ftyp(b"mp42"), "Audio/X-M4A", "audio/mp4"),
        (ebml(b"webm"), "audio/webm; codecs=opus", "audio/webm"),
        (ftyp(b"isom"), "application/octet-stream", "video/mp4"),
        (b"\xff\xd8\xff\xe0", "image/png", "image/jpeg"),
        (b"\xff\xd8\xff\xe0", "audio/mpeg", "image/jpeg"),
    ],
)
def test_a_claim_only_decides_between_sound_and_pictures(
    data: bytes, declared: str, expected: str
) -> None:
    assert expected == sniff_media_type(data, declared)


@given(st.binary(max_size=64), st.text(max_size=20))
def test_any_bytes_get_an_answer(data: bytes, declared: str) -> None:
    answer = sniff_media_type(data, declared)

    assert answer is None or "/" in answer


@given(st.sampled_from(ACCEPTED), st.binary(max_size=64))
def test_what_follows_does_not_change_the_type(case: tuple[bytes, str], rest: bytes) -> None:
    data, mime_type = case

    assert mime_type == sniff_media_type(data + rest)
