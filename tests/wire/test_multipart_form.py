"""Whole forms to fields and files."""

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.multipart_form import Form, is_form, read_form
from tests.support.forms import BOUNDARY, CONTENT_TYPE, form, part


def read(*parts: bytes) -> Form:
    return read_form(form(*parts), CONTENT_TYPE)


def test_fields_lists_and_files() -> None:
    found = read(
        part("model", "m"),
        part("tags[]", "a"),
        part("tags", "ü"),
        part("file", b"\r\n\x00--x\r\n", more='; filename="a.wav"', head="content-type: a/b\r\n"),
        part("empty", ""),
    )

    assert found.text("model") == "m"
    assert found.texts("tags") == ["a", "ü"]
    assert (found.text("empty"), found.text("absent")) == ("", None)
    (file,) = found.files("file")
    assert (file.filename, file.content_type) == ("a.wav", "a/b")
    assert found.data(file) == b"\r\n\x00--x\r\n"


@pytest.mark.parametrize(
    ("more", "filename"),
    [
        ('; filename="a; name=model"', "a; name=model"),
        (r'; filename="a\"b"', 'a"b'),
        ('; filename="a%22b"', 'a"b'),
        ("; filename=plain.wav", "plain.wav"),
        ("", None),
    ],
)
def test_names_of_files(more: str, filename: str | None) -> None:
    (file,) = read(part("file", "x", more=more)).files("file")

    assert file.filename == filename


def test_what_stands_before_and_behind_is_passed_over() -> None:
    body = b"preamble\r\n" + form(part("a", "1")) + b"epilogue"

    assert read_form(body, CONTENT_TYPE).text("a") == "1"


def test_a_part_without_content_may_share_its_line_end() -> None:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n'.encode()

    assert read_form(head + form(b"\r\n"), CONTENT_TYPE).text("a") == ""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary",
        form(part("a", "1"))[:-10],
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=".encode(),
        form(part("a", "1", head="x: " + "y" * 20_000 + "\r\n")),
        form(f"--{BOUNDARY}\r\nContent-Type: a/b\r\n\r\nx\r\n".encode()),
        form(*[part("a", "1")] * 1001),
    ],
)
def test_a_damaged_form_is_a_400(body: bytes) -> None:
    with pytest.raises(ProxyError) as refused:
        read_form(body, CONTENT_TYPE)

    assert (refused.value.status, refused.value.code) == (400, "invalid_multipart")


def test_a_form_needs_a_boundary() -> None:
    with pytest.raises(ProxyError, match="no boundary"):
        read_form(form(), "multipart/form-data")


@pytest.mark.parametrize("value", [b"\xff", b"x" * (256 * 1024 + 1)])
def test_a_field_that_is_no_text_is_a_400(value: bytes) -> None:
    with pytest.raises(ProxyError, match="field 'a'"):
        read(part("a", value)).text("a")


def test_types() -> None:
    assert is_form(CONTENT_TYPE)
    assert not is_form("application/json")


@pytest.mark.parametrize(
    "head",
    [';x="' * 4000, '; name="a' + "\\" * 15_000, ";" + " " * 15_000, "; " * 8000, "; name=", ""],
)
def test_a_head_that_names_nothing_is_a_400(head: str) -> None:
    # Each is read once, from its start: a search from every semicolon would take for ever.
    one = f"--{BOUNDARY}\r\nContent-Disposition: form-data{head}\r\n\r\n\r\n".encode()
    with pytest.raises(ProxyError, match="has no name"):
        read_form(form(one), CONTENT_TYPE)
