"""multipart/form-data: parses a whole form; the files stay in the body. Pure.

Source: RFC 7578 (multipart/form-data), RFC 2046 section 5.1.1 (delimiters).
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from jarvis_proxy.wire.headers import media_type
from jarvis_proxy.wire.multipart_model import BOUNDARY, invalid_form

FORM: Final = "multipart/form-data"
_MAX_PARTS: Final = 1000
_MAX_HEAD: Final = 16 * 1024
_MAX_TEXT: Final = 256 * 1024
_PARAM: Final = re.compile(r';\s*+([A-Za-z*]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^;"\s]++))\s*+')
_ESCAPED: Final = re.compile(r"\\(.)|%22")


class FormPart(NamedTuple):
    """One part; its content is ``body[start:end]``."""

    name: str
    filename: str | None
    content_type: str
    start: int
    end: int


class Form:
    """The parts of a form. A name that ends in ``[]`` belongs to a list."""

    __slots__ = ("_body", "_parts")

    def __init__(self, body: bytes, parts: list[FormPart]) -> None:
        self._body = body
        self._parts = parts

    def data(self, part: FormPart) -> bytes:
        """Return the content of *part*."""
        return self._body[part.start : part.end]

    def files(self, *names: str) -> list[FormPart]:
        """Return the parts with any of these *names*, in the form's order."""
        return [part for part in self._parts if part.name in names]

    def texts(self, name: str) -> list[str]:
        """Return the values of the field *name*, including those named ``name[]``.

        Raises:
            ProxyError: 400 `invalid_multipart`, a value is not UTF-8, or too long.
        """
        return [self._text(part) for part in self.files(name, f"{name}[]")]

    def text(self, name: str) -> str | None:
        """Return the last value of the field *name*, None if there is none.

        Raises:
            ProxyError: 400 `invalid_multipart`, as ``texts``.
        """
        found = self.texts(name)
        return found[-1] if found else None

    def _text(self, part: FormPart) -> str:
        if part.end - part.start > _MAX_TEXT:
            raise invalid_form(f"its field '{part.name[:64]}' is too long")
        try:
            return self.data(part).decode("utf-8")
        except UnicodeDecodeError:
            raise invalid_form(f"its field '{part.name[:64]}' is not UTF-8") from None


def is_form(content_type: str) -> bool:
    """Return whether a body of this type is a form."""
    return media_type(content_type) == FORM


def read_form(body: bytes, content_type: str) -> Form:
    """Return the parsed form.

    Raises:
        ProxyError: 400 `invalid_multipart`.
    """
    found = BOUNDARY.search(content_type)
    if found is None:
        raise invalid_form("its Content-Type names no boundary")
    delimiter = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
    return Form(body, list(_parts(body, delimiter)))


def _parts(body: bytes, delimiter: bytes) -> Iterator[FormPart]:
    at = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if at == 1:
        raise invalid_form("its boundary is not in it")
    for _ in range(_MAX_PARTS):
        at += len(delimiter)
        if body.startswith(b"--", at):
            return
        head_end = body.find(b"\r\n\r\n", at, at + _MAX_HEAD)
        # In an empty part, the head's last CRLF is also the first CRLF of the delimiter.
        end = body.find(b"\r\n" + delimiter, head_end + 2)
        if head_end < 0 or end < 0:
            raise invalid_form("it ends too early")
        start = min(head_end + 4, end)
        yield _part(body[at:head_end], start, end)
        at = end + 2
    raise invalid_form("it has too many parts")


def _part(head: bytes, start: int, end: int) -> FormPart:
    headers = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    params = dict(_params(headers.get("content-disposition", "")))
    if "name" not in params:
        raise invalid_form("a part has no name")
    content_type = headers.get("content-type", "")
    return FormPart(params["name"], params.get("filename"), content_type, start, end)


def _params(disposition: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters in order, up to the first one that cannot be parsed."""
    at = disposition.find(";")
    while at >= 0 and (found := _PARAM.match(disposition, at)) is not None:
        yield found[1].lower(), _unescaped(found[2] if found[2] is not None else found[3])
        at = found.end()


def _unescaped(value: str) -> str:
    return _ESCAPED.sub(lambda found: found[1] or '"', value)
