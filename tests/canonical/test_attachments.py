"""attachments: data URLs, base64 and links."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.attachments import (
    Attachment,
    AttachmentError,
    as_text,
    from_base64,
    from_bytes,
    from_data_url,
    google_file_uri,
    link_kind,
)

PNG = b"\x89PNG\r\n\x1a\n\xfb\xff\xfe"
PNG64 = base64.b64encode(PNG).decode()
FILE = "https://generativelanguage.googleapis.com/v1beta/files/abc-123"


@pytest.mark.parametrize(
    ("url", "mime"),
    [
        (f"data:image/png;base64,{PNG64}", "image/png"),
        (f"DATA:image/jpg;charset=utf-8;BASE64,{PNG64}", "image/jpeg"),
        (f"data:;base64,{PNG64}", "image/png"),
        (f"data:application/octet-stream;base64,{PNG64}", "image/png"),
        (f"data:image/png;base64,{PNG64[:5]}\r\n {PNG64[5:]}", "image/png"),
        (f"data:image/png;base64,{PNG64.replace('+', '%2B').replace('/', '%2F')}", "image/png"),
        (f"data:image/png;base64,{PNG64.replace('+', '-').replace('/', '_')}", "image/png"),
        (f"data:image/png;base64,{PNG64.rstrip('=')}", "image/png"),
    ],
    ids=["plain", "charset", "no type", "vague type", "spaces", "percent", "url-safe", "unpadded"],
)
def test_data_urls_as_clients_send_them(url: str, mime: str) -> None:
    found = from_data_url(url)

    assert (mime, PNG) == (found.mime, found.decoded())
    assert found.base64 == PNG64


@pytest.mark.parametrize(("sloppy", "strict"), [("QUJm", "QUJm"), ("QUF=", "QUE="), ("QX", "QQ==")])
def test_bits_behind_the_last_byte_are_cleared(sloppy: str, strict: str) -> None:
    assert from_base64(sloppy, mime="image/png").base64 == strict


def test_a_data_url_without_base64_is_encoded() -> None:
    found = from_data_url("data:,Hello%2C%20world")

    assert (found.mime, found.decoded()) == ("text/plain", b"Hello, world")


def test_a_file_name_tells_the_type_where_the_url_does_not() -> None:
    assert from_data_url("data:;base64,QUJD", "a.pdf").mime == "application/pdf"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("data:image/png;base64", "no comma"),
        ("data:image/png;base64,", "no data"),
        ("data:image/png;base64,A", "not valid base64"),
        ("data:image/png;base64,QUJ$", "not valid base64"),
        ("data:image/png;base64,ü", "not valid base64"),
        ("data:image/png,", "no data"),
    ],
)
def test_data_urls_without_data_are_refused_with_a_reason(url: str, why: str) -> None:
    with pytest.raises(AttachmentError, match=why):
        from_data_url(url)


def test_bytes_and_base64_are_the_same_attachment() -> None:
    assert Attachment("image/png", PNG64) == from_bytes(PNG) == from_base64(PNG64)


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("data:,x", "data"),
        (FILE, "google_file"),
        (FILE.replace("v1beta", "v1"), "google_file"),
        (FILE + "/../x", "web"),
        ("https://www.youtube.com/watch?v=abc&t=3", "youtube"),
        ("https://youtube.com/shorts/abc", "youtube"),
        ("https://youtu.be/abc", "youtube"),
        ("https://youtu.be/", "web"),
        ("https://www.youtube.com/watch", "web"),
        ("https://youtube.com.evil.test/watch?v=a", "web"),
        ("gs://bucket/a.png", "bucket"),
        ("HTTP://example.com/a.png", "web"),
        ("https://[bad", "web"),
        ("ftp://example.com/a.png", "none"),
        ("QUJD", "none"),
    ],
)
def test_links_by_who_fetches_them(url: str, kind: str) -> None:
    assert kind == link_kind(url)


@pytest.mark.parametrize(
    ("file_id", "uri"),
    [
        ("files/abc-123", FILE),
        (FILE, FILE),
        ("file-7qh8AjzrjyRGiQ7kaFybfG", None),
        ("https://example.com/files/abc", None),
        ("files/../x", None),
    ],
)
def test_files_that_google_has(file_id: str, uri: str | None) -> None:
    assert uri == google_file_uri(file_id)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("grün".encode(), "grün"),
        ("grün".encode("utf-8-sig"), "grün"),
        ("grün".encode("utf-16"), "grün"),
        ("grün".encode("latin-1"), "grün"),
    ],
)
def test_bytes_of_text_are_read_by_their_mark(raw: bytes, text: str) -> None:
    assert text == as_text(raw)


@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_survive_a_data_url(raw: bytes) -> None:
    url = "data:application/x-test;base64," + base64.b64encode(raw).decode()

    assert raw == from_data_url(url).decoded()


@given(st.text(max_size=60))
def test_any_data_url_is_read_or_refused(tail: str) -> None:
    try:
        found = from_data_url("data:" + tail)
    except AttachmentError:
        return
    assert found.decoded()


def test_base64_that_ends_and_goes_on_is_refused_where_pieces_of_it_meet() -> None:
    first = "QUJD" * (64 * 1024 - 1) + "QUE="  # 256 KiB, as one piece is long
    assert from_base64(first, mime="image/png").base64 == first

    with pytest.raises(AttachmentError):
        from_base64(first + "QUJD", mime="image/png")
