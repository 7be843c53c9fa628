"""Forms: the model's name is found in them however they are cut, and nothing else is kept."""

import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.multipart_model import ModelFieldScanner, invalid_form
from tests.support.splits import assert_same_for_every_split, cut_at

BOUNDARY = "X-boundary"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
DELIMITER = b"--X-boundary"


@dataclass(frozen=True)
class Outcome:
    """What a scanner said of a form."""

    model: str | None = None
    span: tuple[int, int] | None = None
    code: str | int | None = None
    message: str = ""


def scan(pieces: Sequence[bytes], content_type: str = TYPE) -> Outcome:
    try:
        scanner = ModelFieldScanner(content_type)
        for data in pieces:
            scanner.feed(data)
    except ProxyError as error:
        return Outcome(code=error.code, message=error.message)
    return Outcome(scanner.model, scanner.model_span)


def part(head: bytes, value: bytes) -> bytes:
    return b"%s\r\n%s\r\n\r\n%s\r\n" % (DELIMITER, head, value)


def field(name: bytes, value: bytes) -> bytes:
    return part(b'Content-Disposition: form-data; name="%s"' % name, value)


FILE = part(
    b'Content-Disposition: form-data; name="file"; filename="a; name=model"\r\n'
    b"Content-Type: audio/wav",
    b"RIFF\r\n--X-boundar\r\n--\r\n\r\n\x00\xff--X-boundary\r\r\n-",
)
END = DELIMITER + b"--\r\n"

FOUND = {
    "first": (field(b"model", b"whisper-1") + FILE + END, "whisper-1"),
    "behind the file": (FILE + field(b"model", b"whisper-1") + END, "whisper-1"),
    "between fields": (field(b"n", b"1") + field(b"model", b"m") + field(b"x", b"") + END, "m"),
    "with a preamble": (b"preamble --X\r\n" + field(b"model", b"m") + END, "m"),
    "multi-byte": (field(b"model", "модель-é🦀".encode()) + END, "модель-é🦀"),
    "empty": (field(b"model", b"") + END, ""),
    "with line breaks": (field(b"model", b"a\r\n-\r\nb") + END, "a\r\n-\r\nb"),
    "without quotes": (part(b"Content-Disposition: form-data; name=model", b"m") + END, "m"),
    "odd spelling": (
        part(b'X: 1\r\nCONTENT-disposition:form-data ; NAME="model" ; x=y\r\nY: 2', b"m") + END,
        "m",
    ),
    "name behind a file name": (
        part(b'Content-Disposition: form-data; filename="a;\\"b"; name="model"', b"m") + END,
        "m",
    ),
    "padding behind the delimiter": (
        b"--X-boundary  \r\nContent-Disposition: form-data; name=model\r\n\r\nm\r\n" + END,
        "m",
    ),
    "after an empty head": (part(b"", b"x") + field(b"model", b"m") + END, "m"),
    "first of two": (field(b"model", b"a") + field(b"model", b"b") + END, "a"),
    "of the longest length": (field(b"model", b"m" * 1024) + END, "m" * 1024),
    "without an end": (field(b"model", b"m") + DELIMITER, "m"),
}
NOT_FOUND = {
    "empty form": b"",
    "only an end": END,
    "no model": FILE + field(b"prompt", b"model") + END,
    "other case": field(b"Model", b"m") + END,
    "longer name": field(b"models", b"m") + field(b"a model", b"m") + END,
    "other header": part(b'X-Content-Disposition: form-data; name="model"', b"m") + END,
    "file name": part(b'Content-Disposition: form-data; filename="x; name=model"', b"m") + END,
    "open quote": part(b'Content-Disposition: form-data; x="; name=model', b"m") + END,
    "in a value": field(b"prompt", b'\r\nContent-Disposition: form-data; name="model"\r\n\r\nm')
    + END,
    "behind the end": FILE + END + field(b"model", b"m"),
    "no delimiter behind it": field(b"model", b"m"),
    "line feeds alone": field(b"model", b"m").replace(b"\r\n", b"\n"),
    "other boundary": field(b"model", b"m").replace(b"--X-b", b"--Y-b") + END,
    "plain text": b"model=whisper-1&x=1",
}
REFUSED = {
    "not UTF-8": (field(b"model", b"m\xff") + END, "is not UTF-8"),
    "half a character": (field(b"model", "é".encode()[:1]) + END, "is not UTF-8"),
    "too long": (field(b"model", b"m" * 1025) + END, "model is too long"),
    "too long and not UTF-8": (field(b"model", b"\xff" * 1025) + END, "model is too long"),
    "too long without an end": (field(b"model", b"m" * 1100), "model is too long"),
}


@pytest.mark.parametrize(("form", "model"), FOUND.values(), ids=FOUND)
def test_model_is_found_where_it_stands_however_the_form_is_cut(form: bytes, model: str) -> None:
    found = assert_same_for_every_split(scan, form)

    assert found.model == model
    assert found.span is not None
    start, end = found.span
    assert form[start:end] == model.encode()
    assert form[end:].startswith(b"\r\n" + DELIMITER)


@pytest.mark.parametrize("form", NOT_FOUND.values(), ids=NOT_FOUND)
def test_what_only_looks_like_the_model_is_not_taken_for_it(form: bytes) -> None:
    assert assert_same_for_every_split(scan, form) == Outcome()


@pytest.mark.parametrize(("form", "says"), REFUSED.values(), ids=REFUSED)
def test_unusable_model_is_a_400_however_the_form_is_cut(form: bytes, says: str) -> None:
    refused = assert_same_for_every_split(scan, form)

    assert refused.code == "invalid_multipart"
    assert says in refused.message


@pytest.mark.parametrize(
    ("padding", "fits"), [(16_384 - 55, True), (16_384 - 54, False), (1 << 20, False)]
)
def test_head_past_16_kib_is_a_400_whole_or_in_pieces(padding: int, fits: bool) -> None:
    head = b'\r\nX: %s\r\nContent-Disposition: form-data; name="model"' % (b"x" * padding)
    form = DELIMITER + head + b"\r\n\r\nm\r\n" + END
    cuts = [1, 5000, 16_000, *range(16_370, 16_420)]

    outcomes = {scan([form]), *(scan([form[:at], form[at:]]) for at in cuts)}

    assert len(head + b"\r\n\r\n") == padding + 55
    (outcome,) = outcomes
    assert outcome.model == ("m" if fits else None)
    assert outcome.code == (None if fits else "invalid_multipart")


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; boundary="a b;c"', b"a b;c"),
        ("Multipart/Form-Data;charset=utf-8;BOUNDARY=abc;x=y", b"abc"),
        ("multipart/form-data; boundary=----WebKitFormBoundary7MA4", b"----WebKitFormBoundary7MA4"),
        ("multipart/form-data; boundary=" + "b" * 70, b"b" * 70),
        ("multipart/form-data; boundary=é", b"\xe9"),
    ],
)
def test_boundary_is_read_from_the_content_type(content_type: str, boundary: bytes) -> None:
    form = field(b"model", b"m").replace(DELIMITER, b"--" + boundary) + b"--" + boundary

    assert scan([form], content_type).model == "m"


@pytest.mark.parametrize(
    "content_type", ["", "multipart/form-data", "multipart/form-data; boundary=", 'x; boundary=""']
)
def test_content_type_without_a_boundary_is_a_400(content_type: str) -> None:
    refused = scan([], content_type)

    assert refused.code == "invalid_multipart"
    assert "boundary" in refused.message


def test_nothing_is_looked_at_once_the_model_is_known() -> None:
    scanner = ModelFieldScanner(TYPE)
    scanner.feed(field(b"model", b"m") + DELIMITER)
    scanner.feed(b"\r\n" + b"x" * 20_000)

    assert (scanner.model, scanner.model_span) == ("m", (62, 63))


@pytest.mark.parametrize("lead", [FILE + END, DELIMITER + b"\r\n\r\n", b""], ids=str)
def test_nothing_of_a_large_upload_is_kept(lead: bytes) -> None:
    """Neither of a file, nor of what follows the end, nor of a body without any delimiter."""
    scanner = ModelFieldScanner(TYPE)
    scanner.feed(lead)
    tracemalloc.start()
    try:
        for _ in range(64):
            scanner.feed(b"\r\n--X-bound" * 6000)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 8 * 1024


def test_many_small_parts_are_read_in_one_go() -> None:
    form = field(b"x", b"") * 20_000 + field(b"model", b"m") + END

    assert scan([form]).model == "m"


def test_error_is_a_400_with_its_reason() -> None:
    error = invalid_form("why")

    assert (error.status, error.code) == (400, "invalid_multipart")
    assert error.message == "The form cannot be read: why."


FRAGMENTS = st.sampled_from(
    [
        DELIMITER,
        b"--",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b'Content-Disposition: form-data; name="model"',
        b'Content-Disposition: form-data; name="file"; filename="x"',
        b"\xff",
        b"\xc3\xa9",
        b"m" * 700,
        b"; name=model",
        b'"',
    ]
)


@settings(deadline=None)
@given(
    st.lists(FRAGMENTS | st.binary(max_size=5), max_size=12).map(b"".join),
    st.lists(st.integers(0, 200), max_size=6),
)
def test_any_bytes_cut_anywhere_say_the_same(form: bytes, cuts: list[int]) -> None:
    assert scan(cut_at(form, cuts)) == scan([form])


@settings(deadline=None)
@given(st.text())
def test_any_content_type_gives_a_scanner_or_a_400(content_type: str) -> None:
    assert scan([b"x"], content_type).code in (None, "invalid_multipart")
    assert scan([b"x"], "boundary=" + content_type).code in (None, "invalid_multipart")


def strictly(form: bytes, step: int, content_type: str = TYPE) -> str | None:
    """Return the model of a form for a key that may use certain models only."""
    first = ModelFieldScanner(content_type, strict=True)
    for at in range(0, len(form), step):
        first.feed(form[at : at + step])
    if first.model_span is not None:
        rest = form[first.model_span[1] :]
        second = ModelFieldScanner(content_type, strict=True)
        for at in range(0, len(rest), step):
            second.feed(rest[at : at + step])
        assert second.model is None
    return first.model


DISPOSITION = b"Content-Disposition: form-data; "
CHEAP = part(DISPOSITION + b'name="model"', b"cheap")


@pytest.mark.parametrize(
    "lead",
    [
        b"",
        part(
            DISPOSITION + b'name="file"; filename="a b.mp3"\r\nContent-Type: audio/mpeg', b"\0\r\n-"
        ),
        part(DISPOSITION + b"name=\"file\"; filename*=UTF-8''%C3%A4.mp3", b"x"),
        part(DISPOSITION + 'name="file"; filename="ä \\" b.mp3"'.encode(), b"x"),
        part(b"Content-Type: text/plain; charset=utf-8\r\n" + DISPOSITION + b'name="a"', b"x"),
        part(DISPOSITION.lower() + b'name="timestamp_granularities[]"', b""),
    ],
    ids=["alone", "curl", "rfc5987", "utf-8", "type-first", "lower-case"],
)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_what_clients_write_is_plain(lead: bytes, step: int) -> None:
    ModelFieldScanner("multipart/form-data; boundary=----WebKitFormBoundary7MA4", strict=True)
    assert strictly(lead + CHEAP + END, step) == "cheap"


@pytest.mark.every_case
@pytest.mark.parametrize(
    "odd",
    [
        part(DISPOSITION + b"name*=UTF-8''model", b"dear"),
        part(DISPOSITION + b'name="Model"', b"dear"),
        part(DISPOSITION + b'name="models"', b"dear"),
        part(DISPOSITION + b'name="model[]"', b"dear"),
        part(DISPOSITION + b'name="mod\\el"', b"dear"),
        part(DISPOSITION + b"name='model'", b"dear"),
        part(DISPOSITION + b"name=model", b"dear"),
        part(DISPOSITION + b'name="%6dodel"', b"dear"),
        part(DISPOSITION + b'name="a"; name="model"', b"dear"),
        part(DISPOSITION + b'filename="a"; name="model"', b"dear"),
        part(b'Content-Disposition:form-data;\tname\t=\t"model"', b"dear"),
        part(b'Content-Disposition: form-data;\r\n name="model"', b"dear"),
        part(DISPOSITION + b'name="a"\r\n' + DISPOSITION + b'name="model"', b"dear"),
        part(DISPOSITION + b'name="a"\r' + DISPOSITION + b'name="model"', b"dear"),
        part(DISPOSITION + b'name="a"\n' + DISPOSITION + b'name="model"', b"dear"),
        part(b"X-Odd: y", b"dear"),
        part(DISPOSITION + b'name="a"', b"b\n" + part(DISPOSITION + b'name="model"', b"dear")),
        part(DISPOSITION + b'name="a"', b"b" + DELIMITER),
        DELIMITER + b" \r\n" + DISPOSITION + b'name="model"\r\n\r\ndear\r\n',
        DELIMITER + b"\n" + DISPOSITION + b'name="model"\n\ndear\r\n',
        DELIMITER + b"--x\r\n" + part(DISPOSITION + b'name="model"', b"dear"),
        DELIMITER + b"--\r\n" + part(DISPOSITION + b'name="model"', b"dear"),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("first", [True, False])
def test_no_second_model_in_an_odd_spelling_is_taken(odd: bytes, step: int, first: bool) -> None:
    form = (odd + CHEAP if first else CHEAP + odd) + END
    with pytest.raises(ProxyError) as caught:
        strictly(form, step)

    assert caught.value.code in ("invalid_multipart", "unsupported_parameter")


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=X-bound; boundary=Y",
        "multipart/form-data; xboundary=Y; boundary=X-bound",
        "multipart/form-data; boundary*=utf-8''Y; boundary=X-bound",
    ],
)
def test_no_second_boundary_is_taken(content_type: str) -> None:
    with pytest.raises(ProxyError):
        ModelFieldScanner(content_type, strict=True)
