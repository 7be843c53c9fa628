"""multipart/form-data: finds the `model` field while the parts stream on. Pure.

Nothing of the parts is kept but the tail that may be the start of a delimiter or a part's head.

Source: RFC 7578 (multipart/form-data), RFC 2046 section 5.1.1 (delimiters).
"""

import re
from typing import Final

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.single_model import MODEL, check_names

_MAX_HEAD: Final = 16 * 1024
_MAX_VALUE: Final = 1024
BOUNDARY: Final = re.compile(r'boundary=(?:"([^"\r\n]{1,70})"|([^;,\s"]{1,70}))', re.IGNORECASE)
"""Finds the boundary in a form's Content-Type, in its first or second group."""
_ANY_BOUNDARY: Final = re.compile(r"boundary[^=;,]{0,8}=", re.IGNORECASE)
# Parameters before the name are taken whole, quotes and all: a file may be called "a; name=model".
_MODEL_FIELD: Final = re.compile(
    rb"""^content-disposition:[^;\n]*+
    (?:;(?!\s*name=)(?:[^;"\n]|"(?:[^"\\\n]|\\.)*+")*+)*+
    ;\s*name=(?-i:"model"|model)\s*(?:;|$)""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
# What every client writes, and every upstream reads alike: one line each.
_PLAIN_NAME: Final = re.compile(
    rb"""content-disposition:\ *form-data;\ *name=(?-i:"([A-Za-z0-9_.\[\]-]{1,64})")
    (?:;\ *filename="(?:[^"\\\r\n]|\\.)*+")?(?:;\ *filename\*=[A-Za-z0-9!#$&+.^_`{}~%'-]*+)?""",
    re.IGNORECASE | re.VERBOSE,
)
_PLAIN_LINE: Final = re.compile(
    rb"content-(?:type|length|transfer-encoding):[^\r\n]*+", re.IGNORECASE
)


class ModelFieldScanner:
    """Reads a form's bytes as they pass and remembers what its `model` field says.

    A *strict* one takes only forms that all upstreams read alike: for keys that may use certain
    models. In other forms an upstream might use a second `model` with an unusual spelling.
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
        """Take the boundary from a ``Content-Type``.

        Raises:
            ProxyError: 400 `invalid_multipart`, it names none, or a *strict* one finds two.
        """
        found = BOUNDARY.search(content_type)
        if found is None:
            raise invalid_form("its Content-Type names no boundary")
        if strict and len(_ANY_BOUNDARY.findall(content_type)) > 1:
            raise not_plain("its Content-Type names two boundaries")
        self._strict = strict
        self._delimiter = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
        # The first delimiter has no line break before it: pretend that one came.
        self._buffer = b"\r\n"
        self._offset = -2  # where in the form the buffer begins
        self._read = 0  # how much of the buffer is dealt with
        self._in_head = False
        self._in_model = False
        self._ended = False
        self.model: str | None = None
        self.model_span: tuple[int, int] | None = None
        """Where in the form the model's name stands, once it was found."""

    def feed(self, data: bytes) -> None:
        """Look at the next bytes; does nothing once the model was found or the form has ended.

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
        # Cut off once a feed, not once a part: a form of many small parts costs linear time.
        self._buffer = self._buffer[self._read :]
        self._offset += self._read
        self._read = 0

    def _step(self) -> bool:
        """Take one head, or one part's content, if it is here; return whether it was."""
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
            self._end()  # the closing delimiter: nothing follows
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
        # The blank line's last CRLF may be the first one of the next delimiter (an empty part).
        self._read = end + 2
        self._in_head = False
        return True

    def _is_model(self, head: bytes) -> bool:
        """Return whether a part's *head* is that of the model."""
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
        """Refuse what lenient readers take for a delimiter, before the next one, which is *at*."""
        loose = self._buffer.find(self._delimiter[2:], self._read)
        if loose >= 0 and loose != at + 2:
            raise not_plain("its boundary stands inside a part")

    def _take_model(self, at: int) -> None:
        """Take the model's name, which ends *at* the next delimiter (-1: not here yet)."""
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
        """Return the index up to which the buffer holds no part of a delimiter."""
        return len(self._buffer) - len(self._delimiter) + 1

    def _end(self) -> None:
        self._ended = True
        self._read = len(self._buffer)


def _check_epilogue(data: bytes) -> None:
    """Refuse data after the closing delimiter: lenient parsers continue there."""
    if data.strip(b"\r\n"):
        raise not_plain("something stands behind its end")


def not_plain(reason: str) -> ProxyError:
    """Return 400 `invalid_multipart` for a form that not all upstreams read alike."""
    return invalid_form(f"{reason}, for this key may use certain models only")


def invalid_form(reason: str) -> ProxyError:
    """Return 400 `invalid_multipart`."""
    return ProxyError(400, f"The form cannot be read: {reason}.", code="invalid_multipart")
