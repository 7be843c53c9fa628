"""mime: types by name, by file name and by first bytes."""

import pytest

from jarvis_proxy.canonical.mime import (
    SNIFF_BYTES,
    from_name,
    is_text,
    normalise,
    sniff,
)


@pytest.mark.parametrize(
    ("given", "mime"),
    [
        ("image/jpg", "image/jpeg"),
        ("IMAGE/PNG; charset=binary", "image/png"),
        (" audio/x-wav ", "audio/wav"),
        ("audio/mp3", "audio/mpeg"),
        ("video/quicktime", "video/mov"),
        ("application/pdf", "application/pdf"),
        ("application/octet-stream", ""),
        ("image/*", ""),
        ("", ""),
    ],
)
def test_types_are_spelled_as_gemini_does(given: str, mime: str) -> None:
    assert mime == normalise(given)


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("report.PDF", "application/pdf"),
        ("https://x.test/a.b/photo.jpeg?size=1.5#t.png", "image/jpeg"),
        ("notes.md", "text/markdown"),
        ("noextension", ""),
        ("odd.xyz", ""),
        ("", ""),
    ],
)
def test_types_by_file_name(name: str, mime: str) -> None:
    assert mime == from_name(name)


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"%PDF-1.7", "application/pdf"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        (b"RIFF\0\0\0\0AVI LIST", "video/avi"),
        (b"RIFF\0\0\0\0????", ""),
        (b"FORM\0\0\0\0AIFF", "audio/aiff"),
        (b"FORM\0\0\0\0ILBM", ""),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        (b"OggS", "audio/ogg"),
        (b"fLaC", "audio/flac"),
        (b"\0\0\0\x18ftypheic", "image/heic"),
        (b"\0\0\0\x18ftypqt  ", "video/mov"),
        (b"\0\0\0\x18ftyp3gp5", "video/3gpp"),
        (b"\0\0\0\x18ftypisom", "video/mp4"),
        (b"\x1a\x45\xdf\xa3", "video/webm"),
        (b"plain words", ""),
        (b"", ""),
    ],
)
def test_types_by_first_bytes(data: bytes, mime: str) -> None:
    assert mime == sniff(data[:SNIFF_BYTES])


@pytest.mark.parametrize(
    ("mime", "text"),
    [
        ("text/csv", True),
        ("application/json", True),
        ("application/ld+json", True),
        ("image/svg+xml", True),
        ("application/pdf", False),
        ("image/png", False),
        ("", False),
    ],
)
def test_what_a_model_can_be_given_as_text(mime: str, text: bool) -> None:
    assert text is is_text(mime)
