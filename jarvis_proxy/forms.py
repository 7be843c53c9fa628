"""multipart/form-data: finds the `model` field while the parts stream on. Pure.

Nothing of the parts is kept but the tail that may be the start of a delimiter or a part's head.

Source: RFC 7578 (multipart/form-data), RFC 2046 section 5.1.1 (delimiters).
"""

import re
from typing import Final

from jarvis_proxy.errors import ProxyError

_MAX_HEAD: Final = 16 * 1024
_MAX_VALUE: Final = 1024
_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"\r\n]{1,70})"|([^;,\s"]{1,70}))', re.IGNORECASE)
# Parameters before the name are taken whole, quotes and all: a file may be called "a; name=model".
_MODEL_FIELD: Final = re.compile(
    rb"""^content-disposition:[^;\n]*+
    (?:;(?!\s*name=)(?:[^;"\n]|"(?:[^"\\\n]|\\.)*+")*+)*+
    ;\s*name=(?-i:"model"|model)\s*(?:;|$)""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)


class FormScanner:
    """Reads a form's bytes as they pass and remembers what its `model` field says."""

    __slots__ = (
        "_buffer",
        "_delimiter",
        "_ended",
        "_in_head",
        "_in_model",
        "_offset",
        "_read",
        "model",
        "span",
    )

    def __init__(self, content_type: str) -> None:
        """Take the boundary from a ``Content-Type``.

        Raises:
            ProxyError: 400 `invalid_multipart`, it names none.
        """
        found = _BOUNDARY.search(content_type)
        if found is None:
            raise invalid_form("its Content-Type names no boundary")
        self._delimiter = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
        # The first delimiter has no line break before it: pretend that one came.
        self._buffer = b"\r\n"
        self._offset = -2  # where in the form the buffer begins
        self._read = 0  # how much of the buffer is dealt with
        self._in_head = False
        self._in_model = False
        self._ended = False
        self.model: str | None = None
        self.span: tuple[int, int] | None = None
        """Where in the form the model's name stands, once it was found."""

    def feed(self, data: bytes) -> None:
        """Look at the next bytes; does nothing once the model was found or the form has ended.

        Raises:
            ProxyError: 400 `invalid_multipart`.
        """
        if self._ended:
            return
        self._buffer += data
        while self._step():
            pass
        # Let go once a feed, not once a part: a form of many small parts costs linear time.
        self._buffer = self._buffer[self._read :]
        self._offset += self._read
        self._read = 0

    def _step(self) -> bool:
        """Take one head, or one part's content, if it is here; return whether it was."""
        if self._in_head:
            return self._take_head()
        at = self._buffer.find(self._delimiter, self._read)
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
            self._end()  # the closing delimiter: nothing follows
            return False
        end = self._buffer.find(b"\r\n\r\n", start, start + _MAX_HEAD)
        if end < 0:
            if len(self._buffer) - start >= _MAX_HEAD:
                raise invalid_form("a part's headers are too long")
            return False
        head = self._buffer[start:end].replace(b"\r\n", b"\n")
        self._in_model = _MODEL_FIELD.search(head) is not None
        # The blank line's last CRLF may be the first one of the next delimiter (an empty part).
        self._read = end + 2
        self._in_head = False
        return True

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
        self.span = (self._offset + start, self._offset + start + len(value))
        self._end()

    def _certain(self) -> int:
        """Return the index up to which the buffer holds no part of a delimiter."""
        return len(self._buffer) - len(self._delimiter) + 1

    def _end(self) -> None:
        self._ended = True
        self._read = len(self._buffer)


def invalid_form(reason: str) -> ProxyError:
    """Return 400 `invalid_multipart`."""
    return ProxyError(400, f"The form cannot be read: {reason}.", code="invalid_multipart")
