"""multipart/form-data: finds the `model` field while the form streams. Pure.

It keeps only a tail that may begin a delimiter or a part's head.

Source: RFC 7578 (multipart/form-data), RFC 2046 section 5.1.1 (delimiters).
"""

import re
from typing import Final

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.single_model import MODEL, check_names

_MAX_HEAD: Final = 16 * 1024
_MAX_VALUE: Final = 1024
BOUNDARY: Final = re.compile(r'boundary=(?:"([^"\r\n]{1,70})"|([^;,\s"]{1,70}))', re.IGNORECASE)
"""Finds the boundary in a form's Content-Type: it is in the first or second group."""
_ANY_BOUNDARY: Final = re.compile(r"boundary[^=;,]{0,8}=", re.IGNORECASE)
# Skips parameters before the name as a whole, quotes included: a file may be named "a; name=model".
_MODEL_FIELD: Final = re.compile(
    rb"""^content-disposition:[^;\n]*+
    (?:;(?!\s*name=)(?:[^;"\n]|"(?:[^"\\\n]|\\.)*+")*+)*+
    ;\s*name=(?-i:"model"|model)\s*(?:;|$)""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
# The one-line form that every client writes and that every upstream reads alike.
_PLAIN_NAME: Final = re.compile(
    rb"""content-disposition:\ *form-data;\ *name=(?-i:"([A-Za-z0-9_.\[\]-]{1,64})")
    (?:;\ *filename="(?:[^"\\\r\n]|\\.)*+")?(?:;\ *filename\*=[A-Za-z0-9!#$&+.^_`{}~%'-]*+)?""",
    re.IGNORECASE | re.VERBOSE,
)
_PLAIN_LINE: Final = re.compile(
    rb"content-(?:type|length|transfer-encoding):[^\r\n]*+", re.IGNORECASE
)


class ModelFieldScanner:
    """Reads a form as it streams and remembers its `model` field.

    *strict*, for keys that may use certain models only, accepts only forms that all upstreams read
    alike. In other forms an upstream might use a second `model` in an unusual spelling.
    """

    __slots__ = (
        "_buffer",
        "_delimiter",
        "_ended",
        "_in_head",
        "_in_model",
        "_offset",
        "_read",
        "_strict",
        "model",
        "model_span",
    )

    def __init__(self, content_type: str, *, strict: bool = False) -> None:
        """Read the boundary from a ``Content-Type``.

        Raises:
            ProxyError: 400 `invalid_multipart`, there is no boundary, or two in *strict* mode.
        """
        found = BOUNDARY.search(content_type)
        if found is None:
            raise invalid_form("its Content-Type names no boundary")
        if strict and len(_ANY_BOUNDARY.findall(content_type)) > 1:
            raise not_plain("its Content-Type names two boundaries")
        self._strict = strict
        self._delimiter = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
        # The first delimiter has no line break before it, so the buffer begins with one.
        self._buffer = b"\r\n"
        self._offset = -2
        """The buffer's offset in the form."""
        self._read = 0
        """The part of the buffer that is already processed."""
        self._in_head = False
        self._in_model = False
        self._ended = False
        self.model: str | None = None
        self.model_span: tuple[int, int] | None = None
        """Start and end of the model's name in the form, once it is found."""

    def feed(self, data: bytes) -> None:
        """Process the next bytes; do nothing once the model was found or the form has ended.

        Raises:
            ProxyError: 400 `invalid_multipart`.
        """
        if self._ended:
            if self._strict and self.model is None:
                _check_epilogue(data)
            return
        self._buffer += data
        while self._step():
            pass
        # Cut once per feed, not once per part, so that many small parts cost linear time.
        self._buffer = self._buffer[self._read :]
        self._offset += self._read
        self._read = 0

    def _step(self) -> bool:
        """Process one head, or the content of one part; return False if it is incomplete."""
        if self._in_head:
            return self._take_head()
        at = self._buffer.find(self._delimiter, self._read)
        if self._strict:
            self._check_delimiters(at)
        if self._in_model:
            self._take_model(at)
            return False
        if at < 0:
            # Only the tail may be part of a delimiter.
            self._read = max(self._read, self._certain())
            return False
        self._read = at + len(self._delimiter)
        self._in_head = True
        return True

    def _take_head(self) -> bool:
        start = self._read
        if self._buffer.startswith(b"--", start):
            if self._strict:
                _check_epilogue(self._buffer[start + 2 :])
            # This is the closing delimiter.
            self._end()
            return False
        behind = self._buffer[start : start + 2]
        if self._strict and len(behind) == 2 and behind != b"\r\n":
            raise not_plain("something stands behind a delimiter")
        end = self._buffer.find(b"\r\n\r\n", start, start + _MAX_HEAD)
        if end < 0:
            if len(self._buffer) - start >= _MAX_HEAD:
                raise invalid_form("a part's headers are too long")
            return False
        self._in_model = self._is_model(self._buffer[start:end])
        # In an empty part, the head's last CRLF is also the first CRLF of the delimiter.
        self._read = end + 2
        self._in_head = False
        return True

    def _is_model(self, head: bytes) -> bool:
        """Return whether *head* is the head of the `model` part."""
        if not self._strict:
            return _MODEL_FIELD.search(head.replace(b"\r\n", b"\n")) is not None
        names = []
        for line in head.removeprefix(b"\r\n").split(b"\r\n"):
            if found := _PLAIN_NAME.fullmatch(line):
                names.append(found[1].decode("ascii"))
            elif not _PLAIN_LINE.fullmatch(line):
                names.clear()
                break
        if len(names) != 1:
            raise not_plain('a part must begin like this: Content-Disposition: form-data; name="x"')
        check_names(name for name in names if name != MODEL)
        return names == [MODEL]

    def _check_delimiters(self, at: int) -> None:
        """Reject what lenient parsers take for a delimiter before the next one, at *at*."""
        loose = self._buffer.find(self._delimiter[2:], self._read)
        if loose >= 0 and loose != at + 2:
            raise not_plain("its boundary stands inside a part")

    def _take_model(self, at: int) -> None:
        """Read the model's name, which ends at the next delimiter, *at* (-1: not received yet)."""
        start = self._read + 2
        if (self._certain() if at < 0 else at) - start > _MAX_VALUE:
            raise invalid_form("its model is too long")
        if at < 0:
            return
        value = self._buffer[start:at]
        try:
            self.model = value.decode("utf-8")
        except UnicodeDecodeError:
            raise invalid_form("its model is not UTF-8") from None
        self.model_span = (self._offset + start, self._offset + start + len(value))
        self._end()

    def _certain(self) -> int:
        """Return the index before which the buffer holds no part of a delimiter."""
        return len(self._buffer) - len(self._delimiter) + 1

    def _end(self) -> None:
        self._ended = True
        self._read = len(self._buffer)


def _check_epilogue(data: bytes) -> None:
    """Reject data after the closing delimiter: lenient parsers would continue there."""
    if data.strip(b"\r\n"):
        raise not_plain("something stands behind its end")


def not_plain(reason: str) -> ProxyError:
    """Return 400 `invalid_multipart` for a form that upstreams may read differently."""
    return invalid_form(f"{reason}, for this key may use certain models only")


def invalid_form(reason: str) -> ProxyError:
    """Return 400 `invalid_multipart`."""
    return ProxyError(400, f"The form cannot be read: {reason}.", code="invalid_multipart")
